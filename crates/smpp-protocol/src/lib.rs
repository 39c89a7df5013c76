#![doc = include_str!("../README.md")]
//!
//! # Where what is
//!
//! From the wire inwards: [`frame`] finds where one PDU ends, [`pdu`] gives its fields names
//! (borrowing every octet string), [`tlv`] walks the optional parameters. Decoding is lenient and
//! never reads past the frame; encoding is strict and enforces the lengths of SMPP 3.4 v1.2.
//!
//! What the octet strings mean: [`text`] is encodings, [`udh`] the header before a text, [`segment`]
//! long texts in parts, [`receipt`] what became of a message, [`time`] when, [`message_id`] which.
//! What SMSCs do each in their own way is a [`dialect`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod address;
pub mod command;
pub mod dialect;
mod error;
pub mod frame;
pub mod message_id;
pub mod names;
pub mod pdu;
pub mod receipt;
pub mod segment;
pub mod state;
pub mod status;
pub mod text;
pub mod time;
pub mod tlv;
pub mod udh;

pub use address::{Address, Npi, Ton};
pub use command::Command;
pub use dialect::Dialect;
pub use error::{DecodeError, EncodeError, Problem, octets};
pub use frame::{Frame, Header, ImpossibleLength};
pub use names::Names;
pub use pdu::Pdu;
pub use receipt::Receipt;
pub use state::MessageState;
pub use status::Status;
pub use tlv::{Tag, Tlv, Tlvs};
pub use udh::{Concatenation, Udh};
