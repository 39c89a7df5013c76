//! What travels on topics.
//!
//! - [`submit_sm`]: the record that applications write;
//! - [`event`]: what became of it, on `sms.responses` and `sms.errors`;
//! - [`inbound`]: receipts and messages from phones, on `sms.receipts` and `sms.inbound`;
//! - [`internal`], [`keys`]: the two internal topics;
//! - [`kind`]: the kinds of records there are;
//! - [`codec`]: the seam to their formats; [`json`] is one.

pub mod codec;
pub mod event;
mod form;
pub mod inbound;
pub mod internal;
pub mod json;
pub mod keys;
pub mod kind;
mod read;
pub mod submit_sm;
mod value;
