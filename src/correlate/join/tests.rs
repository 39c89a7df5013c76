use super::*;

const PATIENCE: Patience = Patience {
    grace: 60,
    retention: 1000,
    ttl: 100_000,
    parked: usize::MAX,
};

const ENROUTE: u8 = 1;
const DELIVERED: u8 = 2;
const UNDELIVERABLE: u8 = 5;

fn receipt(state: u8, digest: u32) -> Seen {
    Seen {
        state,
        digest,
        recipient: None,
        report: None,
    }
}

/// A receipt about one of several recipients, in octets of its own.
fn receipt_of(recipient: i64, state: u8, report: u32) -> Seen {
    Seen {
        state,
        digest: crc32fast::hash(format!("{recipient} {state} {report}").as_bytes()),
        recipient: Some(recipient),
        report: Some(report),
    }
}

fn creation(raw: &'static str, submitted_at: Millis) -> Value {
    creation_to(Some(1), raw, submitted_at)
}

fn creation_to(recipients: Option<u32>, raw: &'static str, submitted_at: Millis) -> Value {
    Value::Creation {
        raw: raw.into(),
        submitted_at,
        recipients,
        seen: vec![],
        final_at: None,
    }
}

impl Join {
    /// Its books agree with what it knows.
    pub(super) fn check(&self) {
        let (mut size, mut timers, mut parked) = (Size::default(), vec![], vec![]);
        for (name, known) in &self.known {
            let of = known.size(name.len());
            assert!(of.octets > 0, "{name} is empty");
            size.creations += of.creations;
            size.parked += of.parked;
            size.octets += of.octets;
            size.waiting += of.waiting;
            timers.extend(known.due(&self.patience).map(|at| (at, name.clone())));
            parked.extend(known.offsets().into_iter().map(|at| (at, name.clone())));
        }
        assert_eq!(self.size, size);
        if self.live {
            timers.sort_unstable();
            parked.sort_unstable();
            assert!(self.timers.iter().eq(&timers), "timers");
            let booked = self.parked.iter().map(|(at, name)| (*at, name.clone()));
            assert!(booked.eq(parked), "parked");
        }
    }

    /// Nothing is left of anything.
    pub(super) fn check_empty(&self) {
        self.check();
        let left = (self.known.len(), self.timers.len(), self.parked.len());
        assert_eq!((left, self.size), ((0, 0, 0), Size::default()));
    }
}

/// A partition as it runs: effects as one line each.
struct Partition(Join);

impl Partition {
    fn new() -> Self {
        let mut join = Join::new(PATIENCE);
        join.live(0, &mut Vec::new());
        Partition(join)
    }

    fn created(&mut self, key: &str, raw: &'static str, now: Millis) -> Vec<String> {
        self.created_to(Some(1), key, raw, now)
    }

    fn created_to(
        &mut self,
        recipients: Option<u32>,
        key: &str,
        raw: &'static str,
        now: Millis,
    ) -> Vec<String> {
        let mut out = Vec::new();
        let key = Key::parse(key.as_bytes()).unwrap();
        let value = creation_to(recipients, raw, now);
        self.0.record(&key, value, now, &mut out);
        self.0.check();
        lines(&out)
    }

    fn delivered(&mut self, id: &str, offset: i64, r: Seen, now: Millis) -> Vec<String> {
        let mut out = Vec::new();
        let raw = Bytes::from(format!("d{offset}"));
        self.0.delivery(id, offset, raw, r, now, &mut out);
        self.0.check();
        lines(&out)
    }

    /// The parked receipt at `offset` comes back from the log.
    fn read_back(&mut self, id: &str, offset: i64, now: Millis) {
        let mut out = Vec::new();
        let value = Value::Parked {
            delivery: Bytes::new(),
            receipt: receipt(0, 0),
            published_at: None,
        };
        let key = Key::Parked {
            identity: id,
            offset,
        };
        self.0.record(&key, value, now, &mut out);
        assert_eq!(out, []);
    }

    fn tick(&mut self, now: Millis) -> Vec<String> {
        let mut out = Vec::new();
        assert!(!self.0.tick(now, 100, &mut out));
        self.0.check();
        lines(&out)
    }
}

fn lines(effects: &[Effect]) -> Vec<String> {
    let text = |b: &Bytes| String::from_utf8(b.to_vec()).unwrap();
    let line = |effect: &Effect| match effect {
        Effect::Publish {
            delivery, creation, ..
        } => match creation {
            Some(creation) => format!("{} of {}", text(delivery), text(creation)),
            None => format!("{} alone", text(delivery)),
        },
        Effect::Overdue { creation, missing } => match missing {
            Some(1) => format!("{} overdue", text(creation)),
            Some(n) => format!("{} overdue, {n} missing", text(creation)),
            None => format!("{} overdue, nobody knows how many", text(creation)),
        },
        Effect::Remember {
            key,
            seen,
            final_at,
            ..
        } => {
            let states: Vec<u8> = seen.iter().map(|s| s.state).collect();
            format!("{key} = {states:?} {final_at:?}")
        }
        Effect::Park {
            key, published_at, ..
        } => format!("{key} = {published_at:?}"),
        Effect::Forget { key } => format!("{key} = null"),
    };
    effects.iter().map(line).collect()
}

#[test]
fn a_receipt_after_its_creation() {
    let mut p = Partition::new();
    assert!(p.created("a/1/t:0:7", "m", 10).is_empty());
    assert_eq!(
        p.delivered("a/1", 0, receipt(ENROUTE, 1), 20),
        ["d0 of m", "a/1/t:0:7 = [1] None"]
    );
    assert_eq!(
        p.delivered("a/1", 1, receipt(DELIVERED, 2), 30),
        ["d1 of m", "a/1/t:0:7 = [1, 2] Some(30)"]
    );
    assert_eq!(p.tick(1029), [""; 0]);
    assert_eq!(p.tick(1030), ["a/1/t:0:7 = null"]);
    p.0.check_empty();
}

#[test]
fn a_receipt_before_its_creation_waits() {
    let mut p = Partition::new();
    assert_eq!(
        p.delivered("a/1", 4, receipt(DELIVERED, 1), 10),
        ["a/1/@4 = None"]
    );
    assert_eq!(
        p.created("a/1/t:0:7", "m", 20),
        ["d4 of m", "a/1/t:0:7 = [2] Some(20)", "a/1/@4 = null"]
    );
    // The parked record comes back from the log after all this: nothing to wait for.
    p.read_back("a/1", 4, 30);
    assert_eq!(p.tick(1020), ["a/1/t:0:7 = null"]);
    assert_eq!(p.tick(1_000_000), [""; 0]);
}

#[test]
fn grace_begins_when_the_parked_receipt_is_read_back() {
    let mut p = Partition::new();
    p.delivered("a/1", 4, receipt(DELIVERED, 1), 10);
    assert_eq!(p.tick(100_000), [""; 0], "the tail hangs");
    p.read_back("a/1", 4, 100_000);
    assert_eq!(p.tick(100_059), [""; 0]);
    assert_eq!(p.tick(100_060), ["d4 alone", "a/1/@4 = Some(100060)"]);
    assert_eq!(
        p.delivered("a/1", 9, receipt(DELIVERED, 1), 100_070),
        [""; 0],
        "a repeat"
    );
    assert_eq!(p.tick(101_060), ["a/1/@4 = null"]);
    p.0.check_empty();
}

#[test]
fn a_creation_later_than_the_grace_takes_its_receipt_without_publishing_it_again() {
    let mut p = Partition::new();
    p.delivered("a/1", 4, receipt(DELIVERED, 1), 10);
    p.read_back("a/1", 4, 10);
    p.tick(70);
    assert_eq!(
        p.created("a/1/t:0:7", "m", 80),
        ["a/1/t:0:7 = [2] Some(80)", "a/1/@4 = null"]
    );
    assert_eq!(p.delivered("a/1", 5, receipt(DELIVERED, 1), 90), [""; 0]);
}

#[test]
fn repeats_are_known_by_their_octets_or_by_what_they_say() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(DELIVERED, 1), 1);
    assert_eq!(p.delivered("a/1", 1, receipt(DELIVERED, 1), 2), [""; 0]);
    // Of what nothing is known but its state, as versions before wrote it.
    assert_eq!(p.delivered("a/1", 2, receipt(DELIVERED, 9), 3), [""; 0]);
    // Out of order, and a change of mind: both are news.
    assert_eq!(p.delivered("a/1", 3, receipt(ENROUTE, 3), 4).len(), 2);
    assert_eq!(
        p.delivered("a/1", 4, receipt(UNDELIVERABLE, 4), 5),
        ["d4 of m", "a/1/t:0:7 = [2, 1, 5] Some(1)"]
    );
    // Intermediate states may come again with other octets.
    assert_eq!(p.delivered("a/1", 5, receipt(ENROUTE, 5), 6).len(), 2);
}

#[test]
fn a_reused_message_id_keeps_its_messages_apart() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "old", 0);
    p.created("a/1/t:0:8", "new", 10);
    let first = p.delivered("a/1", 0, receipt(DELIVERED, 1), 20);
    assert_eq!(first[0], "d0 of new");
    let repeat = p.delivered("a/1", 1, receipt(DELIVERED, 1), 30);
    assert_eq!(repeat, [""; 0]);
    let second = p.delivered("a/1", 2, receipt(DELIVERED, 2), 40);
    assert_eq!(second[0], "d2 of old");
}

#[test]
fn a_message_without_a_final_receipt_is_overdue_once() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(ENROUTE, 1), 1);
    assert_eq!(p.tick(99_999), [""; 0]);
    assert_eq!(p.tick(100_000), ["m overdue", "a/1/t:0:7 = null"]);
    assert_eq!(p.tick(1_000_000), [""; 0]);
}

#[test]
fn ticks_are_bounded() {
    let mut p = Partition::new();
    for i in 0..100 {
        p.created(&format!("a/{i}/t:0:{i}"), "m", 0);
    }
    let mut out = Vec::new();
    assert!(p.0.tick(100_000, 50, &mut out));
    assert!((50..53).contains(&out.len()));
    assert!(!p.0.tick(100_000, 1000, &mut out));
    assert_eq!(out.len(), 200);
}

#[test]
fn a_successor_finds_what_was_remembered() {
    let mut join = Join::new(PATIENCE);
    let mut out = Vec::new();
    let mut put = |join: &mut Join, key: &str, value: Option<Value>| {
        let key = Key::parse(key.as_bytes()).unwrap();
        match value {
            Some(value) => join.record(&key, value, 0, &mut out),
            None => join.tombstone(&key),
        }
        assert_eq!(out, []);
    };
    let parked = |raw: &'static str, digest| Value::Parked {
        delivery: raw.into(),
        receipt: receipt(DELIVERED, digest),
        published_at: None,
    };
    put(&mut join, "a/1/t:0:1", Some(creation("one", 0)));
    put(&mut join, "a/2/t:0:2", Some(creation("two", 0)));
    put(&mut join, "a/2/t:0:2", None);
    let finished = Value::Creation {
        raw: "one!".into(),
        submitted_at: 0,
        recipients: Some(1),
        seen: vec![receipt(DELIVERED, 1)],
        final_at: Some(5),
    };
    put(&mut join, "a/1/t:0:1", Some(finished));
    // The predecessor died between a creation and its parked receipt.
    put(&mut join, "a/3/@7", Some(parked("d7", 7)));
    put(&mut join, "a/3/t:0:3", Some(creation("three", 0)));
    put(&mut join, "a/4/@8", Some(parked("d8", 8)));
    join.live(100, &mut out);
    assert_eq!(
        lines(&out),
        ["d7 of three", "a/3/t:0:3 = [2] Some(100)", "a/3/@7 = null"]
    );
    let mut p = Partition(join);
    assert_eq!(p.delivered("a/1", 9, receipt(DELIVERED, 1), 101), [""; 0]);
    assert_eq!(p.tick(159), [""; 0]);
    assert_eq!(p.tick(160), ["d8 alone", "a/4/@8 = Some(160)"]);
    assert_eq!(p.tick(1005), ["a/1/t:0:1 = null"]);
}

#[test]
fn our_own_records_coming_back_change_nothing() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(DELIVERED, 1), 1);
    assert_eq!(p.tick(2000), ["a/1/t:0:7 = null"]);
    // What was remembered of it comes back when it is forgotten already.
    let mut out = Vec::new();
    let late = Value::Creation {
        raw: "m".into(),
        submitted_at: 0,
        recipients: Some(1),
        seen: vec![receipt(DELIVERED, 1)],
        final_at: Some(1),
    };
    let key = Key::parse(b"a/1/t:0:7").unwrap();
    p.0.record(&key, late, 2001, &mut out);
    assert_eq!((out.len(), p.0.size()), (0, Size::default()));
}

#[test]
fn receipts_without_a_message_take_no_more_memory_than_they_may() {
    const MOST: usize = 2000;
    let mut join = Join::new(Patience {
        parked: MOST,
        ..PATIENCE
    });
    join.live(0, &mut Vec::new());
    let mut p = Partition(join);
    let (mut alone, mut forgotten) = (0, 0);
    for i in 0..100 {
        let said = p.delivered(&format!("a/{i}"), i, receipt(DELIVERED, i as u32), 0);
        alone += said.iter().filter(|l| l.ends_with("alone")).count();
        forgotten += said.iter().filter(|l| l.ends_with("null")).count();
        assert!(p.0.size().waiting <= MOST, "{:?}", p.0.size());
    }
    assert!(alone > 90 && forgotten > 90, "{alone}, {forgotten}");
    assert_eq!(
        p.delivered("a/99", 200, receipt(DELIVERED, 99), 1),
        [""; 0],
        "a repeat of the latest is known"
    );
    for i in 0..100 {
        p.read_back(&format!("a/{i}"), i, 1);
    }
    let left: Vec<String> = p.tick(61).into_iter().chain(p.tick(2000)).collect();
    alone += left.iter().filter(|l| l.ends_with("alone")).count();
    forgotten += left.iter().filter(|l| l.ends_with("null")).count();
    assert_eq!((alone, forgotten), (100, 100), "each once");
    p.0.check_empty();
}

#[test]
fn what_was_published_is_remembered_although_its_creation_is_written_again() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(DELIVERED, 1), 5);
    assert_eq!(
        p.created("a/1/t:0:7", "m", 10),
        ["a/1/t:0:7 = [2] Some(5)"],
        "the last of this key in the log says it again"
    );

    let mut join = Join::new(PATIENCE);
    let key = Key::parse(b"a/1/t:0:7").unwrap();
    let finished = Value::Creation {
        raw: "m".into(),
        submitted_at: 0,
        recipients: Some(1),
        seen: vec![receipt(DELIVERED, 1)],
        final_at: Some(5),
    };
    let mut out = Vec::new();
    for value in [creation("m", 0), finished, creation("m", 0)] {
        join.record(&key, value, 0, &mut out);
    }
    join.live(20, &mut out);
    assert_eq!(lines(&out), ["a/1/t:0:7 = [2] Some(5)"]);
    let mut successor = Partition(join);
    let repeat = successor.delivered("a/1", 1, receipt(DELIVERED, 1), 30);
    assert_eq!(repeat, [""; 0]);
    assert_eq!(successor.tick(1005), ["a/1/t:0:7 = null"], "never overdue");
}

#[test]
fn each_recipient_of_a_multi_has_receipts_and_it_ends_with_the_last() {
    let mut p = Partition::new();
    p.created_to(Some(3), "a/1/t:0:7", "m", 0);
    let (one, two, three) = (41_791_111_111, 41_792_222_222, 41_793_333_333);
    let first = p.delivered("a/1", 0, receipt_of(one, DELIVERED, 1), 10);
    assert_eq!(first, ["d0 of m", "a/1/t:0:7 = [2] None"]);
    let second = p.delivered("a/1", 1, receipt_of(two, DELIVERED, 1), 20);
    assert_eq!(second, ["d1 of m", "a/1/t:0:7 = [2, 2] None"]);
    // Other octets, another spelling, nothing new.
    let national = receipt_of(791_111_111, DELIVERED, 1);
    assert_eq!(p.delivered("a/1", 2, national, 21), [""; 0]);
    assert_eq!(p.tick(50_000), [""; 0], "it waits for the third");
    let failed = p.delivered("a/1", 3, receipt_of(three, UNDELIVERABLE, 2), 50_000);
    assert_eq!(failed, ["d3 of m", "a/1/t:0:7 = [2, 2, 5] Some(50000)"]);
    assert_eq!(p.tick(51_000), ["a/1/t:0:7 = null"]);
    p.0.check_empty();
}

#[test]
fn a_multi_says_how_many_receipts_are_missing() {
    let mut p = Partition::new();
    p.created_to(Some(254), "a/1/t:0:7", "m", 0);
    for n in 0..250 {
        p.delivered("a/1", n, receipt_of(41_790_000_000 + n, ENROUTE, 1), 1);
        let last = receipt_of(41_790_000_000 + n, DELIVERED, 1);
        p.delivered("a/1", 1000 + n, last, 2);
        assert_eq!(p.delivered("a/1", 2000 + n, last, 3), [""; 0]);
    }
    assert_eq!(
        p.tick(100_000),
        ["m overdue, 4 missing", "a/1/t:0:7 = null"]
    );
    p.0.check_empty();
}

#[test]
fn a_multi_that_nobody_gets_waits_for_nothing() {
    let mut p = Partition::new();
    p.created_to(Some(0), "a/1/t:0:7", "m", 0);
    assert_eq!(p.tick(999), [""; 0]);
    assert_eq!(p.tick(1000), ["a/1/t:0:7 = null"]);
    p.created_to(Some(0), "a/1/t:0:7", "m", 2000);
    let strange = p.delivered("a/1", 0, receipt_of(4179, DELIVERED, 1), 2500);
    assert_eq!(strange, ["d0 of m", "a/1/t:0:7 = [2] Some(2500)"]);
    assert_eq!(p.tick(3500), ["a/1/t:0:7 = null"]);
    p.0.check_empty();
}

#[test]
fn a_multi_to_lists_is_overdue_only_if_nothing_came() {
    let mut p = Partition::new();
    p.created_to(None, "a/1/t:0:7", "one", 0);
    p.created_to(None, "a/2/t:0:8", "two", 0);
    for n in 0..300 {
        let r = receipt_of(41_790_000_000 + n, DELIVERED, 1);
        assert_eq!(p.delivered("a/1", n, r, 1).len(), 2);
    }
    p.delivered("a/2", 900, receipt_of(4179, ENROUTE, 1), 1);
    let mut said = p.tick(100_000);
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "a/1/t:0:7 = null",
            "a/2/t:0:8 = null",
            "two overdue, nobody knows how many"
        ]
    );
    p.0.check_empty();
}

#[test]
fn recipients_that_cannot_be_compared_are_taken_for_different_ones() {
    let mut p = Partition::new();
    p.created_to(Some(2), "a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(DELIVERED, 1), 1);
    let masked = Seen {
        report: Some(2),
        ..receipt(DELIVERED, 2)
    };
    let first = Seen {
        report: Some(1),
        ..receipt(DELIVERED, 1)
    };
    let mut q = Partition::new();
    q.created_to(Some(2), "a/1/t:0:7", "m", 0);
    q.delivered("a/1", 0, first, 1);
    assert_eq!(
        q.delivered("a/1", 1, masked, 2),
        ["d1 of m", "a/1/t:0:7 = [2, 2] Some(2)"]
    );
}

#[test]
fn a_corrected_final_receipt_is_published_and_keeps_nothing_longer() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt_of(4179, UNDELIVERABLE, 1), 5);
    let corrected = receipt_of(4179, UNDELIVERABLE, 2);
    assert_eq!(
        p.delivered("a/1", 1, corrected, 900),
        ["d1 of m", "a/1/t:0:7 = [5, 5] Some(5)"]
    );
    let other_octets = Seen {
        digest: 77,
        ..corrected
    };
    assert_eq!(p.delivered("a/1", 2, other_octets, 901), [""; 0]);
    assert_eq!(p.tick(1005), ["a/1/t:0:7 = null"]);
    p.0.check_empty();
}

#[test]
fn receipts_from_the_wire_are_told_apart_by_recipient_state_date_and_error() {
    use crate::correlate::read::{Said, delivery};
    use crate::smpp::pdu::Sm;
    use crate::smpp::{Address, Command, Status};
    let read = |from: Address<'_>, to: &str, text: &str| {
        let mut pdu = Vec::new();
        Sm {
            source: from,
            destination: Address::parse(to),
            esm_class: 4,
            short_message: text.as_bytes(),
            ..Sm::default()
        }
        .encode(Command::DELIVER_SM, Status::ROK, 1, &mut pdu)
        .unwrap();
        let delivered = crate::record::internal::Delivery {
            esme: "acme".into(),
            bind: "b".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
            pdu,
        };
        let octets = serde_json::to_vec(&delivered).unwrap();
        let read = delivery(
            b"acme/7F",
            &octets,
            &Default::default(),
            &Default::default(),
        );
        match read.unwrap_or_else(|_| panic!("unread")).said {
            Said::Receipt(seen) => seen,
            Said::Part(_) => panic!("a part"),
        }
    };
    let phone = Address::parse;
    let text = "id:7F submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:Dear";
    let first = read(phone("+41791111111"), "1234", text);
    let national = Address {
        number: b"0791111111",
        ..Address::default()
    };
    let international = Address {
        number: b"0041791111111",
        ..Address::default()
    };
    let seconds = text.replace("2601010001", "260101000100");
    for (same, why) in [
        (read(national, "1234", text), "a national number"),
        (read(international, "1234", text), "an international one"),
        (
            read(phone("+41791111111"), "1234", &seconds),
            "the date with seconds",
        ),
        (
            read(phone("+41791111111"), "1234", &text.replace("Dear", "")),
            "no text",
        ),
        (read(phone("4179111XXXX"), "1234", text), "a masked number"),
    ] {
        assert!(first.digest != same.digest, "{why}");
        assert!(first.says_the_same(&same), "{why}");
    }
    let other = |text: String| read(phone("+41791111111"), "1234", &text);
    for (news, why) in [
        (
            read(phone("+41792222222"), "1234", text),
            "another recipient",
        ),
        // Some SMSCs leave the addresses as they were.
        (
            read(phone("1234"), "41791111111", text),
            "the other way round",
        ),
        (other(text.replace("DELIVRD", "UNDELIV")), "another state"),
        (
            other(text.replace("2601010001", "2601010002")),
            "another date",
        ),
        (other(text.replace("err:000", "err:0A7")), "another error"),
    ] {
        assert!(!first.says_the_same(&news), "{why}");
    }
}

#[test]
fn nothing_stays_of_receipts_that_were_early() {
    let mut p = Partition::new();
    for n in 0..1000i64 {
        let (id, now) = (format!("a/{n}"), n * 10);
        p.delivered(&id, n, receipt(DELIVERED, n as u32), now);
        p.read_back(&id, n, now + 1);
        let joined = p.created(&format!("{id}/t:0:{n}"), "m", now + 2);
        assert_eq!(joined[0], format!("d{n} of m"));
        p.tick(now + 2);
        assert!(p.0.known.len() <= 102, "those of one final_retention");
    }
    p.tick(100_000);
    p.0.check_empty();
}

#[test]
fn nothing_stays_of_messages_whose_receipts_came() {
    let mut join = Join::new(Patience {
        grace: 60_000,
        retention: 3_600_000,
        ttl: 3 * 86_400_000,
        parked: PARKED_OCTETS,
    });
    join.live(0, &mut Vec::new());
    let mut p = Partition(join);
    for n in 0..1000i64 {
        p.created(&format!("a/{n}/t:0:{n}"), "m", n);
        p.delivered(&format!("a/{n}"), n, receipt(DELIVERED, n as u32), n);
    }
    let mut out = Vec::new();
    while p.0.tick(4_000_000, 100, &mut out) {
        out.clear();
    }
    p.0.check_empty();
}

#[test]
fn a_receipt_that_the_log_does_not_take_is_published_at_once_and_ends() {
    let mut p = Partition::new();
    p.delivered("a/1", 4, receipt(DELIVERED, 1), 10);
    let mut out = Vec::new();
    p.0.unkept("a/1", 4, 20, &mut out);
    p.0.check();
    assert_eq!(lines(&out), ["d4 alone"]);
    let repeat = p.delivered("a/1", 5, receipt(DELIVERED, 1), 30);
    assert_eq!(repeat, [""; 0], "it is remembered for a while");
    out.clear();
    p.0.unkept("a/1", 4, 40, &mut out);
    p.0.unkept("a/2", 4, 40, &mut out);
    assert_eq!(out, [], "once");
    assert_eq!(p.tick(1020), ["a/1/@4 = null"]);
    p.0.check_empty();
}

#[test]
fn a_parked_receipt_that_comes_back_unreadable_waits_no_longer_than_others() {
    let mut p = Partition::new();
    p.delivered("a/1", 4, receipt(DELIVERED, 1), 10);
    let key = Key::Parked {
        identity: "a/1",
        offset: 4,
    };
    p.0.skipped(&key, 20);
    assert_eq!(p.tick(79), [""; 0]);
    assert_eq!(p.tick(80), ["d4 alone", "a/1/@4 = Some(80)"]);
}

#[test]
fn times_of_a_clock_that_was_far_ahead_end_too() {
    const FAR: Millis = 10 * 365 * 86_400_000;
    let mut p = Partition::new();
    let mut out = Vec::new();
    let key = Key::parse(b"a/1/t:0:7").unwrap();
    p.0.record(&key, creation("m", FAR), 10, &mut out);
    assert_eq!(p.tick(100_010), ["m overdue", "a/1/t:0:7 = null"]);
    p.0.check_empty();
}
