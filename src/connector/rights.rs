//! What Kafka has to allow a running connector, from its configuration.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::kafka::rights::Transactional;

/// What Kafka has to allow.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The topics it reads.
    pub reads: Vec<String>,
    /// What it writes, in transactions and beside them.
    pub writes: [Transactional; 2],
}

/// What a connector with this configuration has to be allowed.
pub fn wanted(config: &Config) -> Rights {
    let topics = &config.topics;
    let mut leases: BTreeSet<&str> = BTreeSet::new();
    let mut outbound: BTreeSet<&str> = BTreeSet::new();
    for esme in &config.esme {
        leases.extend(esme.leases());
        outbound.extend(esme.outbound.iter().map(String::as_str));
    }
    let source = leases.first().copied().unwrap_or_default().to_owned();
    let owned = |topics: BTreeSet<&str>| topics.into_iter().map(str::to_owned).collect();
    let mut reads = &leases | &outbound;
    reads.extend([topics.deliveries.as_str(), topics.correlation.as_str()]);
    // Records are put back onto their topics; deliveries, notifications and the trace are written by
    // producers without transactions, which takes the same right.
    let mut submit = outbound.clone();
    submit.extend([
        topics.responses.as_str(),
        &topics.errors,
        &topics.deliveries,
        &topics.notifications,
    ]);
    submit.extend(topics.trace.as_deref());
    reads.insert(&topics.control);
    if config.http.listen.is_some() {
        reads.insert(&topics.status);
        submit.insert(&topics.status);
        submit.insert(&topics.control);
    }
    let correlate = [
        topics.receipts.as_str(),
        &topics.inbound,
        &topics.correlation,
    ];
    let submit_group = config.kafka.submit_group();
    let correlate_group = config.kafka.correlate_group();
    Rights {
        reads: owned(reads),
        writes: [
            Transactional {
                id: format!("{submit_group}.check"),
                group: submit_group,
                source,
                writes: owned(submit),
            },
            Transactional {
                id: format!("{correlate_group}.check"),
                group: correlate_group,
                source: topics.deliveries.clone(),
                writes: owned(correlate.into()),
            },
        ],
    }
}
