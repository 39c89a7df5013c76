//! TLS of the listener, whose files are read anew when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::listener::Error;
use crate::http::notices::CertificateNotRead;

/// The certificate and its key.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    last: Mutex<Last>,
}

struct Last {
    acceptor: TlsAcceptor,
    /// When the files were changed that it was made from, or tried.
    changed: Changed,
}

/// When two files were changed, as far as the system says it.
type Changed = [Option<SystemTime>; 2];

impl Tls {
    pub(super) fn new(certificate: PathBuf, key: PathBuf) -> Result<Self, Error> {
        let changed = changed(&certificate, &key);
        let acceptor = read(&certificate, &key)?;
        Ok(Tls {
            certificate,
            key,
            last: Mutex::new(Last { acceptor, changed }),
        })
    }

    /// What takes the next connection. Files that cannot be read leave what was read before.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut last = self.last.lock();
        let now = changed(&self.certificate, &self.key);
        if now != last.changed {
            last.changed = now;
            match read(&self.certificate, &self.key) {
                Ok(acceptor) => last.acceptor = acceptor,
                Err(error) => CertificateNotRead { error: &error }.emit(),
            }
        }
        last.acceptor.clone()
    }
}

fn changed(certificate: &Path, key: &Path) -> Changed {
    [certificate, key].map(|file| file.metadata().and_then(|m| m.modified()).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let bad = |field, file: &Path, error: &dyn std::fmt::Display| Error::File {
        field,
        file: file.to_owned(),
        error: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|e| bad("http.certificate_file", certificate, &e))?;
    if chain.is_empty() {
        let error = "it holds no certificate in PEM";
        return Err(bad("http.certificate_file", certificate, &error));
    }
    let own = PrivateKeyDer::from_pem_file(key).map_err(|e| bad("http.key_file", key, &e))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, own))
        .map_err(|error| bad("http.key_file", key, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
