//! What travels on topics.
//!
//! - [`submit_sm`]: the record that applications write;
//! - [`outbound`]: what else they may write: questions and orders about earlier messages, other
//!   ways of sending;
//! - [`event`]: what became of it, on `sms.responses` and `sms.errors`;
//! - [`failed`]: the same read back;
//! - [`headers`]: what Kafka headers mean to us;
//! - [`inbound`]: receipts and messages from phones, on `sms.receipts` and `sms.inbound`;
//! - [`inbound_message`]: how a PDU becomes such a message;
//! - [`notification`]: what else an SMSC says, on `sms.notifications`;
//! - [`shown`]: phone numbers in events;
//! - [`internal`], [`keys`]: the two internal topics;
//! - [`kind`]: the kinds of records there are;
//! - [`codec`]: the seam to their [`mod@format`]s, [`json`], [`avro`],
//!   [`cbor`] and [`aiosmpplib`];
//! - [`json_schema`]: what records look like in JSON, as schemas;
//! - [`writers`]: the schemas of those who write with a registry.

pub(crate) mod aiosmpplib;
pub mod avro;
pub mod cbor;
pub mod codec;
pub mod event;
mod extra;
pub(crate) mod failed;
mod form;
pub mod format;
pub(crate) mod headers;
pub(crate) mod inbound;
pub(crate) mod inbound_message;
pub mod internal;
pub mod json;
pub(crate) mod json_schema;
pub mod keys;
pub mod kind;
pub(crate) mod notices;
pub(crate) mod notification;
pub mod outbound;
mod read;
pub mod shown;
pub mod submit_sm;
mod value;
pub mod writers;
