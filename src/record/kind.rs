//! The kinds of records there are.

use serde::Serialize;

use super::event::{SendError, SubmitSmResp};
use super::inbound::{DeliveryReceipt, InboundSms};
use super::internal::{Correlation, Creation, Delivery, Owner, Parked, Piece};

/// A kind of record: what its schema is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message to be sent.
    SubmitSm,
    /// An SMSC's answer.
    SubmitSmResp,
    /// What got no answer.
    SendError,
    /// What became of a message.
    DeliveryReceipt,
    /// A message from a phone.
    InboundSms,
    /// What is remembered of a message until its receipt.
    Correlation,
    /// A receipt that waits for its message.
    Parked,
    /// A part of a message from a phone that waits for the others.
    Piece,
    /// Who owns a partition of the correlation.
    Owner,
    /// A receipt as it came.
    Delivery,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 10] = [
        Kind::SubmitSm,
        Kind::SubmitSmResp,
        Kind::SendError,
        Kind::DeliveryReceipt,
        Kind::InboundSms,
        Kind::Correlation,
        Kind::Parked,
        Kind::Piece,
        Kind::Owner,
        Kind::Delivery,
    ];

    /// Its name, also its schema's.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::SubmitSm => "SubmitSm",
            Kind::SubmitSmResp => "SubmitSmResp",
            Kind::SendError => "SendError",
            Kind::DeliveryReceipt => "DeliveryReceipt",
            Kind::InboundSms => "InboundSms",
            Kind::Correlation => "Correlation",
            Kind::Parked => "Parked",
            Kind::Piece => "Piece",
            Kind::Owner => "Owner",
            Kind::Delivery => "Delivery",
        }
    }
}

/// A struct that is written to a topic.
pub trait Record: Serialize {
    /// Which kind it is.
    const KIND: Kind;
}

macro_rules! records {
    ($($type:ty => $kind:ident,)*) => {
        $(impl Record for $type {
            const KIND: Kind = Kind::$kind;
        })*
    };
}

records! {
    SubmitSmResp<'_> => SubmitSmResp,
    SendError<'_> => SendError,
    DeliveryReceipt<'_> => DeliveryReceipt,
    InboundSms<'_> => InboundSms,
    Correlation => Correlation,
    Creation<'_> => Correlation,
    Parked => Parked,
    Piece => Piece,
    Owner => Owner,
    Delivery => Delivery,
}
