//! How much memory the configuration allows.

use super::{Binds, Config, Esme};
use crate::correlate::GATHERED_OCTETS;
use crate::correlate::join::PARKED_OCTETS;
use crate::ops::flight_recorder::FlightRecorder;
use crate::submit::results::late_producer::LATE;

/// About what one unanswered PDU, with what is kept for its result, takes.
const PDU_OCTETS: u64 = 2048;

/// The producers: of results, late answers and correlation, and of deliver_sm, those sent one by
/// one, and notifications.
const PRODUCERS: u64 = 6;
/// Each has so many requests under way with a broker (max.in.flight.requests.per.connection).
const REQUESTS: u64 = 5;
/// The longest, copied from what is held (batch.size of librdkafka).
const BATCH_OCTETS: u64 = 1_000_000;

/// About what a message that awaits its receipts takes if it has little extra data: 110 octets were measured
/// with nothing given back (docs/performance.md).
const MESSAGE_OCTETS: u64 = 150;

impl Config {
    /// What the buffers may hold at most, each with its size in octets. What grows with the
    /// number of messages that await their receipts has no bound of ours and is not here; see
    /// [`unbounded`](Self::unbounded).
    pub fn memory_bound(&self) -> Vec<(String, u64)> {
        let kafka = &self.kafka;
        let mut bound = vec![
            (
                "fetched ahead by 3 consumers (kafka.fetch_buffer)".to_owned(),
                3 * kafka.fetch_buffer.get(),
            ),
            (
                "held by 3 producers (kafka.produce_buffer)".to_owned(),
                3 * kafka.produce_buffer.get(),
            ),
            (
                "deliver_sm that Kafka does not have yet (inbound.buffer)".to_owned(),
                self.inbound.buffer.get(),
            ),
            (
                "batches on their way to Kafka, for each broker".to_owned(),
                PRODUCERS * REQUESTS * BATCH_OCTETS,
            ),
        ];
        bound.push((
            "notifications of SMSCs while Kafka is away".to_owned(),
            crate::deliver::NOTIFICATIONS,
        ));
        bound.push((
            "late answers while their producer is made anew".to_owned(),
            LATE,
        ));
        bound.push((
            "marks of inbound messages that may come again".to_owned(),
            crate::deliver::repeats_octets(self.inbound.buffer.get()),
        ));
        bound.push((
            "parts of inbound messages, for each partition of topics.deliveries (inbound.reassembly_memory)"
                .to_owned(),
            self.inbound.reassembly_memory.get(),
        ));
        if self.http.listen.is_some() {
            bound.push((
                "what other processes show of themselves (http.listen)".to_owned(),
                crate::deployment::OCTETS as u64,
            ));
        }
        bound.push((
            "receipts without a message, for each partition of topics.deliveries".to_owned(),
            PARKED_OCTETS as u64,
        ));
        bound.push((
            "answers that come after their time-out".to_owned(),
            crate::submit::state::late::OCTETS as u64,
        ));
        // What gathers, and the transaction under way with its copy.
        bound.push((
            "results of correlation, for each partition of topics.deliveries".to_owned(),
            3 * GATHERED_OCTETS as u64,
        ));
        if self.topics.trace.is_some() {
            bound.push((
                "PDUs for the trace that Kafka does not have yet".to_owned(),
                crate::trace::OCTETS,
            ));
        }
        let recorded = FlightRecorder::octets(self.log.flight_recorder);
        if recorded > 0 {
            let binds: u64 = self.esme.iter().map(|e| u64::from(e.most_binds())).sum();
            bound.push((
                format!("recorded events of {binds} binds (log.flight_recorder)"),
                binds * recorded,
            ));
        }
        bound.extend(self.esme.iter().flat_map(|e| self.of_esme(e)));
        bound
    }

    /// What takes memory besides [`memory_bound`](Self::memory_bound), in proportion to what it
    /// is about; the status shows how much that is.
    pub fn unbounded(&self) -> String {
        let correlate = &self.correlate;
        format!(
            "besides, for each message or part that awaits its receipts: about {MESSAGE_OCTETS} octets with its extra_data and headers, until correlate.final_retention ({}) after the last final one, or for correlate.receipt_ttl ({})",
            correlate.final_retention, correlate.receipt_ttl
        )
    }

    fn of_esme(&self, esme: &Esme) -> [(String, u64); 3] {
        let octets = self.submit.fetch_octets.get();
        let topics = esme.outbound.len() as u64;
        let records = match esme.max_partitions() {
            Some(partitions) => (
                format!(
                    "{}: records of up to {partitions} partitions of {topics} topics (submit.fetch_octets)",
                    esme.name
                ),
                octets * topics * u64::from(partitions),
            ),
            None => (
                format!(
                    "{}: records of each partition of {topics} topics (submit.fetch_octets)",
                    esme.name
                ),
                octets * topics,
            ),
        };
        let binds = esme.most_binds();
        let windows = (
            format!("{}: windows of {binds} binds (esme.window)", esme.name),
            u64::from(binds) * u64::from(esme.window) * PDU_OCTETS,
        );
        let connections = (
            format!("{}: connections of {binds} binds", esme.name),
            u64::from(binds) * smpp_esme::SESSION_OCTETS as u64,
        );
        [records, windows, connections]
    }
}

impl Esme {
    /// How many binds a process has at most.
    fn most_binds(&self) -> u32 {
        match self.binds {
            Binds::PerPartition(_) => self.max_binds,
            Binds::PerInstance(n) => n.saturating_mul(self.sessions_per_bind()),
        }
    }
}
