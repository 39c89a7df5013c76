//! A client of the connector's HTTP listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::process::Process;

/// The answer to a GET: its status and body; `None` if nobody answers.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n");
    ask(port, &request)
}

/// The answer to a whole request.
pub fn ask(port: u16, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// What `/status` says.
pub fn status(port: u16) -> Option<Value> {
    let (_, body) = get(port, "/status").filter(|(status, _)| *status == 200)?;
    serde_json::from_str(&body).ok()
}

/// The sum of the samples of a metric whose labels have all of `labels`.
pub fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let wanted = samples.filter(|line| {
        let (sample, _) = line.split_once(['{', ' ']).unwrap_or((line, ""));
        sample == name && labels.iter().all(|label| line.contains(label))
    });
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    wanted.filter_map(value).sum()
}

impl Process {
    /// The port on which it says that it can be looked at.
    pub fn http(&mut self) -> u16 {
        let line = "it can be looked at over HTTP";
        self.wait_for_log(line, Duration::from_secs(60));
        let log = self.log();
        let line = log.lines().find(|l| l.contains(line)).expect("a line");
        let digits = line.rsplit(':').next().expect("an address");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a port")
    }
}
