//! The soak: one process at a steady rate for half an hour, whose SMSC sends each receipt right
//! behind or before its response. Its memory must not grow once it is warm.
//!
//! ```text
//! SOAK_SECONDS=1800 SOAK_RATE=1000 cargo test --release --test it -- --ignored --nocapture soak
//! ```
//!
//! Messages are remembered for a minute after their receipt instead of an hour, so that what is
//! remembered levels off before the measuring begins. The SMSC is the simulated one in a process of
//! its own; topics keep their last megabytes only.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::json;

use super::{Deployment, PATIENCE, message};
use crate::harness::{eventually, free_port, kafka, setting, started};

const PARTITIONS: i32 = 4;
/// Whatever the rate, memory may differ by so much between two looks.
const SLACK: u64 = 32;

#[test]
#[ignore = "half an hour: SOAK_SECONDS=1800 SOAK_RATE=1000 cargo test --release --test it -- --ignored --nocapture soak"]
fn soak_memory_stays_flat() {
    let time = Duration::from_secs(setting("SOAK_SECONDS", 1800));
    let rate = setting("SOAK_RATE", 1000);
    let warm_up = (time / 5).max(Duration::from_secs(120)).min(time / 2);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let smsc = started(
        "",
        &[
            "smsc",
            "--listen",
            &listen,
            "--account",
            "esme:secret",
            "--receipt-delay",
            "0s",
            "--fault",
            "early=5ms p=0.5",
        ],
    );
    let small = [
        ("segment.bytes", "16777216"),
        ("retention.bytes", "67108864"),
    ];
    let mut it = Deployment::with_topics(kafka(), port, PARTITIONS, &small);
    it.config["log"] = json!({ "level": "info" });
    it.config["correlate"]["final_retention"] = json!("60s");
    let connector = it.start();
    eprintln!("soak: {rate} msg/s for {time:?}, warm after {warm_up:?}");

    let begun = Instant::now();
    let (mut warm, mut minute, mut sent) = (None, 0, 0);
    let producer: ThreadedProducer<DefaultProducerContext> =
        it.kafka.config().create().expect("a producer");
    let topic = it.topic("outbound");
    while begun.elapsed() < time {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        for n in sent..due {
            let value = message(&format!("m{n}")).to_string();
            let partition = (n % PARTITIONS as u64) as i32;
            let record = BaseRecord::<(), str>::to(&topic);
            let record = record.payload(&value).partition(partition);
            producer.send(record).expect("room in the producer");
        }
        sent = due;
        std::thread::sleep(Duration::from_millis(20));
        if warm.is_none() && begun.elapsed() >= warm_up {
            warm = Some(connector.resident() >> 20);
        }
        if begun.elapsed().as_secs() / 60 > minute {
            minute += 1;
            let (ours, theirs) = (connector.resident() >> 20, smsc.resident() >> 20);
            eprintln!(
                "soak: minute {minute}, {sent} messages, connector {ours} MiB, SMSC {theirs} MiB"
            );
        }
    }
    let end = connector.resident() >> 20;
    let warm = warm.expect("it was warm before the end");
    eprintln!("soak: warm-up {warm} MiB, end {end} MiB");
    producer.flush(PATIENCE).expect("all appended");
    for partition in 0..PARTITIONS {
        let end = it.kafka.watermarks(&topic, partition).1;
        eventually("everything is committed", PATIENCE, || {
            it.committed(partition) == Some(end)
        });
    }
    // Markers of transactions are counted with them, so there are not fewer.
    eventually("every receipt is published", PATIENCE, || {
        let end = |partition| it.kafka.watermarks(&it.topic("receipts"), partition).1;
        (0..2).map(end).sum::<i64>() >= sent as i64
    });
    assert!(
        end <= warm + warm / 10 + SLACK,
        "memory grows: warm-up {warm} MiB, end {end} MiB"
    );
}
