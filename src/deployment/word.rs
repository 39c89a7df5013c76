//! What a process says of itself, as a record of bounded size.

use crate::status::{Kafka, Status};

/// How many octets it may have. A record of 1,000,000 is what clients and topics take by default.
pub(super) const LONGEST: usize = 900_000;
/// How many lines of the log go with it.
const PROBLEMS: usize = 10;

/// The value of the record; less of it where it would be too long.
pub(super) fn of(mut status: Status) -> Option<Vec<u8>> {
    status.problems.truncate(PROBLEMS);
    for shorten in [nothing, details, partitions] {
        shorten(&mut status);
        let value = serde_json::to_vec(&status).ok()?;
        if value.len() <= LONGEST {
            return Some(value);
        }
    }
    None
}

fn nothing(_: &mut Status) {}

/// Those that nobody needs at first sight.
fn details(status: &mut Status) {
    status.problems.clear();
    status.kafka = Kafka {
        clients: Vec::new(),
        ..std::mem::take(&mut status.kafka)
    };
    for bind in status.esmes.iter_mut().flat_map(|esme| &mut esme.binds) {
        bind.counts.clear();
    }
}

/// Single partitions and binds. That there is too much to show is better than nothing.
fn partitions(status: &mut Status) {
    status.correlation.partitions.clear();
    for esme in &mut status.esmes {
        esme.partitions.clear();
        esme.binds.clear();
    }
}

/// What another process said, if it did.
pub(super) fn read(value: &[u8]) -> Option<Status> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Esme, Partition, Problem};

    #[test]
    fn a_long_word_is_shortened_and_what_counts_stays() {
        let status = |count: usize, text: &str| Status {
            problems: vec![Problem::default(); 50],
            esmes: vec![Esme {
                name: "acme".into(),
                responses: [("ESME_ROK".into(), 7)].into(),
                partitions: vec![
                    Partition {
                        topic: text.into(),
                        ..Partition::default()
                    };
                    count
                ],
                ..Esme::default()
            }],
            ..Status::default()
        };
        let back = |status| {
            let value = of(status).unwrap();
            assert!(value.len() <= LONGEST);
            read(&value).unwrap()
        };
        let short = back(status(3, "sms"));
        assert_eq!(
            (short.problems.len(), short.esmes[0].partitions.len()),
            (10, 3)
        );
        let long = back(status(10_000, "sms"));
        assert_eq!(long.esmes[0].partitions.len(), 0);
        assert_eq!(long.esmes[0].responses["ESME_ROK"], 7);
        let endless = Status {
            esmes: vec![Esme::default(); 10_000],
            ..Status::default()
        };
        assert_eq!(of(endless), None);
    }
}
