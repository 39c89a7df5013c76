//! What the pipeline does when nothing goes as it should.

use rdkafka::config::ClientConfig;

use super::*;
use crate::kafka::cloud_events::CloudEvents;
use crate::record::codec::Codecs;

/// A pipeline of a group that has no member yet.
pub(in crate::correlate) fn pipeline() -> Pipeline {
    let config = Config {
        topics: Topics {
            deliveries: "sms.deliveries".into(),
            correlation: "sms.correlation".into(),
            receipts: "sms.receipts".into(),
            codecs: Codecs::default(),
            inbound: "sms.inbound".into(),
            cloud_events: CloudEvents::OFF,
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
