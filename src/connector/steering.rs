//! Orders of operators, as the parts carry them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::notices::LogLevelRefused;
use crate::control::{self, EsmeOrders, Known, Order, Orders, Part};
use crate::ops::logging;
use crate::record::notification::{self, Notification, Notify};
use crate::status::{Maintenance, Paused, Steering};
use crate::submit::{self, Wanted};

/// What is wanted changes at times that are known, and those are not met to the microsecond.
const LEAST: Duration = Duration::from_millis(100);
/// After so long it is looked at again in any case: clocks are set.
const MOST: Duration = Duration::from_secs(60);

/// Carries orders out as they come, until this is dropped.
pub struct Carrying {
    pub known: watch::Receiver<Known>,
    /// The name and the topics of each ESME.
    pub esmes: Vec<(String, Vec<String>)>,
    pub submit: submit::Handle,
    /// What is logged; none if the log is somebody else's.
    pub log: Option<logging::Control>,
    /// Told of what is paused and goes on.
    pub notify: Notify,
    /// What is paused, by ESME and part, as it was carried out last.
    pub paused: Pauses,
    /// What was carried out last.
    pub carried: Option<Carried>,
}

/// What is wanted of each ESME, and what is to be logged.
type Carried = (BTreeMap<String, Wanted>, Option<String>);

/// What is paused of which ESME, and since when.
type Pauses = BTreeMap<(String, Part), (Order, Timestamp)>;

impl Carrying {
    /// What is wanted when the orders are known; to be done before anything is sent.
    pub async fn begin(&mut self) {
        // Its other end lives as long as the process.
        let _ = self.known.wait_for(|known| known.is_complete).await;
        // What was paused before is no news.
        self.paused = self.pauses();
        self.carry_out();
    }

    /// Carries out what changes.
    pub async fn run(mut self) {
        loop {
            let now = Timestamp::now();
            let next = self.known.borrow_and_update().orders.next_change(now);
            let wait = next.map_or(MOST, |next| {
                Duration::try_from(next.duration_since(now)).unwrap_or(LEAST)
            });
            tokio::select! {
                changed = self.known.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait.clamp(LEAST, MOST)) => {}
            }
            self.carry_out();
            self.tell();
        }
    }

    fn pauses(&self) -> Pauses {
        let orders = self.known.borrow().orders.clone();
        let of = |esme: &String| {
            let paused = orders.of(esme).paused.into_iter();
            let esme = esme.clone();
            paused.map(move |(part, order, since)| ((esme.clone(), part), (order, since)))
        };
        self.esmes.iter().flat_map(|(esme, _)| of(esme)).collect()
    }

    /// Tells what is paused now and was not, and the other way round. Each process that has
    /// partitions of the ESME does: its own part of the ESME is what it tells of.
    fn tell(&mut self) {
        let now = self.pauses();
        let before = std::mem::replace(&mut self.paused, now.clone());
        let news = now.iter().filter(|(what, _)| !before.contains_key(what));
        let over = before.iter().filter(|(what, _)| !now.contains_key(what));
        let news = news.map(|pause| ("Paused", pause));
        for (kind, ((esme, part), (order, since))) in news.chain(over.map(|p| ("Resumed", p))) {
            if self.submit.holds(esme) {
                let (what, name) = match part {
                    Part::Whole => ("esme", esme),
                    Part::Topic(name) => ("topic", name),
                    Part::Bind(name) => ("bind", name),
                };
                self.notify.send(&Notification {
                    esme,
                    pause: Some(notification::Steering {
                        what,
                        name,
                        by: order.by.as_deref(),
                        reason: order.reason.as_deref(),
                        paused_at: Some(*since),
                    }),
                    ..Notification::now(kind)
                });
            }
        }
    }

    /// Does nothing if nothing is wanted but what is done already: a commit, and a new filter of the
    /// log, cost something.
    fn carry_out(&mut self) {
        let (orders, now) = (self.known.borrow().orders.clone(), Timestamp::now());
        let wanted = self.esmes.iter().map(|(esme, topics)| {
            let wanted = wanted(&orders.of(esme), topics, now);
            (esme.clone(), wanted)
        });
        let wanted: BTreeMap<String, Wanted> = wanted.collect();
        let level = orders.log().map(str::to_owned);
        let (before, logged) = self.carried.take().unwrap_or_default();
        if wanted != before {
            self.submit.steer(wanted.clone());
        }
        if level != logged
            && let Some(log) = &self.log
            && let Err(why) = log.set(level.as_deref())
        {
            LogLevelRefused { why: &why }.emit();
        }
        self.carried = Some((wanted, level));
    }
}

/// What the orders of an ESME mean now.
fn wanted(orders: &EsmeOrders, topics: &[String], now: Timestamp) -> Wanted {
    let mut wanted = Wanted {
        max_tps: orders.max_tps,
        // A whole number within a u16, which was checked.
        window: orders.window.map(|window| window as usize),
        ..Wanted::default()
    };
    let all = || topics.iter().map(|topic| Arc::from(&**topic));
    for (part, order, _) in &orders.paused {
        let unbind = order.unbind.unwrap_or_default();
        match part {
            Part::Whole => {
                wanted.paused_topics.extend(all());
                wanted.unbound |= unbind;
            }
            Part::Topic(topic) => drop(wanted.paused_topics.insert(Arc::from(&**topic))),
            Part::Bind(bind) => {
                let bind: Arc<str> = Arc::from(&**bind);
                if unbind {
                    wanted.unbound_binds.insert(bind.clone());
                }
                wanted.paused_binds.insert(bind);
            }
        }
    }
    if orders.maintained(now).is_some() {
        wanted.paused_topics.extend(all());
        wanted.unbound = true;
    }
    for (part, times) in &orders.rebinds {
        match part {
            Part::Whole => wanted.rebinds += times,
            Part::Bind(bind) => *wanted.rebinds_of.entry(Arc::from(&**bind)).or_default() += times,
            Part::Topic(_) => {} // binds are not of one topic
        }
    }
    wanted
}

/// What the orders mean for each ESME, and when that changes.
#[cfg(feature = "fuzzing")]
pub fn all_wanted(orders: &Orders, esmes: &[(String, Vec<String>)]) {
    for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        for (esme, topics) in esmes {
            let _ = (wanted(&orders.of(esme), topics, now), seen(orders, esme));
        }
        let _ = (orders.next_change(now), orders.log());
    }
}

/// The orders of an ESME, as `/status` shows them.
pub fn seen(orders: &Orders, esme: &str) -> Steering {
    let orders = orders.of(esme);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let paused = orders.paused.iter().map(|(part, order, since)| Paused {
        what: match part {
            Part::Whole => None,
            Part::Topic(name) | Part::Bind(name) => Some(name.clone()),
        },
        unbound: order.unbind.unwrap_or_default(),
        by: text(&order.by),
        reason: order.reason.clone(),
        since: *since,
    });
    let maintenance = orders.maintenance.as_ref().and_then(|(order, _)| {
        let until = order.until.filter(|until| *until > Timestamp::now())?;
        Some(Maintenance {
            from: order.from?,
            until,
            by: text(&order.by),
        })
    });
    Steering {
        paused: paused.collect(),
        maintenance,
        max_tps: orders.max_tps,
        window: orders.window.map(|window| window as u64),
    }
}

/// The name and the topics of each ESME, as orders call them.
pub fn esmes(config: &crate::config::Config) -> Vec<(String, Vec<String>)> {
    let topics = |esme: &crate::config::Esme| esme.outbound.clone();
    config
        .esme
        .iter()
        .map(|esme| (esme.name.clone(), topics(esme)))
        .collect()
}

/// How orders are read and written.
pub fn options(config: &crate::config::Config) -> control::Options {
    control::Options {
        reader: config.kafka.watcher(),
        producer: config.kafka.producer(),
        topic: config.topics.control.clone(),
        esmes: esmes(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(records: &[(&str, &str)]) -> Orders {
        let mut orders = Orders::default();
        for (key, value) in records {
            let record = control::Record {
                key: key.as_bytes(),
                value: Some(value.as_bytes()),
                partition: 0,
                given: Timestamp::UNIX_EPOCH,
                is_new: true,
            };
            orders.record(&record).unwrap();
        }
        orders
    }

    fn now(records: &[(&str, &str)], second: i64) -> Wanted {
        let topics = ["sms.out".to_owned(), "sms.urgent".to_owned()];
        let now = Timestamp::from_second(second).unwrap();
        wanted(&orders(records).of("acme"), &topics, now)
    }

    #[test]
    fn orders_are_what_binds_and_partitions_do() {
        assert_eq!(now(&[("other/pause", "{}")], 0), Wanted::default());
        let all = now(&[("acme/pause", "{}")], 0);
        assert_eq!((all.paused_topics.len(), all.unbound), (2, false));
        assert!(now(&[("acme/pause", r#"{"unbind": true}"#)], 0).unbound);
        let one = now(&[("acme/pause/topic/sms.out", "{}")], 0);
        assert_eq!(one.paused_topics, [Arc::from("sms.out")].into());
        let bind = now(&[("acme/pause/bind/acme-0.0", r#"{"unbind": true}"#)], 0);
        assert!(bind.is_closed("acme-0.0") && !bind.is_closed("acme-1.0"));
        assert_eq!(bind.paused_binds, [Arc::from("acme-0.0")].into());
        let set = now(
            &[
                ("acme/max_tps", r#"{"value": 2.5}"#),
                ("acme/window", r#"{"value": 7}"#),
            ],
            0,
        );
        assert_eq!((set.max_tps, set.window), (Some(2.5), Some(7)));
        let rebind = now(
            &[("acme/rebind", "{}"), ("acme/rebind/bind/acme-0.0", "{}")],
            0,
        );
        assert_eq!(
            (rebind.rebinds("acme-0.0"), rebind.rebinds("acme-1.0")),
            (2, 1)
        );
    }

    #[test]
    fn a_maintenance_closes_binds_while_it_lasts() {
        let window = r#"{"from": "1970-01-01T00:01:40Z", "until": "1970-01-01T00:03:20Z"}"#;
        let unbound = |second| now(&[("acme/maintenance", window)], second).unbound;
        assert_eq!([99, 100, 200].map(unbound), [false, true, false]);
    }
}
