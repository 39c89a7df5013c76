//! Throttling and rates.

use std::time::Duration;

use serde_json::json;

use super::{Deployment, message};
use crate::harness::{FakeSmsc, Reply};

#[test]
fn throttling_slows_the_bind_down_and_every_message_gets_through() {
    let smsc = FakeSmsc::start();
    smsc.script({
        let mut n = 0;
        move |_| {
            n += 1;
            if n % 3 == 0 {
                Reply::Status(0x58)
            } else {
                Reply::Accept
            }
        }
    });
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send_numbered(0, 0..30);
    let results = it.results(30);
    assert!(results.values().all(|r| r["accepted"] == true));
    assert!(smsc.submits().len() > 30);
}

#[test]
fn the_accounts_rate_is_shared_by_all_processes() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 4);
    it.esme()["max_tps"] = json!(40.0);
    let _one = it.start();
    smsc.wait_bound(4);
    let _two = it.start();
    std::thread::sleep(Duration::from_secs(6));
    for p in 0..4 {
        it.send_numbered(p, p as usize * 50..p as usize * 50 + 50);
    }
    assert_eq!(it.results(200).len(), 200);
    let submits = smsc.submits();
    let times: Vec<_> = submits.iter().map(|s| s.at).collect();
    let took = times[199] - times[0];
    assert!(
        took > Duration::from_millis(4200),
        "200 messages at 40/s took {took:?}"
    );
    for (n, from) in times.iter().enumerate() {
        let within = times[n..]
            .iter()
            .filter(|t| **t - *from < Duration::from_secs(1))
            .count();
        assert!(within <= 52, "{within} in one second");
    }
}

#[test]
fn each_bind_keeps_its_own_rate() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 2);
    it.esme()["max_tps_per_bind"] = json!(20.0);
    let _connector = it.start();
    smsc.wait_bound(2);
    for p in 0..2 {
        it.send_numbered(p, p as usize * 60..p as usize * 60 + 60);
    }
    assert_eq!(it.results(120).len(), 120);
    let submits = smsc.submits();
    for session in [1, 2] {
        let times: Vec<_> = submits
            .iter()
            .filter(|s| s.session == session)
            .map(|s| s.at)
            .collect();
        assert_eq!(times.len(), 60, "one partition's");
        let took = times[59] - times[0];
        assert!(
            took > Duration::from_millis(2600),
            "60 messages at 20/s took {took:?}"
        );
    }
    // It is the bind's limit, not the account's: the two went side by side.
    let took = submits[119].at - submits[0].at;
    assert!(took < Duration::from_millis(5500), "120 took {took:?}");
}

#[test]
fn a_slow_smsc_holds_nothing_but_its_own_partition_up() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| match submit.text().as_str() {
        "stuck" => Reply::Silence,
        _ => Reply::Accept,
    });
    let mut it = Deployment::new(smsc.port(), 1);
    it.esme()["timers"]["response"] = json!("60s");
    let _connector = it.start();
    it.send(0, &[message("stuck")]);
    it.send_numbered(0, 0..500);
    assert_eq!(it.results(500).len(), 500);
    assert_eq!(it.committed(0), Some(0), "the lowest unfinished record");
}
