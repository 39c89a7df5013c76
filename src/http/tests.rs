//! The listener as those see it who connect: transcripts over plain sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::control;
use crate::status::{Esme, Ready};

/// What is looked at here.
#[derive(Default)]
struct Told {
    status: Mutex<Status>,
    stuck: Mutex<Vec<String>>,
}

impl Seen for Told {
    fn status(&self) -> Status {
        self.status.lock().clone()
    }

    fn processes(&self) -> Vec<Status> {
        vec![self.status()]
    }

    fn history(&self) -> History {
        History::default()
    }

    fn live(&self) -> Live {
        let stuck = self.stuck.lock().clone();
        Live {
            live: stuck.is_empty(),
            stuck,
        }
    }
}

const TOKEN: &str = "0123456789abcdef";

/// Orders that no Kafka takes.
fn nowhere() -> control::Handle {
    let mut producer = rdkafka::ClientConfig::new();
    producer
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("log_level", "0");
    let options = control::Options {
        reader: producer.clone(),
        producer,
        topic: "sms.control".into(),
        esmes: vec![("acme".into(), vec!["sms.outbound".into()])],
    };
    control::Control::new(options).1
}

struct Listener {
    told: Arc<Told>,
    handle: Handle,
}

impl Listener {
    async fn new() -> Listener {
        Listener::with(None).await
    }

    async fn with(certificate: Option<(std::path::PathBuf, std::path::PathBuf)>) -> Listener {
        let told = Arc::new(Told::default());
        let options = Options {
            listen: "127.0.0.1:0".into(),
            hosts: Vec::new(),
            token: TOKEN.to_owned().into(),
            certificate,
            seen: told.clone(),
            steered: nowhere(),
        };
        let (server, handle) = Server::new(options).await.unwrap();
        tokio::spawn(server.run());
        Listener { told, handle }
    }

    fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// What is answered to these octets, up to the end of the connection.
    async fn hears(&self, octets: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may be closed before all is written.
        let _ = stream.write_all(octets).await;
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let _ = timeout(Duration::from_secs(30), ended)
            .await
            .expect("it ends");
        String::from_utf8(answer).unwrap()
    }

    /// The status line and the body of what is answered to a request.
    async fn gets(&self, path: &str, headers: &str) -> (String, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        let answer = self.hears(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default();
        (status.to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn probes_say_what_is_missing() {
    let listener = Listener::new().await;
    assert_eq!(
        listener.gets("/live", "").await,
        ("HTTP/1.1 200 OK".into(), "live\n".into())
    );
    listener.told.status.lock().ready = Ready {
        ready: false,
        missing: vec!["acme: no transceiver is bound".into(), "a schema".into()],
    };
    let (status, body) = listener.gets("/ready", "").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "acme: no transceiver is bound\na schema\n");
    listener.told.status.lock().ready = Ready {
        ready: true,
        missing: Vec::new(),
    };
    assert_eq!(
        listener.gets("/ready", "").await,
        ("HTTP/1.1 200 OK".into(), "ready\n".into())
    );
    listener
        .told
        .stuck
        .lock()
        .push("the thread that polls".into());
    let (status, body) = listener.gets("/live", "").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "the thread that polls\n");
}

#[tokio::test]
async fn the_document_is_read_back_and_metrics_come_in_both_formats() {
    let listener = Listener::new().await;
    listener.told.status.lock().esmes = vec![Esme {
        name: "acme\"\\\n<b>".into(),
        ..Esme::default()
    }];
    let (_, body) = listener.gets("/status", "").await;
    let read: Status = serde_json::from_str(&body).unwrap();
    assert_eq!(read, *listener.told.status.lock());
    let (_, body) = listener.gets("/processes", "").await;
    assert!(body.starts_with("{\"processes\":[{"), "{body}");
    let (_, text) = listener.gets("/metrics", "").await;
    assert!(
        text.contains("kafka_smpp_paused{esme=\"acme\\\"\\\\\\n<b>\"} 0"),
        "{text}"
    );
    assert!(!text.contains("# EOF"));
    let open = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let (_, text) = listener.gets("/metrics", open).await;
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn the_page_and_all_that_it_names_is_there() {
    let listener = Listener::new().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
    for file in std::fs::read_dir(folder).unwrap() {
        let (name, path) = {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), file.path())
        };
        let path_of = if name == "index.html" { "" } else { &name };
        let request = format!("GET /{path_of} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = listener.hears(request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{name}: {head}");
        assert!(
            head.contains("content-security-policy: default-src 'none'"),
            "{head}"
        );
        assert_eq!(body, std::fs::read_to_string(path).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn who_has_no_token_cannot_steer_and_who_has_it_is_told_what_is_wrong() {
    let listener = Listener::new().await;
    let posts = async |authorization: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST /steer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n{body}"
        );
        let answer = listener.hears(request.as_bytes()).await;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    };
    assert_eq!(listener.gets("/steer", "").await.1, r#"{"steering":true}"#);
    let pause = r#"{"action":"pause","esme":"acme"}"#;
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    for wrong in [
        "",
        "authorization: Bearer \r\n",
        "authorization: Bearer 0123456789abcdeF\r\n",
        "authorization: Bearer 0123456789abcdef0\r\n",
        "authorization: Basic 0123456789abcdef\r\n",
    ] {
        assert_eq!(posts(wrong, pause).await.0, 401, "{wrong}");
    }
    for (body, said) in [
        ("", "the body is no order"),
        ("3", "the body is no order"),
        (r#"{"action":"pause","esme":"amce"}"#, "there is acme"),
        (r#"{"action":"fly","esme":"acme"}"#, "write pause, resume"),
    ] {
        let (status, told) = posts(&right, body).await;
        assert!(
            status == 400 && told.contains(said),
            "{body}: {status} {told}"
        );
    }
    let long = format!("{{\"action\":\"{}\"}}", "x".repeat(BODY_OCTETS));
    assert_eq!(posts(&right, &long).await.0, 413);
    let (status, told) = posts(&right, pause).await;
    assert!(
        status == 503 && told.contains("topics create"),
        "{status} {told}"
    );
}

/// A page of somebody else whose name leads here, in the browser of an operator.
#[tokio::test]
async fn who_asks_by_the_name_of_somebody_else_reads_nothing() {
    let listener = Listener::new().await;
    for path in ["/", "/status", "/history", "/metrics", "/steer", "/none"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: evil.example:9464\r\nconnection: close\r\n\r\n");
        let answer = listener.hears(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
        assert!(answer.contains("http.hosts"), "{answer}");
    }
    // What a browser asks first when it wants to send a header of another page.
    let asked = b"OPTIONS /steer HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization\r\nconnection: close\r\n\r\n";
    let answer = listener.hears(asked).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(
        !answer.to_lowercase().contains("access-control"),
        "{answer}"
    );
    let answer = listener.hears(b"GET /live HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.ends_with("live\n"),
        "a probe may name nothing: {answer}"
    );
}

#[tokio::test]
async fn nothing_else_is_there_and_nothing_can_be_written() {
    let listener = Listener::new().await;
    let (status, body) = listener.gets("/../etc/passwd", "").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(body.contains("/metrics"));
    let post =
        b"POST /status HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let answer = listener.hears(post).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn whatever_comes_the_next_one_is_served() {
    let listener = Listener::new().await;
    let long = [
        b"GET /".as_slice(),
        &vec![b'a'; 100_000],
        b" HTTP/1.1\r\n\r\n",
    ]
    .concat();
    let mut header = b"GET /live HTTP/1.1\r\n".to_vec();
    header.extend(std::iter::repeat_n(*b"x: y\r\n", 50_000).flatten());
    for octets in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01".as_slice(),
        b"\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\x01\r\n\r\n",
        b"GET /live HTTP/9.9\r\n\r\n",
        b"GET  /live\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /live HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET /\xFF\xFE HTTP/1.1\r\nhost: \xFF\r\n\r\n",
        &long,
        &header,
    ] {
        let answer = listener.hears(octets).await;
        let first = answer.lines().next().unwrap_or_default();
        let refused =
            first.is_empty() || first.starts_with("HTTP/1.1 4") || first.starts_with("HTTP/1.0 4");
        let shown = String::from_utf8_lossy(&octets[..octets.len().min(60)]);
        assert!(refused, "{shown:?}: {first:?}");
        assert_eq!(listener.gets("/live", "").await.1, "live\n");
    }
}

/// A peer that says something now and then for ever is cut off, and so is one that says nothing.
#[tokio::test]
async fn slow_heads_are_not_waited_for() {
    let listener = Listener::new().await;
    let (mut silent, mut slow) = (listener.connect().await, listener.connect().await);
    let began = std::time::Instant::now();
    let drip = async {
        while slow.write_all(b"GET /live HTTP/1.1\r\nx").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    let mut octets = Vec::new();
    let silence = silent.read_to_end(&mut octets);
    let both = timeout(HEAD_TIMEOUT * 2, async { tokio::join!(drip, silence) });
    assert!(both.await.is_ok(), "both are cut off");
    assert!(
        began.elapsed() >= HEAD_TIMEOUT - Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let listener = Listener::new().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE {
        held.push(listener.connect().await);
    }
    // Those are taken one after the other: this one is the next, and is closed without a word.
    assert_eq!(listener.gets("/live", "").await.0, "");
    drop(held);
    for _ in 0..50 {
        if listener.gets("/live", "").await.1 == "live\n" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("places that are free again are not given");
}

#[tokio::test]
async fn a_stop_ends_connections_that_wait() {
    let listener = Listener::new().await;
    let mut waiting = listener.connect().await;
    waiting
        .write_all(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut octets = vec![0; 1024];
    assert!(waiting.read(&mut octets).await.unwrap() > 0);
    listener.handle.stop();
    let rest = timeout(Duration::from_secs(5), waiting.read(&mut octets)).await;
    assert!(matches!(rest, Ok(Ok(0) | Err(_))), "{rest:?}");
    assert!(TcpStream::connect(listener.address()).await.is_err());
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_with_its_remedy() {
    let listener = Listener::new().await;
    let options = Options {
        listen: listener.address().to_string(),
        hosts: Vec::new(),
        token: String::new().into(),
        certificate: None,
        seen: listener.told.clone(),
        steered: nowhere(),
    };
    let Err(error) = Server::new(options).await else {
        panic!("it listens twice");
    };
    let text = error.to_string();
    assert!(text.starts_with("http.listen = \"127.0.0.1:"), "{text}");
    assert!(
        text.ends_with("Is another process listening there?"),
        "{text}"
    );
}

mod encrypted {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore, crypto::ring};
    use tokio_rustls::TlsConnector;

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn path(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        /// Writes a certificate and its key, and gives what trusts it.
        fn write(&self) -> TlsConnector {
            let names = ["localhost".to_owned()];
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
            std::fs::write(self.path("tls.crt"), cert.pem()).unwrap();
            std::fs::write(self.path("tls.key"), signing_key.serialize_pem()).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(cert.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        }
    }

    async fn live(listener: &Listener, trusts: &TlsConnector) -> std::io::Result<String> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = trusts.connect(name, listener.connect().await).await?;
        let request = b"GET /live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        // Not every end is a clean one.
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        let first = files.write();
        let pair = (files.path("tls.crt"), files.path("tls.key"));
        let listener = Listener::with(Some(pair.clone())).await;
        assert!(live(&listener, &first).await.unwrap().ends_with("live\n"));
        // The system's clock of files is coarse.
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::fs::write(&pair.0, "no certificate").unwrap();
        assert!(live(&listener, &first).await.unwrap().ends_with("live\n"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = files.write();
        assert!(live(&listener, &second).await.unwrap().ends_with("live\n"));
        assert!(
            live(&listener, &first).await.is_err(),
            "the first is not shown any more"
        );
    }

    /// The first message of a client that offers this version of TLS and none above.
    fn hello(minor: u8) -> Vec<u8> {
        // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and, for old versions, the same with CBC and SHA; no
        // compression; signature_algorithms, supported_groups and ec_point_formats.
        let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x09];
        let extensions = [
            0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 11, 0, 2, 1, 0,
        ];
        let length = u8::try_from(extensions.len()).unwrap();
        let body = [
            &[3, minor],
            &[7; 32][..],
            &[0],
            &suites,
            &[1, 0, 0, length],
            &extensions,
        ];
        let body = body.concat();
        let length = u8::try_from(body.len()).unwrap();
        let head = [0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
        [&head, &body[..]].concat()
    }

    #[tokio::test]
    async fn old_versions_of_tls_are_refused() {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        files.write();
        let pair = (files.path("tls.crt"), files.path("tls.key"));
        let listener = Listener::with(Some(pair)).await;
        let answer = async |minor| {
            let mut stream = listener.connect().await;
            stream.write_all(&hello(minor)).await.unwrap();
            let mut answer = vec![0; 4096];
            let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
            answer.truncate(read.expect("it answers").unwrap());
            answer
        };
        // A fatal alert: protocol_version.
        for minor in [1, 2] {
            assert_eq!(answer(minor).await, [0x15, 3, 3, 0, 2, 2, 70]);
        }
        // The same of TLS 1.2 gets a ServerHello.
        assert!(answer(3).await.starts_with(&[0x16, 3, 3]));
    }

    #[tokio::test]
    async fn who_does_not_speak_tls_is_not_waited_for() {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        let trusts = files.write();
        let pair = (files.path("tls.crt"), files.path("tls.key"));
        let listener = Listener::with(Some(pair)).await;
        assert_eq!(listener.gets("/live", "").await.1, "");
        assert!(live(&listener, &trusts).await.unwrap().ends_with("live\n"));
    }

    #[tokio::test]
    async fn files_that_do_not_fit_are_named() {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        let told = Arc::new(Told::default());
        let made = |certificate: &str, key: &str| {
            let options = Options {
                listen: "127.0.0.1:0".into(),
                hosts: Vec::new(),
                token: String::new().into(),
                certificate: Some((files.path(certificate), files.path(key))),
                seen: told.clone(),
                steered: nowhere(),
            };
            async { Server::new(options).await.err().unwrap().to_string() }
        };
        files.write();
        std::fs::write(files.path("empty"), "").unwrap();
        for (certificate, key, field) in [
            ("none", "tls.key", "http.certificate_file"),
            ("empty", "tls.key", "http.certificate_file"),
            ("tls.crt", "empty", "http.key_file"),
        ] {
            let text = made(certificate, key).await;
            assert!(text.starts_with(field), "{text}");
        }
    }
}
