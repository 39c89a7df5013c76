//! Topics are created with the right cleanup policy, and a wrong one is refused.

use std::time::Duration;

use kafka_smpp::kafka::cluster::cluster_id;
use kafka_smpp::kafka::topics::{Cleanup, Created, Topic, create, describe};

use crate::harness::{kafka, unique, wait};

fn topic(name: &str, cleanup: Cleanup) -> Topic {
    Topic {
        name: name.to_owned(),
        partitions: 3,
        cleanup,
        configs: vec![("max.message.bytes".into(), "50000".into())],
    }
}

#[test]
fn topics_are_created_once_and_described() {
    let (client, a, b) = (kafka().config(), unique("a"), unique("b"));
    let wanted = [topic(&a, Cleanup::Delete), topic(&b, Cleanup::Compact)];
    let made = wait(create(&client, &wanted, Some(1))).unwrap();
    assert_eq!(
        made,
        [(a.clone(), Created::Created), (b.clone(), Created::Created)]
    );
    let again = wait(create(&client, &wanted[..1], None)).unwrap();
    assert_eq!(again, [(a.clone(), Created::Exists)]);
    let missing = unique("missing");
    let found = wait(describe(&client, &[&b, &missing, &a])).unwrap();
    assert!(found.closed.is_empty() && found.unseen.is_empty());
    let found = found.topics;
    let shown = found
        .iter()
        .map(|d| (d.name.as_str(), d.cleanup_policy.as_str(), d.partitions));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [(b.as_str(), "compact", 3), (a.as_str(), "delete", 3)]
    );
    assert_eq!(
        (found[0].replication, found[0].max_message_octets),
        (1, Some(50_000))
    );
    assert_eq!(wanted[1].fault(&found[0]), None);
    let wrong = topic(&b, Cleanup::Delete)
        .fault(&found[0])
        .unwrap()
        .to_string();
    assert!(
        wrong.contains("cleanup.policy is \"compact\" and must be delete"),
        "{wrong}"
    );
}

#[test]
fn what_the_broker_refuses_is_said() {
    let (client, name) = (kafka().config(), unique("none"));
    let wanted = Topic {
        partitions: 0,
        ..topic(&name, Cleanup::Delete)
    };
    let made = wait(create(&client, &[wanted], Some(1))).unwrap();
    assert!(
        matches!(&made[0].1, Created::Refused(why) if why.contains("InvalidPartitions")),
        "{made:?}"
    );
}

#[test]
fn a_cluster_has_an_id_and_no_cluster_has_none() {
    let id = cluster_id(&kafka().config(), "none", Duration::from_secs(20)).unwrap();
    assert!(!id.is_empty());
    let mut nowhere = kafka().config();
    nowhere.set("bootstrap.servers", "127.0.0.1:1");
    assert!(cluster_id(&nowhere, "none", Duration::from_millis(300)).is_err());
}
