//! A schema registry of a few lines that fails as a test tells it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How a question is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With this status and body.
    Say(u16, String),
    /// With nothing: the connection is closed after this long.
    Nothing(Duration),
}

#[derive(Default)]
struct Shared {
    schemas: Mutex<HashMap<u32, String>>,
    /// Numbers by subject and schema.
    numbers: Mutex<HashMap<(String, String), u32>>,
    /// What is answered to questions about a path first, before the truth.
    troubles: Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<String>>,
    first: Mutex<u32>,
    /// What the header Authorization must say.
    authorization: Mutex<Option<String>>,
}

/// See the [module](self).
#[derive(Clone)]
pub struct FakeRegistry {
    port: u16,
    shared: Arc<Shared>,
}

impl FakeRegistry {
    /// One that registers whatever it is given.
    pub fn start() -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let registry = FakeRegistry {
            port,
            shared: Arc::default(),
        };
        let serving = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (registry, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || registry.serve(stream));
            }
        });
        registry
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Has this schema under this number from now on.
    pub fn schema(&self, id: u32, text: &str) {
        self.shared.schemas.lock().unwrap().insert(id, text.into());
    }

    /// The schema it has under a number.
    pub fn text(&self, id: u32) -> Option<String> {
        self.shared.schemas.lock().unwrap().get(&id).cloned()
    }

    /// The first number that it gives away.
    pub fn number_from(&self, first: u32) {
        *self.shared.first.lock().unwrap() = first;
    }

    /// Answers only those who say this in the header Authorization.
    pub fn answer_only(&self, authorization: &str) {
        *self.shared.authorization.lock().unwrap() = Some(authorization.into());
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers the next questions about a path so, one after another.
    pub fn trouble(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut troubles = self.shared.troubles.lock().unwrap();
        troubles.entry(path.to_owned()).or_default().extend(answers);
    }

    /// Answers as it should again.
    pub fn recover(&self) {
        self.shared.troubles.lock().unwrap().clear();
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|one| *one == path).count()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() {
            return;
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                match &*name.to_lowercase() {
                    "content-length" => length = value.trim().parse().unwrap_or(0),
                    "authorization" => authorization = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        self.shared.asked.lock().unwrap().push(path.clone());
        let wanted = self.shared.authorization.lock().unwrap().clone();
        let mut troubles = self.shared.troubles.lock().unwrap();
        let trouble = troubles.get_mut(&path).and_then(VecDeque::pop_front);
        drop(troubles);
        let (status, text) = match trouble {
            Some(Answer::Say(status, text)) => (status, text),
            Some(Answer::Nothing(after)) => return std::thread::sleep(after),
            None if wanted.is_some() && wanted != authorization => {
                let said = json!({ "error_code": 401, "message": "who are you?" });
                (401, said.to_string())
            }
            None => self.truth(&path, &body),
        };
        let _ = write!(
            &stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
    }

    fn truth(&self, path: &str, body: &[u8]) -> (u16, String) {
        let missing = |code| {
            (
                404,
                json!({ "error_code": code, "message": "not found" }).to_string(),
            )
        };
        let schemas = self.shared.schemas.lock().unwrap();
        if let Some(id) = path.strip_prefix("/schemas/ids/") {
            return match id.parse().ok().and_then(|id: u32| schemas.get(&id)) {
                Some(text) => (200, json!({ "schema": text }).to_string()),
                None => missing(40403),
            };
        }
        drop(schemas);
        let given: Value = serde_json::from_slice(body).unwrap_or_default();
        let schema = given["schema"].as_str().unwrap_or_default().to_owned();
        match path
            .strip_prefix("/subjects/")
            .map(|rest| rest.split_once('/'))
        {
            // Registers.
            Some(Some((subject, "versions"))) if !schema.is_empty() => {
                let mut numbers = self.shared.numbers.lock().unwrap();
                let first = *self.shared.first.lock().unwrap();
                let next = first + u32::try_from(numbers.len()).unwrap();
                let id = *numbers
                    .entry((subject.to_owned(), schema.clone()))
                    .or_insert(next);
                self.schema(id, &schema);
                (200, json!({ "id": id }).to_string())
            }
            // Looks up.
            Some(None) => {
                let subject = path.trim_start_matches("/subjects/").to_owned();
                let numbers = self.shared.numbers.lock().unwrap();
                match numbers.get(&(subject, schema)) {
                    Some(id) => (200, json!({ "id": id, "version": 1 }).to_string()),
                    None => missing(40403),
                }
            }
            _ => missing(40401),
        }
    }
}
