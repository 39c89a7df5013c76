//! TLS towards the SMSC.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::host::Host;
use super::options::{OutbindTls, Tls};

/// TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds something else.
    #[error("{field} {path}: {source}; give a readable PEM file")]
    File {
        /// The setting that names the file.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Only one of the two files of a client certificate is set.
    #[error("tls.certificate_file and tls.key_file belong together: set both or none")]
    HalfACertificate,
    /// The name to expect in the certificate is not one.
    #[error("tls.server_name {0:?} is neither a host name nor an IP address")]
    ServerName(String),
    /// The files do not fit together, or the system's authorities cannot be used.
    #[error("tls: {0}; check the certificate, its key and the authorities")]
    Setup(#[from] rustls::Error),
}

/// A connector as configured; reads the files.
pub(super) fn connector(tls: &Tls) -> Result<TlsConnector, TlsError> {
    Ok(TlsConnector::from(Arc::new(client_config(tls)?)))
}

/// What `tls` says, for whoever connects; reads the files.
pub fn client_config(tls: &Tls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if !tls.verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else if let Some(path) = &tls.ca_file {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("tls.ca_file", path)? {
            roots.add(certificate)?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.with_platform_verifier()?
    };
    match (&tls.certificate_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(chain), Some(key)) => {
            let chain = certificates("tls.certificate_file", chain)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|source| file_error("tls.key_file", key, source))?;
            Ok(builder.with_client_auth_cert(chain, key)?)
        }
        _ => Err(TlsError::HalfACertificate),
    }
}

/// What takes TLS connections, if a certificate is configured; reads the files.
pub(super) fn acceptor(tls: &OutbindTls) -> Result<Option<TlsAcceptor>, TlsError> {
    let (chain, key) = match (&tls.certificate_file, &tls.key_file) {
        (None, None) => return Ok(None),
        (Some(chain), Some(key)) => (chain, key),
        _ => return Err(TlsError::HalfACertificate),
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &tls.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("outbind.client_ca_file", path)? {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("outbind.certificate_file", chain)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| file_error("outbind.key_file", key, source))?;
    let config = builder.with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// The name that the certificate of `host` (`host:port`) must carry.
pub(super) fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = Host::parse(host).map_or(host, |host| host.name);
    // The zone of an address is ours, not the SMSC's.
    let bare = bare.split('%').next().unwrap_or(bare);
    let name = tls.server_name.as_deref().unwrap_or(bare);
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match all {
        Ok(certificates) if certificates.is_empty() => {
            Err(file_error(field, path, pem::Error::NoItemsFound))
        }
        all => all.map_err(|source| file_error(field, path, source)),
    }
}

fn file_error(field: &'static str, path: &Path, source: pem::Error) -> TlsError {
    TlsError::File {
        field,
        path: path.to_owned(),
        source,
    }
}

/// Accepts any certificate (`tls.verify = false`), but has the peer prove that it holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
