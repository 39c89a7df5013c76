//! Every receipt finds its message, whenever and wherever it comes, and none is lost.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Deployment, PATIENCE, message, with};
use crate::harness::{Broker, FakeSmsc, Reply, eventually};

/// A deployment with one message accepted under the id `ID`.
fn accepted(it: &Deployment, smsc: &FakeSmsc) {
    smsc.script(|_| Reply::As("ID".into()));
    it.send(0, &[message("m")]);
    it.results(1);
}

#[test]
fn a_receipt_after_a_restart_finds_its_message() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let mut connector = it.start();
    accepted(&it, &smsc);
    connector.kill9();
    let _successor = it.start();
    smsc.wait_bound(1);
    assert_eq!(smsc.receipt("ID"), 0);
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["correlated"]),
        (&json!("m"), &json!(true))
    );
    assert_eq!(
        (&receipt["state"], &receipt["final"]),
        (&json!("DELIVERED"), &json!(true))
    );
}

#[test]
fn a_receipt_that_outruns_its_response_waits_for_it() {
    let smsc = FakeSmsc::start();
    smsc.script(|_| Reply::Silence);
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    it.send(0, &[message("m")]);
    let submit = smsc.wait_submits(1).remove(0);
    assert_eq!(smsc.receipt("EARLY"), 0);
    std::thread::sleep(Duration::from_secs(1));
    smsc.answer(&submit, "EARLY");
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["correlated"]),
        (&json!("m"), &json!(true))
    );
}

#[test]
fn a_receipt_nobody_knows_is_published_after_the_grace() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    assert_eq!(smsc.receipt("STRANGER"), 0);
    let receipt = &it.receipts(1)[0];
    assert_eq!(receipt["correlated"], false);
    assert_eq!(receipt["message_id"], "STRANGER");
}

#[test]
fn a_repeated_receipt_is_one_event_and_a_new_state_another() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    accepted(&it, &smsc);
    for stat in ["ENROUTE", "DELIVRD", "DELIVRD", "ENROUTE"] {
        assert_eq!(smsc.receipt_of("ID", stat), 0);
    }
    let receipts = it.receipts(2);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(it.receipts(2).len(), receipts.len(), "nothing follows");
    let finals: Vec<&Value> = receipts.iter().filter(|r| r["final"] == true).collect();
    assert_eq!(finals.len(), 1, "{receipts:#?}");
    assert!(receipts.iter().all(|r| r["log_id"] == "m"));
}

#[test]
fn a_receipt_that_never_comes_becomes_an_event() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["correlate"]["receipt_ttl"] = json!("20s");
    it.config["correlate"]["final_retention"] = json!("1s");
    let _connector = it.start();
    accepted(&it, &smsc);
    let receipt = &it.receipts(1)[0];
    assert_eq!(
        (&receipt["log_id"], &receipt["overdue"]),
        (&json!("m"), &json!(true))
    );
    assert_eq!(receipt["missing"], 1);
}

const SUBMIT_MULTI: u32 = 0x21;

/// A deployment with one message to `destinations` accepted under the id `MULTI`, of which the
/// SMSC refuses the `refused` ones.
fn accepted_multi(it: &Deployment, smsc: &FakeSmsc, destinations: &Value, refused: &[&str]) {
    let mut response = b"MULTI\0".to_vec();
    response.push(refused.len() as u8);
    for number in refused {
        response.extend([1, 1]);
        response.extend(number.as_bytes());
        response.extend([0, 0, 0, 0, 0x0B]);
    }
    smsc.answers(SUBMIT_MULTI, 0, &response);
    it.send(
        0,
        &[
            json!({ "type": "SubmitMulti", "log_id": "multi", "source": "1000",
            "destinations": destinations, "short_message": "hi", "registered_delivery": 1,
            "extra_data": 7 }),
        ],
    );
    it.results(1);
}

/// Delivers a receipt about `phone`.
fn multi_receipt(smsc: &FakeSmsc, phone: &str, stat: &str, err: &str) {
    let text = format!(
        "id:MULTI sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:{stat} err:{err} text:hi"
    );
    assert_eq!(smsc.deliver(4, phone, "1000", text.as_bytes()), 0);
}

#[test]
fn every_recipient_of_a_multi_has_a_receipt_and_the_missing_ones_are_counted() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["correlate"]["receipt_ttl"] = json!("20s");
    it.config["correlate"]["final_retention"] = json!("1s");
    let mut connector = it.start();
    let destinations = json!([
        "+41791111111",
        "+41792222222",
        "+41793333333",
        "+41794444444",
        "+41795555555"
    ]);
    accepted_multi(&it, &smsc, &destinations, &["41794444444"]);
    multi_receipt(&smsc, "41791111111", "DELIVRD", "000");
    // The next owner knows how many there are, and who has been heard of.
    connector.kill9();
    let _successor = it.start();
    smsc.wait_bound(1);
    multi_receipt(&smsc, "0791111111", "DELIVRD", "000");
    multi_receipt(&smsc, "41792222222", "DELIVRD", "000");
    multi_receipt(&smsc, "+41792222222", "DELIVRD", "000");
    multi_receipt(&smsc, "41793333333", "UNDELIV", "001");
    multi_receipt(&smsc, "41793333333", "UNDELIV", "00A");
    let receipts = it.receipts(5);
    let of = |phone: &str| -> Vec<&Value> {
        let about = |r: &&Value| {
            r["destination"]
                .as_str()
                .is_some_and(|d| d.ends_with(phone))
        };
        receipts.iter().filter(about).collect()
    };
    for (phone, count) in [("791111111", 1), ("792222222", 1), ("793333333", 2)] {
        assert_eq!(of(phone).len(), count, "{phone}: {receipts:#?}");
    }
    let corrected: Vec<&Value> = of("793333333").iter().map(|r| &r["err"]).collect();
    assert_eq!(corrected, ["001", "00A"]);
    let overdue: Vec<&Value> = receipts.iter().filter(|r| r["overdue"] == true).collect();
    assert_eq!(overdue.len(), 1, "{receipts:#?}");
    assert_eq!(overdue[0]["missing"], 1);
    assert!(
        receipts
            .iter()
            .all(|r| r["log_id"] == "multi" && r["extra_data"] == 7)
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(it.receipts(5).len(), 5, "nothing follows");
}

/// A final receipt for this message id.
fn receipt_between(smsc: &FakeSmsc, id: &str, (from, to): (&str, &str), err: &str) {
    let text =
        format!("id:{id} submit date:2601010000 done date:2601010001 stat:DELIVRD err:{err}");
    assert_eq!(smsc.deliver(4, from, to, text.as_bytes()), 0);
}

#[test]
fn one_id_for_all_messages_and_each_has_its_receipt() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    smsc.script(|_| Reply::As("SAME".into()));
    let _connector = it.start();
    let phone = |n: usize| format!("4179{n:07}");
    let all = 40;
    let messages: Vec<Value> = (0..all)
        .map(|n| {
            let to = json!({ "destination": format!("+{}", phone(n)) });
            with(message(&format!("m{n}")), to)
        })
        .collect();
    it.send(0, &messages);
    it.results(all);
    for n in (0..all).rev() {
        let (phone, national) = (phone(n), format!("0{}", &phone(n)[2..]));
        let addresses = match n % 3 {
            0 => (&*phone, "1000"),
            1 => (&*national, "1000"),
            _ => ("1000", &*phone),
        };
        receipt_between(&smsc, "SAME", addresses, &format!("{n:03}"));
        receipt_between(&smsc, "SAME", addresses, &format!("{n:03}"));
    }
    let receipts = it.receipts(all);
    assert_eq!(receipts.len(), all);
    for receipt in &receipts {
        let n: usize = receipt["err"].as_str().unwrap().parse().unwrap();
        assert_eq!(receipt["log_id"], format!("m{n}"), "{receipt:#}");
        assert_eq!(receipt["destination"], format!("+{}", phone(n)));
        assert_eq!(receipt["source"], "1000");
        let own = match n % 3 {
            0 => [Value::Null, Value::Null],
            1 => [json!(format!("0{}", &phone(n)[2..])), Value::Null],
            _ => [json!("1000"), json!(phone(n))],
        };
        let told = [&receipt["receipt_source"], &receipt["receipt_destination"]];
        assert_eq!(told, [&own[0], &own[1]], "{receipt:#}");
        assert!(receipt.get("ambiguous").is_none(), "{receipt:#}");
    }
}

#[test]
fn a_receipt_that_fits_two_messages_says_so() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    smsc.script(|_| Reply::As("SAME".into()));
    let mut connector = it.start();
    it.send(0, &[message("one"), message("two")]);
    it.results(2);
    let masked = "4179123XXXX";
    receipt_between(&smsc, "SAME", (masked, "1000"), "001");
    it.receipts(1);
    // The next owner knows that this was a guess.
    connector.kill9();
    let _successor = it.start();
    smsc.wait_bound(1);
    receipt_between(&smsc, "SAME", ("41791234567", "1000"), "002");
    let receipts = it.receipts(2);
    let mut whose: Vec<&str> = Vec::new();
    for receipt in &receipts {
        assert_eq!(receipt["correlated"], true);
        assert_eq!(receipt["ambiguous"], true, "{receipt:#}");
        assert_eq!(receipt["candidates"].as_array().map(Vec::len), Some(2));
        assert_eq!(receipt["candidates"][0], receipt["log_id"]);
        assert_eq!(receipt["destination"], "41791234567");
        whose.extend(receipt["log_id"].as_str());
    }
    whose.sort_unstable();
    assert_eq!(whose, ["one", "two"], "each has one");
    let own = receipts.iter().find(|r| r["err"] == "001");
    assert_eq!(own.expect("the first")["receipt_source"], masked);
}

#[test]
fn a_multi_is_forgotten_when_all_its_receipts_have_come() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["correlate"]["final_retention"] = json!("1s");
    let _connector = it.start();
    let destinations = json!(["+41791111111", "+41792222222", "+41793333333"]);
    accepted_multi(&it, &smsc, &destinations, &["41793333333"]);
    let correlation = it.topic("correlation");
    let tombstone = |r: &crate::harness::Record| r.value.is_null();
    multi_receipt(&smsc, "41791111111", "DELIVRD", "000");
    std::thread::sleep(Duration::from_secs(4));
    assert!(
        !it.kafka.records(&correlation).iter().any(tombstone),
        "it waits for the other"
    );
    multi_receipt(&smsc, "41792222222", "DELIVRD", "000");
    it.kafka
        .records_until(&correlation, PATIENCE, |all| all.iter().any(tombstone));
    assert!(it.receipts(2).iter().all(|r| r["correlated"] == true));
}

#[test]
fn an_entry_is_deleted_some_time_after_its_final_receipt() {
    let smsc = FakeSmsc::start();
    let mut it = Deployment::new(smsc.port(), 1);
    it.config["correlate"]["final_retention"] = json!("1s");
    let _connector = it.start();
    accepted(&it, &smsc);
    smsc.receipt("ID");
    it.receipts(1);
    let tombstone = |r: &crate::harness::Record| r.value.is_null();
    it.kafka
        .records_until(&it.topic("correlation"), PATIENCE, |all| {
            all.iter().any(tombstone)
        });
}

#[test]
fn a_deliver_sm_is_acknowledged_only_when_kafka_has_it() {
    let smsc = FakeSmsc::start();
    let broker = Broker::start_private();
    let it = Deployment::on(broker.kafka(), smsc.port(), 1);
    let _connector = it.start();
    smsc.wait_bound(1);
    assert_eq!(smsc.deliver(0, "41791234567", "1000", b"before"), 0);
    broker.freeze();
    let (session, sequence) = smsc.deliver_now(0, "41791234567", "1000", b"meanwhile");
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(
        smsc.status_of(session, sequence),
        Some(0),
        "Kafka does not have it"
    );
    broker.thaw();
    let answered = || smsc.status_of(session, sequence);
    eventually("it is answered or the session gone", PATIENCE, || {
        answered().is_some() || smsc.connections() > 1
    });
    if answered() != Some(0) {
        // A temporary error: the SMSC delivers it again.
        smsc.wait_bound(1);
        assert_eq!(smsc.deliver(0, "41791234567", "1000", b"meanwhile"), 0);
    }
    let inbound = it.kafka.wait_records(&it.topic("inbound"), 2, PATIENCE);
    assert!(inbound.iter().any(|r| r.value["text"] == "before"));
    assert!(inbound.iter().any(|r| r.value["text"] == "meanwhile"));
}

#[test]
fn a_receipt_reaches_whichever_process_owns_its_correlation() {
    let smsc = FakeSmsc::start();
    smsc.script(|submit| Reply::As(format!("ID-{}", submit.text())));
    let it = Deployment::new(smsc.port(), 2);
    let (_one, _two) = (it.start(), it.start());
    smsc.wait_bound(2);
    it.send_numbered(0, 0..20);
    it.send_numbered(1, 20..40);
    it.results(40);
    // All over the first bind, whichever process has it.
    for n in 0..40 {
        assert_eq!(smsc.receipt(&format!("ID-m{n}")), 0);
    }
    let receipts = it.receipts(40);
    assert!(receipts.iter().all(|r| r["correlated"] == true));
    let mut ids: Vec<&str> = receipts
        .iter()
        .map(|r| r["log_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

/// The SMSC is started anew and counts from 1 again, and its receipts outrun its answers, while
/// messages of before have no receipt yet: to others, and to the same phones.
#[test]
fn no_receipt_is_that_of_a_message_which_had_its_id_before() {
    let (one, other) = ("49170000001", "49179999999");
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let _connector = it.start();
    smsc.script(|submit| Reply::As(submit.text()[1..].to_owned()));
    let count = 6;
    let to = |name: char, n: usize, phone: &str| {
        let to = json!({ "destination": phone });
        with(message(&format!("{name}{n}")), to)
    };
    let before: Vec<Value> = (1..=count).map(|n| to('a', n, one)).collect();
    it.send(0, &before);
    it.results(count);
    smsc.drop_connections();
    smsc.wait_bound(1);
    smsc.script(|_| Reply::Silence);
    for n in 1..=count {
        let phone = if n.is_multiple_of(2) { one } else { other };
        it.send(0, &[to('b', n, phone)]);
        let submits = smsc.wait_submits(count + n);
        receipt_between(&smsc, &n.to_string(), (phone, "1000"), &format!("{n:03}"));
        smsc.answer(&submits[count + n - 1], &n.to_string());
    }
    let receipts = it.receipts(count);
    assert_eq!(receipts.len(), count);
    for receipt in &receipts {
        let n: usize = receipt["err"].as_str().unwrap().parse().unwrap();
        let own = json!(format!("b{n}"));
        let same = n.is_multiple_of(2);
        let phone = if same { one } else { other };
        assert_eq!(receipt["destination"], phone, "{receipt:#}");
        if same {
            // Nothing tells the two messages to one phone apart.
            assert_eq!(receipt["ambiguous"], true, "{receipt:#}");
            let candidates = receipt["candidates"].as_array().unwrap();
            assert!(candidates.contains(&own), "{receipt:#}");
        } else {
            assert_eq!(receipt["log_id"], own, "{receipt:#}");
            assert!(receipt.get("ambiguous").is_none(), "{receipt:#}");
        }
    }
}

#[test]
fn ids_in_another_form_find_their_messages_and_a_hint_says_how_to_set_it() {
    let smsc = FakeSmsc::start();
    let it = Deployment::new(smsc.port(), 1);
    let connector = it.start();
    let number = |n: usize| 0x0001_2D68 + 0x0101_0101 * n;
    smsc.script(move |submit| {
        let n: usize = submit.text()[1..].parse().unwrap();
        Reply::As(format!("{:08X}", number(n)))
    });
    let count = 12;
    let messages: Vec<Value> = (0..count)
        .map(|n| {
            let to = json!({ "destination": format!("4179{n:07}") });
            with(message(&format!("m{n}")), to)
        })
        .collect();
    it.send(0, &messages);
    it.results(count);
    for _ in 0..2 {
        for n in 0..count {
            let (id, phone) = (number(n).to_string(), format!("4179{n:07}"));
            receipt_between(&smsc, &id, (&phone, "1000"), &format!("{n:03}"));
        }
    }
    let receipts = it.receipts(count);
    assert_eq!(receipts.len(), count, "each once");
    for receipt in &receipts {
        let n: usize = receipt["err"].as_str().unwrap().parse().unwrap();
        assert_eq!(receipt["log_id"], format!("m{n}"), "{receipt:#}");
        assert_eq!(receipt["message_id"], number(n).to_string());
        assert_eq!(receipt["correlated"], true);
    }
    let hint = |record: &crate::harness::Record| record.value["type"] == "MessageIdHint";
    let topic = it.topic("notifications");
    let all = it.kafka.records_until(&topic, PATIENCE, |all| {
        all.iter().filter(|record| hint(record)).count() >= 2
    });
    let last = all.iter().rfind(|record| hint(record)).expect("a hint");
    assert_eq!(last.key.as_deref(), Some("acme"));
    let said = &last.value["message_id"];
    assert_eq!(
        (&said["response"], &said["receipt"]),
        (&json!("hex"), &json!("decimal"))
    );
    assert_eq!((&said["matched"], &said["of"]), (&json!(10), &json!(10)));
    let log = connector.log();
    let said = log
        .lines()
        .filter(|line| line.contains("receipts have message ids in another form"));
    let said: Vec<&str> = said.collect();
    assert!((1..=3).contains(&said.len()), "{said:#?}");
    assert!(
        said[0].contains("match as hex in responses and decimal in receipts"),
        "{said:#?}"
    );
}
