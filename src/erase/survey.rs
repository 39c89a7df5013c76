//! Which records of the other topics hold a number, and until when.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::log::Log;
use super::{Count, Error, Options, Progress};
use crate::kafka::foreign;
use crate::kafka::whole_topic::Isolation;

/// Records of one partition that hold the number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// How many, and since when.
    pub count: Count,
    /// The last of them.
    pub last_offset: i64,
}

/// The partitions of `topic` with records that hold the number, in key, value or headers; those of
/// transactions that were aborted, too.
///
/// # Errors
///
/// When Kafka fails.
pub fn survey(
    options: &Options,
    topic: &Arc<str>,
    progress: Progress<'_>,
) -> Result<BTreeMap<i32, Place>, Error> {
    let mut places: BTreeMap<i32, Place> = BTreeMap::new();
    let mut log = Log::new(topic, Isolation::Uncommitted);
    log.read(options, progress, |message| {
        if holds(message, options) {
            let place = places.entry(message.partition()).or_default();
            let at = message.timestamp().to_millis().unwrap_or_default();
            place.count.add(at);
            place.last_offset = message.offset();
        }
        Ok(())
    })?;
    Ok(places)
}

fn holds(message: &BorrowedMessage<'_>, options: &Options) -> bool {
    let person = options.person;
    let holds = |octets: Option<&[u8]>| octets.is_some_and(|octets| person.is_in_octets(octets));
    let in_headers = || {
        let headers = message.headers();
        // A header's name may be no text.
        let found = headers
            .and_then(|headers| foreign::read(|| headers.iter().any(|header| holds(header.value))));
        found.unwrap_or_default()
    };
    holds(message.key()) || holds(message.payload()) || in_headers()
}
