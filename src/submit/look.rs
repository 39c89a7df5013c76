//! What can be seen of submitting.

use std::collections::{BTreeMap, HashMap};

use hashbrown::HashSet;

use super::Handle;
use super::binds::account::Account;
use super::binds::wanted::Wanted;
use crate::kafka::Partition;
use crate::meters::{self, Meters};
use crate::status::{self, Esme, Rate};
use crate::threads::Pulse;

impl Handle {
    /// The accounts, with their binds and partitions.
    pub fn status(&self) -> Vec<Esme> {
        let mut partitions: HashMap<Partition, status::Partition> =
            self.pipeline.partitions().into_iter().collect();
        for partition in self.owner.assigned() {
            // It is not fetched yet, or stands still.
            partitions
                .entry(partition.clone())
                .or_insert_with(|| status::Partition {
                    topic: partition.topic.to_string(),
                    partition: partition.partition,
                    phase: "taking over".to_owned(),
                    ..status::Partition::default()
                });
        }
        for partition in self.pipeline.kept() {
            if let Some(seen) = partitions.get_mut(&partition) {
                seen.phase = "standing still".to_owned();
            }
        }
        let waits = self.owner.waits().into_iter().chain(self.group.waits());
        for (partition, what) in waits {
            if let Some(seen) = partitions.get_mut(&partition) {
                seen.waits_for = Some(what);
            }
        }
        for (partition, seen) in &mut partitions {
            seen.end = self.group.figures().end(partition);
            // What librdkafka saw some seconds ago may be behind what was read since.
            seen.lag = seen.end.map(|end| end.max(seen.position) - seen.committed);
        }
        let accounts = self.owner.accounts().iter();
        accounts.map(|account| esme(account, &partitions)).collect()
    }

    /// Operators want this of accounts, by name; of those that are not named they want nothing.
    pub fn steer(&self, mut wanted: BTreeMap<String, Wanted>) {
        let (mut topics, mut binds) = (HashSet::new(), HashSet::new());
        for account in self.owner.accounts() {
            let wanted = wanted.remove(&*account.options.name).unwrap_or_default();
            topics.extend(wanted.paused_topics.iter().cloned());
            binds.extend(wanted.paused_binds.iter().cloned());
            account.steer(wanted);
        }
        self.pipeline.stop(topics, binds);
        self.owner.spread_rates();
    }

    /// Whether any partition of the ESME is for this process.
    pub fn holds(&self, esme: &str) -> bool {
        let accounts = self.owner.accounts().iter();
        let mut accounts = accounts.filter(|account| *account.options.name == *esme);
        accounts.next().is_some_and(|account| {
            let assigned = self.owner.assigned();
            (assigned.iter()).any(|partition| account.priority(&partition.topic).is_some())
        })
    }

    /// Whether Kafka has said which partitions are ours, if any.
    pub fn has_joined(&self) -> bool {
        self.group.has_joined()
    }

    /// How many octets of records each partition may hold in memory.
    pub fn partition_octets(&self) -> u64 {
        self.pipeline.settings.fetch_octets.get()
    }

    /// Its Kafka clients.
    pub fn clients(&self) -> Vec<status::Client> {
        vec![self.group.figures().client(), self.pipeline.late_figures()]
    }

    /// Its transactions.
    pub fn transactions(&self) -> status::Transactions {
        match self.pipeline.transactor() {
            Some(transactor) => transactor.meters().status("submit"),
            None => status::Transactions::default(),
        }
    }

    /// Its threads, each with what shows whether it makes progress.
    pub fn pulses(&self, mut look: impl FnMut(&str, &Pulse)) {
        look("the thread that polls for submit", self.group.pulse());
        if let Some(transactor) = self.pipeline.transactor()
            && let Some(pulse) = transactor.pulse()
        {
            look("the thread of submit's transactions", pulse);
        }
    }
}

fn esme(account: &Account, partitions: &HashMap<Partition, status::Partition>) -> Esme {
    let options = &account.options;
    let mut own: Vec<status::Partition> = partitions
        .iter()
        .filter(|(partition, _)| account.priority(&partition.topic).is_some())
        .map(|(_, seen)| seen.clone())
        .collect();
    let wanted = account.wanted();
    for partition in &mut own {
        // One that is not fetched yet, too.
        partition.paused |= wanted.paused_topics.contains(&*partition.topic);
    }
    own.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let finite = |rate: f64| Some(rate).filter(|rate| rate.is_finite());
    Esme {
        name: options.name.to_string(),
        topics: options.topics.iter().map(ToString::to_string).collect(),
        rate: Rate {
            contracted: finite(options.max_tps),
            here: finite(account.max_tps()).and_then(|_| finite(account.current_rate())),
        },
        binds: account.binds.status(&wanted, &options.topics),
        partitions: own,
        ..measured(&options.meters, account.binds.counts())
    }
}

fn measured(meters: &Meters, binds: smpp_esme::Counts) -> Esme {
    let counts = meters.counters.get();
    let own = meters::Counts::TABLE.iter().zip(counts.values());
    let binds = binds.values();
    let of_binds = smpp_esme::Counts::TABLE.iter().zip(binds);
    let name = |(count, value): (&plain_telemetry::Count, u64)| (count.name.to_owned(), value);
    Esme {
        responses: meters.responses.get(),
        results: meters.results.get(),
        receipts: meters.receipts.get(),
        counts: own.map(name).collect(),
        binds_counts: of_binds.map(name).collect::<BTreeMap<_, _>>(),
        append_to_socket: meters.append_to_socket.get().into(),
        submit_to_response: meters.submit_to_response.get().into(),
        append_to_result: meters.append_to_result.get().into(),
        submit_to_receipt: meters.submit_to_receipt.get().into(),
        ..Esme::default()
    }
}
