//! A receipt, parsed.

use std::borrow::Cow;
use std::sync::Arc;

use super::Dialects;
use crate::record::internal::Delivery;
use smpp_protocol::pdu::{MessageType, Sm};
use smpp_protocol::receipt::Receipt;
use smpp_protocol::state::MessageState;
use smpp_protocol::{Frame, Pdu, Tlvs};

/// A receipt's PDU, parsed.
#[derive(Clone, Default)]
pub(super) struct ParsedReceipt<'a> {
    pub(super) receipt: Receipt<'a>,
    esm_class: u8,
    /// The text as it came.
    pub(super) octets: &'a [u8],
    /// From whom it came: the message's recipient.
    pub(super) source: &'a [u8],
    /// To whom: the message's sender.
    pub(super) destination: &'a [u8],
    pub(super) tlvs: Tlvs<'a>,
}

impl<'a> ParsedReceipt<'a> {
    /// Parses a deliver_sm or data_sm; of anything else nothing is known.
    pub(super) fn of(delivery: &'a Delivery, dialects: &Dialects) -> ParsedReceipt<'a> {
        let dialect = dialects.of(&delivery.esme);
        let sm: Sm<'_> = match Frame::decode(&delivery.pdu).and_then(Pdu::read) {
            Ok(Pdu::DeliverSm(sm)) => sm,
            Ok(Pdu::DataSm(sm)) => sm.into(),
            _ => return ParsedReceipt::default(),
        };
        ParsedReceipt {
            receipt: dialect.receipt(&sm),
            esm_class: sm.esm_class,
            octets: sm.text_octets(),
            source: sm.source.number,
            destination: sm.destination.number,
            tlvs: sm.tlvs,
        }
    }

    /// What became of the message; `UNKNOWN` also if it does not say so in a word that is known.
    pub(super) fn state(&self) -> MessageState {
        self.receipt.state.unwrap_or(MessageState::Unknown)
    }

    /// What it is by esm_class.
    pub(super) fn message_type(&self) -> MessageType {
        MessageType::of(self.esm_class)
    }

    /// Whether it does not say what the end is: it was said before the end, or in a word that
    /// nobody knows, after which any state may follow. `UNKNOWN` is known: the SMSC says that it
    /// will not get to know.
    pub(super) fn is_open(&self) -> bool {
        self.message_type().is_preliminary() || self.receipt.state.is_none()
    }

    /// Whether no other state follows.
    pub(super) fn is_final(&self) -> bool {
        self.state().is_final() && !self.is_open()
    }
}

/// The receipt that has just come, which was parsed for the join: its event is made of that.
#[derive(Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) delivery: &'a Arc<Delivery>,
    pub(super) parsed: &'a ParsedReceipt<'a>,
}

impl<'a> Arrived<'a> {
    /// The receipt in `delivery`, parsed now unless it is the one that has just come: of those that
    /// were parked only the octets are kept.
    pub(super) fn parsed(
        arrived: Option<Arrived<'a>>,
        delivery: &'a Arc<Delivery>,
        dialects: &Dialects,
    ) -> Cow<'a, ParsedReceipt<'a>> {
        match arrived {
            Some(arrived) if Arc::ptr_eq(arrived.delivery, delivery) => {
                Cow::Borrowed(arrived.parsed)
            }
            _ => Cow::Owned(ParsedReceipt::of(delivery, dialects)),
        }
    }
}
