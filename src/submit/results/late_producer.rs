//! Answers that came when their record had a result already, or another owner.
//!
//! They say something true and useful (the SMSC took the message), but they are not the
//! terminal result, and they must not enter a transaction of a lane that is not ours. So
//! they go out through an idempotent producer of their own, marked `terminal: false`,
//! `late: true`, with a correlation entry of their own, so that their receipts are matched.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::DeliveryResult;
use tracing::{error, info};

use crate::kafka::idempotent::{self, Idempotent};
use crate::kafka::transactor::Output;
use smpp_esme::Answer;

use crate::submit::results::events::Events;
use crate::submit::state::pending::{Entry, Fate, Sent};

/// How many octets of late answers wait while the producer is made anew.
pub const LATE: u64 = 4 << 20;

/// Says what Kafka refused.
struct Reports;

impl idempotent::Reports for Reports {
    type Note = ();

    fn name(&self) -> &'static str {
        "late answers"
    }

    /// Nobody says them again.
    fn keeps(&self, (): &()) -> bool {
        true
    }

    fn report(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            self.lost(error, message.topic(), ());
        }
    }

    fn lost(&self, error: &KafkaError, topic: &str, (): ()) {
        error!(%error, topic, "a late answer is lost: Kafka did not take it");
    }
}

/// The producer beside the transactions.
pub struct Side {
    producer: Idempotent<Reports>,
    events: Arc<Events>,
}

impl Side {
    /// A producer with the given properties.
    pub fn new(client: &ClientConfig, events: Arc<Events>) -> Result<Self, KafkaError> {
        let mut client = client.clone();
        client
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "100000");
        Ok(Side {
            producer: Idempotent::new(&client, Reports, LATE as usize)?,
            events,
        })
    }

    /// Publishes an answer that is not the result.
    pub fn publish_late(&self, sent: Sent, answer: Answer) {
        self.publish(&Entry::new(0, Fate::Late(Box::new(sent), answer)));
    }

    /// Publishes what fates of lanes that are not ours any more say; those without an answer
    /// say nothing, the new owner decides over their records.
    pub fn publish_orphans(&self, entries: Vec<Entry>) {
        for entry in entries {
            if let Some((sent, answer)) = answer_of(entry.fate) {
                self.publish_late(sent, answer);
            }
        }
    }

    fn publish(&self, entry: &Entry) {
        let mut outputs: Vec<Output> = Vec::new();
        self.events.write(entry, &mut outputs);
        for output in outputs {
            let topic = output.topic.clone();
            match self.producer.send(output, ()) {
                Ok(()) => info!(topic = &*topic, "late answer published"),
                Err((error, ())) => error!(%error, topic = &*topic, "a late answer is lost"),
            }
        }
    }

    /// Waits until everything is delivered.
    pub fn flush(&self, patience: Duration) {
        if !self.producer.flush(patience) {
            error!("late answers may be lost: Kafka did not take them in time");
        }
    }
}

/// The answer that a fate tells of, short if its whole event is known to be refused.
fn answer_of(fate: Fate) -> Option<(Sent, Answer)> {
    match fate {
        Fate::Answered(sent, answer)
        | Fate::Taken(sent, answer, true)
        | Fate::Late(sent, answer)
        // Its letter is short already.
        | Fate::TooLarge(_, Some((sent, answer))) => Some((*sent, answer)),
        Fate::Taken(sent, answer, false) => {
            let letter = Arc::new(sent.letter.shortened());
            Some((Sent { letter, ..*sent }, answer))
        }
        Fate::Refused(_) | Fate::PutBack(..) | Fate::TooLarge(_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::submit::message::outgoing::{Letter, Refusal};
    use crate::submit::state::partition::tests::job;
    use smpp_protocol::{Command, Status};

    fn answered() -> (Box<Sent>, Answer) {
        let answer = Answer {
            command: Command::SUBMIT_SM_RESP,
            status: Status::ROK,
            message_id: b"A1".as_slice().into(),
            tlvs: Default::default(),
            received: SystemTime::now(),
        };
        let mut sent = Sent::of(&job(3), &"bind".into());
        sent.letter = Arc::new(Letter {
            value: Some(b"the record".to_vec()),
            ..sent.letter.shortened()
        });
        (Box::new(sent), answer)
    }

    #[test]
    fn an_answer_whose_event_was_too_large_is_published_when_its_lane_is_lost() {
        let (sent, answer) = answered();
        let refusal = Refusal::of(&job(3), SendErrorKind::EventTooLarge, "too large".into());
        let fate = Fate::TooLarge(Box::new(refusal), Some((sent, answer)));
        let (sent, answer) = answer_of(fate).expect("its answer is known");
        assert_eq!((sent.offset, &*answer.message_id), (3, b"A1".as_slice()));
    }

    #[test]
    fn what_was_too_large_is_not_published_whole() {
        let (sent, answer) = answered();
        assert!(!sent.letter.is_short(), "it holds the record");
        let (sent, _) = answer_of(Fate::Taken(sent, answer, false)).expect("it was taken");
        assert!(sent.letter.is_short());
    }

    #[test]
    fn a_fate_without_an_answer_says_nothing() {
        let refusal = Refusal::of(&job(3), SendErrorKind::Expired, "late".into());
        assert!(answer_of(Fate::TooLarge(Box::new(refusal), None)).is_none());
    }
}
