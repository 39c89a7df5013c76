use super::*;
use crate::correlate::delivery_of;

const LIMITS: JoinLimits = JoinLimits {
    moment: 5,
    grace: 60,
    retention: 1000,
    ttl: 100_000,
    parked_octets: usize::MAX,
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
        ambiguous: false,
        session: None,
    }
}

/// A receipt about one of several recipients, in octets of its own.
fn receipt_of(recipient: i64, state: u8, report: u32) -> Seen {
    Seen {
        state,
        digest: crc32fast::hash(format!("{recipient} {state} {report}").as_bytes()),
        recipient: Some(recipient),
        report: Some(report),
        ambiguous: false,
        session: None,
    }
}

fn entry(raw: &'static str, submitted_at: Millis) -> Value {
    entry_to(Some(1), raw, submitted_at)
}

fn entry_to(recipients: Option<u32>, raw: &'static str, submitted_at: Millis) -> Value {
    Value::Entry {
        raw: raw.into(),
        stated: false,
        submitted_at,
        recipients,
        to: To::One(0),
        sender: 0,
        reference: None,
        seen: vec![],
        final_at: None,
    }
}

impl Join {
    /// Its indexes and its size are those of its identities.
    pub(super) fn check(&self) {
        let (mut size, mut timers, mut parked) = (Size::default(), vec![], vec![]);
        for (name, state) in &self.identities {
            state.check(&self.limits);
            let of = state.size(name.len());
            assert!(of.octets > 0, "{name} is empty");
            size.entries += of.entries;
            size.parked += of.parked;
            size.octets += of.octets;
            size.receipt_octets += of.receipt_octets;
            timers.extend(state.due(&self.limits).map(|at| (at, name.clone())));
            parked.extend(state.offsets().into_iter().map(|at| (at, name.clone())));
        }
        assert_eq!(self.size, size);
        for name in self.asleep.check(&self.limits) {
            assert!(!self.identities.contains_key(&*name), "{name} is both");
        }
        if self.live {
            timers.sort_unstable();
            parked.sort_unstable();
            assert!(self.timers.iter().eq(&timers), "timers");
            assert!(self.parked_by_age.iter().eq(&parked), "parked");
        }
    }

    /// Nothing is left of anything.
    pub(super) fn check_empty(&self) {
        self.check();
        let left = (
            self.identities.len(),
            self.timers.len(),
            self.parked_by_age.len(),
        );
        assert_eq!((left, self.size()), ((0, 0, 0), Size::default()));
    }
}

/// A partition as it runs: effects as one line each.
struct Partition(Join);

impl Partition {
    fn new() -> Self {
        let mut join = Join::new(LIMITS);
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
        let value = entry_to(recipients, raw, now);
        self.0.record(&key, value, now, &mut out);
        self.0.check();
        lines(&out)
    }

    fn delivered(
        &mut self,
        id: &str,
        offset: i64,
        r: impl Into<Receipt>,
        now: Millis,
    ) -> Vec<String> {
        let mut out = Vec::new();
        let raw = delivery_of(format!("d{offset}"));
        self.0.delivery(id, offset, raw, r.into(), now, &mut out);
        self.0.check();
        lines(&out)
    }

    /// The parked receipt at `offset` comes back from the log.
    fn read_back(&mut self, id: &str, offset: i64, now: Millis) {
        assert_eq!(self.reads_back(id, offset, now), [""; 0]);
    }

    fn reads_back(&mut self, id: &str, offset: i64, now: Millis) -> Vec<String> {
        let mut out = Vec::new();
        let value = Value::Parked {
            delivery: delivery_of(""),
            receipt: receipt(0, 0).into(),
            home: None,
            published_at: None,
        };
        let key = Key::Parked {
            identity: id,
            offset,
        };
        self.0.record(&key, value, now, &mut out);
        self.0.check();
        lines(&out)
    }

    /// A receipt whose home is `a/7F` is looked for under `a/7f`.
    fn visits(&mut self, offset: i64, receipt: Receipt, now: Millis) -> Vec<String> {
        let mut out = Vec::new();
        let raw = delivery_of(format!("d{offset}"));
        let to = ("a/7f", "a/7F");
        self.0.visit(to, offset, raw, receipt, now, &mut out);
        self.0.check();
        lines(&out)
    }

    /// What it finds there, if nothing is written meanwhile.
    fn visit(&mut self, offset: i64, receipt: Receipt, now: Millis) -> String {
        let mut found = self.visits(offset, receipt, now);
        if found == [format!("a/7f/@{offset} = None")] {
            found = self.reads_back("a/7f", offset, now);
        }
        found.into_iter().next().unwrap_or_default()
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
    let came = |delivery: &Delivery| String::from_utf8(delivery.pdu.clone()).unwrap();
    let line = |effect: &Effect| match effect {
        Effect::Publish {
            delivery,
            entry,
            candidates,
            ..
        } => match entry {
            Some(entry) if candidates.is_empty() => {
                format!("{} of {}", came(delivery), text(entry))
            }
            Some(entry) => {
                assert_eq!(entry, &candidates[0]);
                let mut all: Vec<String> = candidates.iter().map(text).collect();
                if all.len() == 1 {
                    all.push("another".to_owned());
                }
                format!("{} of {}", came(delivery), all.join(" or "))
            }
            None => format!("{} alone", came(delivery)),
        },
        Effect::Overdue { entry, missing } => match missing {
            Some(1) => format!("{} overdue", text(entry)),
            Some(n) => format!("{} overdue, {n} missing", text(entry)),
            None => format!("{} overdue, nobody knows how many", text(entry)),
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
        Effect::Move {
            to,
            delivery,
            home,
            tries,
            unanswered,
        } => match home {
            Some(home) => format!("{} from {home} to {to}", came(delivery)),
            None if *unanswered => format!("{} back to {to} unanswered", came(delivery)),
            None => format!("{} back to {to}, {tries} tries", came(delivery)),
        },
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
    // Of versions that did not remember recipients: nobody knows which is which.
    let first = p.delivered("a/1", 0, receipt(DELIVERED, 1), 20);
    assert_eq!(first[0], "d0 of new or old");
    let repeat = p.delivered("a/1", 1, receipt(DELIVERED, 1), 30);
    assert_eq!(repeat, [""; 0]);
    let second = p.delivered("a/1", 2, receipt(DELIVERED, 2), 40);
    assert_eq!(second[0], "d2 of old or new");
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
    let mut join = Join::new(LIMITS);
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
        delivery: delivery_of(raw),
        receipt: receipt(DELIVERED, digest).into(),
        home: None,
        published_at: None,
    };
    put(&mut join, "a/1/t:0:1", Some(entry("one", 0)));
    put(&mut join, "a/2/t:0:2", Some(entry("two", 0)));
    put(&mut join, "a/2/t:0:2", None);
    let finished = Value::Entry {
        raw: "one!".into(),
        stated: false,
        submitted_at: 0,
        recipients: Some(1),
        to: To::One(0),
        sender: 0,
        reference: None,
        seen: vec![receipt(DELIVERED, 1)],
        final_at: Some(5),
    };
    put(&mut join, "a/1/t:0:1", Some(finished));
    // The predecessor died between an entry and its parked receipt.
    put(&mut join, "a/3/@7", Some(parked("d7", 7)));
    put(&mut join, "a/3/t:0:3", Some(entry("three", 0)));
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
    let late = Value::Entry {
        raw: "m".into(),
        stated: false,
        submitted_at: 0,
        recipients: Some(1),
        to: To::One(0),
        sender: 0,
        reference: None,
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
    let mut join = Join::new(JoinLimits {
        parked_octets: MOST,
        ..LIMITS
    });
    join.live(0, &mut Vec::new());
    let mut p = Partition(join);
    let (mut alone, mut forgotten) = (0, 0);
    for i in 0..100 {
        let said = p.delivered(&format!("a/{i}"), i, receipt(DELIVERED, i as u32), 0);
        alone += said.iter().filter(|l| l.ends_with("alone")).count();
        forgotten += said.iter().filter(|l| l.ends_with("null")).count();
        assert!(p.0.size().receipt_octets <= MOST, "{:?}", p.0.size());
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

    let mut join = Join::new(LIMITS);
    let key = Key::parse(b"a/1/t:0:7").unwrap();
    let finished = Value::Entry {
        raw: "m".into(),
        stated: false,
        submitted_at: 0,
        recipients: Some(1),
        to: To::One(0),
        sender: 0,
        reference: None,
        seen: vec![receipt(DELIVERED, 1)],
        final_at: Some(5),
    };
    let mut out = Vec::new();
    for value in [entry("m", 0), finished, entry("m", 0)] {
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
    use crate::correlate::decode::{DeliveryKind, parse};
    use smpp_protocol::pdu::Sm;
    use smpp_protocol::{Address, Command, Status};
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
        let delivery = delivery_of(pdu);
        match parse("acme/7F", &delivery, &Default::default()) {
            Ok(DeliveryKind::Receipt(_, receipt)) => receipt.seen,
            _ => panic!("no receipt"),
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
        assert!(p.0.identities.len() <= 102, "those of one final_retention");
    }
    p.tick(100_000);
    p.0.check_empty();
}

#[test]
fn nothing_stays_of_messages_whose_receipts_came() {
    let mut join = Join::new(JoinLimits {
        moment: 5,
        grace: 60_000,
        retention: 3_600_000,
        ttl: 3 * 86_400_000,
        parked_octets: PARKED_OCTETS,
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
fn the_same_octets_go_out_alone_once_however_their_wait_ends() {
    let alike = |tries| {
        let mut receipt = said(ANNA, "1000", DELIVERED, 1);
        (receipt.seen.session, receipt.tries) = (Some(1), tries);
        receipt
    };
    let mut p = Partition::new();
    p.delivered("a/1", 0, alike(TRIES), 10);
    let again = p.delivered("a/1", 1, alike(TRIES), 11);
    assert_eq!(again, ["a/1/@1 = null"], "it came home in vain as well");
    p.delivered("a/1", 2, alike(0), 12);
    let mut out = Vec::new();
    p.0.unkept("a/1", 2, 13, &mut out);
    p.0.check();
    assert_eq!(out, [], "the log does not take it");
    assert_eq!(p.tick(1010), ["a/1/@0 = null"]);
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
    p.0.skipped(&key, 20, &mut Vec::new());
    assert_eq!(p.tick(79), [""; 0]);
    assert_eq!(p.tick(80), ["d4 alone", "a/1/@4 = Some(80)"]);
}

#[test]
fn times_of_a_clock_that_was_far_ahead_end_too() {
    const FAR: Millis = 10 * 365 * 86_400_000;
    let mut p = Partition::new();
    let mut out = Vec::new();
    let key = Key::parse(b"a/1/t:0:7").unwrap();
    p.0.record(&key, entry("m", FAR), 10, &mut out);
    assert_eq!(p.tick(100_010), ["m overdue", "a/1/t:0:7 = null"]);
    p.0.check_empty();
}

/// A message as it was submitted, and remembered.
#[derive(Clone, Copy)]
struct Message {
    raw: &'static str,
    from: &'static str,
    to: &'static str,
    at: Millis,
}

const fn message(raw: &'static str, to: &'static str, at: Millis) -> Message {
    Message {
        raw,
        from: "1000",
        to,
        at,
    }
}

fn number(text: &str) -> Option<i64> {
    crate::record::internal::number(text.as_bytes())
}

/// A final receipt as the SMSC writes it.
fn said(from: &str, to: &str, state: u8, report: u32) -> Receipt {
    Receipt {
        to: number(to),
        ..Receipt::from(Seen {
            state,
            digest: crc32fast::hash(format!("{from} {to} {state} {report}").as_bytes()),
            recipient: number(from),
            report: Some(report),
            ambiguous: false,
            session: None,
        })
    }
}

impl Partition {
    /// Of each message, under one id, the SMSC's answer.
    fn answered(&mut self, id: &str, messages: &[Message]) -> Vec<String> {
        let mut lines_of_all = Vec::new();
        for message in messages {
            // The records are told apart by what they are called.
            let record = crc32fast::hash(message.raw.as_bytes());
            let submission = format!("t:0:{record}");
            let mut out = Vec::new();
            let value = Value::Entry {
                raw: message.raw.into(),
                stated: false,
                submitted_at: message.at,
                recipients: Some(1),
                to: To::One(number(message.to).unwrap_or_default()),
                sender: sender_digest(number(message.from)),
                reference: None,
                seen: vec![],
                final_at: None,
            };
            let key = Key::Entry {
                identity: id,
                submission: &submission,
            };
            self.0.record(&key, value, message.at, &mut out);
            self.0.check();
            lines_of_all.extend(lines(&out));
        }
        lines_of_all
    }

    /// The event of a receipt, if there is one.
    fn event(&mut self, id: &str, offset: i64, receipt: Receipt, now: Millis) -> String {
        let lines = self.delivered(id, offset, receipt, now);
        lines.into_iter().next().unwrap_or_default()
    }
}

const ANNA: &str = "41791111111";
const BEAT: &str = "41792222222";
const CARL: &str = "41793333333";

#[test]
fn whose_a_receipt_is_under_an_id_that_several_have() {
    let anna = message("anna", ANNA, 100);
    let beat = message("beat", BEAT, 200);
    let nobody = Message { to: "", ..anna };
    let from_shop = Message {
        from: "SHOP",
        ..message("shop", ANNA, 200)
    };
    let to_beat_from_anna = Message {
        from: ANNA,
        ..message("reply", BEAT, 300)
    };
    let to_anna_from_beat = Message {
        from: BEAT,
        ..message("question", ANNA, 400)
    };
    let part = |from, to| said(from, to, DELIVERED, 1);
    for (why, messages, receipt, event) in [
        (
            "of the first",
            &[anna, beat][..],
            part(ANNA, "1000"),
            "d0 of anna",
        ),
        (
            "of the second",
            &[anna, beat],
            part(BEAT, "1000"),
            "d0 of beat",
        ),
        (
            "national",
            &[anna, beat],
            part("0791111111", "1000"),
            "d0 of anna",
        ),
        (
            "with 00",
            &[anna, beat],
            part("004179-111 11 11", "1000"),
            "d0 of anna",
        ),
        (
            "as submitted",
            &[anna, beat],
            part("1000", ANNA),
            "d0 of anna",
        ),
        (
            "as submitted, national",
            &[anna, beat],
            part("1000", "0791111111"),
            "d0 of anna",
        ),
        (
            "a stranger's",
            &[anna, beat],
            part(CARL, "1000"),
            "a/1/@0 = None",
        ),
        (
            "a stranger's, of one",
            &[anna],
            part(CARL, "1000"),
            "a/1/@0 = None",
        ),
        (
            "a stranger's, to a name",
            &[anna],
            part(CARL, "SHOP"),
            "a/1/@0 = None",
        ),
        (
            "a stranger's, as submitted",
            &[anna],
            part("1000", CARL),
            "a/1/@0 = None",
        ),
        (
            "a stranger's, from a name",
            &[from_shop],
            part("SHOP", CARL),
            "a/1/@0 = None",
        ),
        (
            "a stranger's, rewritten",
            &[from_shop],
            part("7777", CARL),
            "a/1/@0 = None",
        ),
        ("cut", &[anna], part("417911", "1000"), "d0 of anna"),
        (
            "cut, and another cannot be",
            &[anna, beat],
            part("41791111", "1000"),
            "d0 of anna",
        ),
        (
            "too short to tell",
            &[anna, beat],
            part("417911", "1000"),
            "d0 of beat or anna",
        ),
        ("its end only", &[anna], part("1111", "1000"), "d0 of anna"),
        ("masked", &[anna], part("4179111XXXX", "1000"), "d0 of anna"),
        (
            "masked, as submitted",
            &[anna],
            part("1000", "4179111XXXX"),
            "d0 of anna",
        ),
        (
            "masked, from a service",
            &[anna],
            part("7777", "4179111XXXX"),
            "d0 of anna",
        ),
        ("a name", &[anna], part("ACME", "1000"), "d0 of anna"),
        ("nothing", &[anna], part("", ""), "d0 of anna"),
        (
            "the SMSC's own",
            &[anna],
            part("7042", "1000"),
            "d0 of anna",
        ),
        (
            "the service on both sides",
            &[anna],
            part("1000", "1000"),
            "d0 of anna",
        ),
        (
            "masked, of two",
            &[anna, beat],
            part("41791XXXXXX", "1000"),
            "d0 of beat or anna",
        ),
        (
            "nothing, of two",
            &[anna, beat],
            part("", "1000"),
            "d0 of beat or anna",
        ),
        (
            "an earlier version's",
            &[nobody],
            part(CARL, "1000"),
            "d0 of anna",
        ),
        (
            "one that fits goes first",
            &[nobody, beat],
            part(BEAT, "1000"),
            "d0 of beat",
        ),
        (
            "what was not remembered fits",
            &[nobody, beat],
            part(ANNA, "1000"),
            "d0 of anna",
        ),
        (
            "by the sender",
            &[anna, from_shop],
            part(ANNA, "shop"),
            "d0 of shop",
        ),
        (
            "by the other sender",
            &[from_shop, anna],
            part(ANNA, "1000"),
            "d0 of anna",
        ),
        (
            "by neither sender",
            &[anna, from_shop],
            part(ANNA, "999"),
            "d0 of shop or anna",
        ),
        (
            "as submitted, by the sender",
            &[anna, from_shop],
            part("SHOP", ANNA),
            "d0 of shop",
        ),
        (
            "both ways, of the reply",
            &[to_beat_from_anna, to_anna_from_beat],
            part(BEAT, ANNA),
            "d0 of reply",
        ),
        (
            "both ways, of the question",
            &[to_beat_from_anna, to_anna_from_beat],
            part(ANNA, BEAT),
            "d0 of question",
        ),
    ] {
        let mut p = Partition::new();
        p.answered("a/1", messages);
        assert_eq!(p.event("a/1", 0, receipt, 500), event, "{why}");
        assert_eq!(p.event("a/1", 1, receipt, 501), "", "{why}: a repeat");
    }
}

#[test]
fn after_a_restart_of_the_smsc_an_early_receipt_waits_for_its_own_message() {
    for finished in [false, true] {
        let mut p = Partition::new();
        p.answered("a/1", &[message("old", ANNA, 0)]);
        if finished {
            let first = p.event("a/1", 0, said(ANNA, "1000", DELIVERED, 1), 10);
            assert_eq!(first, "d0 of old");
        }
        let early = said(BEAT, "1000", DELIVERED, 2);
        assert_eq!(p.delivered("a/1", 1, early, 20), ["a/1/@1 = None"]);
        assert_eq!(p.delivered("a/1", 2, early, 21), [""; 0], "a repeat");
        p.read_back("a/1", 1, 22);
        let answered = p.answered("a/1", &[message("new", BEAT, 30)]);
        assert_eq!(answered[0], "d1 of new");
        assert_eq!(answered[2], "a/1/@1 = null");
        if !finished {
            let late = p.event("a/1", 3, said(ANNA, "1000", DELIVERED, 3), 40);
            assert_eq!(late, "d3 of old");
        }
        p.tick(2000);
        p.0.check_empty();
    }
}

#[test]
fn a_receipt_that_contradicts_all_goes_out_alone_and_is_nobodys() {
    let mut p = Partition::new();
    p.answered("a/1", &[message("old", ANNA, 0)]);
    let lost = said(BEAT, "1000", DELIVERED, 1);
    p.delivered("a/1", 0, lost, 10);
    p.read_back("a/1", 0, 10);
    assert_eq!(p.answered("a/1", &[message("carl", CARL, 20)]), [""; 0]);
    assert_eq!(p.tick(69), [""; 0]);
    assert_eq!(p.tick(70), ["d0 alone", "a/1/@0 = Some(70)"]);
    assert_eq!(p.delivered("a/1", 1, lost, 80), [""; 0], "a repeat");
    let own = p.event("a/1", 2, said(ANNA, "1000", DELIVERED, 1), 90);
    assert_eq!(own, "d2 of old");
    let own = p.event("a/1", 3, said(CARL, "1000", DELIVERED, 1), 90);
    assert_eq!(own, "d3 of carl");
    let mut ends = p.tick(2000);
    ends.sort_unstable();
    assert!(ends.iter().all(|line| line.ends_with("null")), "{ends:?}");
    p.0.check_empty();
}

#[test]
fn a_successor_leaves_a_stranger_waiting() {
    let mut join = Join::new(LIMITS);
    let mut out = Vec::new();
    let parked = Value::Parked {
        delivery: delivery_of("d7"),
        receipt: said(BEAT, "1000", DELIVERED, 1),
        home: None,
        published_at: None,
    };
    let key = Key::parse(b"a/1/@7").unwrap();
    join.record(&key, parked, 0, &mut out);
    let mut p = Partition(join);
    p.answered("a/1", &[message("anna", ANNA, 0)]);
    p.0.live(100, &mut out);
    p.0.check();
    assert_eq!(out, []);
    assert_eq!(p.tick(160), ["d7 alone", "a/1/@7 = Some(160)"]);
}

#[test]
fn two_messages_to_one_recipient_are_told_apart_by_the_date_or_not_at_all() {
    const HOUR: Millis = 3_600_000;
    const AT: Millis = 1_767_225_600_000; // 2026-01-01T00:00:00Z
    let first = message("first", ANNA, AT + 30_000);
    let second = message("second", ANNA, AT + 5 * 60_000);
    let dated = |minutes: i64, zone: Millis, zoned, lasts| Receipt {
        submitted: Some(Dated {
            at: AT + minutes * 60_000 + zone,
            zoned,
            lasts,
        }),
        ..said(ANNA, "1000", DELIVERED, minutes as u32)
    };
    for (why, receipt, event) in [
        ("UTC", dated(0, 0, false, 60_000), "d0 of first"),
        ("UTC", dated(5, 0, false, 60_000), "d0 of second"),
        (
            "local time",
            dated(0, 2 * HOUR, false, 60_000),
            "d0 of first",
        ),
        (
            "local time",
            dated(5, 2 * HOUR, false, 60_000),
            "d0 of second",
        ),
        (
            "in Nepal",
            dated(5, 345 * 60_000, false, 60_000),
            "d0 of second",
        ),
        (
            "in America",
            dated(0, -10 * HOUR, false, 60_000),
            "d0 of first",
        ),
        ("with its zone", dated(5, 0, true, 60_000), "d0 of second"),
        ("seconds", dated(5, 1000, false, 1000), "d0 of second"),
        (
            "another hour",
            dated(5, HOUR, true, 60_000),
            "d0 of second or first",
        ),
        (
            "a clock that is wrong",
            dated(2, 0, false, 60_000),
            "d0 of second or first",
        ),
        (
            "of another year",
            dated(0, 9000 * HOUR, false, 60_000),
            "d0 of second or first",
        ),
        (
            "none",
            said(ANNA, "1000", DELIVERED, 9),
            "d0 of second or first",
        ),
    ] {
        let mut p = Partition::new();
        p.0.limits.ttl = HOUR;
        p.answered("a/1", &[first, second]);
        let now = AT + 10 * 60_000;
        assert_eq!(p.event("a/1", 0, receipt, now), event, "{why}");
    }
}

#[test]
fn what_was_published_of_a_guess_does_not_make_the_next_one_sure() {
    let mut p = Partition::new();
    let all = [
        message("one", ANNA, 0),
        message("two", ANNA, 1),
        message("three", ANNA, 2),
    ];
    p.answered("a/1", &all);
    let receipt = |report| said(ANNA, "1000", DELIVERED, report);
    assert_eq!(
        p.event("a/1", 0, receipt(1), 10),
        "d0 of three or two or one"
    );
    assert_eq!(
        p.event("a/1", 1, receipt(2), 11),
        "d1 of two or one or three"
    );
    assert_eq!(
        p.event("a/1", 2, receipt(3), 12),
        "d2 of one or three or two"
    );
    // All have one: whose this corrects nobody knows either, and what one of them said is known.
    assert_eq!(
        p.event("a/1", 3, receipt(4), 13),
        "d3 of three or two or one"
    );
    let other_octets = |report| {
        let mut receipt = receipt(report);
        receipt.seen.digest ^= 1;
        receipt
    };
    for (offset, report) in (4..).zip(1..=4) {
        assert_eq!(p.event("a/1", offset, other_octets(report), 14), "");
    }
    p.tick(100_000);
    p.0.check_empty();

    // One that is sure ends its message: the next is the other's.
    let mut p = Partition::new();
    let shop = Message {
        from: "SHOP",
        ..message("shop", ANNA, 5)
    };
    p.answered("a/1", &[message("one", ANNA, 0), shop]);
    assert_eq!(
        p.event("a/1", 0, said(ANNA, "SHOP", DELIVERED, 1), 10),
        "d0 of shop"
    );
    assert_eq!(
        p.event("a/1", 1, said(ANNA, "", DELIVERED, 2), 11),
        "d1 of one"
    );
}

#[test]
fn a_receipt_is_swallowed_only_if_it_differs_in_nothing() {
    let first = said("4179111XXXX", "1000", UNDELIVERABLE, 1);
    for (why, other) in [
        ("recipient", said("4179222XXXX", "1000", UNDELIVERABLE, 1)),
        ("state", said("4179111XXXX", "1000", DELIVERED, 1)),
        (
            "date or error",
            said("4179111XXXX", "1000", UNDELIVERABLE, 2),
        ),
    ] {
        let mut p = Partition::new();
        p.answered("a/1", &[message("anna", ANNA, 0)]);
        assert_eq!(p.event("a/1", 0, first, 10), "d0 of anna");
        assert_eq!(p.event("a/1", 1, other, 11), "d1 of anna", "{why}");
        // A checksum of its octets that is another's by chance makes it none.
        let mut p = Partition::new();
        p.answered("a/1", &[message("anna", ANNA, 0)]);
        p.delivered("a/1", 0, first, 10);
        let mut collides = said("4179111XXXX", "1000", UNDELIVERABLE, 7);
        collides.seen.digest = first.seen.digest;
        assert_eq!(p.event("a/1", 1, collides, 11), "d1 of anna");
        assert_eq!(p.event("a/1", 2, first, 12), "", "a repeat");
    }
}

#[test]
fn a_message_submitted_after_the_receipt_came_is_another() {
    let came = |at| Receipt {
        received: Some(at),
        ..said(ANNA, "1000", DELIVERED, 1)
    };
    let mut p = Partition::new();
    p.delivered("a/1", 0, came(1_000), 1_000);
    assert_eq!(
        p.answered("a/1", &[message("later", ANNA, 30_000)]),
        [""; 0]
    );
    p.read_back("a/1", 0, 30_000);
    assert_eq!(p.tick(30_000 + LIMITS.moment), [""; 0]);
    let answered = p.answered("a/1", &[message("own", ANNA, 900)]);
    assert_eq!(answered[0], "d0 of own");
}

#[test]
fn parts_of_one_message_under_one_id_are_one_message() {
    let mut p = Partition::new();
    for (key, raw) in [("a/1/t.1:0:7.1", "m1"), ("a/1/t.1:0:7.2", "m2")] {
        p.created(key, raw, 0);
    }
    assert_eq!(
        p.event("a/1", 0, receipt(DELIVERED, 1).into(), 1),
        "d0 of m2"
    );
    assert_eq!(
        p.event("a/1", 1, receipt(DELIVERED, 2).into(), 2),
        "d1 of m1"
    );
    p.created("a/1/t.1:0:8.1", "other", 3);
    let r = receipt(ENROUTE, 3);
    assert_eq!(p.event("a/1", 2, r.into(), 4), "d2 of other");
}

#[test]
fn a_multi_knows_its_recipients_whichever_way_round() {
    let to = To::Several([ANNA, BEAT].map(|to| number(to).unwrap()).into());
    for turned in [false, true] {
        let mut p = Partition::new();
        let key = Key::parse(b"a/1/t:0:7").unwrap();
        let value = Value::Entry {
            raw: "multi".into(),
            stated: false,
            submitted_at: 0,
            recipients: Some(2),
            to: to.clone(),
            sender: sender_digest(number("1000")),
            reference: None,
            seen: vec![],
            final_at: None,
        };
        p.0.record(&key, value, 0, &mut Vec::new());
        p.answered("a/1", &[message("carl", CARL, 1)]);
        let about = |phone: &str, report| {
            if turned {
                said("1000", phone, DELIVERED, report)
            } else {
                said(phone, "1000", DELIVERED, report)
            }
        };
        assert_eq!(
            p.delivered("a/1", 0, about(ANNA, 1), 10),
            ["d0 of multi", "a/1/t:0:7 = [2] None"]
        );
        assert_eq!(
            p.event("a/1", 1, about("0791111111", 1), 11),
            "",
            "a repeat"
        );
        assert_eq!(p.event("a/1", 2, about(CARL, 1), 12), "d2 of carl");
        assert_eq!(
            p.delivered("a/1", 3, about("0792222222", 1), 13),
            ["d3 of multi", "a/1/t:0:7 = [2, 2] Some(13)"]
        );
        p.tick(1013);
        p.0.check_empty();
    }
}

#[test]
fn so_many_candidates_are_named() {
    let mut p = Partition::new();
    for n in 0..40 {
        p.created(&format!("a/1/t:0:{n}"), "m", n);
    }
    let event = p.event("a/1", 0, receipt(DELIVERED, 1).into(), 50);
    assert_eq!(event.matches(" or ").count(), CANDIDATES - 1);
}

/// However few ids an SMSC has, whatever is killed in between, and whether or not a receipt outruns
/// its answer: none is another's, none is missing, none is twice.
#[test]
fn receipts_of_messages_to_different_recipients_are_never_mixed_up() {
    let random = fastrand::Rng::with_seed(14);
    for ids in [1, 10, 1000, u64::MAX] {
        let mut random = random.clone();
        let mut p = Partition::new();
        p.0.limits.grace = Millis::MAX / 2;
        let mut events = Vec::new();
        let (mut offset, count) = (0, 300u64);
        for n in 0..count {
            let id = match ids {
                u64::MAX => format!("a/{}", random.u32(..1 << 31)),
                ids => format!("a/{}", n % ids),
            };
            let phone = 41_790_000_000 + n as i64;
            let raw: &'static str = Box::leak(format!("m{n}").into_boxed_str());
            let to: &'static str = Box::leak(phone.to_string().into_boxed_str());
            let turned = random.bool();
            let about = |state| {
                if turned {
                    said("1000", to, state, 1)
                } else {
                    said(&format!("0{}", phone - 41_000_000_000), "1000", state, 1)
                }
            };
            let mut answer = Some(message(raw, to, n as Millis));
            for state in [ENROUTE, DELIVERED, DELIVERED] {
                if random.bool()
                    && let Some(answer) = answer.take()
                {
                    events.extend(p.answered(&id, &[answer]));
                }
                let said = p.delivered(&id, offset, about(state), n as Millis);
                offset += 1;
                events.extend(said);
            }
            if let Some(answer) = answer {
                events.extend(p.answered(&id, &[answer]));
            }
            let of = events.iter().filter(|e| e.ends_with(&format!(" of m{n}")));
            assert_eq!(of.count(), 2, "{ids} ids, {n}: {events:#?}");
        }
        let all = events.iter().filter(|e| e.contains(" of ")).count();
        assert_eq!(all as u64, 2 * count, "{ids} ids");
        assert!(
            !events
                .iter()
                .any(|e| e.contains(" or ") || e.contains("alone"))
        );
    }
}

#[test]
fn a_creation_of_a_clock_days_behind_is_not_overdue_before_its_wait() {
    let limits = JoinLimits {
        ttl: 3 * DAY,
        ..LIMITS
    };
    let mut p = Partition(Join::new(limits));
    p.0.live(0, &mut Vec::new());
    let (key, now) = (Key::parse(b"a/1/t:0:7").unwrap(), 100 * DAY);
    p.0.record(&key, entry_to(Some(1), "m", 0), now, &mut Vec::new());
    p.0.check();
    assert_eq!(p.tick(now + 2 * DAY - 1), [""; 0]);
    assert_eq!(p.tick(now + 2 * DAY), ["m overdue", "a/1/t:0:7 = null"]);
}

#[test]
fn receipts_of_several_messages_may_have_one_offset() {
    let mut p = Partition::new();
    p.delivered("a/1", 4, receipt(DELIVERED, 1), 10);
    p.delivered("a/2", 4, receipt(DELIVERED, 2), 10);
    p.read_back("a/1", 4, 20);
    p.read_back("a/2", 4, 30);
    assert_eq!(p.tick(80), ["d4 alone", "a/1/@4 = Some(80)"]);
    assert_eq!(p.tick(90), ["d4 alone", "a/2/@4 = Some(90)"]);
}

/// A receipt that came then, in a session bound then, with a date of the SMSC's.
fn came(at: Millis, bound_at: Millis, date: Option<Millis>, receipt: Receipt) -> Receipt {
    Receipt {
        received: Some(at),
        bound_at: Some(bound_at),
        submitted: date.map(|at| Dated {
            at,
            zoned: false,
            lasts: 1000,
        }),
        ..receipt
    }
}

#[test]
fn a_receipt_that_may_be_of_a_message_not_known_yet_waits_a_moment() {
    const OLD: Millis = 1_000_000_000;
    const NOW: Millis = OLD + 400_000;
    let old = message("old", ANNA, OLD);
    let new = message("new", ANNA, NOW - 500);
    let receipt = said(ANNA, "1000", DELIVERED, 2);
    let first = said(ANNA, "1000", DELIVERED, 1);
    let (as_ever, restarted) = (OLD - 1, NOW - 1000);
    for (why, ended, session, date, alone, with) in [
        ("as ever", false, as_ever, None, "d9 of old", ""),
        ("its date", false, restarted, Some(OLD), "d9 of old", ""),
        (
            "its date, corrected",
            true,
            as_ever,
            Some(OLD),
            "d9 of old",
            "",
        ),
        (
            "a restart",
            false,
            restarted,
            None,
            "d9 of old",
            "d9 of new or old",
        ),
        (
            "the date of now",
            false,
            as_ever,
            Some(NOW - 400),
            "d9 of old",
            "d9 of new",
        ),
        (
            "it has ended",
            true,
            as_ever,
            None,
            "d9 of old or another",
            "d9 of new",
        ),
        (
            "both",
            true,
            restarted,
            Some(NOW - 400),
            "d9 of old or another",
            "d9 of new",
        ),
        (
            "a clock that is wrong",
            false,
            restarted,
            Some(NOW + 7_654_321),
            "d9 of old",
            "d9 of new or old",
        ),
    ] {
        for turns_up in [false, true] {
            let mut p = Partition::new();
            p.0.limits.retention = 1_000_000;
            p.0.limits.ttl = 1_000_000;
            p.answered("a/1", &[old]);
            if ended {
                assert_eq!(p.event("a/1", 0, first, OLD + 10), "d0 of old");
            }
            let receipt = came(NOW, session, date, receipt);
            let at_once = p.event("a/1", 9, receipt, NOW);
            let waits = !with.is_empty();
            let expected = if waits { "a/1/@9 = None" } else { alone };
            assert_eq!(at_once, expected, "{why}");
            assert_eq!(p.event("a/1", 10, receipt, NOW), "", "{why}: a repeat");
            p.read_back("a/1", 9, NOW);
            let mut events = Vec::new();
            if turns_up {
                events.extend(p.answered("a/1", &[new]));
            }
            let moment = NOW + LIMITS.moment;
            assert_eq!(p.tick(moment - 1), [""; 0], "{why}");
            events.extend(p.tick(moment));
            let event = events.into_iter().find(|event| event.starts_with("d9"));
            let expected = if turns_up { with } else { alone };
            assert_eq!(
                event.unwrap_or_default(),
                if waits { expected } else { "" },
                "{why}"
            );
            p.tick(NOW + 10_000_000);
            p.tick(NOW + 20_000_000);
            p.0.check_empty();
        }
    }
}

#[test]
fn a_user_message_reference_tells_messages_apart() {
    let mut p = Partition::new();
    for (n, raw) in [(7, "seven"), (8, "eight")] {
        let submission = format!("t:0:{n}");
        let key = Key::Entry {
            identity: "a/1",
            submission: &submission,
        };
        let mut value = entry(raw, 0);
        if let Value::Entry { reference, .. } = &mut value {
            *reference = Some(n);
        }
        p.0.record(&key, value, 0, &mut Vec::new());
    }
    let with = |reference, report| Receipt {
        reference: Some(reference),
        received: Some(10),
        ..said(ANNA, "1000", DELIVERED, report)
    };
    assert_eq!(p.event("a/1", 0, with(7, 1), 10), "d0 of seven");
    assert_eq!(p.event("a/1", 1, with(8, 2), 10), "d1 of eight");
    assert_eq!(
        p.event("a/1", 2, with(7, 3), 10),
        "d2 of seven",
        "corrected"
    );

    // Another one is another message's, unless that does not turn up.
    let mut p = Partition::new();
    let mut value = entry("seven", 0);
    if let Value::Entry { reference, .. } = &mut value {
        *reference = Some(7);
    }
    p.0.record(
        &Key::parse(b"a/1/t:0:7").unwrap(),
        value,
        0,
        &mut Vec::new(),
    );
    assert_eq!(p.event("a/1", 0, with(9, 1), 10), "a/1/@0 = None");
    p.read_back("a/1", 0, 10);
    let events = p.tick(15);
    assert_eq!(events[0], "d0 of seven or another");
}

#[test]
fn receipts_that_look_alike_in_one_session_are_of_several_messages() {
    let alike = |session| {
        let mut receipt = said(ANNA, "1000", DELIVERED, 1);
        receipt.seen.session = Some(session);
        receipt
    };
    let all = [message("one", ANNA, 0), message("two", ANNA, 1)];
    let mut p = Partition::new();
    p.answered("a/1", &all);
    assert_eq!(p.event("a/1", 0, alike(1), 10), "d0 of two or one");
    assert_eq!(
        p.event("a/1", 1, alike(2), 11),
        "",
        "said again in another session"
    );
    assert_eq!(p.event("a/1", 2, alike(1), 12), "d2 of one or two");
    assert_eq!(
        p.event("a/1", 3, alike(1), 13),
        "a/1/@3 = None",
        "all have one"
    );
    p.read_back("a/1", 3, 13);
    assert_eq!(p.tick(18), ["a/1/@3 = null"], "and no other turns up");
    // Before the answers too, where ids are known to be used again; and if none comes, they are one.
    for answers in [true, false] {
        let mut p = Partition::new();
        p.answered("a/1", &[message("beat", BEAT, 0), message("carl", CARL, 0)]);
        for offset in 0..2 {
            p.delivered("a/1", offset, alike(1), 10);
            p.read_back("a/1", offset, 10);
        }
        if answers {
            let mut events = p.answered("a/1", &all);
            events.extend(p.tick(50));
            let published = events.iter().filter(|e| e.starts_with('d')).count();
            assert_eq!(published, 2, "{events:?}");
        }
        let ends = p.tick(80);
        let alone = ends.iter().filter(|e| e.ends_with("alone")).count();
        assert_eq!(alone, usize::from(!answers), "{ends:?}");
    }
}

#[test]
fn among_very_many_messages_under_one_id_a_receipt_finds_its_own() {
    const MANY: i64 = 20_000;
    let mut p = Join::new(JoinLimits {
        ttl: 1_000_000,
        ..LIMITS
    });
    p.live(0, &mut Vec::new());
    let phone = |n: i64| 41_790_000_000 + n * 37;
    let mut out = Vec::new();
    for n in 0..MANY {
        let key = format!("a/1/t:0:{n}");
        let value = Value::Entry {
            raw: n.to_string().into(),
            stated: false,
            submitted_at: n,
            recipients: Some(1),
            to: To::One(if n % 100 == 0 { -n - 1 } else { phone(n) }),
            sender: sender_digest(number("1000")),
            reference: None,
            seen: vec![],
            final_at: None,
        };
        p.record(&Key::parse(key.as_bytes()).unwrap(), value, n, &mut out);
    }
    assert_eq!(out, []);
    let state = p.identities.values().next().unwrap();
    for n in (1..MANY).step_by(997) {
        for (from, to) in [
            (format!("+{}", phone(n)), "1000".to_owned()),
            (format!("0{}", phone(n) % 1_000_000_000), "1000".to_owned()),
            ("1000".to_owned(), phone(n).to_string()),
        ] {
            let receipt = said(&from, &to, DELIVERED, 1);
            let near = state.near(&receipt);
            assert_eq!(near.len(), 1, "{from} {to}");
            let whose = state.whose(&receipt, false).unwrap();
            assert_eq!(state.at(whose.at).unwrap().raw, n.to_string());
        }
    }
    // Its beginning is few messages', and a stranger is compared with few.
    let near = |from: &str| state.near(&said(from, "1000", DELIVERED, 1)).len();
    assert!((1..2000).contains(&near("417900370")));
    assert!(
        near("49170000001") < 300,
        "only those with a name for a recipient"
    );
    assert_eq!(near("41790XXXXXX"), MANY as usize);
    p.check();
    for (n, offset) in (1..MANY).step_by(3).zip(0..) {
        let receipt = said(&phone(n).to_string(), "1000", DELIVERED, 1);
        p.delivery("a/1", offset, delivery_of("d"), receipt, n, &mut out);
    }
    p.check();
    while p.tick(5_000_000, 10_000, &mut out) {
        out.clear();
    }
    p.check_empty();
}

/// What a receipt becomes that is looked for under another form of its id.
#[test]
fn a_receipt_in_another_form_visits_its_message_and_comes_back_without() {
    let of = |tries| Receipt {
        tries,
        received: Some(0),
        ..said(ANNA, "1000", DELIVERED, 1)
    };
    // At home: after the moment it goes, comes back, goes again, and at last it stays.
    let mut p = Partition::new();
    p.answered("a/7f", &[message("other", BEAT, 0)]);
    assert_eq!(p.event("a/7E", 0, of(0), 10), "a/7E/@0 = None");
    p.read_back("a/7E", 0, 10);
    assert_eq!(p.tick(15), ["d0 from a/7E to a/7e", "a/7E/@0 = null"]);
    p.delivered("a/7E", 1, of(1), 20);
    p.read_back("a/7E", 1, 20);
    assert_eq!(p.tick(25), ["d1 from a/7E to a/7e", "a/7E/@1 = null"]);
    p.delivered("a/7E", 2, of(2), 30);
    assert_eq!(p.event("a/7E", 3, of(0), 30), "", "a repeat");
    p.read_back("a/7E", 2, 30);
    assert_eq!(p.tick(89), [""; 0]);
    assert_eq!(p.tick(90), ["d2 from a/7E to a/7e", "a/7E/@2 = null"]);
    let last = p.delivered("a/7E", 4, of(3), 95);
    assert_eq!(last, ["d4 alone", "a/7E/@4 = Some(95)"]);
    assert_eq!(p.event("a/7E", 5, of(0), 96), "", "a repeat");
    p.tick(2000);
    // Without a number, or in the form that responses have, it goes nowhere.
    let mut p = Partition::new();
    p.answered("a/7f", &[message("other", BEAT, 0)]);
    for (offset, id, from) in [(0, "a/7E", "4179XXXXXXX"), (1, "a/7e", ANNA)] {
        p.delivered(id, offset, said(from, "1000", DELIVERED, 1), 10);
        p.read_back(id, offset, 10);
    }
    assert_eq!(p.tick(15), [""; 0]);

    // Elsewhere: it finds the message to the recipient that it names, if that is the only one.
    for (why, messages, receipt, expected) in [
        (
            "its own",
            &[message("own", ANNA, 0)][..],
            of(1),
            "d0 of own",
        ),
        (
            "national",
            &[message("own", ANNA, 0)],
            said("0791111111", "1000", DELIVERED, 1),
            "d0 of own",
        ),
        (
            "as submitted",
            &[message("own", ANNA, 0)],
            said("1000", ANNA, DELIVERED, 1),
            "d0 of own",
        ),
        (
            "another's",
            &[message("other", BEAT, 0)],
            of(1),
            "d0 back to a/7F, 2 tries",
        ),
        ("nobody's", &[], of(0), "d0 back to a/7F, 1 tries"),
        (
            "cut",
            &[message("own", ANNA, 0)],
            said("41791111", "1000", DELIVERED, 1),
            "d0 back to a/7F, 1 tries",
        ),
        (
            "one of two",
            &[message("one", ANNA, 0), message("two", ANNA, 1)],
            of(2),
            "d0 back to a/7F, 3 tries",
        ),
    ] {
        let mut p = Partition::new();
        p.answered("a/7f", messages);
        assert_eq!(p.visit(0, receipt, 10), expected, "{why}");
        if expected.contains(" of ") {
            assert_eq!(p.visit(1, receipt, 11), "", "{why}: a repeat");
        }
    }
}

#[test]
fn a_receipt_in_doubt_waits_for_its_moment_at_home() {
    let mut first = said(ANNA, "1000", DELIVERED, 1);
    (first.received, first.seen.session) = (Some(10), Some(1));
    let mut other = said(ANNA, "1000", UNDELIVERABLE, 2);
    (other.received, other.seen.session) = (Some(10), Some(1));
    for (why, receipt, after) in [
        ("it says something else", other, "d1 of own or another"),
        ("it may be another's that looks alike", first, ""),
    ] {
        let mut p = Partition::new();
        p.answered("a/7f", &[message("own", ANNA, 0)]);
        // Of an SMSC that uses its ids again.
        let beats = [message("beat", BEAT, 1), message("beat2", BEAT, 2)];
        p.answered("a/7f", &beats);
        let mut visit = |receipt, now| p.visit(1, receipt, now);
        assert_eq!(visit(first, 10), "d1 back to a/7F, 1 tries", "{why}");
        assert_eq!(visit(first, 15), "d1 of own", "{why}");
        let mut again = receipt;
        again.received = Some(16);
        assert_eq!(visit(again, 17), "d1 back to a/7F, 1 tries", "{why}");
        again.tries = 1;
        assert_eq!(visit(again, 17), after, "{why}, and it has waited");
    }
}

/// A visit for the last time counts when everything is read that was written before it, and not
/// before.
#[test]
fn a_visitor_waits_until_the_log_is_read() {
    let of = |tries| Receipt {
        tries,
        received: Some(0),
        ..said(ANNA, "1000", DELIVERED, 1)
    };
    let own = message("own", ANNA, 0);
    let visited = |tries| {
        let mut p = Partition::new();
        p.answered("a/7f", &[message("other", BEAT, 0)]);
        assert_eq!(p.visits(3, of(tries), 100), ["a/7f/@3 = None"]);
        p
    };

    let tick = |p: &mut Partition, now| {
        let mut ends = p.tick(now);
        ends.retain(|line| !line.contains("overdue") && !line.starts_with("a/7f/t:"));
        ends
    };

    // Its message is read first, as late as may be.
    let mut p = visited(2);
    assert_eq!(tick(&mut p, 99 + UNREAD), [""; 0]);
    let found = p.answered("a/7f", &[own]);
    assert_eq!((&*found[0], &*found[2]), ("d3 of own", "a/7f/@3 = null"));
    p.read_back("a/7f", 3, 200);

    // Its own record is.
    for tries in [0, 1, 2] {
        let mut p = visited(tries);
        let home = format!("d3 back to a/7F, {} tries", tries + 1);
        assert_eq!(p.reads_back("a/7f", 3, 102), [&*home, "a/7f/@3 = null"]);
        assert_eq!(p.answered("a/7f", &[own]), [""; 0], "it is not here");
    }

    // Neither is: it goes home after a moment, for there it is looked for again.
    let mut p = visited(1);
    assert_eq!(p.tick(104), [""; 0]);
    let home = ["d3 back to a/7F, 2 tries", "a/7f/@3 = null"];
    assert_eq!(p.tick(105), home);
    p.read_back("a/7f", 3, 106);

    // Nor for the last time: that it is not answered is said.
    let mut p = visited(2);
    assert_eq!(tick(&mut p, 99 + UNREAD), [""; 0]);
    let home = ["d3 back to a/7F unanswered", "a/7f/@3 = null"];
    assert_eq!(tick(&mut p, 100 + UNREAD), home);

    // The log does not take it, or there are too many.
    let mut p = visited(2);
    let mut out = Vec::new();
    p.0.unkept("a/7f", 3, 110, &mut out);
    assert_eq!(lines(&out), home);
    let mut p = visited(2);
    p.0.limits.parked_octets = 1;
    assert_eq!(
        p.delivered("a/1", 4, receipt(DELIVERED, 9), 110)[1..3],
        home
    );

    // What it says is said again meanwhile.
    let mut p = visited(2);
    assert_eq!(p.visits(4, of(0), 101), [""; 0], "a repeat");
}

#[test]
fn a_visitor_whose_host_dies_is_answered_by_the_successor() {
    for (state, home, expected) in [
        (true, Some("a/7F"), "d3 of own"),
        (false, Some("a/7F"), "d3 back to a/7F, 3 tries"),
        (false, None, ""),
    ] {
        let (mut join, mut out) = (Join::new(LIMITS), Vec::new());
        let parked = Value::Parked {
            delivery: delivery_of("d3"),
            receipt: Receipt {
                tries: 2,
                ..said(ANNA, "1000", DELIVERED, 1)
            },
            home: home.map(Into::into),
            published_at: None,
        };
        let key = Key::parse(b"a/7f/@3").unwrap();
        join.record(&key, parked, 0, &mut out);
        let mut p = Partition(join);
        if state {
            p.answered("a/7f", &[message("own", ANNA, 0)]);
        }
        p.0.live(100, &mut out);
        p.0.check();
        let found = lines(&out);
        assert_eq!(found.first().map_or("", |line| line), expected);
        if !expected.is_empty() {
            assert_eq!(found.last().map_or("", |line| line), "a/7f/@3 = null");
        }
    }
}

#[test]
fn a_sender_counts_among_many_messages_while_one_of_it_is_remembered() {
    const SHOP: &str = "49170000001";
    let mut p = Partition::new();
    for n in 0..100i64 {
        let key = format!("a/1/t:0:{n}");
        let value = Value::Entry {
            raw: n.to_string().into(),
            stated: false,
            submitted_at: n.min(1),
            recipients: Some(1),
            to: To::One(41_790_000_000 + n * 37),
            sender: sender_digest(number(if n == 0 { SHOP } else { "1000" })),
            reference: None,
            seen: vec![],
            final_at: None,
        };
        let key = Key::parse(key.as_bytes()).unwrap();
        p.0.record(&key, value, 1, &mut Vec::new());
    }
    let near = |p: &Partition| {
        let state = p.0.identities.values().next().unwrap();
        state.near(&said(SHOP, "1000", DELIVERED, 1)).len()
    };
    assert_eq!(near(&p), 100, "it comes from a sender, so it names nobody");
    assert_eq!(p.tick(LIMITS.ttl).len(), 2, "the first one is overdue");
    assert_eq!(near(&p), 0, "it comes from a phone that nothing went to");
}

/// What was published of a message is written beside it, which is no other message.
#[test]
fn an_smsc_is_as_hasty_after_a_restore_as_before() {
    let mut join = Join::new(LIMITS);
    let mut out = Vec::new();
    for n in 0..100 {
        // Three of them have an id that another has.
        let identity = format!("a/{}", n.max(3));
        for written in [0, 1, 2] {
            let mut value = entry("m", n);
            if let Value::Entry { seen, .. } = &mut value {
                seen.extend((0..written).map(|n| receipt(ENROUTE, n)));
            }
            let key = format!("{identity}/t:0:{n}");
            join.record(&Key::parse(key.as_bytes()).unwrap(), value, n, &mut out);
        }
    }
    assert!(join.habits.is_hasty("a/1"));
}

#[test]
fn what_an_operator_has_deleted_is_forgotten_with_its_waits() {
    let mut p = Partition::new();
    let tombstone = |p: &mut Partition, key: &str| {
        p.0.tombstone(&Key::parse(key.as_bytes()).unwrap());
        p.0.check();
    };
    p.created("a/1/t:0:7", "m", 10);
    p.created("a/2/t:0:8", "n", 10);
    p.delivered("a/1", 0, receipt(ENROUTE, 1), 20);
    assert_eq!(
        p.delivered("a/3", 1, receipt(ENROUTE, 1), 20),
        ["a/3/@1 = None"]
    );
    p.read_back("a/3", 1, 20);
    tombstone(&mut p, "a/1/t:0:7");
    tombstone(&mut p, "a/3/@1");
    assert_eq!(
        p.delivered("a/1", 2, receipt(DELIVERED, 2), 30),
        ["a/1/@2 = None"]
    );
    p.read_back("a/1", 2, 30);
    assert_eq!(p.tick(91), ["d2 alone", "a/1/@2 = Some(91)"]);
    assert_eq!(
        p.delivered("a/2", 3, receipt(DELIVERED, 3), 95),
        ["d3 of n", "a/2/t:0:8 = [2] Some(95)"]
    );
    tombstone(&mut p, "a/2/t:0:8");
    tombstone(&mut p, "a/1/@2");
    p.0.check_empty();
    assert_eq!(p.tick(1_000_000), [""; 0]);
}
