//! PDUs and their fields (SMPP 3.4 §4).
//!
//! Decoding borrows: every octet string points into the PDU, and nothing is allocated. It is
//! lenient where a session would otherwise die of somebody else's mistake: lengths are not judged,
//! responses may lack their body or end early, damaged TLVs hide only what follows them. Encoding
//! enforces every length.

pub mod anatomy;
mod bind;
mod broadcast;
mod codec;
mod manage;
mod message;
mod multi;

pub use bind::{Bind, BindResp, LONG_PASSWORD, LongBind, Outbind, PASSWORD};
pub use broadcast::{BroadcastSm, CancelBroadcastSm, QueryBroadcastSm};
pub use manage::{AlertNotification, CancelSm, QuerySm, QuerySmResp, ReplaceSm};
pub use message::{
    DataSm, HIGHEST_PRIORITY, MessageType, REGISTERED_DELIVERY, REPLY_PATH, Sm, SmResp,
    UDH_INDICATOR,
};
pub use multi::{Destination, Destinations, SubmitMulti, SubmitMultiResp, Unsuccess, Unsuccesses};

use super::{Command, DecodeError, EncodeError, Frame, Header, Status, frame};

macro_rules! pdus {
    (
        $($(#[$about:meta])* $variant:ident($fields:ident) = $command:ident;)*
        --
        $($(#[$empty_about:meta])* $empty:ident = $empty_command:ident;)*
    ) => {
        /// A PDU and its fields; [`Frame`] has its header.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Pdu<'a> {
            $($(#[$about])* $variant($fields<'a>),)*
            $($(#[$empty_about])* $empty,)*
            /// A command this crate has no fields for.
            Unknown(Frame<'a>),
        }

        /// Reads the fields of a command and forgets them; `None` if it is unknown.
        fn walk<'a>(
            command: Command,
            source: &mut impl codec::Source<'a>,
        ) -> Option<Result<(), DecodeError>> {
            Some(match command {
                $(Command::$command => <$fields<'a> as codec::Fields<'a>>::read(source).map(drop),)*
                $(Command::$empty_command => Ok(()),)*
                _ => return None,
            })
        }

        impl<'a> Pdu<'a> {
            /// Gives a frame's body its fields.
            #[inline]
            pub fn read(frame: Frame<'a>) -> Result<Self, DecodeError> {
                Ok(match frame.header.command {
                    $(Command::$command => Pdu::$variant($fields::decode(frame.body)?),)*
                    $(Command::$empty_command => Pdu::$empty,)*
                    _ => Pdu::Unknown(frame),
                })
            }

            /// What the PDU is.
            pub const fn command(&self) -> Command {
                match self {
                    $(Pdu::$variant(_) => Command::$command,)*
                    $(Pdu::$empty => Command::$empty_command,)*
                    Pdu::Unknown(frame) => frame.header.command,
                }
            }

            /// Appends the whole PDU, header included. When a field breaks the specification,
            /// `out` is left as it was.
            pub fn encode(
                &self,
                status: Status,
                sequence: u32,
                out: &mut Vec<u8>,
            ) -> Result<(), EncodeError> {
                let command = self.command();
                match self {
                    $(Pdu::$variant(fields) => fields.encode(command, status, sequence, out),)*
                    $(Pdu::$empty => {
                        frame::push_empty(command, status, sequence, out);
                        Ok(())
                    })*
                    Pdu::Unknown(frame) => {
                        let length = (frame::HEADER + frame.body.len()) as u32;
                        Header { length, command, status, sequence }.encode(out);
                        out.extend_from_slice(frame.body);
                        Ok(())
                    }
                }
            }
        }
    };
}

pdus! {
    /// bind_receiver
    BindReceiver(Bind) = BIND_RECEIVER;
    /// bind_receiver_resp
    BindReceiverResp(BindResp) = BIND_RECEIVER_RESP;
    /// bind_transmitter
    BindTransmitter(Bind) = BIND_TRANSMITTER;
    /// bind_transmitter_resp
    BindTransmitterResp(BindResp) = BIND_TRANSMITTER_RESP;
    /// bind_transceiver
    BindTransceiver(Bind) = BIND_TRANSCEIVER;
    /// bind_transceiver_resp
    BindTransceiverResp(BindResp) = BIND_TRANSCEIVER_RESP;
    /// outbind
    Outbind(Outbind) = OUTBIND;
    /// submit_sm
    SubmitSm(Sm) = SUBMIT_SM;
    /// submit_sm_resp
    SubmitSmResp(SmResp) = SUBMIT_SM_RESP;
    /// deliver_sm
    DeliverSm(Sm) = DELIVER_SM;
    /// deliver_sm_resp
    DeliverSmResp(SmResp) = DELIVER_SM_RESP;
    /// data_sm
    DataSm(DataSm) = DATA_SM;
    /// data_sm_resp
    DataSmResp(SmResp) = DATA_SM_RESP;
    /// query_sm
    QuerySm(QuerySm) = QUERY_SM;
    /// query_sm_resp
    QuerySmResp(QuerySmResp) = QUERY_SM_RESP;
    /// cancel_sm
    CancelSm(CancelSm) = CANCEL_SM;
    /// replace_sm
    ReplaceSm(ReplaceSm) = REPLACE_SM;
    /// alert_notification
    AlertNotification(AlertNotification) = ALERT_NOTIFICATION;
    /// submit_multi
    SubmitMulti(SubmitMulti) = SUBMIT_MULTI;
    /// submit_multi_resp
    SubmitMultiResp(SubmitMultiResp) = SUBMIT_MULTI_RESP;
    /// broadcast_sm
    BroadcastSm(BroadcastSm) = BROADCAST_SM;
    /// broadcast_sm_resp
    BroadcastSmResp(SmResp) = BROADCAST_SM_RESP;
    /// query_broadcast_sm
    QueryBroadcastSm(QueryBroadcastSm) = QUERY_BROADCAST_SM;
    /// query_broadcast_sm_resp
    QueryBroadcastSmResp(SmResp) = QUERY_BROADCAST_SM_RESP;
    /// cancel_broadcast_sm
    CancelBroadcastSm(CancelBroadcastSm) = CANCEL_BROADCAST_SM;
    --
    /// cancel_broadcast_sm_resp
    CancelBroadcastSmResp = CANCEL_BROADCAST_SM_RESP;
    /// cancel_sm_resp
    CancelSmResp = CANCEL_SM_RESP;
    /// replace_sm_resp
    ReplaceSmResp = REPLACE_SM_RESP;
    /// unbind
    Unbind = UNBIND;
    /// unbind_resp
    UnbindResp = UNBIND_RESP;
    /// enquire_link
    EnquireLink = ENQUIRE_LINK;
    /// enquire_link_resp
    EnquireLinkResp = ENQUIRE_LINK_RESP;
    /// generic_nack
    GenericNack = GENERIC_NACK;
}

impl<'a> Pdu<'a> {
    /// Reads a whole PDU; octets beyond its command_length are not looked at. Its header is
    /// [`Header::decode`] of the same octets.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, DecodeError> {
        Pdu::read(Frame::decode(pdu)?)
    }

    /// The message that it carries, with the fields of a submit_sm: what it has none of is empty.
    pub fn message(&self) -> Option<Sm<'a>> {
        match self {
            Pdu::SubmitSm(sm) | Pdu::DeliverSm(sm) => Some(*sm),
            Pdu::DataSm(sm) => Some((*sm).into()),
            Pdu::SubmitMulti(sm) => Some(Sm {
                esm_class: sm.esm_class,
                data_coding: sm.data_coding,
                short_message: sm.short_message,
                tlvs: sm.tlvs,
                ..Sm::default()
            }),
            Pdu::BroadcastSm(sm) => Some(Sm {
                data_coding: sm.data_coding,
                tlvs: sm.tlvs,
                ..Sm::default()
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
