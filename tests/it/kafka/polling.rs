//! A partition is delivered from where its owner starts it, in order, without loss or
//! repetition, whatever is paused and whoever joins.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use serde_json::json;

use super::proxy::Proxy;
use super::{Member, Owner, PATIENCE, Partition, kip_848, partition};
use crate::harness::{Kafka, becomes, eventually, has_kip_848, kafka, unique};

fn filled(kafka: &Kafka, partitions: i32, each: i64) -> String {
    let topic = unique("source");
    kafka.topic(&topic, partitions, &[]);
    let values: Vec<_> = (0..each).map(|n| json!(n)).collect();
    for p in 0..partitions {
        kafka.produce_json(&topic, p, &values);
    }
    topic
}

/// A member whose only partition has so many records and is paused after every hundred, started at the first.
fn paused_every_hundred(records: i64) -> (Member, Partition) {
    let kafka = kafka();
    let topic = filled(&kafka, 1, records);
    let owner = Owner {
        pause_every: Some(100),
        ..Owner::default()
    };
    let member = Member::join(kafka.member(&unique("group")), &topic, owner);
    member.wait_held(1);
    let p = partition(&topic, 0);
    member.handle.start(p.clone(), 0);
    (member, p)
}

#[test]
fn a_partition_waits_for_its_start_and_begins_there() {
    let kafka = kafka();
    let topic = filled(&kafka, 1, 1000);
    let member = Member::alone(&kafka, &unique("group"), &topic, 1);
    std::thread::sleep(Duration::from_millis(500));
    let p = partition(&topic, 0);
    assert_eq!(member.offsets(&p), [0i64; 0], "nothing before the start");
    member.handle.start(p.clone(), 300);
    becomes((300..1000).collect::<Vec<_>>(), PATIENCE, || {
        member.offsets(&p)
    });
}

/// A client that asks the broker for a position and is then told another one may ask again,
/// and go on from the end of the log.
#[test]
fn a_broker_slow_to_tell_offsets_does_not_move_a_partition() {
    let (proxy, broker) = Proxy::before_a_broker();
    let kafka = broker.kafka();
    let topic = filled(&kafka, 1, 100);
    proxy.slow_offsets();
    let member = Member::alone(&kafka, &unique("group"), &topic, 1);
    let p = partition(&topic, 0);
    member.handle.start(p.clone(), 30);
    for n in (100..200).step_by(5) {
        let values: Vec<_> = (n..n + 5).map(|n| json!(n)).collect();
        kafka.produce_json(&topic, 0, &values);
        std::thread::sleep(Duration::from_millis(200));
    }
    becomes((30..200).collect::<Vec<_>>(), PATIENCE, || {
        member.offsets(&p)
    });
}

#[test]
fn pausing_and_resuming_neither_loses_nor_repeats() {
    let kafka = kafka();
    let topic = filled(&kafka, 2, 8_000);
    let owner = Owner {
        pause_every: Some(333),
        ..Owner::default()
    };
    let member = Member::join(kafka.member(&unique("group")), &topic, owner);
    member.wait_held(2);
    let both = [partition(&topic, 0), partition(&topic, 1)];
    for p in &both {
        member.handle.start(p.clone(), 10);
    }
    let expected: Vec<i64> = (10..8_000).collect();
    eventually("all is delivered", PATIENCE, || {
        for p in &both {
            member.handle.resume(p.clone());
        }
        both.iter()
            .all(|p| member.offsets(p).len() >= expected.len())
    });
    for p in &both {
        assert!(
            member.offsets(p) == expected,
            "{p} came out of order or not exactly once"
        );
    }
}

/// librdkafka's thread of a broker sleeps for a second when it has nothing to fetch, and to resume a partition
/// does not wake it: with the only partition of a client paused 39 times, that was half a minute.
#[test]
fn a_partition_that_is_resumed_is_fetched_though_nothing_else_is() {
    let (member, p) = paused_every_hundred(4_000);
    becomes(100, PATIENCE, || member.offsets(&p).len());
    let begun = Instant::now();
    for given in (200..=4_000).step_by(100) {
        member.handle.resume(p.clone());
        becomes(given, PATIENCE, || member.offsets(&p).len());
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "nobody was woken: {took:?}");
}

#[test]
fn a_message_that_has_to_wait_holds_up_its_partition_and_no_other() {
    let kafka = kafka();
    let topic = filled(&kafka, 2, 3000);
    let at = Instant::now() + Duration::from_secs(8);
    let owner = Owner {
        late: Some((1234, at)),
        ..Owner::default()
    };
    let member = Member::join(kafka.member(&unique("group")), &topic, owner);
    member.wait_held(2);
    let (waits, goes_on) = (partition(&topic, 0), partition(&topic, 1));
    for p in [&waits, &goes_on] {
        member.handle.start(p.clone(), 0);
    }
    becomes(3000, PATIENCE, || member.offsets(&goes_on).len());
    assert!(Instant::now() < at, "too slow to tell");
    // A resumption that somebody asked for earlier does not let anything overtake it.
    member.handle.resume(waits.clone());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(member.offsets(&waits), (0..1234).collect::<Vec<_>>());
    becomes((0..3000).collect::<Vec<_>>(), PATIENCE, || {
        member.offsets(&waits)
    });
    assert!(Instant::now() >= at);
}

#[test]
fn what_is_paused_stays_paused_until_resumed() {
    let (member, p) = paused_every_hundred(500);
    eventually("the first hundred", PATIENCE, || {
        !member.offsets(&p).is_empty()
    });
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(member.offsets(&p).len(), 100);
    member.handle.resume(p.clone());
    becomes(200, PATIENCE, || member.offsets(&p).len());
}

/// What waits for the end of a log (a restore, a quiet clock) must not be told of it while records
/// are still to come, and must be told again when more has come.
#[test]
fn the_end_of_a_log_is_told_when_all_before_it_was_given_out() {
    let kafka = kafka();
    let topic = filled(&kafka, 1, 1000);
    let mut client = kafka.member(&unique("group"));
    client.set("enable.partition.eof", "true");
    let owner = Owner {
        pause_every: Some(400),
        ..Owner::default()
    };
    let member = Member::join(client, &topic, owner);
    member.wait_held(1);
    let p = partition(&topic, 0);
    let ends = || member.owner.seen.lock().ends.clone();
    member.handle.start(p.clone(), 0);
    becomes(400, PATIENCE, || member.offsets(&p).len());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ends(), [], "it is paused before its end");
    member.handle.resume(p.clone());
    becomes(800, PATIENCE, || member.offsets(&p).len());
    member.handle.resume(p.clone());
    eventually("the end is told", PATIENCE, || !ends().is_empty());
    kafka.produce_json(&topic, 0, &[json!("more")]);
    eventually("it is told again", PATIENCE, || {
        ends().last().is_some_and(|(_, got)| *got == 1001)
    });
    let early = ends().into_iter().find(|(_, got)| *got < 1000);
    assert_eq!(early, None);
}

#[test]
fn an_empty_partition_started_at_its_end_delivers_what_comes() {
    let kafka = kafka();
    let topic = filled(&kafka, 1, 0);
    let member = Member::alone(&kafka, &unique("group"), &topic, 1);
    let p = partition(&topic, 0);
    member.handle.start(p.clone(), 0);
    std::thread::sleep(Duration::from_millis(300));
    kafka.produce_json(&topic, 0, &[json!(1), json!(2)]);
    becomes(vec![0, 1], PATIENCE, || member.offsets(&p));
}

#[test]
fn a_position_the_log_does_not_have_is_reported() {
    let kafka = kafka();
    let topic = filled(&kafka, 1, 5);
    let member = Member::alone(&kafka, &unique("group"), &topic, 1);
    member.handle.start(partition(&topic, 0), 700);
    eventually("trouble is reported", PATIENCE, || {
        !member.owner.seen.lock().troubles.is_empty()
    });
}

/// The client asks for a position of its own before it is told one, if it is slow to be paused; if
/// that lies outside the log it takes up no other by itself.
#[test]
fn a_position_outside_the_log_does_not_keep_a_partition_from_its_next_one() {
    let kafka = kafka();
    let topic = filled(&kafka, 1, 5);
    let member = Member::alone(&kafka, &unique("group"), &topic, 1);
    let p = partition(&topic, 0);
    member.handle.start(p.clone(), 700);
    eventually("trouble is reported", PATIENCE, || {
        !member.owner.seen.lock().troubles.is_empty()
    });
    member.handle.start(p.clone(), 2);
    becomes(vec![2, 3, 4], PATIENCE, || member.offsets(&p));
}

#[test]
fn priority_lanes_are_held_beside_their_first_topic() {
    let kafka = kafka();
    let (topic, priority) = (filled(&kafka, 2, 10), filled(&kafka, 2, 10));
    let (group, owner) = (unique("group"), || Owner {
        priority: vec![priority.clone()],
        ..Owner::default()
    });
    let first = Member::join(kafka.member(&group), &topic, owner());
    first.wait_held(2);
    for p in [0, 1] {
        first.handle.start(partition(&priority, p), 4);
    }
    let expected: Vec<i64> = (4..10).collect();
    for p in [0, 1] {
        becomes(expected.clone(), PATIENCE, || {
            first.offsets(&partition(&priority, p))
        });
    }
    let second = Member::join(kafka.member(&group), &topic, owner());
    second.wait_held(1);
    first.wait_held(1);
    let moved = second.held()[0].partition;
    second.handle.start(partition(&priority, moved), 10);
    kafka.produce_json(&priority, 0, &[json!("new")]);
    kafka.produce_json(&priority, 1, &[json!("new")]);
    becomes(vec![10], PATIENCE, || {
        second.offsets(&partition(&priority, moved))
    });
    becomes(7, PATIENCE, || {
        first.offsets(&partition(&priority, 1 - moved)).len()
    });
    assert_eq!(
        first.offsets(&partition(&priority, moved)),
        expected,
        "the priority topic has left with it"
    );
}

#[test]
fn partitions_move_between_members_cooperative_sticky() {
    partitions_move(|kafka, group| kafka.member(group));
}

#[test]
fn partitions_move_between_members_kip_848() {
    if !has_kip_848() {
        return;
    }
    partitions_move(kip_848);
}

/// Records arrive while a second member joins and leaves; each member starts where the
/// partition was last read.
fn partitions_move(client: fn(&Kafka, &str) -> ClientConfig) {
    let kafka = kafka();
    let topic = filled(&kafka, 4, 100);
    let group = unique("group");
    let first = Member::join(client(&kafka, &group), &topic, Owner::default());
    read_to(100, &[&first], &topic);
    let mut second = Member::join(client(&kafka, &group), &topic, Owner::default());
    second.wait_held(2);
    first.wait_held(2);
    assert!(first.held().iter().all(|p| !second.held().contains(p)));
    more(&kafka, &topic);
    read_to(200, &[&first, &second], &topic);
    assert!(!second.owner.seen.lock().got.is_empty());
    second.leave();
    first.wait_held(4);
    more(&kafka, &topic);
    read_to(300, &[&first, &second], &topic);
}

fn more(kafka: &Kafka, topic: &str) {
    let values: Vec<_> = (0..100).map(|n| json!(n)).collect();
    (0..4).for_each(|p| kafka.produce_json(topic, p, &values));
}

/// Starts whatever is assigned, until `members` have together read every partition up to
/// `end`: each offset once.
fn read_to(end: usize, members: &[&Member], topic: &str) {
    let read = |p| {
        let p = partition(topic, p);
        let mut offsets: Vec<i64> = members.iter().flat_map(|m| m.offsets(&p)).collect();
        offsets.sort_unstable();
        offsets
    };
    becomes([end; 4], PATIENCE, || {
        for member in members {
            let fresh = std::mem::take(&mut member.owner.seen.lock().fresh);
            for p in fresh {
                let next = read(p.partition).last().map_or(0, |o| o + 1);
                member.handle.start(p, next);
            }
        }
        [0, 1, 2, 3].map(|p| read(p).len())
    });
    let expected: Vec<i64> = (0..end as i64).collect();
    for p in 0..4 {
        assert_eq!(read(p), expected, "partition {p}");
    }
}
