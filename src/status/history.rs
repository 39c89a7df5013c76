//! The last hour, as `/history` serves it.

use std::collections::{BTreeMap, VecDeque};

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Esme, Histogram, Status};

/// How many samples are kept of each ESME: an hour.
const MOST: usize = 360;

/// Of how many ESMEs there are samples at most: more than a deployment has. What other processes say is
/// believed, within bounds.
const MOST_ESMES: usize = 256;

/// Seconds between two samples.
pub const STEP: u64 = 10;

/// The last hour of all processes together, ESME by ESME.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct History {
    /// Seconds between two samples.
    pub step: u64,
    /// The samples of each ESME, the oldest first; an hour at most.
    pub esmes: BTreeMap<String, VecDeque<Sample>>,
    /// What the last sample was made from: counters only say something by their differences.
    #[serde(skip)]
    before: BTreeMap<(String, String), (Timestamp, Esme)>,
}

/// What happened in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// The end of the step.
    pub at: Timestamp,
    /// Answers of the SMSC to submit_sm and the like, per second.
    pub responses: f64,
    /// Those of them that said ESME_RTHROTTLED or ESME_RMSGQFUL, per second.
    pub throttled: f64,
    /// Results that Kafka has, per second.
    pub results: f64,
    /// Final receipts, per second.
    pub receipts: f64,
    /// Which share of them said DELIVERED, 0 to 1; none if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<f64>,
    /// Records without a result.
    pub lag: i64,
    /// Binds that are bound.
    pub bound: u64,
    /// All binds.
    pub binds: u64,
    /// Requests that are unanswered.
    pub window_used: u64,
    /// Requests that may be.
    pub window_allowed: u64,
    /// From append to socket.
    pub append_to_socket: Percentiles,
    /// From submit_sm to answer.
    pub submit_to_response: Percentiles,
    /// From append to committed result.
    pub append_to_result: Percentiles,
    /// From submit_sm to final receipt.
    pub submit_to_receipt: Percentiles,
}

/// How long something took in one step, in seconds; none if it did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Percentiles {
    /// Half of them took less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// All but one in a hundred took less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// States after which no other receipt comes.
const FINAL: &[&str] = &[
    "DELIVERED",
    "EXPIRED",
    "DELETED",
    "UNDELIVERABLE",
    "REJECTED",
    "SKIPPED",
];

impl History {
    /// What is counted by now in all `processes`, of which the first counts first; to be called every
    /// [`STEP`] seconds.
    pub fn sample(&mut self, processes: &[Status], at: Timestamp) {
        self.step = STEP;
        let mut steps: BTreeMap<String, (Sample, Times)> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for status in processes {
            for esme in &status.esmes {
                if steps.len() >= MOST_ESMES && !steps.contains_key(&esme.name) {
                    continue;
                }
                let (sample, times) = steps.entry(esme.name.clone()).or_default();
                sample.see(esme);
                let key = (status.process.name.clone(), esme.name.clone());
                if let Some((then, before)) = self.before.get(&key) {
                    // Other processes say something now and then, and not just when it is sampled.
                    let seconds = (status.at - *then).total(Unit::Second).unwrap_or_default();
                    sample.count(esme, before, seconds);
                    times.add(esme, before);
                }
                seen.insert(key, (status.at, esme.clone()));
            }
        }
        self.before = seen;
        self.esmes.retain(|name, _| steps.contains_key(name));
        for (name, (sample, times)) in steps {
            let samples = self.esmes.entry(name).or_default();
            if samples.len() >= MOST {
                samples.pop_front();
            }
            samples.push_back(Sample {
                at,
                append_to_socket: Percentiles::of(&times.append_to_socket),
                submit_to_response: Percentiles::of(&times.submit_to_response),
                append_to_result: Percentiles::of(&times.append_to_result),
                submit_to_receipt: Percentiles::of(&times.submit_to_receipt),
                ..sample
            });
        }
    }
}

impl Sample {
    /// What is there now.
    fn see(&mut self, esme: &Esme) {
        // What another process says may be any number.
        for lag in esme.partitions.iter().filter_map(|p| p.lag) {
            self.lag = self.lag.saturating_add(lag);
        }
        self.binds += esme.binds.len() as u64;
        for bind in &esme.binds {
            self.bound += u64::from(bind.state == "bound");
            self.window_used = self.window_used.saturating_add(bind.window.used);
            self.window_allowed = self.window_allowed.saturating_add(bind.window.allowed);
        }
    }

    /// What happened since `before`, which is so long ago.
    fn count(&mut self, esme: &Esme, before: &Esme, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        let per_second = |count: u64| count as f64 / seconds;
        let any = |_: &str| true;
        let throttled = |status: &str| matches!(status, "ESME_RTHROTTLED" | "ESME_RMSGQFUL");
        let (responses, earlier) = (&esme.responses, &before.responses);
        self.responses += per_second(more(responses, earlier, any));
        self.throttled += per_second(more(responses, earlier, throttled));
        self.results += per_second(more(&esme.results, &before.results, any));
        let (receipts, earlier) = (&esme.receipts, &before.receipts);
        let all = per_second(more(receipts, earlier, |state| FINAL.contains(&state)));
        let delivered = per_second(more(receipts, earlier, |state| state == "DELIVERED"));
        let so_far = self.delivered.unwrap_or_default() * self.receipts;
        self.receipts += all;
        self.delivered = (self.receipts > 0.0).then(|| (so_far + delivered) / self.receipts);
    }
}

/// How much more there is of what is `wanted`; a process that began anew counts from zero.
fn more(
    now: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
    wanted: impl Fn(&str) -> bool,
) -> u64 {
    let more = |(name, count): (&String, &u64)| {
        let before = before.get(name).copied().unwrap_or_default();
        count.saturating_sub(before)
    };
    let all = now.iter().filter(|(name, _)| wanted(name)).map(more);
    all.fold(0, u64::saturating_add)
}

/// How long things took in one step.
#[derive(Default)]
struct Times {
    append_to_socket: Histogram,
    submit_to_response: Histogram,
    append_to_result: Histogram,
    submit_to_receipt: Histogram,
}

impl Times {
    fn add(&mut self, esme: &Esme, before: &Esme) {
        let add = |sum: &mut Histogram, of: fn(&Esme) -> &Histogram| {
            sum.add(&of(esme).since(of(before)));
        };
        add(&mut self.append_to_socket, |esme| &esme.append_to_socket);
        add(&mut self.submit_to_response, |esme| {
            &esme.submit_to_response
        });
        add(&mut self.append_to_result, |esme| &esme.append_to_result);
        add(&mut self.submit_to_receipt, |esme| &esme.submit_to_receipt);
    }
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Self {
        Percentiles {
            p50: histogram.quantile(0.5),
            p99: histogram.quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bind, Process, Window};
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn process(name: &str, second: i64, accepted: u64, delivered: u64, failed: u64) -> Status {
        let count = |name: &str, count| (name.to_owned(), count);
        Status {
            at: at(second),
            process: Process {
                name: name.into(),
                ..Process::default()
            },
            esmes: vec![Esme {
                name: "acme".into(),
                binds: vec![Bind {
                    state: "bound".into(),
                    window: Window {
                        used: 3,
                        allowed: 10,
                        most: 10,
                    },
                    ..Bind::default()
                }],
                responses: [count("ESME_ROK", accepted), count("ESME_RTHROTTLED", 10)].into(),
                results: [count("ACCEPTED", accepted)].into(),
                receipts: [count("DELIVERED", delivered), count("EXPIRED", failed)].into(),
                append_to_result: Histogram {
                    le: vec![1.0],
                    counts: vec![accepted, 0],
                    sum: 0.0,
                },
                ..Esme::default()
            }],
            ..Status::default()
        }
    }

    #[test]
    fn two_processes_are_one_line_and_one_that_begins_anew_does_not_count_backwards() {
        let mut history = History::default();
        let mut sample = |second, processes: [Status; 2]| history.sample(&processes, at(second));
        sample(10, [process("a", 10, 100, 0, 0), process("b", 9, 50, 0, 0)]);
        // What another process says is not always ten seconds younger.
        let later = [process("a", 20, 200, 45, 5), process("b", 14, 100, 15, 10)];
        sample(20, later);
        sample(
            30,
            [process("a", 30, 200, 45, 5), process("c", 28, 10, 0, 0)],
        );
        let later = [process("a", 40, 200, 45, 5), process("c", 28, 10, 0, 0)];
        sample(40, later);
        let acme = &history.esmes["acme"];
        assert_eq!(
            (acme[0].results, acme[0].receipts, acme[0].bound),
            (0.0, 0.0, 2)
        );
        let second = &acme[1];
        assert_eq!(
            (second.results, second.responses, second.throttled),
            (20.0, 20.0, 0.0)
        );
        assert_eq!((second.receipts, second.delivered), (10.0, Some(0.75)));
        assert_eq!((second.window_used, second.window_allowed), (6, 20));
        assert_eq!(second.append_to_result.p50, Some(0.5));
        // What the new process did before it was seen first is not known to belong to this step.
        assert_eq!((acme[2].results, acme[2].delivered), (0.0, None));
        assert_eq!(acme[3].results, 0.0, "it has said nothing new");
    }

    #[test]
    fn whatever_other_processes_say_has_bounds() {
        let mut history = History::default();
        let hostile = |second| {
            let mut status = process("b", second, u64::MAX, u64::MAX, u64::MAX);
            let acme = &mut status.esmes[0];
            let partition = super::super::Partition {
                lag: Some(i64::MAX),
                ..Default::default()
            };
            acme.partitions = vec![partition; 3];
            acme.binds[0].window.used = u64::MAX;
            acme.append_to_result.counts = vec![u64::MAX; 2];
            for number in 0..1000 {
                status.esmes.push(Esme {
                    name: format!("e{number}"),
                    ..Esme::default()
                });
            }
            status
        };
        for second in [10, 20] {
            let own = process("a", second, 1, 1, 1);
            history.sample(&[own, hostile(second), hostile(second)], at(second));
        }
        assert_eq!(history.esmes.len(), MOST_ESMES);
        let seen = history.esmes["acme"].back().unwrap();
        assert_eq!((seen.lag, seen.window_used), (i64::MAX, u64::MAX));
        // The second time they are all there are: what happened since is everything.
        let mut history = History::default();
        history.sample(&[process("b", 1, 0, 0, 0)], at(1));
        history.sample(&[hostile(2)], at(2));
        let seen = history.esmes["acme"].back().unwrap();
        assert!(
            seen.responses > 1e18 && seen.append_to_result.p99.is_some(),
            "{seen:?}"
        );
    }

    #[test]
    fn an_hour_is_kept_of_what_is_there() {
        let mut history = History::default();
        for second in 0..400 {
            history.sample(&[process("a", second, 1, 0, 0)], at(second));
        }
        assert_eq!(history.esmes["acme"].len(), MOST);
        history.sample(&[], at(400));
        assert!(history.esmes.is_empty());
    }
}
