//! TLS towards the SMSC.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};

use super::peer::*;
use crate::{Doubt, Lease, Options, Outcome, State, Tls};
use smpp_protocol::Command;

/// An authority with certificates for the SMSC and the ESME, as files.
pub(super) struct Pki {
    directory: tempfile::TempDir,
}

impl Pki {
    pub(super) fn new() -> Self {
        let pki = Pki {
            directory: tempfile::tempdir().unwrap(),
        };
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        pki.write("ca.pem", &ca.pem());
        pki.issue("smsc", "smsc.example", &ca);
        pki.issue("esme", "esme.example", &ca);
        pki
    }

    fn issue(&self, file: &str, name: &str, ca: &Issuer<'_, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, ca).unwrap();
        self.write(&format!("{file}.pem"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// What an SMSC that connects to us trusts and shows.
    pub(super) fn connector(&self, file: &str) -> TlsConnector {
        let certificates = |file: &str| {
            CertificateDer::pem_file_iter(self.path(file))
                .unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca.pem"));
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap();
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&format!("{file}.pem")), key)
            .unwrap();
        TlsConnector::from(Arc::new(config))
    }

    /// The SMSC's side; it asks for the ESME's certificate if `mutual`.
    fn acceptor(&self, mutual: bool) -> TlsAcceptor {
        let certificates = |path: &Path| {
            CertificateDer::pem_file_iter(path)
                .unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&self.path("ca.pem")));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(self.path("smsc.key")).unwrap();
        let config = builder
            .with_single_cert(certificates(&self.path("smsc.pem")), key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// What the ESME needs to trust the SMSC.
    fn tls(&self) -> Tls {
        Tls {
            enabled: true,
            ca_file: Some(self.path("ca.pem")),
            server_name: Some("smsc.example".into()),
            ..Tls::default()
        }
    }
}

async fn secured(listener: &Listener, acceptor: TlsAcceptor) -> Smsc<TlsStream<TcpStream>> {
    Smsc {
        io: acceptor.accept(listener.accepts().await.io).await.unwrap(),
    }
}

#[tokio::test]
async fn messages_travel_encrypted() {
    let pki = Pki::new();
    let listener = Listener::new().await;
    let options = Options {
        tls: pki.tls(),
        start: 20,
        ..towards(&[&listener])
    };
    let mut esme = Esme::running(options, Lease::unlimited());
    let mut smsc = secured(&listener, pki.acceptor(false)).await.binds().await;
    for token in 0..20 {
        esme.submits(token).await;
    }
    for token in 0..20 {
        let request = smsc.expects(Command::SUBMIT_SM).await;
        smsc.sends(accepted(&request, "A")).await;
        assert_eq!(esme.hears_answer(token).await.1, "A");
    }
    esme.submits(100).await;
    smsc.expects(Command::SUBMIT_SM).await;
    drop(smsc);
    assert_eq!(
        esme.hears().await,
        (100, Outcome::InDoubt(Doubt::ConnectionLost))
    );
}

#[tokio::test]
async fn the_esme_shows_its_certificate_when_asked() {
    let pki = Pki::new();
    let listener = Listener::new().await;
    let tls = Tls {
        certificate_file: Some(pki.path("esme.pem")),
        key_file: Some(pki.path("esme.key")),
        ..pki.tls()
    };
    let esme = Esme::running(
        Options {
            tls,
            ..towards(&[&listener])
        },
        Lease::unlimited(),
    );
    let smsc = secured(&listener, pki.acceptor(true)).await;
    assert!(smsc.io.get_ref().1.peer_certificates().is_some());
    let _smsc = smsc.binds().await;
    esme.becomes("bound").await;
}

/// Why a bind with these settings does not come about.
async fn refusal(pki: &Pki, tls: Tls) -> String {
    let listener = Listener::new().await;
    let mut options = Options {
        tls,
        ..towards(&[&listener])
    };
    options.reconnect.initial = crate::Time::seconds(60);
    let acceptor = pki.acceptor(false);
    tokio::spawn(async move { acceptor.accept(listener.accepts().await.io).await.is_ok() });
    let esme = Esme::running(options, Lease::unlimited());
    let State::Backoff { reason, code, .. } = esme.becomes("backoff").await else {
        panic!()
    };
    assert_eq!(code.as_str(), "KS-2008", "{reason}");
    esme.handle.stop(Duration::ZERO);
    esme.handle.stopped().await;
    reason.to_string()
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let reason = refusal(
        &pki,
        Tls {
            server_name: None,
            ..pki.tls()
        },
    )
    .await;
    assert!(
        reason.contains("certificate not valid for name"),
        "{reason}"
    );
    let reason = refusal(&pki, other.tls()).await;
    assert!(reason.contains("invalid peer certificate"), "{reason}");
    let reason = refusal(
        &pki,
        Tls {
            ca_file: None,
            ..pki.tls()
        },
    )
    .await;
    assert!(
        reason.contains("invalid peer certificate") || reason.contains("tls"),
        "{reason}"
    );
}

#[tokio::test]
async fn any_certificate_will_do_when_verification_is_off() {
    let pki = Pki::new();
    let listener = Listener::new().await;
    let tls = Tls {
        enabled: true,
        verify: false,
        ..Tls::default()
    };
    let esme = Esme::running(
        Options {
            tls,
            ..towards(&[&listener])
        },
        Lease::unlimited(),
    );
    let _smsc = secured(&listener, pki.acceptor(false)).await.binds().await;
    esme.becomes("bound").await;
}

#[tokio::test]
async fn a_missing_file_is_named_with_its_setting() {
    let pki = Pki::new();
    let reason = refusal(
        &pki,
        Tls {
            ca_file: Some(pki.path("none.pem")),
            ..pki.tls()
        },
    )
    .await;
    assert!(
        reason.starts_with("tls.ca_file ") && reason.contains("none.pem"),
        "{reason}"
    );
    let key_file = Some(pki.path("esme.key"));
    let reason = refusal(
        &pki,
        Tls {
            key_file,
            ..pki.tls()
        },
    )
    .await;
    assert!(reason.contains("belong together"), "{reason}");
    let reason = refusal(
        &pki,
        Tls {
            ca_file: Some(pki.path("smsc.key")),
            ..pki.tls()
        },
    )
    .await;
    assert!(reason.starts_with("tls.ca_file "), "{reason}");
}

/// An SMSC that speaks TLS 1.1 or 1.0, which anybody in between may pretend.
#[tokio::test]
async fn old_versions_of_tls_are_refused() {
    for minor in [1, 2] {
        let listener = Listener::new().await;
        let pki = Pki::new();
        let options = Options {
            tls: pki.tls(),
            ..towards(&[&listener])
        };
        let _esme = Esme::running(options, Lease::unlimited());
        let mut io = listener.accepts().await.io;
        let mut hello = vec![0; 2048];
        assert!(io.read(&mut hello).await.unwrap() > 0);
        // ServerHello: that version, a random, no session, TLS_RSA_WITH_AES_128_CBC_SHA.
        let mut answer = vec![0x16, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        answer.extend([7; 32]);
        answer.extend([0, 0, 0x2f, 0]);
        io.write_all(&answer).await.unwrap();
        let mut alert = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, io.read_to_end(&mut alert)).await;
        let _ = ended.unwrap();
        // A fatal alert: protocol_version.
        assert!(
            alert.starts_with(&[0x15]) && alert.ends_with(&[2, 70]),
            "{alert:02x?}"
        );
    }
}
