//! What the log says of deliver_sm that are not taken: each kind once, then as a count.

use std::sync::Arc;

use super::notices::{BufferFull, NotificationsLost, RefusedForNow, RefusedUntilMended};
use crate::codes::{self, ErrorCode};
use crate::repeated::{Line, Times};

/// A PDU that was not taken.
pub(super) struct Refused {
    /// The bind it came on.
    pub(super) bind: Arc<str>,
    /// The topic it was for.
    pub(super) topic: Arc<str>,
    /// Why it was not taken.
    pub(super) error: String,
}

/// A PDU there was no room for.
pub(super) struct NoRoom {
    /// The bind it came on.
    pub(super) bind: Arc<str>,
    /// How many octets wait for Kafka, of all binds.
    pub(super) held: u64,
}

/// The lines of one ESME.
pub(super) struct Lines {
    /// The buffer is full.
    pub(super) full: Line<NoRoom>,
    /// Kafka did not take it in time.
    pub(super) late: Line<Refused>,
    /// The process ended before Kafka had it.
    pub(super) ended: Line<Refused>,
    /// Kafka takes none until somebody mends something.
    pub(super) forbidden: Line<Refused>,
    /// Kafka will never take it.
    pub(super) for_good: Line<Refused>,
    /// It makes no record.
    pub(super) unwritable: Line<Refused>,
    /// It wants no answer, so it does not come again.
    pub(super) lost: Line<Refused>,
}

impl Lines {
    pub(super) fn new(name: &str) -> Self {
        let name: Arc<str> = name.into();
        let for_now = |text: &'static str| {
            let esme = name.clone();
            Line::new(move |times, what| self::for_now(&esme, times, what, text))
        };
        let until_mended = |error_code, text: &'static str| {
            let esme = name.clone();
            Line::new(move |times, what| {
                self::until_mended(&esme, times, what, text, error_code);
            })
        };
        let (esme, of_lost) = (name.clone(), name.clone());
        Lines {
            full: Line::new(move |times, no_room| full(&esme, times, &no_room)),
            late: for_now(
                "deliver_sm are refused for now: Kafka did not take them within inbound.answer_timeout. Some SMSCs do not deliver them again (esme.refusal_status): see why Kafka is slow or away",
            ),
            ended: for_now(
                "deliver_sm are refused for now: this process ends, and Kafka did not take them before",
            ),
            forbidden: until_mended(
                codes::DELIVERIES_FORBIDDEN,
                "deliver_sm are refused for now: Kafka takes none for this topic until that is mended",
            ),
            for_good: until_mended(
                codes::DELIVERY_LOST,
                "deliver_sm are refused for good (ESME_RX_P_APPN), and lost: Kafka takes no such record. If it is too large, raise max.message.bytes of the topic",
            ),
            unwritable: until_mended(
                codes::DELIVERY_UNWRITABLE,
                "deliver_sm are refused for now: they cannot be written in the format of this topic; set another one in [formats]",
            ),
            lost: Line::new(move |times, what| lost(&of_lost, times, what)),
        }
    }
}

fn full(esme: &str, times: Times, NoRoom { bind, held }: &NoRoom) {
    let (refused, within) = (times.count, times.within);
    BufferFull {
        esme,
        bind,
        refused,
        within,
        held: *held,
    }
    .emit();
}

/// What passes by itself.
fn for_now(esme: &str, times: Times, what: Refused, text: &str) {
    let (refused, within) = (times.count, times.within);
    let Refused { bind, topic, error } = what;
    RefusedForNow {
        words: text,
        esme,
        bind: &bind,
        refused,
        within,
        topic: &topic,
        error: &error,
    }
    .emit();
}

/// What somebody has to mend.
fn until_mended(esme: &str, times: Times, what: Refused, text: &str, error_code: ErrorCode) {
    let (refused, within) = (times.count, times.within);
    let Refused { bind, topic, error } = what;
    RefusedUntilMended {
        words: text,
        esme,
        bind: &bind,
        refused,
        within,
        topic: &topic,
        error: &error,
        error_code,
    }
    .emit();
}

fn lost(esme: &str, times: Times, what: Refused) {
    let (lost, within) = (times.count, times.within);
    let Refused { bind, topic, error } = what;
    NotificationsLost {
        esme,
        bind: &bind,
        lost,
        within,
        topic: &topic,
        error: &error,
    }
    .emit();
}
