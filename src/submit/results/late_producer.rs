//! Answers that came when their record had a result already, or another owner.
//!
//! They say something true and useful (the SMSC took the message), but they are not the
//! terminal result, and they must not enter a transaction of a partition that is not ours. So
//! they go out through an idempotent producer of their own, marked `terminal: false`,
//! `late: true`, with a correlation entry of their own, so that their receipts are matched.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::DeliveryResult;

use crate::kafka::idempotent::{self, Idempotent};
use crate::kafka::transaction::Output;
use crate::repeated::{Line, Times};
use crate::status;
use crate::submit::notices::{LateAnswerLost, LateAnswerPublished, LateAnswersNotFlushed};
use smpp_esme::Answer;

use crate::submit::results::events::Events;
use crate::submit::state::pending::{PendingResult, RecordOutcome, Sent};

/// How many octets of late answers wait while the producer is made anew.
pub const LATE: u64 = 4 << 20;

/// Says what Kafka has taken, and what it refused: at once, then as a count.
struct Reports {
    /// The topic.
    published: Line<String>,
    /// Why, and the topic.
    lost: Line<(String, String)>,
}

impl Reports {
    fn new() -> Self {
        Reports {
            published: Line::new(|times: Times, topic: String| {
                let (answers, within) = (times.count, times.within);
                LateAnswerPublished {
                    answers,
                    within,
                    topic: &topic,
                }
                .emit();
            }),
            lost: Line::new(|times: Times, (error, topic): (String, String)| {
                let (answers, within) = (times.count, times.within);
                LateAnswerLost {
                    error: &error,
                    answers,
                    within,
                    topic: &topic,
                }
                .emit();
            }),
        }
    }
}

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
        match result {
            Ok(message) => self.published.note(message.topic().to_owned()),
            Err((error, message)) => self.lost(error, message.topic(), ()),
        }
    }

    fn lost(&self, error: &KafkaError, topic: &str, (): ()) {
        self.lost.note((error.to_string(), topic.to_owned()));
    }
}

/// The producer beside the transactions.
pub struct LateProducer {
    producer: Idempotent<Reports>,
    events: Arc<Events>,
}

impl LateProducer {
    /// A producer with the given properties.
    pub fn new(client: &ClientConfig, events: Arc<Events>) -> Result<Self, KafkaError> {
        let mut client = client.clone();
        client
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "100000");
        Ok(LateProducer {
            producer: Idempotent::new(&client, Reports::new(), LATE as usize)?,
            events,
        })
    }

    /// What librdkafka says of the producer.
    pub fn figures(&self) -> status::Client {
        self.producer.figures().client()
    }

    /// Publishes an answer that is not the result.
    pub fn publish_late(&self, sent: Sent, answer: Answer) {
        sent.context.account.meters.counters.late_answers.add(1);
        self.publish(&PendingResult::new(
            0,
            RecordOutcome::Late(Box::new(sent), answer),
        ));
    }

    /// Publishes what outcomes of partitions that are not ours any more say; those without an answer
    /// say nothing, the new owner decides over their records.
    pub fn publish_orphans(&self, results: Vec<PendingResult>) {
        for result in results {
            if let Some((sent, answer)) = answer_of(result.outcome) {
                self.publish_late(sent, answer);
            }
        }
    }

    fn publish(&self, result: &PendingResult) {
        let mut outputs: Vec<Output> = Vec::new();
        self.events.write(result, &mut outputs);
        for output in outputs {
            let topic = output.topic.clone();
            if let Err((error, ())) = self.producer.send(output, ()) {
                idempotent::Reports::lost(self.producer.reports(), &error, &topic, ());
            }
        }
    }

    /// Waits until everything is delivered.
    pub fn flush(&self, timeout: Duration) {
        if !self.producer.flush(timeout) {
            LateAnswersNotFlushed {}.emit();
        }
    }
}

/// The answer that a outcome tells of, short if its whole event is known to be refused.
fn answer_of(outcome: RecordOutcome) -> Option<(Sent, Answer)> {
    match outcome {
        RecordOutcome::Answered(sent, answer)
        | RecordOutcome::Taken(sent, answer, true)
        | RecordOutcome::Late(sent, answer)
        // Its context is short already.
        | RecordOutcome::TooLarge(_, Some((sent, answer))) => Some((*sent, answer)),
        RecordOutcome::Taken(sent, answer, false) => {
            let context = Arc::new(sent.context.shortened());
            Some((Sent { context, ..*sent }, answer))
        }
        RecordOutcome::Rejected(_) | RecordOutcome::PutBack(..) | RecordOutcome::TooLarge(_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::submit::message::outgoing::{RecordContext, Rejection};
    use crate::submit::state::partition::tests::outgoing;
    use smpp_protocol::{Command, Status};

    fn answered() -> (Box<Sent>, Answer) {
        let answer = Answer {
            command: Command::SUBMIT_SM_RESP,
            status: Status::ROK,
            message_id: b"A1".as_slice().into(),
            tlvs: Default::default(),
            received: SystemTime::now(),
        };
        let mut sent = Sent::of(&outgoing(3), &"bind".into());
        sent.context = Arc::new(RecordContext {
            value: Some(b"the record".to_vec()),
            ..sent.context.shortened()
        });
        (Box::new(sent), answer)
    }

    #[test]
    fn an_answer_whose_event_was_too_large_is_published_when_its_lane_is_lost() {
        let (sent, answer) = answered();
        let rejection = Rejection::of(
            &outgoing(3),
            SendErrorKind::EventTooLarge,
            "too large".into(),
        );
        let outcome = RecordOutcome::TooLarge(Box::new(rejection), Some((sent, answer)));
        let (sent, answer) = answer_of(outcome).expect("its answer is known");
        assert_eq!((sent.offset, &*answer.message_id), (3, b"A1".as_slice()));
    }

    #[test]
    fn what_was_too_large_is_not_published_whole() {
        let (sent, answer) = answered();
        assert!(!sent.context.is_short(), "it holds the record");
        let (sent, _) = answer_of(RecordOutcome::Taken(sent, answer, false)).expect("it was taken");
        assert!(sent.context.is_short());
    }

    #[test]
    fn a_fate_without_an_answer_says_nothing() {
        let rejection = Rejection::of(&outgoing(3), SendErrorKind::Expired, "late".into());
        assert!(answer_of(RecordOutcome::TooLarge(Box::new(rejection), None)).is_none());
    }
}
