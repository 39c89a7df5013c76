//! TLS in front of a server that speaks none.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::process::scratch;

/// Takes TLS as `smsc.example` and `127.0.0.1`, certified by an authority of its own, and passes on what is
/// inside.
pub struct TlsFront {
    port: u16,
    ca_file: PathBuf,
    handshakes: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl TlsFront {
    /// One in front of `behind`, a port on 127.0.0.1.
    pub fn start(behind: u16) -> TlsFront {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let ca_file = scratch("tls").join("ca.pem");
        std::fs::write(&ca_file, ca.pem()).expect("a file");

        let key = KeyPair::generate().expect("a key");
        let names = ["smsc.example".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        let chain = CertificateDer::from_pem_slice(certificate.pem().as_bytes());
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.expect("PEM")], key.expect("PEM"))
            .expect("a fitting key");
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let handshakes = Arc::new(AtomicUsize::new(0));
        let counting = handshakes.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counting) = (acceptor.clone(), counting.clone());
                tokio::spawn(async move {
                    let Ok(mut outer) = acceptor.accept(stream).await else {
                        return;
                    };
                    counting.fetch_add(1, SeqCst);
                    if let Ok(mut inner) = TcpStream::connect(("127.0.0.1", behind)).await {
                        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
        TlsFront {
            port,
            ca_file,
            handshakes,
            _runtime: runtime,
        }
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of its authority, as PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.ca_file.clone()
    }

    /// How many connections agreed on TLS.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(SeqCst)
    }
}
