//! Reading a topic again and again, each time what has come to it since.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::message::BorrowedMessage;

use super::{Error, Options, Progress};
use crate::kafka::whole_topic::{Begin, Isolation, WholeTopic};

/// A topic, and how far it was read.
pub(super) struct Log {
    topic: Arc<str>,
    isolation: Isolation,
    /// Where each partition goes on.
    next: BTreeMap<i32, i64>,
}

impl Log {
    pub(super) fn new(topic: &Arc<str>, isolation: Isolation) -> Self {
        Log {
            topic: topic.clone(),
            isolation,
            next: BTreeMap::new(),
        }
    }

    /// Begins anew with the first records.
    pub(super) fn rewind(&mut self) {
        self.next.clear();
    }

    /// Shows `see` every record up to the end that each partition has now.
    pub(super) fn read(
        &mut self,
        options: &Options,
        progress: Progress<'_>,
        mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let topic = WholeTopic {
            client: &options.reader,
            transaction_timeout: options.transaction_timeout,
            topic: &self.topic,
            begin: Begin::At(&self.next),
            isolation: self.isolation,
        };
        let told = |seen, all| progress(&self.topic, seen, all);
        self.next = topic.read(&told, |message| see(message).map(|()| true))?;
        Ok(())
    }
}
