//! deliver_sm and data_sm on their way to Kafka.
//!
//! A receipt goes to `sms.deliveries`, into the partition of its message; what a phone sent
//! goes to `sms.inbound`. Each PDU becomes one record, and is answered only when Kafka has
//! said what became of that:
//!
//! | Kafka | answer | the SMSC |
//! |---|---|---|
//! | has it | ESME_ROK | is done with it |
//! | is slow, away or does not let us | ESME_RX_T_APPN | delivers it again, later |
//! | refuses it for good (too large) | ESME_RX_P_APPN | drops it |
//! | our queue is full | ESME_RX_T_APPN, at once | delivers it again, later |
//!
//! So a receipt or message is never lost between the two, and may come twice when an answer
//! was lost. Receipts are made single by [`correlate`](crate::correlate); messages from
//! phones have no identity in SMPP, and a repeat is flagged `possible_duplicate` where this
//! process remembers that the first one was not acknowledged.
//!
//! A producer that librdkafka gives up (it may not write any more, or lost its place in the log)
//! is made anew ([`idempotent`](crate::kafka::idempotent)). What it held is answered with
//! ESME_RX_T_APPN from its reports, once each; what wants no answer goes to the next one.
//!
//! What wants no answer (alert_notification, and outbind) goes to `sms.notifications`. The SMSC
//! does not say it again, so a producer of its own keeps it while Kafka is away, for an hour and
//! within its buffer.
//!
//! A PDU that cannot be read goes to `sms.inbound` as it came, with what is wrong: it would
//! come again for days otherwise. The session goes on in every case.

mod incoming;
mod producer;
mod repeats;
mod status;

pub use incoming::Esme;
pub use producer::{Deliver, Error, NOTIFICATIONS, Options};
pub use repeats::REPEATS;
pub use status::Counts;
