//! What an outbound record may ask for: to send a message, or to do something about one that was
//! sent before.
//!
//! A record says which by its `type`. The fields of all operations are those of a
//! [`SubmitSm`], as far as the operation has them, besides the two that only others have.

use std::borrow::Cow;

use super::submit_sm::{Address, SubmitSm};
use smpp_protocol::Command;

/// A record of an outbound topic.
#[derive(Clone, Debug, Default)]
pub struct Outbound<'a> {
    /// What it asks for.
    pub operation: Operation,
    /// The SMSC's id of the message it is about, as an earlier response told it.
    pub message_id: Option<Cow<'a, str>>,
    /// Who gets it, if these are several.
    pub destinations: Vec<Destination<'a>>,
    /// Everything else. What the operation does not have is unset.
    pub sm: SubmitSm<'a>,
}

impl<'a> From<SubmitSm<'a>> for Outbound<'a> {
    fn from(sm: SubmitSm<'a>) -> Self {
        Outbound {
            sm,
            ..Outbound::default()
        }
    }
}

/// One of several recipients (SMPP 3.4, 4.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A number.
    Number(Address<'a>),
    /// `{"list": "staff"}`: a distribution list that the SMSC keeps, at most 20 octets.
    List(Cow<'a, str>),
}

macro_rules! operations {
    ($($(#[$about:meta])* $name:ident, $response:literal, $command:ident;)*) => {
        /// What a record asks for: its `type`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Operation {
            #[default]
            $($(#[$about])* $name,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Operation] = &[$(Operation::$name),*];

            /// Its name: the record's `type`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => stringify!($name),)*
                }
            }

            /// The `type` of the event with its response.
            pub const fn response(self) -> &'static str {
                match self {
                    $(Operation::$name => $response,)*
                }
            }

            /// The PDU that asks for it.
            pub const fn command(self) -> Command {
                match self {
                    $(Operation::$name => Command::$command,)*
                }
            }
        }
    };
}

operations! {
    /// A message to one recipient (SMPP 3.4, 4.4).
    SubmitSm, "SubmitSmResp", SUBMIT_SM;
    /// A message to several recipients (SMPP 3.4, 4.5).
    SubmitMulti, "SubmitMultiResp", SUBMIT_MULTI;
    /// A message to one recipient, with parameters alone (SMPP 3.4, 4.7).
    DataSm, "DataSmResp", DATA_SM;
    /// What became of a message? (SMPP 3.4, 4.8)
    QuerySm, "QuerySmResp", QUERY_SM;
    /// A message is not to be delivered any more (SMPP 3.4, 4.9).
    CancelSm, "CancelSmResp", CANCEL_SM;
    /// A message gets another text (SMPP 3.4, 4.10).
    ReplaceSm, "ReplaceSmResp", REPLACE_SM;
    /// A message to whoever is in an area (SMPP 5.0, 4.4.1).
    BroadcastSm, "BroadcastSmResp", BROADCAST_SM;
    /// How far has a broadcast come? (SMPP 5.0, 4.6.1)
    QueryBroadcastSm, "QueryBroadcastSmResp", QUERY_BROADCAST_SM;
    /// A broadcast is to end (SMPP 5.0, 4.6.3).
    CancelBroadcastSm, "CancelBroadcastSmResp", CANCEL_BROADCAST_SM;
}

impl Operation {
    /// The operation of a `type`.
    pub fn from_name(name: &str) -> Option<Operation> {
        Self::ALL.iter().copied().find(|o| o.name() == name)
    }

    /// Whether it only asks, so that asking twice does no harm.
    pub const fn is_question(self) -> bool {
        matches!(self, Operation::QuerySm | Operation::QueryBroadcastSm)
    }

    /// Its bit in a set of operations.
    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// `#[default]` above stands before the first.
const _: () = assert!(matches!(Operation::ALL[0], Operation::SubmitSm));
