//! What travels on topics.
//!
//! - [`submit_sm`]: the record that applications write;
//! - [`event`]: what became of it, on `sms.responses` and `sms.errors`;
//! - [`inbound`]: receipts and messages from phones, on `sms.receipts` and `sms.inbound`;
//! - [`internal`], [`keys`]: the two internal topics;
//! - [`json`]: how all of them are read and written.

pub mod event;
mod form;
pub mod inbound;
pub mod internal;
pub mod json;
pub mod keys;
mod read;
pub mod submit_sm;
mod value;
