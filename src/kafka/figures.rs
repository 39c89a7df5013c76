//! What librdkafka says of one of our clients in its statistics: a few of its figures.
//!
//! Only clients whose callbacks are served all the time have them (consumers, and producers with a
//! thread of their own): what nobody takes would pile up.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::statistics::{Broker, Statistics};

use super::group::Partition;
use crate::status::Client;

/// How often librdkafka says it, in milliseconds.
const INTERVAL: &str = "5000";

/// A member of a group has had the coordinator's answer to its first heartbeat after so long, in
/// milliseconds.
const ANSWERED: i64 = 5000;

/// The figures of one client, over all instances of it.
#[derive(Debug)]
pub struct Figures {
    /// What the client is for.
    name: &'static str,
    last: Mutex<Last>,
    /// Partitions of which nothing is fetched: what a producer appends next, as far as that is known, and when
    /// it was asked for.
    asked: Mutex<HashMap<Partition, (Option<i64>, Instant)>>,
}

#[derive(Debug, Default)]
struct Last {
    client: Client,
    /// Whether the group of a consumer is at rest: all members know their partitions.
    settled: bool,
    /// Whether the group's coordinator is up for so long that it has answered, and has assigned
    /// nothing.
    idle: bool,
    /// What a producer appends next, by topic.
    ends: HashMap<String, HashMap<i32, i64>>,
}

impl Figures {
    /// Nothing is said yet of the client that is for this.
    pub fn new(name: &'static str) -> Self {
        Figures {
            name,
            last: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Properties with which the client says its statistics.
    pub fn wanted(&self, client: &ClientConfig) -> ClientConfig {
        let mut client = client.clone();
        client.set("statistics.interval.ms", INTERVAL);
        client
    }

    /// To be told of all that the client says.
    pub fn take(&self, said: Statistics) {
        let client = chosen(&said);
        let group = said.cgrp.as_ref();
        let settled = group.is_some_and(|g| g.state == "up" && g.join_state == "steady");
        let idle = group
            .is_some_and(|g| g.state == "up" && g.join_state == "init" && g.stateage >= ANSWERED);
        let ends = said.topics.into_iter().map(|(topic, said)| {
            let known = said.partitions.into_iter();
            let known = known.filter(|(partition, said)| *partition >= 0 && said.hi_offset >= 0);
            (topic, known.map(|(p, said)| (p, said.hi_offset)).collect())
        });
        let ends = ends.collect();
        *self.last.lock() = Last {
            client,
            settled,
            idle,
            ends,
        };
    }

    /// What is known of the client.
    pub fn client(&self) -> Client {
        Client {
            name: self.name.to_owned(),
            ..self.last.lock().client.clone()
        }
    }

    /// Whether the consumer's group was at rest when it was said last.
    pub fn is_settled(&self) -> bool {
        self.last.lock().settled
    }

    /// Whether the consumer has a coordinator for some time, and was given no partition by it. With
    /// KIP-848 such a member hears nothing, because nothing changes for it.
    pub fn is_idle(&self) -> bool {
        self.last.lock().idle
    }

    /// The offset that a producer appends next, as a consumer saw it last.
    pub fn end(&self, partition: &Partition) -> Option<i64> {
        let last = self.last.lock();
        let of_topic = last.ends.get(&*partition.topic);
        let said = of_topic.and_then(|ends| ends.get(&partition.partition).copied());
        said.max(self.asked.lock().get(partition).and_then(|(end, _)| *end))
    }

    /// The partitions of which nothing is fetched for now, and no others: the client learns an end only with
    /// what it fetches. Whose end was asked for last stands last.
    pub fn not_fetched(&self, mut partitions: Vec<Partition>) -> Vec<Partition> {
        let mut asked = self.asked.lock();
        let still: HashSet<&Partition> = partitions.iter().collect();
        asked.retain(|partition, _| still.contains(partition));
        partitions.sort_by_key(|partition| asked.get(partition).map(|(_, at)| *at));
        partitions
    }

    /// The end of one of them was asked for; `None` if there was no answer.
    pub fn asked(&self, partition: Partition, end: Option<i64>) {
        let mut asked = self.asked.lock();
        let known = asked.get(&partition).and_then(|(end, _)| *end);
        asked.insert(partition, (end.or(known), Instant::now()));
    }
}

fn chosen(said: &Statistics) -> Client {
    // Those of the bootstrap list stand there once more, as what they are.
    let brokers = || said.brokers.values().filter(|broker| broker.nodeid >= 0);
    let up = |broker: &&Broker| broker.state == "UP";
    let micros = brokers().filter_map(|broker| Some(broker.rtt.as_ref()?.avg));
    let slowest = micros.filter(|micros| *micros > 0).max();
    let natural = |n: i64| u64::try_from(n).unwrap_or_default();
    Client {
        name: String::new(),
        kind: said.client_type.clone(),
        brokers_up: brokers().filter(up).count() as u64,
        brokers_down: brokers().filter(|broker| broker.state == "DOWN").count() as u64,
        queued: said.msg_cnt,
        queued_octets: said.msg_size,
        round_trip: slowest.map(|micros| micros as f64 / 1e6),
        timeouts: brokers().map(|broker| broker.req_timeouts).sum(),
        octets_in: natural(said.rx_bytes),
        octets_out: natural(said.tx_bytes),
        rebalances: said
            .cgrp
            .as_ref()
            .map_or(0, |group| natural(group.rebalance_cnt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::{ConsumerGroup, Partition as Said, Topic};

    #[test]
    fn a_member_without_partitions_has_a_coordinator_that_had_time_to_answer() {
        let of = |state: &str, join_state: &str, stateage| {
            let figures = Figures::new("submit consumer");
            figures.take(Statistics {
                cgrp: Some(ConsumerGroup {
                    state: state.into(),
                    join_state: join_state.into(),
                    stateage,
                    ..ConsumerGroup::default()
                }),
                ..Statistics::default()
            });
            (figures.is_settled(), figures.is_idle())
        };
        assert_eq!(of("up", "steady", 0), (true, false));
        assert_eq!(of("up", "init", 4999), (false, false));
        assert_eq!(of("up", "init", 5000), (false, true));
        assert_eq!(of("wait-coord", "init", 60_000), (false, false));
        assert_eq!(of("up", "wait-assign-call", 60_000), (false, false));
    }

    #[test]
    fn who_was_asked_last_comes_last_and_what_is_known_stays_until_it_is_fetched_again() {
        let figures = Figures::new("submit consumer");
        let [one, two] = [0, 1].map(|partition| Partition {
            topic: "t".into(),
            partition,
        });
        let both = || vec![one.clone(), two.clone()];
        assert_eq!(figures.not_fetched(both()), both());
        figures.asked(one.clone(), Some(50));
        assert_eq!(figures.end(&one), Some(50));
        assert_eq!(figures.not_fetched(both()), [two.clone(), one.clone()]);
        figures.asked(two.clone(), None);
        assert_eq!(figures.end(&two), None);
        assert_eq!(figures.not_fetched(both()), both());
        figures.asked(one.clone(), None);
        assert_eq!(figures.end(&one), Some(50), "no answer is no news");
        assert_eq!(figures.not_fetched(vec![two.clone()]), [two]);
        assert_eq!(figures.end(&one), None, "it is fetched again");
    }

    #[test]
    fn a_few_figures_are_chosen() {
        let figures = Figures::new("submit consumer");
        let mut said = Statistics {
            msg_cnt: 3,
            rx_bytes: 100,
            ..Statistics::default()
        };
        for (name, nodeid, state) in [("boot", -1, "DOWN"), ("1", 1, "UP"), ("2", 2, "DOWN")] {
            let broker = Broker {
                nodeid,
                state: state.into(),
                req_timeouts: 2,
                ..Broker::default()
            };
            said.brokers.insert(name.into(), broker);
        }
        let partition = |hi_offset| Said {
            hi_offset,
            ..Said::default()
        };
        let partitions = [
            (0, partition(42)),
            (1, partition(-1001)),
            (-1, partition(7)),
        ];
        let topic = Topic {
            partitions: partitions.into(),
            ..Topic::default()
        };
        said.topics.insert("sms".into(), topic);
        figures.take(said);
        let client = figures.client();
        assert_eq!((&*client.name, client.queued), ("submit consumer", 3));
        assert_eq!(
            (client.brokers_up, client.brokers_down, client.timeouts),
            (1, 1, 4)
        );
        let end = |partition| {
            figures.end(&Partition {
                topic: "sms".into(),
                partition,
            })
        };
        assert_eq!((end(0), end(1), end(-1)), (Some(42), None, None));
    }
}
