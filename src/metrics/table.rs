//! All metrics: what each is called, what it means, and how it is read from a [`Status`].
//!
//! The table makes `/metrics`, its help and `docs/metrics.md`. Names end in their unit, and those of
//! counters in `_total`, which the format adds. Labels have few values: names of the configuration,
//! states, partitions; never a phone number, a log_id, or what an SMSC made up.

use plain_telemetry::Count;

use crate::meters::{Receipts, Responses, Results};
use crate::notices;
use crate::status::{Bind, Client, CorrelationPartition, Esme, Histogram, Partition, Status};
use crate::{correlate, deliver, meters};

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How often something happened since the process began.
    Counter,
    /// How it is now.
    Gauge,
    /// How often something took how long since the process began.
    Histogram,
}

/// A value.
pub enum Value<'a> {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Number(f64),
    /// Of a histogram.
    Times(&'a Histogram),
}

/// Takes the labels, in the order of the family's, and the value of each sample.
pub type Samples<'a> = dyn FnMut(&[&str], Value<'_>) + 'a;

/// Metrics of one name.
pub struct Family {
    /// The name without unit and `_total`.
    pub name: &'static str,
    /// Its unit, which ends the name.
    pub unit: Option<&'static str>,
    /// What its numbers say.
    pub kind: Kind,
    /// What tells its samples apart.
    pub labels: &'static [&'static str],
    /// What it means.
    pub about: &'static str,
    /// Reads its samples.
    pub read: fn(&Status, &mut Samples<'_>),
}

/// Counters that a part of the program declares in a table of its own.
pub struct Counters {
    /// What their names begin with.
    pub prefix: &'static str,
    /// Their table.
    pub table: &'static [Count],
    /// What tells samples apart.
    pub labels: &'static [&'static str],
    /// Reads the samples of the one of this name.
    pub read: fn(&Status, &str, &mut Samples<'_>),
}

/// The counters of the parts.
pub const COUNTERS: [Counters; 4] = [
    Counters {
        prefix: "kafka_smpp_",
        table: meters::Counts::TABLE,
        labels: &["esme"],
        read: |status, name, add| {
            for esme in &status.esmes {
                let count = esme.counts.get(name).copied().unwrap_or_default();
                add(&[&esme.name], Value::Count(count));
            }
        },
    },
    Counters {
        prefix: "kafka_smpp_binds_",
        table: smpp_esme::Counts::TABLE,
        labels: &["esme"],
        read: |status, name, add| {
            for esme in &status.esmes {
                let count = esme.binds_counts.get(name).copied().unwrap_or_default();
                add(&[&esme.name], Value::Count(count));
            }
        },
    },
    Counters {
        prefix: "kafka_smpp_correlate_",
        table: correlate::Counts::TABLE,
        labels: &[],
        read: |status, name, add| {
            let count = status.correlation.counts.get(name);
            add(&[], Value::Count(count.copied().unwrap_or_default()));
        },
    },
    Counters {
        prefix: "kafka_smpp_deliver_",
        table: deliver::Counts::TABLE,
        labels: &[],
        read: |status, name, add| {
            let count = status.deliveries.counts.get(name);
            add(&[], Value::Count(count.copied().unwrap_or_default()));
        },
    },
];

/// One number of the process.
fn one(value: f64, add: &mut Samples<'_>) {
    add(&[], Value::Number(value));
}

fn of_binds(status: &Status, add: &mut Samples<'_>, read: impl Fn(&Bind) -> Option<f64>) {
    for esme in &status.esmes {
        for bind in &esme.binds {
            if let Some(number) = read(bind) {
                add(&[&esme.name, &bind.name], Value::Number(number));
            }
        }
    }
}

fn of_partitions(status: &Status, add: &mut Samples<'_>, read: impl Fn(&Partition) -> Option<f64>) {
    for esme in &status.esmes {
        for partition in &esme.partitions {
            if let Some(number) = read(partition) {
                let name = partition.partition.to_string();
                let labels = [&*esme.name, &*partition.topic, &*name];
                add(&labels, Value::Number(number));
            }
        }
    }
}

fn of_correlation(
    status: &Status,
    add: &mut Samples<'_>,
    read: impl Fn(&CorrelationPartition) -> f64,
) {
    for partition in &status.correlation.partitions {
        let name = partition.partition.to_string();
        add(&[&name], Value::Number(read(partition)));
    }
}

fn of_clients(status: &Status, add: &mut Samples<'_>, read: impl Fn(&Client) -> Option<f64>) {
    for client in &status.kafka.clients {
        if let Some(number) = read(client) {
            add(&[&client.name, &client.kind], Value::Number(number));
        }
    }
}

fn timed(status: &Status, add: &mut Samples<'_>, read: impl Fn(&Esme) -> &Histogram) {
    for esme in &status.esmes {
        add(&[&esme.name], Value::Times(read(esme)));
    }
}

fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// The states of a bind, as [`smpp_esme::State::name`] has them.
const STATES: [&str; 7] = [
    "idle",
    "connecting",
    "bound",
    "backoff",
    "refused",
    "frozen",
    "closed",
];

/// How long something took, as Prometheus' rules have it.
const SECONDS: Option<&str> = Some("seconds");
/// Amounts of memory: Prometheus' rules call octets so.
const BYTES: Option<&str> = Some("bytes");

const BIND: &[&str] = &["esme", "bind"];
const PARTITION: &[&str] = &["esme", "topic", "partition"];
const CLIENT: &[&str] = &["client", "kind"];

macro_rules! families {
    ($($(#[doc = $about:literal])+ $kind:ident $name:literal $unit:expr, $labels:expr => $read:expr;)*) => {
        /// The others.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            unit: $unit,
            kind: Kind::$kind,
            labels: $labels,
            about: concat!($($about, "\n"),+),
            read: $read,
        }),*];
    };
}

families! {
    /// Which version of kafka-smpp runs, as a label; always 1.
    Gauge "kafka_smpp_build_info" None, &["version"] => |status, add| {
        add(&[&status.process.software], Value::Number(1.0));
    };
    /// When the process began, in seconds since 1970.
    Gauge "kafka_smpp_start_time" SECONDS, &[] => |status, add| {
        one(status.process.started_at.as_microsecond() as f64 / 1e6, add);
    };
    /// What the operating system gave the process.
    Gauge "kafka_smpp_resident_memory" BYTES, &[] => |status, add| {
        if let Some(octets) = status.process.resident_octets {
            one(octets as f64, add);
        }
    };
    /// Whether the process does its work: 1, or 0 and `/ready` names what is missing.
    Gauge "kafka_smpp_ready" None, &[] => |status, add| one(yes(status.ready.ready), add);
    /// Whether the threads of the process make progress: 1, or 0 and `/live` names those that do not.
    Gauge "kafka_smpp_live" None, &[] => |status, add| one(yes(status.live.live), add);
    /// Whether the bind is in the state: 1 for one state, 0 for all others.
    Gauge "kafka_smpp_bind_state" None, &["esme", "bind", "state"] => |status, add| {
        for esme in &status.esmes {
            for bind in &esme.binds {
                for state in STATES {
                    let is = yes(bind.state == state);
                    add(&[&esme.name, &bind.name, state], Value::Number(is));
                }
            }
        }
    };
    /// Requests that are unanswered, with places that are handed out for others.
    Gauge "kafka_smpp_bind_window_used" None, BIND => |status, add| {
        of_binds(status, add, |bind| bind.submits.then_some(bind.window.used as f64));
    };
    /// Requests that may be unanswered now; 0 without a session.
    Gauge "kafka_smpp_bind_window_allowed" None, BIND => |status, add| {
        of_binds(status, add, |bind| bind.submits.then_some(bind.window.allowed as f64));
    };
    /// Requests that may be unanswered at most (`window`).
    Gauge "kafka_smpp_bind_window_limit" None, BIND => |status, add| {
        of_binds(status, add, |bind| bind.submits.then_some(bind.window.most as f64));
    };
    /// PDUs per second that the SMSC's answers let the bind send; no sample without such a limit.
    Gauge "kafka_smpp_bind_rate_found" None, BIND => |status, add| of_binds(status, add, |bind| bind.rate);
    /// PDUs per second that the bind may send at most (`max_tps_per_bind`); no sample without a limit.
    Gauge "kafka_smpp_bind_rate_limit" None, BIND => |status, add| {
        of_binds(status, add, |bind| bind.contracted_rate);
    };
    /// Whether the SMSC said within the last minute that it is too much.
    Gauge "kafka_smpp_bind_throttled" None, BIND => |status, add| {
        of_binds(status, add, |bind| bind.submits.then_some(yes(bind.throttled)));
    };
    /// How long the SMSC took to answer the last enquire_link, which is sent when nothing else is.
    Gauge "kafka_smpp_bind_enquire_link_round_trip" SECONDS, BIND => |status, add| {
        of_binds(status, add, |bind| bind.round_trip);
    };
    /// PDUs per second that the contract allows in all processes together (`max_tps`); no sample
    /// without a limit.
    Gauge "kafka_smpp_rate_contracted" None, &["esme"] => |status, add| {
        for esme in &status.esmes {
            if let Some(rate) = esme.rate.contracted {
                add(&[&esme.name], Value::Number(rate));
            }
        }
    };
    /// The part of it that this process may use, by the partitions that it holds.
    Gauge "kafka_smpp_rate_here" None, &["esme"] => |status, add| {
        for esme in &status.esmes {
            if let Some(rate) = esme.rate.here {
                add(&[&esme.name], Value::Number(rate));
            }
        }
    };
    /// What operators have paused of the ESME: how many orders are in force.
    Gauge "kafka_smpp_paused" None, &["esme"] => |status, add| {
        for esme in &status.esmes {
            add(&[&esme.name], Value::Number(esme.steering.paused.len() as f64));
        }
    };
    /// Whether operators want nothing to be sent over the bind, by a pause or drain of the bind or of
    /// its ESME, or by a maintenance.
    Gauge "kafka_smpp_bind_paused" None, BIND => |status, add| {
        of_binds(status, add, |bind| Some(yes(bind.paused)));
    };
    /// Whether operators want the bind to be closed, by a drain of the bind or of its ESME, or by a
    /// maintenance.
    Gauge "kafka_smpp_bind_drained" None, BIND => |status, add| {
        of_binds(status, add, |bind| Some(yes(bind.drained)));
    };
    /// Whether operators want nothing of the partition to be sent, by a pause of its topic or of its
    /// ESME, or of all binds that send it.
    Gauge "kafka_smpp_partition_paused" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(yes(partition.paused)));
    };
    /// Whether a window of maintenance that operators agreed is in force: nobody is to be woken.
    Gauge "kafka_smpp_maintenance" None, &["esme"] => |status, add| {
        for esme in &status.esmes {
            let window = esme.steering.maintenance.as_ref();
            let is = window.is_some_and(|w| w.from <= status.at && status.at < w.until);
            add(&[&esme.name], Value::Number(yes(is)));
        }
    };
    /// Answers of the SMSC to submit_sm and the like, late ones included, by command_status: a name of
    /// the specification, `vendor` (0x400 to 0x4FF) or `reserved`. Each segment has one.
    Counter "kafka_smpp_responses" None, &["esme", "command_status"] => |status, add| {
        labelled(status, add, Responses::names(), |esme| &esme.responses);
    };
    /// Results that Kafka has, one for each record: `ACCEPTED`, `REFUSED` (a SubmitSmResp with another
    /// command_status), or the error of a SendError.
    Counter "kafka_smpp_results" None, &["esme", "outcome"] => |status, add| {
        labelled(status, add, Results::names(), |esme| &esme.results);
    };
    /// Receipts, by the state that they say; `UNREADABLE` if none is known.
    Counter "kafka_smpp_receipts" None, &["esme", "state"] => |status, add| {
        labelled(status, add, Receipts::names(), |esme| &esme.receipts);
    };
    /// From a record's append to Kafka until its submit_sm was handed to a session; of first attempts.
    Histogram "kafka_smpp_append_to_socket" SECONDS, &["esme"] => |status, add| {
        timed(status, add, |esme| &esme.append_to_socket);
    };
    /// From there until the SMSC's answer that ended the message or segment; OpenTelemetry's
    /// `messaging.client.operation.duration`.
    Histogram "kafka_smpp_submit_to_response" SECONDS, &["esme"] => |status, add| {
        timed(status, add, |esme| &esme.submit_to_response);
    };
    /// From a record's append to Kafka until its result is committed; OpenTelemetry's
    /// `messaging.process.duration`.
    Histogram "kafka_smpp_append_to_result" SECONDS, &["esme"] => |status, add| {
        timed(status, add, |esme| &esme.append_to_result);
    };
    /// From the submit_sm until its final receipt came.
    Histogram "kafka_smpp_submit_to_receipt" SECONDS, &["esme"] => |status, add| {
        timed(status, add, |esme| &esme.submit_to_receipt);
    };
    /// Offsets from the first record without a result to the end of the partition, as it was seen last:
    /// while Kafka answers, within about ten seconds.
    Gauge "kafka_smpp_partition_lag" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| partition.lag.map(|lag| lag as f64));
    };
    /// The offset of the next record to be read.
    Gauge "kafka_smpp_partition_position" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(partition.position as f64));
    };
    /// How far above the first record without a result the reservation reaches, in offsets: what a
    /// successor must take for sent, if it has no result, when this process ends now.
    Gauge "kafka_smpp_partition_reserved" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| {
            Some((partition.reserved - partition.committed).max(0) as f64)
        });
    };
    /// Records without a result of which an SMSC may have a copy that nobody knows of.
    Gauge "kafka_smpp_partition_in_doubt" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(partition.in_doubt as f64));
    };
    /// Records that were read and have no result.
    Gauge "kafka_smpp_partition_unfinished" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(partition.unfinished as f64));
    };
    /// Records that a bind has, and that are not answered.
    Gauge "kafka_smpp_partition_in_flight" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(partition.in_flight as f64));
    };
    /// Whether the partition is open: 1, or 0 while it is taken over, drains or stands still.
    Gauge "kafka_smpp_partition_open" None, PARTITION => |status, add| {
        of_partitions(status, add, |partition| Some(yes(partition.phase == "open")));
    };
    /// Transactions that were committed.
    Counter "kafka_smpp_transactions_committed" None, &["pipeline"] => |status, add| {
        for pipeline in &status.transactions {
            add(&[&pipeline.pipeline], Value::Count(pipeline.committed));
        }
    };
    /// Records of transactions that were committed.
    Counter "kafka_smpp_transactions_records" None, &["pipeline"] => |status, add| {
        for pipeline in &status.transactions {
            add(&[&pipeline.pipeline], Value::Count(pipeline.records));
        }
    };
    /// Transactions that were not committed, by cause: `fenced` (partitions moved, which is normal in a
    /// rollout), `record` or `topic` (refused), `unavailable`, `gone`, `refused` (a right is missing),
    /// `trouble` (it is tried again), `unknown`. Nothing is lost by any of them.
    Counter "kafka_smpp_transactions_aborted" None, &["pipeline", "cause"] => |status, add| {
        for pipeline in &status.transactions {
            for (cause, count) in &pipeline.aborted {
                add(&[&pipeline.pipeline, cause], Value::Count(*count));
            }
        }
    };
    /// How long transactions took that were committed.
    Histogram "kafka_smpp_transaction" SECONDS, &["pipeline"] => |status, add| {
        for pipeline in &status.transactions {
            add(&[&pipeline.pipeline], Value::Times(&pipeline.took));
        }
    };
    /// Messages, and segments from phones, that are remembered.
    Gauge "kafka_smpp_correlation_entries" None, &["partition"] => |status, add| {
        of_correlation(status, add, |partition| partition.entries as f64);
    };
    /// Receipts that wait for their message, or were published without.
    Gauge "kafka_smpp_correlation_parked" None, &["partition"] => |status, add| {
        of_correlation(status, add, |partition| partition.parked as f64);
    };
    /// Segments of messages from phones that wait for the others.
    Gauge "kafka_smpp_correlation_parts_waiting" None, &["partition"] => |status, add| {
        of_correlation(status, add, |partition| partition.parts as f64);
    };
    /// About what all of them take in memory.
    Gauge "kafka_smpp_correlation_memory" BYTES, &["partition"] => |status, add| {
        of_correlation(status, add, |partition| partition.octets as f64);
    };
    /// Whether the partition is restored, and its receipts are joined: 1, or 0 while it is read.
    Gauge "kafka_smpp_correlation_live" None, &["partition"] => |status, add| {
        of_correlation(status, add, |partition| yes(partition.live));
    };
    /// Memory with a bound: what of it is in use.
    Gauge "kafka_smpp_memory_used" BYTES, &["what"] => |status, add| {
        for memory in &status.memory {
            add(&[&memory.name], Value::Number(memory.used as f64));
        }
    };
    /// Memory with a bound: the bound.
    Gauge "kafka_smpp_memory_bound" BYTES, &["what"] => |status, add| {
        for memory in &status.memory {
            add(&[&memory.name], Value::Number(memory.bound as f64));
        }
    };
    /// Schemas that records wait for, and that the registry has not given yet.
    Gauge "kafka_smpp_registry_schemas_missing" None, &[] => |status, add| {
        if let Some(registry) = &status.registry {
            one(registry.missing as f64, add);
        }
    };
    /// Brokers that the client is connected to; what librdkafka says of its clients is up to five
    /// seconds old.
    Gauge "kafka_smpp_client_brokers_up" None, CLIENT => |status, add| {
        of_clients(status, add, |client| Some(client.brokers_up as f64));
    };
    /// Brokers that the client knows and cannot reach.
    Gauge "kafka_smpp_client_brokers_down" None, CLIENT => |status, add| {
        of_clients(status, add, |client| Some(client.brokers_down as f64));
    };
    /// Records of a producer that wait to be sent, or for the answer.
    Gauge "kafka_smpp_client_queued_records" None, CLIENT => |status, add| {
        of_clients(status, add, |client| Some(client.queued as f64));
    };
    /// What these have.
    Gauge "kafka_smpp_client_queued" BYTES, CLIENT => |status, add| {
        of_clients(status, add, |client| Some(client.queued_octets as f64));
    };
    /// How long the slowest broker takes to answer, on the average of the last seconds.
    Gauge "kafka_smpp_client_round_trip" SECONDS, CLIENT => |status, add| {
        of_clients(status, add, |client| client.round_trip);
    };
    /// Requests that brokers did not answer in time, since the client was made.
    Gauge "kafka_smpp_client_timeouts" None, CLIENT => |status, add| {
        of_clients(status, add, |client| Some(client.timeouts as f64));
    };
    /// Rebalances of the client's group, since the client was made.
    Gauge "kafka_smpp_client_rebalances" None, CLIENT => |status, add| {
        of_clients(status, add, |client| {
            (client.kind == "consumer").then_some(client.rebalances as f64)
        });
    };
    /// Lines of the log, by what they are called in docs/log.md, whatever the level of the log is.
    Counter "kafka_smpp_log_lines" None, &["level", "line"] => |_, add| {
        for notice in notices::all() {
            let level = notice.level.as_str().to_lowercase();
            add(&[&level, &notice.name()], Value::Count(notice.times()));
        }
    };
}

/// What is counted by a label of which all values are known: those are there from the start, so that
/// whoever compares with what was before sees the first event.
fn labelled(
    status: &Status,
    add: &mut Samples<'_>,
    names: impl Iterator<Item = &'static str> + Clone,
    read: impl Fn(&Esme) -> &std::collections::BTreeMap<String, u64>,
) {
    for esme in &status.esmes {
        for name in names.clone() {
            let count = read(esme).get(name).copied().unwrap_or_default();
            add(&[&esme.name, name], Value::Count(count));
        }
    }
}
