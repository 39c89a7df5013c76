//! What can be seen of the process, put together from its parts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use plain_telemetry::Count;

use super::steering;
use crate::control;
use crate::correlate;
use crate::deliver::{self, Deliver};
use crate::deployment;
use crate::http::Seen;
use crate::ops::problems::problems;
use crate::registry;
use crate::status::{
    Client, Correlation, CorrelationPartition, Deliveries, Esme, History, Kafka, Live, Memory,
    Phase, Process, Ready, Registry, STEP, Status, VERSION,
};
use crate::submit;
use crate::threads::Pulse;

/// So many problems are shown.
const PROBLEMS: usize = 50;

/// What a process has counts in the history of all for so long after its last word.
const PRESENT: Duration = Duration::from_secs(30);

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Look(Arc<Mutex<Looking>>);

struct Looking {
    process: Process,
    /// What is waited for while the process starts.
    awaited: &'static str,
    cluster: String,
    /// After so long without progress a thread is stuck: more than anything that it waits for in
    /// Kafka takes.
    stuck: Duration,
    /// None before they are made, and when they have ended.
    parts: Option<Parts>,
    /// None before the process has a name.
    others: Option<deployment::Handle>,
    /// The last hour.
    history: History,
    /// What operators want.
    steered: Option<control::Handle>,
}

/// The parts of a process that works.
#[derive(Clone)]
pub struct Parts {
    /// Submitting.
    pub submit: submit::Handle,
    /// Correlating.
    pub correlate: correlate::Handle,
    /// What SMSCs deliver.
    pub deliver: Deliver,
    /// The schema registry.
    pub registry: Option<registry::Handle>,
}

impl Look {
    /// A process of the deployment that begins, whose threads are stuck after so long.
    pub fn new(deployment: &str, stuck: Duration) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Look(Arc::new(Mutex::new(Looking {
            process: Process {
                deployment: deployment.to_owned(),
                host: host.trim().to_owned(),
                software: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: Timestamp::now(),
                ..Process::default()
            },
            awaited: "",
            cluster: String::new(),
            stuck,
            parts: None,
            others: None,
            history: History::default(),
            steered: None,
        })))
    }

    /// Operators steer the process by this.
    pub fn steered_by(&self, steered: control::Handle) {
        self.0.lock().steered = Some(steered);
    }

    /// What the start waits for, in words.
    pub fn awaits(&self, what: &'static str) {
        self.0.lock().awaited = what;
    }

    /// The process has a name, and knows its cluster.
    pub fn named(&self, process: &str, cluster: &str) {
        let mut looking = self.0.lock();
        process.clone_into(&mut looking.process.name);
        cluster.clone_into(&mut looking.cluster);
    }

    /// It knows the other processes.
    pub fn knows(&self, others: deployment::Handle) {
        self.0.lock().others = Some(others);
    }

    /// This process, and those that said anything `within` this time.
    fn all(&self, within: Duration) -> Vec<Status> {
        let others = self.0.lock().others.clone();
        let mut all = vec![self.status()];
        all.extend(others.into_iter().flat_map(|others| others.others(within)));
        all
    }

    /// The process works.
    pub fn runs(&self, parts: Parts) {
        let mut looking = self.0.lock();
        looking.process.phase = Phase::Running;
        looking.parts = Some(parts);
    }

    /// The process drains.
    pub fn stops(&self) {
        self.0.lock().process.phase = Phase::Stopping;
    }

    /// Notes what there is every [`STEP`] seconds, until this is dropped.
    pub async fn keep_history(self) {
        let mut clock = tokio::time::interval(Duration::from_secs(STEP));
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let look = self.clone();
            let sample = move || {
                let processes = look.all(PRESENT);
                look.0.lock().history.sample(&processes, Timestamp::now());
            };
            // What panics there ends the process.
            let _ = tokio::task::spawn_blocking(sample).await;
        }
    }

    /// Its parts have ended: nothing of them is held any more.
    pub fn ended(&self) {
        self.0.lock().parts = None;
    }
}

impl Seen for Look {
    fn status(&self) -> Status {
        let looking = self.0.lock();
        let (mut process, awaited) = (looking.process.clone(), looking.awaited);
        let (cluster, parts) = (looking.cluster.clone(), looking.parts.clone());
        let orders = looking
            .steered
            .as_ref()
            .map(|steered| steered.known().borrow().orders.clone());
        drop(looking);
        process.resident_octets = resident();
        let mut seen = parts.as_ref().map(look).unwrap_or_default();
        for esme in &mut seen.esmes {
            let orders = orders.as_deref();
            esme.steering = orders
                .map(|orders| steering::seen(orders, &esme.name))
                .unwrap_or_default();
        }
        Status {
            version: VERSION,
            at: Timestamp::now(),
            ready: ready(process.phase, awaited, parts.as_ref(), &seen),
            live: self.live(),
            process,
            kafka: Kafka {
                cluster,
                ..seen.kafka
            },
            problems: problems(PROBLEMS),
            ..seen
        }
    }

    fn processes(&self) -> Vec<Status> {
        self.all(deployment::FORGOTTEN)
    }

    fn history(&self) -> History {
        self.0.lock().history.clone()
    }

    fn live(&self) -> Live {
        let looking = self.0.lock();
        let (stuck, parts) = (looking.stuck, looking.parts.clone());
        // A process that ends has a time-out of its own.
        let is_running = looking.process.phase == Phase::Running;
        drop(looking);
        let mut still = Vec::new();
        if let Some(parts) = parts.filter(|_| is_running) {
            let mut look = |name: &str, pulse: &Pulse| {
                if pulse.still() > stuck {
                    let seconds = pulse.still().as_secs();
                    still.push(format!("{name} has made no progress for {seconds} s"));
                }
            };
            parts.submit.pulses(&mut look);
            parts.correlate.pulses(&mut look);
        }
        Live {
            live: still.is_empty(),
            stuck: still,
        }
    }
}

fn look(parts: &Parts) -> Status {
    let correlate = parts.correlate.status();
    let correlation = correlate.map_or_else(Correlation::default, |status| Correlation {
        partitions: status.partitions.iter().map(partition).collect(),
        counts: named(correlate::Counts::TABLE, &status.counts.values()),
    });
    let esmes = parts.submit.status();
    let mut clients = parts.submit.clients();
    clients.extend(parts.correlate.clients());
    clients.extend(parts.deliver.clients());
    Status {
        memory: memory(parts, &esmes, &correlation),
        esmes,
        correlation,
        deliveries: Deliveries {
            counts: named(deliver::Counts::TABLE, &parts.deliver.counts().values()),
        },
        transactions: vec![parts.submit.transactions(), parts.correlate.transactions()],
        kafka: Kafka {
            clients,
            ..Kafka::default()
        },
        registry: parts.registry.as_ref().map(|registry| Registry {
            missing: registry.missing() as u64,
        }),
        ..Status::default()
    }
}

fn partition(seen: &correlate::PartitionStatus) -> CorrelationPartition {
    CorrelationPartition {
        partition: seen.partition,
        live: seen.live,
        next: seen.next,
        entries: seen.entries as u64,
        parked: seen.parked as u64,
        parts: seen.parts as u64,
        octets: seen.octets as u64,
        parked_octets: seen.parked_octets as u64,
        gathered: seen.gathered as u64,
    }
}

fn named(table: &[Count], values: &[u64]) -> std::collections::BTreeMap<String, u64> {
    let names = table.iter().map(|count| count.name.to_owned());
    names.zip(values.iter().copied()).collect()
}

/// What has a bound. Messages that wait for their receipts have none.
fn memory(parts: &Parts, esmes: &[Esme], correlation: &Correlation) -> Vec<Memory> {
    let [deliveries, notifications] = parts.deliver.buffers();
    let partitions = || esmes.iter().flat_map(|esme| &esme.partitions);
    let records = partitions().map(|partition| partition.octets).sum();
    let room = partitions().count() as u64 * parts.submit.partition_octets();
    let parked: u64 = correlation.partitions.iter().map(|p| p.parked_octets).sum();
    let receipts = correlation.partitions.len() as u64 * correlate::join::PARKED_OCTETS as u64;
    let memory = |name: &str, (used, bound)| Memory {
        name: name.to_owned(),
        used,
        bound,
    };
    vec![
        memory("outbound records", (records, room)),
        memory("deliver_sm for Kafka", deliveries),
        memory("notifications", notifications),
        memory("receipts without message", (parked, receipts)),
    ]
}

/// What is missing, in words.
fn ready(phase: Phase, awaited: &str, parts: Option<&Parts>, seen: &Status) -> Ready {
    let mut missing = Vec::new();
    match (phase, parts) {
        (Phase::Running, Some(parts)) => {
            if !parts.submit.has_joined() || !parts.correlate.has_joined() {
                let text = "Kafka has not said yet which partitions are for this process";
                missing.push(text.to_owned());
            }
            missing.extend(not_connected(&seen.kafka.clients));
            for esme in &seen.esmes {
                missing.extend(not_open(esme));
                missing.extend(not_bound(esme));
            }
            missing.extend(not_restored(&seen.correlation));
            if let Some(registry) = seen.registry.as_ref().filter(|r| r.missing > 0) {
                let count = registry.missing;
                missing.push(format!(
                    "the schema registry has not given {count} schemas yet"
                ));
            }
        }
        (Phase::Stopping, _) => missing.push("it is stopping".to_owned()),
        _ => missing.push(format!("it is starting: {awaited}")),
    }
    Ready {
        ready: missing.is_empty(),
        missing,
    }
}

fn not_connected(clients: &[Client]) -> impl Iterator<Item = String> {
    let alone = clients
        .iter()
        .filter(|c| c.kind == "consumer" && c.brokers_up == 0);
    alone.map(|client| format!("no broker of Kafka is connected ({})", client.name))
}

fn not_open(esme: &Esme) -> impl Iterator<Item = String> {
    let waiting = esme.partitions.iter().filter(|p| p.phase != "open");
    waiting.map(|partition| {
        let (topic, number, phase) = (&partition.topic, partition.partition, &partition.phase);
        let why = partition.waits_for.as_deref();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        format!("{topic}-{number} is not open ({phase}){why}")
    })
}

/// An account that has partitions needs one bind of each kind at least, of those that operators do
/// not want closed.
fn not_bound(esme: &Esme) -> Vec<String> {
    let wanted = || esme.binds.iter().filter(|bind| !bind.drained);
    let modes: BTreeSet<&str> = wanted().map(|bind| &*bind.mode).collect();
    let is_bound = |mode: &&str| {
        let mut binds = wanted().filter(|bind| bind.mode == **mode);
        binds.any(|bind| bind.state == "bound")
    };
    let unbound = modes.into_iter().filter(|mode| !is_bound(mode));
    unbound
        .map(|mode| {
            let mut binds = wanted().filter(|bind| bind.mode == mode);
            let why = binds.find_map(|bind| bind.reason.as_deref());
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            format!("{}: no {mode} is bound{why}", esme.name)
        })
        .collect()
}

fn not_restored(correlation: &Correlation) -> Option<String> {
    let restoring = correlation.partitions.iter().filter(|p| !p.live);
    let numbers: Vec<String> = restoring.map(|p| p.partition.to_string()).collect();
    (!numbers.is_empty()).then(|| {
        format!(
            "what is remembered for receipts is being read: partition {}",
            numbers.join(", ")
        )
    })
}

/// What the system gave this process, in octets, where Linux says it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Bind, Partition};

    fn bind(mode: &str, state: &str, reason: Option<&str>) -> Bind {
        Bind {
            mode: mode.into(),
            state: state.into(),
            reason: reason.map(Into::into),
            ..Bind::default()
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let partition = |number, phase: &str, waits_for: Option<&str>| Partition {
            topic: "sms".into(),
            partition: number,
            phase: phase.into(),
            waits_for: waits_for.map(Into::into),
            ..Partition::default()
        };
        let esme = Esme {
            name: "acme".into(),
            partitions: vec![
                partition(0, "open", Some("a schema")),
                partition(1, "taking over", None),
                partition(2, "standing still", Some("an offset")),
            ],
            binds: vec![
                bind("transmitter", "bound", None),
                bind("transmitter", "backoff", Some("refused")),
                bind("receiver", "backoff", Some("no route to host")),
            ],
            ..Esme::default()
        };
        assert_eq!(
            not_open(&esme).collect::<Vec<_>>(),
            [
                "sms-1 is not open (taking over)",
                "sms-2 is not open (standing still): an offset"
            ]
        );
        assert_eq!(
            not_bound(&esme),
            ["acme: no receiver is bound: no route to host"]
        );
        let mut drained = esme;
        drained.binds[2].drained = true;
        assert!(not_bound(&drained).is_empty());
    }

    #[test]
    fn a_start_says_what_it_waits_for_and_an_idle_process_needs_no_bind() {
        let look = Look::new("sms", Duration::from_secs(1));
        look.awaits("Kafka");
        let status = look.status();
        assert_eq!(status.ready.missing, ["it is starting: Kafka"]);
        assert!(status.live.live && status.process.resident_octets.is_some());
        look.stops();
        assert_eq!(look.status().ready.missing, ["it is stopping"]);
        assert!(not_bound(&Esme::default()).is_empty());
        assert!(not_restored(&Correlation::default()).is_none());
    }
}
