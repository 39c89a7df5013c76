//! The crash audit: processes are killed, frozen, cut off and started anew with another
//! configuration while records of every kind go through; then everything is counted from outside,
//! from what the SMSC itself has seen.
//!
//! | audit | what happens | module |
//! |---|---|---|
//! | chaos | two processes, all kinds of records, every trouble at random | [`chaos`] |
//! | kills | one process, killed in the middle of a fast, a silent, a throttling, a refusing SMSC: how many records are in doubt that the SMSC never had | [`kills`] |
//! | shared binds | `per_instance`, several partitions on one bind, a process killed | [`chaos`] |
//! | priorities | an urgent topic beside one of very long messages, a process killed | [`chaos`] |
//! | another cluster | MirrorMaker 2 to a second Kafka, the first one lost: by command | [`another_cluster`] |
//! | edges | an operator's reset and a process that joins; `instance_id` used twice; a log that lost its last record; message ids that the SMSC uses again | [`edges`] |
//!
//! What may be said of a record is one table, in [`ledger`].
//!
//! Small here. A large one, half of its records with `in_doubt = "resend"`, half with `"report"`:
//!
//! ```text
//! AUDIT_RECORDS=200000 AUDIT_SECONDS=600 cargo test --release --test it -- --nocapture audit
//! ```
//!
//! `AUDIT_SEED` repeats the same decisions (not the same timing).

mod another_cluster;
mod chaos;
mod edges;
mod kills;
mod ledger;
mod order;

use std::time::Duration;

use crate::harness::setting;

/// How many PDUs of one bind may be without their response, in every audit.
const WINDOW: u32 = 10;

/// How large the audit is: records, and for how long there is trouble.
fn size() -> (usize, Duration) {
    let records = setting("AUDIT_RECORDS", 1500) as usize;
    (records, Duration::from_secs(setting("AUDIT_SECONDS", 15)))
}

/// The seed of all decisions of one audit.
fn seed(audit: &str) -> u64 {
    let seed = setting("AUDIT_SEED", fastrand::u64(..1 << 32));
    eprintln!("audit: {audit}, AUDIT_SEED={seed}");
    seed
}
