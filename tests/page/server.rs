//! The page's files and a deployment's answers, over HTTP, as the connector serves them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::Deployment;

/// The header that the connector has to send with the page: nothing from elsewhere, nothing inline, and
/// no text that becomes HTML.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The token that steers.
pub const TOKEN: &str = "open-sesame";

/// What is served, and what was asked for.
pub struct Served {
    pub deployment: Deployment,
    started: Timestamp,
    pub steering: bool,
    pub away: bool,
    pub orders: Vec<Value>,
    pub paths: Vec<String>,
}

/// A server that stands for a connector.
pub struct Server {
    pub address: SocketAddr,
    pub served: Arc<Mutex<Served>>,
}

impl Server {
    pub async fn start(deployment: Deployment) -> Server {
        let port = std::env::var("PAGE_PORT").unwrap_or_else(|_| "0".into());
        let listener = TcpListener::bind(format!("127.0.0.1:{port}"))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = Arc::new(Mutex::new(Served {
            deployment,
            started: Timestamp::now(),
            steering: true,
            away: false,
            orders: Vec::new(),
            paths: Vec::new(),
        }));
        let shared = served.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = shared.clone();
                tokio::spawn(async move { serve(stream, &served).await });
            }
        });
        Server { address, served }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// One request, and the end of the connection.
async fn serve(mut stream: TcpStream, served: &Mutex<Served>) -> Option<()> {
    let request = read(&mut stream).await?;
    if served.lock().away {
        return None;
    }
    let (status, kind, body) = answer(&request, served);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncontent-security-policy: {POLICY}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    stream.shutdown().await.ok()
}

/// What of a request matters here.
struct Request {
    method: String,
    path: String,
    authorization: String,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut octets = Vec::new();
    loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).into_owned();
            let field = |name: &str| {
                let lines = head.lines().filter_map(|line| line.split_once(':'));
                let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
                values.next().map(|(_, value)| value.trim().to_owned())
            };
            let length = field("content-length").map_or(0, |length| length.parse().unwrap_or(0));
            if octets.len() >= end + 4 + length {
                let mut line = head.split_ascii_whitespace();
                return Some(Request {
                    method: line.next()?.to_owned(),
                    path: line.next()?.to_owned(),
                    authorization: field("authorization").unwrap_or_default(),
                    body: octets[end + 4..].to_vec(),
                });
            }
        }
        if stream.read_buf(&mut octets).await.ok()? == 0 {
            return None;
        }
    }
}

type Answer = (&'static str, &'static str, Vec<u8>);

fn json_answer(status: &'static str, body: &Value) -> Answer {
    (status, "application/json", body.to_string().into_bytes())
}

fn answer(request: &Request, served: &Mutex<Served>) -> Answer {
    let mut served = served.lock();
    served.paths.push(request.path.clone());
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/processes") => {
            let processes = served.deployment.processes.iter();
            let passed = Timestamp::now().duration_since(served.started);
            let processes = processes.map(|process| renewed(process, passed));
            json_answer(
                "200 OK",
                &json!({"processes": processes.collect::<Vec<_>>()}),
            )
        }
        ("GET", "/status") => json_answer("200 OK", &served.deployment.processes[0]),
        ("GET", "/history") if served.deployment.history.is_null() => {
            json_answer("503 Service Unavailable", &json!({"error": "not yet"}))
        }
        ("GET", "/history") => json_answer("200 OK", &served.deployment.history),
        ("GET", "/steer") => json_answer("200 OK", &json!({"steering": served.steering})),
        ("POST", "/steer") => steer(request, &mut served),
        ("GET", path) => file(path),
        _ => json_answer(
            "405 Method Not Allowed",
            &json!({"error": "no such method"}),
        ),
    }
}

/// What a process says gets older only if it was old from the beginning.
fn renewed(process: &Value, passed: SignedDuration) -> Value {
    let mut process = process.clone();
    let said: Option<Timestamp> = process["at"].as_str().and_then(|at| at.parse().ok());
    process["at"] = json!(said.map(|at| at + passed));
    process
}

fn steer(request: &Request, served: &mut Served) -> Answer {
    if request.authorization != format!("Bearer {TOKEN}") {
        let error = "authorization: that is not the token; give the one in http.token_file";
        return json_answer("401 Unauthorized", &json!({"error": error}));
    }
    let order: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if order["max_tps"]
        .as_f64()
        .is_some_and(|limit| limit > 10_000.0)
    {
        let error = "max_tps = 20000: at most 10000; give a smaller one";
        return json_answer("400 Bad Request", &json!({"error": error}));
    }
    let done = format!(
        "{} of {} is asked of all processes",
        order["action"], order["esme"]
    );
    served.orders.push(order);
    json_answer("200 OK", &json!({"done": done}))
}

/// A file of the page.
fn file(path: &str) -> Answer {
    let name = if path == "/" {
        "index.html"
    } else {
        &path[1..]
    };
    let kind = match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => return json_answer("404 Not Found", &json!({"error": "no such path"})),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
    match std::fs::read(folder.join(name)) {
        Ok(text) if !name.contains('/') => ("200 OK", kind, text),
        _ => json_answer("404 Not Found", &json!({"error": "no such file"})),
    }
}
