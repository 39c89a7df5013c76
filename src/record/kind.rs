//! The kinds of records there are.

use serde::Serialize;

use super::cbor;
use super::event::{SendError, SubmitSmResp};
use super::failed::ReadSendError;
use super::inbound::{DeliveryReceipt, InboundSms};
use super::internal::{
    Barrier, BorrowedEntry, CorrelationEntry, Delivery, NewDelivery, Parked, SegmentEntry,
};
use super::notification::Notification;
use super::outbound::Operation;

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// A kind of record: what its schema is named after.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$about])* $name,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// Its name, also its schema's.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => stringify!($name),)*
                }
            }
        }
    };
}

kinds! {
    /// A message to be sent.
    SubmitSm,
    /// A message to several recipients.
    SubmitMulti,
    /// A message as data_sm.
    DataSm,
    /// A question about a message.
    QuerySm,
    /// The end of a message.
    CancelSm,
    /// Another text for a message.
    ReplaceSm,
    /// A message to an area.
    BroadcastSm,
    /// A question about a broadcast.
    QueryBroadcastSm,
    /// The end of a broadcast.
    CancelBroadcastSm,
    /// An SMSC's answer.
    SubmitSmResp,
    /// What got no answer.
    SendError,
    /// What became of a message.
    DeliveryReceipt,
    /// A message from a phone.
    InboundSms,
    /// What the SMSC says beside messages.
    Notification,
    /// What is remembered of a message until its receipt.
    Correlation,
    /// A receipt that waits for its message.
    Parked,
    /// A segment of a message from a phone that waits for the others.
    Piece,
    /// The barrier of whoever took over a partition of the correlation topic.
    Owner,
    /// A receipt as it came.
    Delivery,
}

impl Kind {
    /// What outbound topics take.
    pub const OUTBOUND: &'static [Kind] = &[
        Kind::SubmitSm,
        Kind::SubmitMulti,
        Kind::DataSm,
        Kind::QuerySm,
        Kind::CancelSm,
        Kind::ReplaceSm,
        Kind::BroadcastSm,
        Kind::QueryBroadcastSm,
        Kind::CancelBroadcastSm,
    ];

    /// What stands on `sms.correlation`.
    pub const CORRELATION: &'static [Kind] =
        &[Kind::Correlation, Kind::Parked, Kind::Piece, Kind::Owner];

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a record of this kind asks for, if it is one that applications write.
    pub fn operation(self) -> Option<Operation> {
        Operation::from_name(self.name())
    }

    /// Which of its earlier and later schemas must understand each other.
    pub const fn rule(self) -> Rule {
        match self {
            Kind::SubmitSm
            | Kind::SubmitMulti
            | Kind::DataSm
            | Kind::QuerySm
            | Kind::CancelSm
            | Kind::ReplaceSm
            | Kind::BroadcastSm
            | Kind::QueryBroadcastSm
            | Kind::CancelBroadcastSm => Rule::Backward,
            _ => Rule::Full,
        }
    }
}

impl Operation {
    /// The kind of record that asks for it.
    pub const fn kind(self) -> Kind {
        match self {
            Operation::SubmitSm => Kind::SubmitSm,
            Operation::SubmitMulti => Kind::SubmitMulti,
            Operation::DataSm => Kind::DataSm,
            Operation::QuerySm => Kind::QuerySm,
            Operation::CancelSm => Kind::CancelSm,
            Operation::ReplaceSm => Kind::ReplaceSm,
            Operation::BroadcastSm => Kind::BroadcastSm,
            Operation::QueryBroadcastSm => Kind::QueryBroadcastSm,
            Operation::CancelBroadcastSm => Kind::CancelBroadcastSm,
        }
    }
}

/// How the versions of a schema must fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The newest reads what any earlier one wrote: what applications write.
    Backward,
    /// Each reads what any other wrote: what several versions of this connector read, and
    /// what applications read.
    Full,
}

impl Rule {
    /// As registries call it.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Backward => "BACKWARD_TRANSITIVE",
            Rule::Full => "FULL_TRANSITIVE",
        }
    }
}

/// A struct that is written to a topic.
pub trait Record: Serialize {
    /// Which kind it is.
    const KIND: Kind;

    /// Appends it in CBOR; `false` if it is none of the internal topics', which alone have that.
    fn cbor(&self, _to: &mut Vec<u8>) -> bool {
        false
    }
}

macro_rules! records {
    ($($type:ty => $kind:ident,)*) => {
        $(impl Record for $type {
            const KIND: Kind = Kind::$kind;
        })*
    };
}

macro_rules! internal_records {
    ($($type:ty => $kind:ident,)*) => {
        $(impl Record for $type {
            const KIND: Kind = Kind::$kind;

            fn cbor(&self, to: &mut Vec<u8>) -> bool {
                cbor::write(Self::KIND, self, to)
            }
        })*
    };
}

records! {
    SubmitSmResp<'_> => SubmitSmResp,
    SendError<'_> => SendError,
    ReadSendError => SendError,
    DeliveryReceipt<'_> => DeliveryReceipt,
    InboundSms<'_> => InboundSms,
    Notification<'_> => Notification,
}

internal_records! {
    CorrelationEntry => Correlation,
    BorrowedEntry<'_> => Correlation,
    Parked => Parked,
    SegmentEntry => Piece,
    Barrier => Owner,
    Delivery => Delivery,
    NewDelivery<'_> => Delivery,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_kind() {
        let of =
            |kinds: &[Kind]| -> Vec<_> { kinds.iter().filter_map(|k| k.operation()).collect() };
        assert_eq!(of(Kind::ALL).len(), Operation::ALL.len());
        assert_eq!(of(Kind::OUTBOUND), of(Kind::ALL));
        for operation in Operation::ALL {
            assert_eq!(operation.kind().operation(), Some(*operation));
            assert_eq!(operation.kind().rule(), Rule::Backward);
        }
    }
}
