//! A record as no Kafka client in Rust would write it: octet by octet, over the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::client::Kafka;

const PATIENCE: Duration = Duration::from_secs(30);

impl Kafka {
    /// Appends a record whose headers have any octets for names, as clients in C can write.
    pub fn produce_raw(
        &self,
        topic: &str,
        partition: i32,
        value: &[u8],
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let batch = batch(value, headers);
        let mut request = Vec::new();
        // Produce, version 3; acks by all.
        for number in [0i16, 3] {
            request.extend(number.to_be_bytes());
        }
        request.extend(1i32.to_be_bytes());
        request.extend((-1i16).to_be_bytes());
        for number in [-1i16, -1] {
            request.extend(number.to_be_bytes());
        }
        for number in [5000i32, 1] {
            request.extend(number.to_be_bytes());
        }
        request.extend((topic.len() as i16).to_be_bytes());
        request.extend(topic.as_bytes());
        for number in [1, partition, batch.len() as i32] {
            request.extend(number.to_be_bytes());
        }
        request.extend(batch);
        let mut stream = TcpStream::connect(self.leader(topic, partition)).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
            .write_all(&(request.len() as i32).to_be_bytes())
            .expect("a write");
        stream.write_all(&request).expect("a write");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).expect("a whole answer");
        // Correlation id, one topic, its name, one partition, its number; then the error.
        let at = 4 + 4 + 2 + topic.len() + 4 + 4;
        assert_eq!(answer[at..at + 2], [0, 0], "Kafka refuses the record");
    }

    fn leader(&self, topic: &str, partition: i32) -> String {
        let client: BaseConsumer = self.config().create().expect("a client");
        let metadata = client
            .fetch_metadata(Some(topic), PATIENCE)
            .expect("metadata");
        let mut partitions = metadata.topics()[0].partitions().iter();
        let leader = partitions.find(|p| p.id() == partition).expect("it");
        let mut brokers = metadata.brokers().iter();
        let broker = brokers.find(|b| b.id() == leader.leader()).expect("it");
        format!("{}:{}", broker.host(), broker.port())
    }
}

/// A batch of one record, magic 2.
fn batch(value: &[u8], headers: &[(&[u8], Option<&[u8]>)]) -> Vec<u8> {
    let mut record = vec![0];
    for number in [0, 0, -1, value.len() as i64] {
        varint(number, &mut record);
    }
    record.extend(value);
    varint(headers.len() as i64, &mut record);
    for (name, value) in headers {
        varint(name.len() as i64, &mut record);
        record.extend(*name);
        varint(value.map_or(-1, |v| v.len() as i64), &mut record);
        record.extend(value.unwrap_or_default());
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let millis = now.as_millis() as i64;
    let mut body = Vec::new();
    body.extend(0i16.to_be_bytes()); // attributes
    body.extend(0i32.to_be_bytes()); // last offset delta
    for number in [millis, millis, -1] {
        body.extend(number.to_be_bytes()); // times, producer id
    }
    body.extend((-1i16).to_be_bytes()); // producer epoch
    for number in [-1i32, 1] {
        body.extend(number.to_be_bytes()); // base sequence, records
    }
    varint(record.len() as i64, &mut body);
    body.extend(record);
    let mut batch = Vec::new();
    batch.extend(0i64.to_be_bytes()); // base offset
    batch.extend((4 + 1 + 4 + body.len() as i32).to_be_bytes());
    batch.extend((-1i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

/// Zigzag, seven bits an octet, the lowest first.
fn varint(number: i64, to: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left > 0x7f {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

fn crc32c(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}
