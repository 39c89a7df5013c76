//! Spans, as a collector gets them. Without the feature `otel` there are none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{Deployment, PATIENCE, message};
use crate::harness::{FakeSmsc, Send, eventually};

/// A collector that keeps the bodies of all requests, as texts: names and values of attributes stand in
/// them as they are, and ids as octets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    fn start() -> (Collector, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let collector = Collector::default();
        let keeps = collector.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.expect("a connection");
                let mut reader = BufReader::new(connection.try_clone().expect("a clone"));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n")
                    && reader.read_line(&mut head).expect("a head") > 0
                {}
                let head = head.to_lowercase();
                assert!(head.contains("x-api-key: s3cret"), "{head}");
                let length = head.split("content-length: ").nth(1).expect("a length");
                let length = length.lines().next().expect("a line").trim();
                let mut body = vec![0; length.parse().expect("a number")];
                reader.read_exact(&mut body).expect("a body");
                keeps.0.lock().unwrap().extend(body);
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                connection.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        (collector, address)
    }

    fn count(&self, octets: &[u8]) -> usize {
        let all = self.0.lock().unwrap();
        let windows = all.windows(octets.len());
        windows.filter(|window| *window == octets).count()
    }
}

#[test]
fn spans_continue_the_producers_trace_and_receipts_link_to_them() {
    let (collector, address) = Collector::start();
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["otel"] = json!({
        "endpoint": address,
        "sample": 0.0,
        "headers": { "x-api-key": "s3cret" },
    });
    let connector = it.start();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let value = message("m0").to_string();
    it.kafka.produce(
        &it.topic("outbound"),
        &[Send {
            partition: Some(0),
            value: Some(value.as_bytes()),
            headers: &[("traceparent", traceparent)],
            ..Send::default()
        }],
    );
    it.send_numbered(0, 1..4);
    let results = it.results(4);
    let id = results["m0"]["message_id"].as_str().expect("an id");
    assert_eq!(smsc.receipt(id), 0);
    it.receipts(1);
    eventually("both spans are there", PATIENCE, || {
        collector.count(b"kafka_smpp.record") == 2
    });
    let trace = [
        0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47,
        0x36,
    ];
    assert_eq!(collector.count(&trace), 2, "the submit, and the link to it");
    let parent = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
    assert_eq!(collector.count(&parent), 1, "the submit's parent");
    for (octets, count) in [
        ("messaging.system", 2),
        ("smpp.command_status", 1),
        ("smpp.message_state", 1),
        ("DELIVERED", 1),
        ("41791234567", 0),
    ] {
        assert_eq!(collector.count(octets.as_bytes()), count, "{octets}");
    }
    drop(connector);
}
