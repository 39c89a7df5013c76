//! What the pipeline does when nothing goes as it should.

use std::borrow::Cow;

use rdkafka::config::ClientConfig;

use super::super::delivery_of;
use super::*;
use crate::kafka::cloud_events::CloudEvents;
use crate::record::codec::{Codec, Codecs};
use crate::record::format::Format;
use crate::record::internal::BorrowedEntry;
use crate::record::keys::Position;

/// A pipeline of a group that has no member yet.
pub(in crate::correlate) fn pipeline() -> Pipeline {
    let config = Config {
        topics: Topics {
            deliveries: "sms.deliveries".into(),
            correlation: "sms.correlation".into(),
            receipts: "sms.receipts".into(),
            codecs: Codecs::default(),
            inbound: "sms.inbound".into(),
            numbers: Default::default(),
            cloud_events: CloudEvents::OFF,
            spans: Default::default(),
        },
        join: JoinLimits {
            moment: 5,
            grace: 1000,
            retention: 1000,
            ttl: 1000,
            parked_octets: 1 << 20,
        },
        assembly: AssemblyLimits {
            ttl: 1000,
            octets: 1 << 20,
        },
        dialects: Dialects::default(),
        partitions: 1,
        notify: Notify::default(),
    };
    let handles = Handles {
        poller: poll::Handle::default(),
        tail: tail::Handle::default(),
        takeover: takeover::Handle::default(),
        transactor: OnceLock::new(),
    };
    let group = Group::new("correlate", ClientConfig::new(), "cluster".to_owned());
    Pipeline::new(group, config, "writer".to_owned(), handles)
}

/// An entry as it is kept, submitted then.
fn entry_of(submitted_at: &str) -> Vec<u8> {
    Codec::new(Format::Cbor).must_write(&BorrowedEntry {
        esme: "acme",
        message_id: "100",
        log_id: "a",
        extra_data: None,
        record: Cow::Owned(Position {
            topic: "sms.outbound".into(),
            partition: 0,
            offset: 7,
        }),
        part: None,
        attempt: 1,
        submitted_at: submitted_at.parse().unwrap(),
        source: None,
        destination: None,
        recipients: None,
        numbers: Cow::default(),
        lists: false,
        reference: None,
        headers: Vec::new(),
    })
}

fn partition(partition: i32) -> Partition {
    Partition {
        topic: "sms.deliveries".into(),
        partition,
    }
}

/// The partitions whose position is asked for, with their takeovers.
fn asked(pipeline: &Pipeline) -> Vec<(i32, u64)> {
    let requests = pipeline.handles.takeover.requested();
    let named = requests.iter().map(|r| (r.partition.partition, r.takeover));
    named.collect()
}

#[test]
fn the_position_is_asked_for_after_the_transaction_that_holds_the_partition() {
    type Begin = fn(&Pipeline);
    for begin in [
        (|pipeline| pipeline.begin_anew(0, 1)) as Begin,
        |pipeline| {
            pipeline.trouble(&KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset,
            ))
        },
        |pipeline| {
            pipeline.revoked(&[partition(0)], true);
            pipeline.assigned(&[partition(0)]);
        },
    ] {
        let pipeline = pipeline();
        pipeline.assigned(&[partition(0)]);
        assert_eq!(asked(&pipeline), [(0, 1)]);
        pipeline.state.lock().under_way.push((0, 1, 3));
        begin(&pipeline);
        assert_eq!(
            asked(&pipeline),
            [(0, 1)],
            "it may commit a newer offset yet"
        );
        pipeline.settled(Settled::Aborted(Abort::Trouble("a test".to_owned())));
        assert_eq!(asked(&pipeline), [(0, 1), (0, 2)]);
        pipeline.begin_anew(0, 2);
        assert_eq!(
            asked(&pipeline),
            [(0, 1), (0, 2), (0, 3)],
            "nothing is under way"
        );
    }
}

#[test]
fn the_end_of_the_log_is_asked_for_when_a_partition_goes_on() {
    let pipeline = pipeline();
    pipeline.assigned(&[partition(0)]);
    let mut state = pipeline.state.lock();
    let owned = find(&mut state, 0, 1).unwrap();
    owned.stage = Stage::Restoring;
    pipeline.restored(owned);
    owned.paused = true;
    drop(state);
    let end = Request {
        partition: partition(0),
        takeover: 1,
        asked: Asked::End,
    };
    assert_eq!(
        pipeline.handles.takeover.requested()[1..],
        std::slice::from_ref(&end)[..]
    );
    assert!(pipeline.wants(&end));
    pipeline.ends_at(0, 1, 0);
    assert!(!pipeline.wants(&end));
    pipeline.state.lock().under_way.push((0, 1, 0));
    pipeline.settled(Settled::Committed {
        begun: Instant::now(),
    });
    assert_eq!(
        pipeline.handles.takeover.requested()[1..],
        [end.clone(), end.clone()]
    );
    assert!(pipeline.wants(&end), "the log has grown during the pause");
}

/// What is read of the correlation topic when a message was accepted.
fn accepted(pipeline: &Pipeline, esme: &str, offset: i64) {
    let record = Position {
        topic: "sms.outbound".into(),
        partition: 0,
        offset,
    };
    let (id, at) = (offset.to_string(), "2026-01-02T03:04:05Z");
    let value = serde_json::json!({
        "esme": esme, "message_id": id, "log_id": "a", "record": record, "attempt": 1,
        "submitted_at": at,
    });
    let key = keys::entry(esme, &id, &record, None);
    let value = value.to_string();
    (pipeline.read(0, (1, false), key.as_bytes(), Some(value.as_bytes()))).unwrap();
}

#[test]
fn messages_that_wait_and_receipts_that_come_are_watched() {
    let mut pipeline = pipeline();
    let known = [("acme".to_owned(), Arc::default())];
    pipeline.config.dialects = known.into_iter().collect();
    let told = Arc::new(Mutex::new(Vec::new()));
    let to = told.clone();
    pipeline.config.notify = Notify::new(move |event| {
        let gap = event.receipts.clone().unwrap();
        to.lock()
            .push((event.kind, event.esme.to_owned(), gap.messages));
    });
    pipeline.assigned(&[partition(0)]);
    let stopped = |pipeline: &Pipeline| {
        let late = pipeline.now() + 2 * 3_600_000;
        pipeline.watch.lock().stopped(late).len()
    };
    // What is restored was accepted by others, long ago.
    find(&mut pipeline.state.lock(), 0, 1).unwrap().stage = Stage::Restoring;
    (0..20).for_each(|n| accepted(&pipeline, "acme", n));
    assert_eq!((pipeline.positions(), stopped(&pipeline)), (None, 0));
    find(&mut pipeline.state.lock(), 0, 1).unwrap().stage = Stage::Live;
    assert_eq!(pipeline.positions().unwrap().len(), 1);
    (100..109).for_each(|n| accepted(&pipeline, "acme", n));
    (100..120).for_each(|n| accepted(&pipeline, "unknown", n));
    assert_eq!(stopped(&pipeline), 0, "nine of one that is known");
    accepted(&pipeline, "acme", 109);
    assert_eq!(stopped(&pipeline), 1);
    let delivery = delivery_of("id:100 stat:DELIVRD err:000");
    let kind = decode::parse("acme/100", &delivery, &pipeline.config.dialects).unwrap();
    let mut state = pipeline.state.lock();
    let owned = find(&mut state, 0, 1).unwrap();
    pipeline.delivered(owned, ("acme/100", 0), &delivery, kind);
    drop(state);
    pipeline.tell_receipts_again();
    let expected = [("ReceiptsAgain", "acme".to_owned(), 10)];
    assert_eq!(*told.lock(), expected);
    let entry = entry_of("1969-12-31T23:59:00Z");
    for _ in 0..20 {
        pipeline.learn_delay(&entry, &delivery, pipeline.now());
        std::thread::sleep(Duration::from_millis(101));
    }
    (0..10).for_each(|n| accepted(&pipeline, "acme", 300 + n));
    let late = pipeline.now() + 2 * 3_600_000;
    let usual = pipeline.watch.lock().stopped(late)[0].1.usual_ms.unwrap();
    assert!((60_000..90_000).contains(&usual), "a minute: {usual}");
    (200..209).for_each(|n| accepted(&pipeline, "acme", n));
    pipeline.revoked(&[partition(0)], true);
    pipeline.assigned(&[partition(0)]);
    assert_eq!(stopped(&pipeline), 0, "receipts of what went go elsewhere");
}
