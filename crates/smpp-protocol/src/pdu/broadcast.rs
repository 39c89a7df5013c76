//! Cell broadcast: broadcast_sm, query_broadcast_sm, cancel_broadcast_sm (SMPP 5.0 §4.4, §4.6).
//!
//! Area, content type, repetitions and interval are TLVs; broadcast_sm_resp and
//! query_broadcast_sm_resp have the fields of [`SmResp`](super::SmResp).

use super::codec::{Fields, SOURCE, Source, Writer, body};
use crate::{Address, DecodeError, EncodeError, Tlvs};

/// broadcast_sm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BroadcastSm<'a> {
    /// SMS application service; at most 5 octets, usually empty.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// The message to replace, at most 64 octets; empty for a new one.
    pub message_id: &'a [u8],
    /// 0 (lowest) to 4.
    pub priority_flag: u8,
    /// An SMPP time or empty for at once.
    pub schedule_delivery_time: &'a [u8],
    /// An SMPP time or empty for the SMSC's default.
    pub validity_period: &'a [u8],
    /// 1 to replace the message of the same id.
    pub replace_if_present_flag: u8,
    /// How the text is encoded.
    pub data_coding: u8,
    /// A canned message of the SMSC, or 0.
    pub sm_default_msg_id: u8,
    /// Area, content type, repetitions, interval; message_payload has the text.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for BroadcastSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(BroadcastSm {
            service_type: reader.c_string("service_type")?,
            source: reader.address(&SOURCE)?,
            message_id: reader.c_string("message_id")?,
            priority_flag: reader.u8("priority_flag")?,
            schedule_delivery_time: reader.c_string("schedule_delivery_time")?,
            validity_period: reader.c_string("validity_period")?,
            replace_if_present_flag: reader.u8("replace_if_present_flag")?,
            data_coding: reader.u8("data_coding")?,
            sm_default_msg_id: reader.u8("sm_default_msg_id")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.address(&SOURCE, &self.source)?;
        writer.c_string("message_id", self.message_id, 64)?;
        writer.octets(&[self.priority_flag]);
        writer.time("schedule_delivery_time", self.schedule_delivery_time)?;
        writer.time("validity_period", self.validity_period)?;
        let Self {
            replace_if_present_flag,
            data_coding,
            sm_default_msg_id,
            ..
        } = *self;
        writer.octets(&[replace_if_present_flag, data_coding, sm_default_msg_id]);
        writer.tlvs(&self.tlvs)
    }
}

/// query_broadcast_sm: how far has a broadcast come?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryBroadcastSm<'a> {
    /// The SMSC's name for the broadcast; at most 64 octets.
    pub message_id: &'a [u8],
    /// Who sent it, as in the broadcast_sm.
    pub source: Address<'a>,
    /// user_message_reference, if any.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for QueryBroadcastSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let message_id = reader.c_string("message_id")?;
        let source = reader.address(&SOURCE)?;
        Ok(QueryBroadcastSm {
            message_id,
            source,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("message_id", self.message_id, 64)?;
        writer.address(&SOURCE, &self.source)?;
        writer.tlvs(&self.tlvs)
    }
}

/// cancel_broadcast_sm: one broadcast by its message_id, or all of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CancelBroadcastSm<'a> {
    /// SMS application service; at most 5 octets.
    pub service_type: &'a [u8],
    /// The SMSC's name for the broadcast, at most 64 octets; empty for all.
    pub message_id: &'a [u8],
    /// Who sent it, as in the broadcast_sm.
    pub source: Address<'a>,
    /// broadcast_content_type, user_message_reference, if any.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for CancelBroadcastSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(CancelBroadcastSm {
            service_type: reader.c_string("service_type")?,
            message_id: reader.c_string("message_id")?,
            source: reader.address(&SOURCE)?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.c_string("message_id", self.message_id, 64)?;
        writer.address(&SOURCE, &self.source)?;
        writer.tlvs(&self.tlvs)
    }
}

body!(BroadcastSm, QueryBroadcastSm, CancelBroadcastSm);
