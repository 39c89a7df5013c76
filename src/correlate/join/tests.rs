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

fn receipt(state: u8, digest: u32) -> Receipt {
    Receipt {
        seen: Seen { state, digest },
        last: state != ENROUTE,
    }
}

fn creation(raw: &'static str, submitted_at: Millis) -> Value {
    Value::Creation {
        raw: raw.into(),
        submitted_at,
        seen: vec![],
        final_at: None,
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
        let mut out = Vec::new();
        let key = Key::parse(key.as_bytes()).unwrap();
        self.0.record(&key, creation(raw, now), now, &mut out);
        lines(&out)
    }

    fn delivered(&mut self, id: &str, offset: i64, r: Receipt, now: Millis) -> Vec<String> {
        let mut out = Vec::new();
        let raw = Bytes::from(format!("d{offset}"));
        self.0.delivery(id, offset, raw, r, now, &mut out);
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
        Effect::Overdue { creation } => format!("{} overdue", text(creation)),
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
    assert_eq!(p.0.size(), Size::default());
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
    assert_eq!(p.0.size(), Size::default());
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
fn repeats_are_known_by_their_octets_or_their_final_state() {
    let mut p = Partition::new();
    p.created("a/1/t:0:7", "m", 0);
    p.delivered("a/1", 0, receipt(DELIVERED, 1), 1);
    assert_eq!(p.delivered("a/1", 1, receipt(DELIVERED, 1), 2), [""; 0]);
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
        seen: vec![receipt(DELIVERED, 1).seen],
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
        seen: vec![receipt(DELIVERED, 1).seen],
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
    assert_eq!(p.0.size(), Size::default());
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
        seen: vec![receipt(DELIVERED, 1).seen],
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
