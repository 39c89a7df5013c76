//! What the log and notifications say of receipts that do not find their messages as they should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Dialects;
use super::forms::{Habits, Matched, Remedy};
use super::notices::{IdsHaveAnotherForm, PartitionNotReadToItsEnd, ReceiptsFindNoMessage};
use super::parsed_receipt::ParsedReceipt;
use super::receipt_events;
use crate::repeated::{Line, Times};

use crate::record::internal::Delivery;
use crate::record::keys;
use crate::record::notification::{MessageIdHint, Notification, Notify};
use smpp_protocol::message_id::Form;

/// How often there is an event at most, after the first ones.
const EVERY: Duration = Duration::from_secs(3600);

/// What an operator would set.
fn setting(remedy: Remedy) -> String {
    let (response, receipt) = (remedy.response.name(), remedy.receipt.name());
    format!("[esme.message_id] response = \"{response}\", receipt = \"{receipt}\"")
}

/// A receipt that was found by another form of its id.
struct Other {
    esme: String,
    matched: Matched,
    response: String,
    receipt: String,
}

/// One that nobody was found for.
struct Unmatched {
    esme: String,
    receipt: String,
    response: Option<String>,
}

/// The lines about one ESME, and when its last event was.
struct OfEsme {
    other: Line<Other>,
    unmatched: Line<Unmatched>,
    count: u64,
    event: Option<Instant>,
}

impl Default for OfEsme {
    fn default() -> Self {
        OfEsme {
            other: Line::new(say_other),
            unmatched: Line::new(say_unmatched),
            count: 0,
            event: None,
        }
    }
}

fn say_other(times: Times, other: Other) {
    let Matched {
        remedy,
        matched,
        of,
    } = other.matched;
    IdsHaveAnotherForm {
        esme: &other.esme,
        receipts: times.count,
        within: times.within,
        setting: &setting(remedy),
        form: &form(remedy),
        matched,
        of,
        response_id: &other.response,
        receipt_id: &other.receipt,
    }
    .emit();
}

/// A remedy in short.
fn form(remedy: Remedy) -> String {
    match (remedy.response, remedy.receipt) {
        (one, two) if one == two => one.name().to_owned(),
        (Form::Hex, Form::Decimal) => "hex in responses and decimal in receipts".to_owned(),
        (one, two) => format!("{} in responses and {} in receipts", one.name(), two.name()),
    }
}

fn say_unmatched(times: Times, unmatched: Unmatched) {
    ReceiptsFindNoMessage {
        esme: &unmatched.esme,
        receipts: times.count,
        within: times.within,
        receipt_id: &unmatched.receipt,
        response_id: unmatched.response.as_deref(),
    }
    .emit();
}

fn say_unread(times: Times, (topic, partition): (Arc<str>, i32)) {
    PartitionNotReadToItsEnd {
        receipts: times.count,
        within: times.within,
        topic: &topic,
        partition,
    }
    .emit();
}

/// The lines about all ESMEs.
pub(super) struct Hints {
    notify: Notify,
    unread: Line<(Arc<str>, i32)>,
    esmes: Mutex<HashMap<String, OfEsme>>,
}

impl Hints {
    pub(super) fn new(notify: Notify) -> Self {
        Hints {
            notify,
            unread: Line::new(say_unread),
            esmes: Mutex::default(),
        }
    }

    /// A receipt found its message by another form of its id.
    pub(super) fn found(
        &self,
        identity: &str,
        (entry, delivery): (&[u8], &Delivery),
        parsed: &ParsedReceipt<'_>,
        habits: &Habits,
        dialects: &Dialects,
    ) {
        let Ok(entry) = receipt_events::message_of(entry) else {
            return;
        };
        let dialect = dialects.of(&delivery.esme);
        let Some(remedy) = Remedy::of(&dialect.ids, entry.message_id, &parsed.receipt) else {
            return;
        };
        let matched = habits.found(identity, remedy);
        let receipt = parsed.receipt.id.as_deref().unwrap_or_default();
        let mut esmes = self.esmes.lock();
        let of = esmes.entry_ref(&*delivery.esme).or_default();
        of.count += 1;
        let due = of.event.is_none_or(|at| at.elapsed() >= EVERY) || matches!(of.count, 10 | 100);
        if due {
            of.event = Some(Instant::now());
        }
        let line = of.other.clone();
        drop(esmes);
        if due {
            self.notify.send(&Notification::of_message_ids(
                delivery,
                MessageIdHint {
                    response: matched.remedy.response.name(),
                    receipt: matched.remedy.receipt.name(),
                    matched: matched.matched,
                    of: matched.of,
                    response_id: entry.message_id,
                    receipt_id: receipt,
                },
            ));
        }
        line.note(Other {
            matched,
            response: entry.message_id.to_owned(),
            receipt: receipt.to_owned(),
            esme: delivery.esme.clone(),
        });
    }

    /// So many receipts are published without a message that a partition of the correlation topic may
    /// hold, because it could not be read to its end.
    pub(super) fn unread(&self, count: u64, topic: &Arc<str>, partition: i32) {
        self.unread.note_many(count, (topic.clone(), partition));
    }

    /// A receipt is published without a message.
    pub(super) fn unmatched(&self, identity: &str, habits: &Habits) {
        let (esme, receipt) = keys::esme_and_id(identity);
        let line = self
            .esmes
            .lock()
            .entry_ref(esme)
            .or_default()
            .unmatched
            .clone();
        line.note(Unmatched {
            esme: esme.to_owned(),
            receipt: receipt.to_owned(),
            response: habits.sample(identity),
        });
    }
}
