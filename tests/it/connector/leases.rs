//! A partition is a lease on a bind: it moves between processes, and nothing is doubled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use serde_json::json;

use super::{Deployment, PATIENCE, complaints_of_kafka, message};
use crate::harness::{Broker, FakeSmsc, Reply, eventually, has_kip_848};

#[test]
fn partitions_move_with_their_binds_cooperative_sticky() {
    partitions_move("classic");
}

#[test]
fn partitions_move_with_their_binds_kip_848() {
    if !has_kip_848() {
        return;
    }
    partitions_move("consumer");
}

fn partitions_move(protocol: &str) {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 4);
    it.config["kafka"]["group_protocol"] = json!(protocol);
    let _one = it.start();
    smsc.wait_bound(4);
    let mut next = 0;
    let mut more = || {
        for p in 0..4 {
            it.send_numbered(p, next..next + 100);
            next += 100;
        }
        next
    };
    more();
    let mut two = it.start();
    let before = smsc.connections();
    more();
    eventually("binds move to the second process", PATIENCE, || {
        smsc.connections() >= before + 2
    });
    smsc.wait_bound(4);
    more();
    two.signal(SIGTERM);
    assert!(two.wait(Duration::from_secs(20)).success());
    let n = more();
    let results = it.results_within(n, Duration::from_secs(60));
    assert_eq!(results.len(), n);
    assert!(
        results.values().all(|r| r["accepted"] == true),
        "a gentle move leaves no doubt"
    );
    assert_eq!(smsc.submits().len(), n, "nothing was sent twice");
    smsc.wait_bound(4);
}

#[test]
fn binds_do_not_grow_with_the_processes() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 2);
    let _three = [it.start(), it.start(), it.start()];
    smsc.wait_bound(2);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(smsc.bound(), 2, "the third process is a hot standby");
}

/// What a process does that another has displaced: it says why and ends, and whatever it was
/// doing is done once.
#[test]
fn of_two_processes_with_one_instance_id_the_first_ends_and_says_why() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    it.config["kafka"]["instance_id"] = json!("pod-0");
    let mut one = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..5);
    it.results(5);
    let mut two = it.start();
    assert_eq!(one.wait(PATIENCE).code(), Some(75), "{}", one.log());
    let log = one.log();
    for word in ["kafka.instance_id", "pod-0", "Give each process"] {
        assert!(log.contains(word), "{log}");
    }
    let refused = log.matches("transaction refused").count();
    assert!(refused < 20, "{refused} refused transactions");
    it.send_numbered(1, 5..10);
    it.results(10);
    smsc.wait_bound(2);
    two.kill9();
    let _three = it.start();
    it.send_numbered(0, 10..15);
    let results = it.results(15);
    assert!(
        results.values().all(|r| r["accepted"] == true),
        "{results:#?}"
    );
    assert_eq!(smsc.submits().len(), 15, "nothing was sent twice");
}

/// With KIP-848 it is the second that is not let in.
#[test]
fn of_two_processes_with_one_instance_id_the_second_ends_with_kip_848() {
    if !has_kip_848() {
        return;
    }
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["group_protocol"] = json!("consumer");
    it.config["kafka"]["instance_id"] = json!("pod-0");
    let mut one = it.start();
    smsc.wait_bound(1);
    let mut two = it.start();
    assert_eq!(two.wait(PATIENCE).code(), Some(75), "{}", two.log());
    let log = two.log();
    assert!(log.contains("kafka.instance_id"), "{log}");
    it.send_numbered(0, 0..5);
    assert_eq!(it.results(5).len(), 5);
    assert!(one.ended().is_none(), "{}", one.log());
}

#[test]
fn a_topic_with_more_partitions_than_binds_is_refused() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 3);
    it.esme()["max_binds"] = json!(2);
    let mut connector = it.start();
    let status = connector.wait(PATIENCE);
    assert!(!status.success());
    assert!(connector.log().contains("max_binds"), "{}", connector.log());
    assert_eq!(smsc.connections(), 0);
}

#[test]
fn priority_lanes_overtake() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let fast = it.topic("otp");
    it.kafka.topic(&fast, 1, &[]);
    it.esme()["outbound"] = json!([fast, it.topic("outbound")]);
    it.esme()["max_tps"] = json!(20.0);
    let _connector = it.start();
    it.send_numbered(0, 0..100);
    smsc.wait_submits(5);
    it.kafka.produce_json(&fast, 0, &[message("otp")]);
    it.results(101);
    let place = smsc.texts().iter().position(|t| t == "otp").unwrap();
    assert!(place < 60, "the one-time password came {place}th");
}

/// Partitions are added to one topic after the other.
#[test]
fn a_partition_without_its_companion_is_served_alone_until_that_is_there() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    let fast = it.topic("otp");
    it.kafka.topic(&fast, 2, &[]);
    it.esme()["outbound"] = json!([fast, it.topic("outbound")]);
    let mut connector = it.start();
    connector.wait_for_log("go without", PATIENCE);
    connector.wait_for_log("this partition is not there", PATIENCE);
    it.kafka.produce_json(&fast, 0, &[message("otp0")]);
    it.kafka.produce_json(&fast, 1, &[message("otp1")]);
    it.send_numbered(0, 0..1);
    assert_eq!(it.results(3).len(), 3);
    it.kafka.grow(&it.topic("outbound"), 2);
    it.send_numbered(1, 1..2);
    assert_eq!(it.results(4).len(), 4);
    assert_eq!(smsc.submits().len(), 4);
}

#[test]
fn partitions_that_are_added_are_served_within_half_a_minute_cooperative_sticky() {
    added("classic");
}

#[test]
fn partitions_that_are_added_are_served_within_half_a_minute_kip_848() {
    if !has_kip_848() {
        return;
    }
    added("consumer");
}

fn added(protocol: &str) {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["group_protocol"] = json!(protocol);
    let connector = it.start();
    smsc.wait_bound(1);
    it.send_numbered(0, 0..1);
    it.results(1);
    it.kafka.grow(&it.topic("outbound"), 3);
    let begun = Instant::now();
    it.send_numbered(2, 1..2);
    let results = it.results_within(2, Duration::from_secs(30));
    eprintln!("{protocol}: served after {:?}", begun.elapsed());
    assert_eq!(results["m1"]["accepted"], true);
    assert_eq!(smsc.submitted(), 2);
    let (log, new) = (connector.log(), format!("{}-2", it.topic("outbound")));
    let assigned = |line: &&str| line.contains("assigned partitions=") && line.contains(&new);
    assert_eq!(log.lines().filter(assigned).count(), 1, "{log}");
    smsc.wait_bound(3);
}

#[test]
fn the_lease_goes_by_the_brokers_session_timeout_if_that_is_shorter() {
    if !has_kip_848() {
        return;
    }
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["kafka"]["group_protocol"] = json!("consumer");
    it.config["kafka"]["session_timeout"] = json!("60s");
    let mut connector = it.start();
    connector.wait_for_log(
        "gives the partitions of a silent process away after",
        PATIENCE,
    );
    it.send_numbered(0, 0..1);
    assert_eq!(it.results(1).len(), 1);
}

#[test]
fn a_killed_broker_costs_nothing() {
    let smsc = FakeSmsc::start();
    let mut broker = Broker::start_private();
    let it = Deployment::on(broker.kafka(), smsc.port(), 2);
    let connector = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..300);
    it.send_numbered(1, 300..600);
    smsc.wait_submits(50);
    broker.kill9();
    std::thread::sleep(Duration::from_secs(1));
    broker.restart();
    it.send_numbered(0, 600..650);
    let results = it.results_within(650, Duration::from_secs(90));
    assert_eq!(results.len(), 650);
    assert_eq!(smsc.submits().len(), 650, "nothing was sent twice");
    let log = connector.log();
    assert!(!log.contains("librdkafka"), "it passed by itself: {log}");
}

/// Whoever reads the log of a deployment that goes well finds nothing to look at.
#[test]
fn a_rolling_restart_and_a_broker_that_restarts_leave_the_log_quiet() {
    let smsc = FakeSmsc::start();
    let mut broker = Broker::start_private();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), 2);
    // The lease on the binds outlives the restart, however slow the machine.
    it.config["kafka"]["session_timeout"] = json!("120s");
    it.config["log"]["level"] = json!("info");
    let mut running = vec![it.start(), it.start()];
    smsc.wait_bound(2);
    let mut sent = 0;
    let mut more = |it: &Deployment| {
        for partition in 0..2 {
            it.send_numbered(partition, sent..sent + 100);
            sent += 100;
        }
        sent
    };
    let mut ended = Vec::new();
    for _ in 0..2 {
        more(&it);
        let mut old = running.remove(0);
        old.signal(SIGTERM);
        assert_eq!(old.wait(PATIENCE).code(), Some(0));
        ended.push(old.log());
        running.push(it.start());
        let all = more(&it);
        it.results(all);
    }
    smsc.wait_bound(2);
    more(&it);
    let gone = Instant::now();
    broker.restart();
    let away = gone.elapsed();
    let all = more(&it);
    it.results(all);
    assert_eq!(smsc.submitted(), all, "nothing was sent twice");
    for process in &mut running {
        process.signal(SIGTERM);
        assert_eq!(process.wait(PATIENCE).code(), Some(0));
    }
    let logs = ended.into_iter().chain(running.iter().map(|one| one.log()));
    for log in logs {
        assert_eq!(complaints_of_kafka(&log), [""; 0], "{log}");
        let repeated = repeated(&log);
        // What lasts is said again after ten seconds, and then ever more seldom.
        let most = if away < Duration::from_secs(9) { 0 } else { 12 };
        assert!(repeated.len() <= most, "{away:?}: {repeated:#?} in\n{log}");
    }
}

/// The lines above info that say again what another said: the same text, or a count.
fn repeated(log: &str) -> Vec<&str> {
    let (mut known, mut again) = (BTreeSet::new(), Vec::new());
    for line in log.lines() {
        let (_, text) = line.split_once(' ').unwrap_or_default();
        let grave = text.starts_with(" WARN ") || text.starts_with("ERROR ");
        let counted = text.contains(" within=") && !text.contains(" within=0s");
        if grave && (counted || !known.insert(text)) {
            again.push(line);
        }
    }
    again
}

#[test]
fn a_broker_that_stays_away_puts_only_what_was_out_in_doubt() {
    let smsc = FakeSmsc::start();
    let mut broker = Broker::start_private();
    let mut it = Deployment::on(broker.kafka(), smsc.port(), 2);
    it.esme()["max_tps"] = json!(200.0);
    let _connector = it.start();
    smsc.wait_bound(2);
    it.send_numbered(0, 0..300);
    it.send_numbered(1, 300..600);
    smsc.wait_submits(50);
    broker.kill9();
    // Longer than the session time-out: the partitions are lost and come back.
    std::thread::sleep(Duration::from_secs(15));
    broker.restart();
    it.send_numbered(0, 600..650);
    let results = it.results_within(650, Duration::from_secs(90));
    assert_eq!(results.len(), 650);
    let unknown = results.values().filter(|r| r["kind"] == "OUTCOME_UNKNOWN");
    assert_eq!((unknown.count(), smsc.submits().len()), (0, 650));
}

/// With binds for each process a partition comes and goes while others stay on the same session:
/// what is out of it is in doubt, and nobody else's answers are lost.
#[test]
fn a_partition_that_leaves_shared_binds_costs_the_others_nothing() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let mut it = Deployment::new(smsc.port(), 2);
    it.esme()["binds"] = json!({ "per_instance": 1 });
    it.esme()["timers"]["response"] = json!("60s");
    it.esme()["slow_start"] = json!(20);
    it.config["submit"]["revoke_drain"] = json!("500ms");
    let _one = it.start();
    smsc.wait_bound(1);
    // No more than goes out before the first answer.
    it.send_numbered(0, 0..5);
    it.send_numbered(1, 5..10);
    smsc.wait_submits(10);
    let out = smsc.submits();

    let _two = it.start();
    smsc.wait_bound(2);
    for (n, submit) in out.iter().enumerate() {
        smsc.answer(submit, &format!("L{n}"));
    }
    let results = it.results(10);
    let unknown: Vec<bool> = (0..10)
        .map(|n| results[&format!("m{n}")]["kind"] == "OUTCOME_UNKNOWN")
        .collect();
    let moved = if unknown[0] { 0..5 } else { 5..10 };
    for (n, is_unknown) in unknown.iter().enumerate() {
        assert_eq!(*is_unknown, moved.contains(&n), "{results:#?}");
    }
    eventually("late answers are published", PATIENCE, || {
        it.events().iter().filter(|e| e["late"] == true).count() == 5
    });
    assert_eq!(smsc.submits().len(), 10, "nothing was sent again");
    assert_eq!(smsc.connections(), 2, "the first session went on");
}
