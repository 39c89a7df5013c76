//! What the books do when nothing goes as it should.

use rdkafka::config::ClientConfig;

use super::*;
use crate::kafka::cloud_events::CloudEvents;
use crate::record::codec::Codecs;

/// Books of a group that has no member yet.
pub(in crate::correlate) fn books() -> Books {
    let rules = Rules {
        topics: Topics {
            deliveries: "sms.deliveries".into(),
            correlation: "sms.correlation".into(),
            receipts: "sms.receipts".into(),
            codecs: Codecs::default(),
            inbound: "sms.inbound".into(),
            cloud_events: CloudEvents::OFF,
        },
        patience: JoinLimits {
            moment: 5,
            grace: 1000,
            retention: 1000,
            ttl: 1000,
            parked_octets: 1 << 20,
        },
        limits: AssemblyLimits {
            ttl: 1000,
            octets: 1 << 20,
        },
        dialects: Dialects::default(),
        partitions: 1,
        notify: Notify::default(),
    };
    let parts = Parts {
        poller: poll::Handle::default(),
        tail: tail::Handle::default(),
        takeover: takeover::Handle::default(),
        transactor: OnceLock::new(),
    };
    let group = Group::new(ClientConfig::new(), "cluster".to_owned());
    Books::new(group, rules, "writer".to_owned(), parts)
}

fn partition(partition: i32) -> Partition {
    Partition {
        topic: "sms.deliveries".into(),
        partition,
    }
}

/// The partitions whose position is asked for, with their takeovers.
fn asked(books: &Books) -> Vec<(i32, u64)> {
    let requests = books.parts.takeover.requested();
    let named = requests.iter().map(|r| (r.partition.partition, r.takeover));
    named.collect()
}

#[test]
fn the_position_is_asked_for_after_the_transaction_that_holds_the_partition() {
    type Begin = fn(&Books);
    for begin in [
        (|books| books.begin_anew(0, 1)) as Begin,
        |books| {
            books.trouble(&KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset,
            ))
        },
        |books| {
            books.revoked(&[partition(0)], true);
            books.assigned(&[partition(0)]);
        },
    ] {
        let books = books();
        books.assigned(&[partition(0)]);
        assert_eq!(asked(&books), [(0, 1)]);
        books.state.lock().under_way.push((0, 1, 3));
        begin(&books);
        assert_eq!(asked(&books), [(0, 1)], "it may commit a newer offset yet");
        books.settled(Settled::Aborted(Abort::Trouble("a test".to_owned())));
        assert_eq!(asked(&books), [(0, 1), (0, 2)]);
        books.begin_anew(0, 2);
        assert_eq!(
            asked(&books),
            [(0, 1), (0, 2), (0, 3)],
            "nothing is under way"
        );
    }
}

#[test]
fn the_end_of_the_log_is_asked_for_when_a_partition_goes_on() {
    let books = books();
    books.assigned(&[partition(0)]);
    let mut state = books.state.lock();
    let owned = find(&mut state, 0, 1).unwrap();
    owned.stage = Stage::Restoring;
    books.restored(owned);
    owned.paused = true;
    drop(state);
    let end = Request {
        partition: partition(0),
        takeover: 1,
        asked: Asked::End,
    };
    assert_eq!(
        books.parts.takeover.requested()[1..],
        std::slice::from_ref(&end)[..]
    );
    assert!(books.wants(&end));
    books.ends_at(0, 1, 0);
    assert!(!books.wants(&end));
    books.state.lock().under_way.push((0, 1, 0));
    books.settled(Settled::Committed {
        begun: Instant::now(),
    });
    assert_eq!(
        books.parts.takeover.requested()[1..],
        [end.clone(), end.clone()]
    );
    assert!(books.wants(&end), "the log has grown during the pause");
}
