//! deliver_sm and data_sm on their way to Kafka.
//!
//! A receipt goes to `sms.deliveries`, into the partition of its message; what a phone sent
//! goes to `sms.inbound`. Each PDU becomes one record, and is answered only when Kafka has
//! said what became of that:
//!
//! | Kafka | answer | the SMSC |
//! |---|---|---|
//! | has it | ESME_ROK | is done with it |
//! | is slow or away | none yet, up to `inbound.answer_timeout` | waits |
//! | has not taken it by then, or does not let us | `esme.refusal_status` | delivers it again, perhaps |
//! | refuses it for good (too large) | ESME_RX_P_APPN | drops it |
//! | is slow or away, and `inbound.buffer` is full | `esme.refusal_status`, at once | delivers it again, perhaps |
//!
//! Perhaps, because many SMSCs do not offer again what was refused. So what comes is held, up to
//! a bound in octets that all binds share ([`buffer`]), and nothing else is counted: how many
//! deliver_sm an SMSC has under way is its own affair. While they wait the session reads on, because
//! not to read would hold up responses and enquire_link, too.
//!
//! `esme.refusal_status` is ESME_RX_T_APPN by default: what the specification has for a receiver's
//! passing trouble (SMPP 3.4 §5.1.3), and what most SMSCs retry. Some aggregators take
//! it for final and come again after ESME_RMSGQFUL or ESME_RTHROTTLED, which the specification has
//! for the queue and the rate of an SMSC.
//!
//! So a receipt or message is never lost between the two, and may come twice when an answer
//! was lost. Receipts are made single by [`correlate`](crate::correlate); messages from
//! phones have no identity in SMPP, and a repeat is flagged `possible_duplicate` where this
//! process holds the first one still, or remembers that it was not acknowledged.
//!
//! A producer that librdkafka gives up (it may not write any more, or lost its place in the log)
//! is made anew ([`idempotent`](crate::kafka::idempotent)), and what it held goes to the next one.
//! Kafka may have some of that: receipts and segments are known by their messages, and what a phone
//! sent in one PDU is flagged.
//!
//! What wants no answer (alert_notification, and outbind) goes to `sms.notifications`. The SMSC
//! does not say it again, so a producer of its own keeps it while Kafka is away, for an hour and
//! within its buffer. What is noticed of binds, partitions and the process goes the same way.
//!
//! A PDU that cannot be read goes to `sms.inbound` as it came, with what is wrong: it would
//! come again for days otherwise. The session goes on in every case.

mod buffer;
mod changes;
mod incoming;
pub(crate) mod notices;
mod producer;
mod refusal;
mod repeats;
mod status;

pub use incoming::Esme;
pub use producer::{Deliver, Error, NOTIFICATIONS, Options};
pub use repeats::repeats_octets;
pub use status::Counts;
