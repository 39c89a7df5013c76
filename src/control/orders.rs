//! The orders that are in force. Pure: records in, what is wanted out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Orders that are kept at most, and what was taken back: more than any deployment has things to steer.
const MOST: usize = 4096;
/// How many octets a key may have.
const LONGEST_KEY: usize = 600;
/// How many octets a value may have: who and why, in a few sentences.
const LONGEST_VALUE: usize = 4096;

/// The value of an order. What it may have depends on its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// Who wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a pause: whether binds are closed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unbind: Option<bool>,
    /// Of a rate or a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Of a maintenance: when it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of the log: what is written to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// What an order is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Nothing of it is sent.
    Pause(String, Part),
    /// The rate of an ESME.
    MaxTps(String),
    /// The window of each bind of an ESME.
    Window(String),
    /// Binds are closed and opened again.
    Rebind(String, Part),
    /// The SMSC of an ESME is maintained.
    Maintenance(String),
    /// What is logged.
    Log,
}

/// Of an ESME.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All.
    Whole,
    /// A topic.
    Topic(String),
    /// A bind.
    Bind(String),
}

impl About {
    /// What a key says.
    pub fn of(key: &str) -> Option<About> {
        let words: Vec<&str> = key.split('/').collect();
        if words.iter().any(|word| word.is_empty()) {
            return None;
        }
        let part = |words: &[&str]| match *words {
            [] => Some(Part::Whole),
            ["topic", name] => Some(Part::Topic(name.to_owned())),
            ["bind", name] => Some(Part::Bind(name.to_owned())),
            _ => None,
        };
        match *words.as_slice() {
            ["log"] => Some(About::Log),
            [esme, "max_tps"] => Some(About::MaxTps(esme.to_owned())),
            [esme, "window"] => Some(About::Window(esme.to_owned())),
            [esme, "maintenance"] => Some(About::Maintenance(esme.to_owned())),
            [esme, "pause", ref of @ ..] => Some(About::Pause(esme.to_owned(), part(of)?)),
            [esme, "rebind", ref of @ ..] => match part(of)? {
                Part::Topic(_) => None,
                part => Some(About::Rebind(esme.to_owned(), part)),
            },
            _ => None,
        }
    }

    /// The key that says this.
    pub fn key(&self) -> String {
        let with = |esme: &str, what: &str, part: &Part| match part {
            Part::Whole => format!("{esme}/{what}"),
            Part::Topic(name) => format!("{esme}/{what}/topic/{name}"),
            Part::Bind(name) => format!("{esme}/{what}/bind/{name}"),
        };
        match self {
            About::Log => "log".to_owned(),
            About::MaxTps(esme) => format!("{esme}/max_tps"),
            About::Window(esme) => format!("{esme}/window"),
            About::Maintenance(esme) => format!("{esme}/maintenance"),
            About::Pause(esme, part) => with(esme, "pause", part),
            About::Rebind(esme, part) => with(esme, "rebind", part),
        }
    }

    /// What is wrong with an order about this: a field, its value and the remedy.
    pub fn fault(&self, order: &Order) -> Option<String> {
        let value = order.value.unwrap_or(f64::NAN);
        match self {
            About::MaxTps(_) if !(value > 0.0 && value <= 1e6) => Some(format!(
                "value = {value}: write submit_sm per second, above 0 and up to 1000000; a tombstone goes back to what is configured"
            )),
            About::Window(_) if !(1.0..=65_535.0).contains(&value) || value.fract() != 0.0 => {
                Some(format!(
                    "value = {value}: write a whole number from 1 to 65535; a tombstone goes back to what is configured"
                ))
            }
            About::Maintenance(_) => match (order.from, order.until) {
                (Some(from), Some(until)) if from < until => None,
                (Some(from), Some(until)) => Some(format!(
                    "until = {until}: it must be later than from = {from}"
                )),
                _ => Some("write both from and until, such as \"2026-01-31T02:00:00Z\"".to_owned()),
            },
            About::Log if order.level.is_none() => {
                Some("level: write what is to be logged, such as \"debug\"".to_owned())
            }
            _ => None,
        }
    }
}

/// What is wanted of one ESME, with who wants it since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EsmeOrders {
    /// What of it is paused: the part, the order, when it was given.
    pub paused: Vec<(Part, Order, Timestamp)>,
    /// Its maintenance, whether it has begun or not.
    pub maintenance: Option<(Order, Timestamp)>,
    /// Its rate.
    pub max_tps: Option<f64>,
    /// The window of its binds.
    pub window: Option<f64>,
    /// How often binds were to be opened again since this process began.
    pub rebinds: BTreeMap<Part, u64>,
}

impl EsmeOrders {
    /// The maintenance that is under way at `now`.
    pub fn maintained(&self, now: Timestamp) -> Option<&Order> {
        let (order, _) = self.maintenance.as_ref()?;
        let (from, until) = (order.from?, order.until?);
        (from <= now && now < until).then_some(order)
    }
}

/// A record of the control topic.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value; a tombstone has none.
    pub value: Option<&'a [u8]>,
    /// The partition it stands in.
    pub partition: i32,
    /// When it was written.
    pub given: Timestamp,
    /// Whether it was written while this process ran.
    pub is_new: bool,
}

/// The last word about something.
#[derive(Clone, Debug, PartialEq)]
struct Word {
    /// What is wanted; none if that was taken back.
    order: Option<Order>,
    given: Timestamp,
    partition: i32,
}

impl Word {
    /// Whether a record is said before this one. In a partition what stands behind is later, whatever
    /// clocks say. Producers may put one key into different partitions; between those their clocks
    /// decide, so that all processes agree, in whatever order they read.
    fn is_after(&self, record: &Record<'_>) -> bool {
        self.partition != record.partition && self.given > record.given
    }
}

/// All orders that are in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    words: BTreeMap<About, Word>,
    /// Those of once that came while this process ran.
    rebinds: BTreeMap<(String, Part), u64>,
}

impl Orders {
    /// A record was read: an order, or a tombstone. What changed, if anything did.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words; nothing changes then.
    pub fn record(
        &mut self,
        record: &Record<'_>,
    ) -> Result<Option<(About, Option<Order>)>, String> {
        let key = String::from_utf8_lossy(record.key);
        let shown = &key[..key.floor_char_boundary(LONGEST_KEY)];
        let about = About::of(&key).filter(|_| key.len() <= LONGEST_KEY);
        let Some(about) = about else {
            return Err(format!(
                "key {shown:?}: write ESME/pause, ESME/max_tps, ESME/window, ESME/rebind, ESME/maintenance or log"
            ));
        };
        let order = record.value.map(|value| read(&about, value)).transpose();
        let order = order.map_err(|why| format!("{key}: {why}"))?;
        if let (About::Rebind(esme, part), Some(_)) = (&about, &order) {
            if record.is_new {
                let place = (esme.clone(), part.clone());
                *self.rebinds.entry(place).or_default() += 1;
            }
            return Ok(record.is_new.then_some((about, order)));
        }
        let before = self.words.get(&about);
        if before.is_some_and(|word| word.is_after(record)) {
            return Ok(None);
        }
        let was_wanted = before.is_some_and(|word| word.order.is_some());
        if before.is_none() && !self.has_room() {
            return match order {
                None => Ok(None),
                Some(_) => Err(format!(
                    "{key}: there are {MOST} orders already; take some back"
                )),
            };
        }
        let word = Word {
            order: order.clone(),
            given: record.given,
            partition: record.partition,
        };
        self.words.insert(about.clone(), word);
        Ok((order.is_some() || was_wanted).then_some((about, order)))
    }

    /// Whether there is room for one more. What was taken back makes room, the oldest first.
    fn has_room(&mut self) -> bool {
        if self.words.len() < MOST {
            return true;
        }
        let gone = self.words.iter().filter(|(_, word)| word.order.is_none());
        let oldest = gone.min_by_key(|(_, word)| word.given);
        let oldest = oldest.map(|(about, _)| about.clone());
        oldest.is_some_and(|about| self.words.remove(&about).is_some())
    }

    /// What is in force, and since when.
    pub fn in_force(&self) -> impl Iterator<Item = (&About, &Order, Timestamp)> {
        let words = self.words.iter();
        words.filter_map(|(about, word)| Some((about, word.order.as_ref()?, word.given)))
    }

    /// What is wanted of the ESME of this name.
    pub fn of(&self, esme: &str) -> EsmeOrders {
        let mut orders = EsmeOrders::default();
        for (about, order, given) in self.in_force() {
            match about {
                About::Pause(of, part) if of == esme => {
                    orders.paused.push((part.clone(), order.clone(), given));
                }
                About::Maintenance(of) if of == esme => {
                    orders.maintenance = Some((order.clone(), given));
                }
                About::MaxTps(of) if of == esme => orders.max_tps = order.value,
                About::Window(of) if of == esme => orders.window = order.value,
                _ => {}
            }
        }
        let own = self.rebinds.iter().filter(|((of, _), _)| of == esme);
        orders.rebinds = own
            .map(|((_, part), times)| (part.clone(), *times))
            .collect();
        orders
    }

    /// What is to be logged, if that is another than is configured.
    pub fn log(&self) -> Option<&str> {
        let word = self.words.get(&About::Log)?;
        word.order.as_ref()?.level.as_deref()
    }

    /// When what is wanted changes next without another record.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let edges = self
            .in_force()
            .flat_map(|(_, order, _)| [order.from, order.until]);
        edges.flatten().filter(|edge| *edge > now).min()
    }
}

/// The value of a record as an order about this.
fn read(about: &About, value: &[u8]) -> Result<Order, String> {
    if value.len() > LONGEST_VALUE {
        let octets = value.len();
        return Err(format!(
            "the value has {octets} octets: write at most {LONGEST_VALUE}"
        ));
    }
    let order: Order =
        serde_json::from_slice(value).map_err(|error| format!("the value is no order: {error}"))?;
    match about.fault(&order) {
        Some(fault) => Err(fault),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn take(orders: &mut Orders, key: &str, value: &str) -> Result<bool, String> {
        let taken = orders.record(&written(key, Some(value), 0, 7));
        taken.map(|change| change.is_some())
    }

    fn written<'a>(
        key: &'a str,
        value: Option<&'a str>,
        partition: i32,
        second: i64,
    ) -> Record<'a> {
        Record {
            key: key.as_bytes(),
            value: value.map(str::as_bytes),
            partition,
            given: at(second),
            is_new: true,
        }
    }

    #[test]
    fn keys_lead_back_to_what_they_are_about() {
        for key in [
            "acme/pause",
            "acme/pause/topic/sms.out",
            "acme/pause/bind/acme-0.0",
            "acme/max_tps",
            "acme/window",
            "acme/rebind",
            "acme/rebind/bind/acme-0.0",
            "acme/maintenance",
            "log",
        ] {
            assert_eq!(About::of(key).expect(key).key(), key);
        }
        for key in [
            "",
            "acme",
            "acme/",
            "/pause",
            "acme/stop",
            "acme/rebind/topic/a",
            "acme/pause/x/y",
        ] {
            assert_eq!(About::of(key), None, "{key}");
        }
    }

    #[test]
    fn a_tombstone_takes_back() {
        let mut orders = Orders::default();
        let pause = r#"{"by": "me", "reason": "fire", "unbind": true}"#;
        assert_eq!(take(&mut orders, "acme/pause", pause), Ok(true));
        let paused = &orders.of("acme").paused;
        assert_eq!(paused[0].0, Part::Whole);
        assert_eq!(
            (paused[0].1.by.as_deref(), paused[0].2),
            (Some("me"), at(7))
        );
        assert!(orders.of("other").paused.is_empty());
        let tombstone = written("acme/pause", None, 0, 8);
        assert!(orders.record(&tombstone).unwrap().is_some());
        assert!(orders.record(&tombstone).unwrap().is_none());
        assert!(orders.of("acme").paused.is_empty() && orders.in_force().next().is_none());
    }

    /// A pause that one producer wrote to one partition, and its end that another wrote to another:
    /// whoever starts later may read them in any order.
    #[test]
    fn processes_agree_in_whatever_order_they_read_partitions() {
        let pause = written("acme/pause", Some("{}"), 0, 10);
        let resume = written("acme/pause", None, 1, 20);
        for records in [[pause, resume], [resume, pause]] {
            let mut orders = Orders::default();
            for record in &records {
                orders.record(record).unwrap();
            }
            assert!(orders.of("acme").paused.is_empty(), "{records:?}");
        }
        // In one partition what stands behind is later: clocks are set.
        let mut orders = Orders::default();
        let earlier = written("acme/pause", None, 0, 5);
        orders.record(&pause).unwrap();
        assert!(orders.record(&earlier).unwrap().is_some());
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_repeated() {
        let mut orders = Orders::default();
        let long = "x".repeat(1_000_000);
        let named = format!("{{\"{long}\": 1}}");
        let reason = format!("{{\"reason\": \"{long}\"}}");
        for (key, value) in [
            (&*long, "{}"),
            (&format!("{long}/pause"), "{}"),
            ("acme/pause", &*named),
            ("acme/pause", &*reason),
            ("acme/pause", &*"[".repeat(1_000_000)),
        ] {
            let told = take(&mut orders, key, value).unwrap_err();
            assert!(told.len() < 1000, "{}", told.len());
        }
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn what_means_nothing_changes_nothing_and_says_what_to_write() {
        let mut orders = Orders::default();
        for (key, value, said) in [
            ("acme/fly", "{}", "key \"acme/fly\": write ESME/pause"),
            ("acme/pause", "{", "the value is no order"),
            ("acme/pause", r#"{"unbind": "yes"}"#, "expected a boolean"),
            ("acme/pause", r#"{"untill": 3}"#, "unknown field `untill`"),
            ("acme/max_tps", "{}", "write submit_sm per second"),
            ("acme/max_tps", r#"{"value": -1}"#, "value = -1"),
            (
                "acme/window",
                r#"{"value": 2.5}"#,
                "a whole number from 1 to 65535",
            ),
            ("acme/maintenance", "{}", "write both from and until"),
            (
                "acme/maintenance",
                r#"{"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}"#,
                "it must be later",
            ),
            ("log", "{}", "level: write"),
        ] {
            let told = take(&mut orders, key, value).expect_err(key);
            assert!(told.contains(said), "{key} {value}: {told}");
        }
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn what_was_asked_for_once_before_is_not_done_again() {
        let mut orders = Orders::default();
        let before = Record {
            is_new: false,
            ..written("acme/rebind", Some("{}"), 0, 1)
        };
        assert_eq!(orders.record(&before), Ok(None));
        assert!(orders.of("acme").rebinds.is_empty());
        assert_eq!(take(&mut orders, "acme/rebind", "{}"), Ok(true));
        assert_eq!(take(&mut orders, "acme/rebind", "{}"), Ok(true));
        assert_eq!(orders.of("acme").rebinds[&Part::Whole], 2);
    }

    #[test]
    fn a_maintenance_begins_and_ends_by_itself() {
        let mut orders = Orders::default();
        let window = r#"{"from": "1970-01-01T00:01:40Z", "until": "1970-01-01T00:03:20Z"}"#;
        assert_eq!(take(&mut orders, "acme/maintenance", window), Ok(true));
        let acme = orders.of("acme");
        let under_way = |second| acme.maintained(at(second)).is_some();
        assert_eq!(
            [99, 100, 199, 200].map(under_way),
            [false, true, true, false]
        );
        let next = |second| orders.next_change(at(second)).map(Timestamp::as_second);
        assert_eq!([0, 100, 200].map(next), [Some(100), Some(200), None]);
    }

    #[test]
    fn there_is_a_bound() {
        let mut orders = Orders::default();
        for n in 0..MOST {
            assert_eq!(take(&mut orders, &format!("e{n}/pause"), "{}"), Ok(true));
        }
        let told = take(&mut orders, "one-more/pause", "{}").unwrap_err();
        assert!(told.contains("take some back"), "{told}");
        assert_eq!(take(&mut orders, "e7/pause", "{}"), Ok(true));
        // What was taken back makes room, and is remembered for as long as there is any.
        orders.record(&written("e7/pause", None, 0, 8)).unwrap();
        assert_eq!(take(&mut orders, "one-more/pause", "{}"), Ok(true));
        assert_eq!(orders.words.len(), MOST);
    }
}
