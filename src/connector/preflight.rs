//! What must hold between the configuration and the cluster before anything begins.

use std::collections::BTreeSet;

use crate::codes::{self, Coded};
use crate::config::{Binds, Config, Esme};
use crate::kafka::cluster::Survey;

/// All topics that the configuration names and that must be there.
pub fn topics(config: &Config) -> Vec<String> {
    // Without the topic of orders nothing can be steered, without that of processes each is shown by
    // itself; all goes on.
    let mut all: BTreeSet<String> = (config.topics.named().iter())
        .filter(|(key, _)| !matches!(*key, "control" | "status"))
        .map(|(_, topic)| (*topic).to_owned())
        .collect();
    for esme in &config.esme {
        all.extend(esme.outbound.iter().cloned());
        all.extend(esme.lease_topic.clone());
    }
    all.into_iter().collect()
}

/// Checks the configuration against the cluster. What does not fit but may pass by itself is
/// returned, to be said: partitions are added to one topic after the other, and a process that
/// starts between the two serves what is there.
///
/// # Errors
///
/// Everything that does not fit, each with its remedy.
pub fn check(config: &Config, survey: &Survey) -> Result<Vec<Coded>, Vec<Coded>> {
    let mut passing = config.unused();
    let mut wrong = Vec::new();
    let missing: Vec<String> = topics(config)
        .into_iter()
        .filter(|topic| !survey.partitions.contains_key(topic))
        .collect();
    if !missing.is_empty() {
        let text = format!(
            "these topics do not exist: {}. Create them with: kafka-smpp topics create",
            missing.join(", ")
        );
        wrong.push(Coded::new(codes::TOPIC_MISSING, text));
    }
    let count = |topic: &str| survey.partitions.get(topic).copied();
    let (correlation, deliveries) = (&config.topics.correlation, &config.topics.deliveries);
    if let Some((c, d)) = unequal_internal_topics(config, count) {
        let text = format!(
            "topic {correlation} has {c} partitions and topic {deliveries} has {d}: both must have the same number. Create the one that is empty anew"
        );
        wrong.push(Coded::new(codes::INTERNAL_TOPICS_DIFFER, text));
    }
    for esme in &config.esme {
        passing.extend(uneven_priority_topics(esme, count));
        check_binds(esme, survey, &mut wrong);
    }
    if wrong.is_empty() {
        Ok(passing)
    } else {
        Err(wrong)
    }
}

/// How many partitions the correlation topic and that of the deliveries have, if both are there and
/// the numbers differ. State is divided alike over both, so such a connector would lose receipts.
pub(crate) fn unequal_internal_topics(
    config: &Config,
    count: impl Fn(&str) -> Option<i32>,
) -> Option<(i32, i32)> {
    let correlation = count(&config.topics.correlation)?;
    let deliveries = count(&config.topics.deliveries)?;
    (correlation != deliveries).then_some((correlation, deliveries))
}

/// What is not sent while the topics of an ESME differ in their number of partitions, which
/// `count` knows: it passes when partitions are added to the others.
pub(crate) fn uneven_priority_topics(
    esme: &Esme,
    count: impl Fn(&str) -> Option<i32>,
) -> Vec<Coded> {
    let mut passing = Vec::new();
    let Some((first, others)) = esme.outbound.split_first() else {
        return passing;
    };
    for other in others {
        if let (Some(expected), Some(found)) = (count(first), count(other))
            && expected != found
        {
            let (more, fewer) = if found > expected {
                (other, first)
            } else {
                (first, other)
            };
            let (most, least) = (found.max(expected), found.min(expected));
            let consequence = if found > expected {
                format!("what is in partitions {least} and above of {other} is not sent")
            } else {
                format!("partitions {least} and above of {first} go without {other}")
            };
            let text = format!(
                "esme {:?}: topic {more} has {most} partitions and topic {fewer} has {least}, but topics of one ESME go together partition by partition: {consequence} until {fewer} has {most} partitions, too",
                esme.name
            );
            passing.push(Coded::new(codes::PARTITIONS_UNEVEN, text));
        }
    }
    passing
}

fn too_many(text: String) -> Coded {
    Coded::new(codes::TOO_MANY_BINDS, text)
}

fn check_binds(esme: &Esme, survey: &Survey, wrong: &mut Vec<Coded>) {
    let sessions = esme.sessions_per_bind();
    match esme.binds {
        Binds::PerPartition(per_partition) => {
            let Some(topic) = esme.leases() else { return };
            let Some(partitions) = survey.partitions.get(topic) else {
                return;
            };
            let partitions = u32::try_from(*partitions).unwrap_or(0);
            let binds = partitions.saturating_mul(per_partition.saturating_mul(sessions));
            if binds > esme.max_binds {
                wrong.push(too_many(format!(
                    "esme {:?}: topic {topic} has {partitions} partitions, which means {binds} binds ({per_partition} for each partition, {sessions} session each); max_binds is {}. Raise max_binds if the SMSC allows it, use a topic with fewer partitions, or set binds = {{ per_instance = N }}",
                    esme.name, esme.max_binds
                )));
            }
        }
        Binds::PerInstance(count) => {
            let binds = count.saturating_mul(sessions);
            if binds > esme.max_binds {
                wrong.push(too_many(format!(
                    "esme {:?}: binds.per_instance = {count} means {binds} sessions in each process; max_binds is {}. Lower one or raise the other",
                    esme.name, esme.max_binds
                )));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_no_longer_used_is_said_and_stops_nothing() {
        let text = "[[esme]]\nname = \"acme\"\noutbound = [\"o\"]\nhosts = [\"smsc:2775\"]\nsystem_id = \"a\"\n";
        let warnings = |more: &str| {
            let config = crate::config::parse(&format!("{text}{more}"), []).unwrap();
            let one = |topic: String| (topic, 1);
            let survey = Survey {
                cluster_id: "c".into(),
                partitions: topics(&config).into_iter().map(one).collect(),
                closed: Vec::new(),
            };
            check(&config, &survey).unwrap()
        };
        assert_eq!(warnings("").len(), 0);
        let warnings = warnings("inbound_window = 100\n");
        assert!(
            warnings[0]
                .text
                .contains("inbound_window is no longer used, take it out")
                && warnings[0].text.contains("inbound.buffer (64MiB)"),
            "{warnings:?}"
        );
    }
}
