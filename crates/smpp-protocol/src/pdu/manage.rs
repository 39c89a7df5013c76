//! What concerns a message submitted before: query_sm, cancel_sm, replace_sm (SMPP 3.4 §4.8 to
//! §4.10), and alert_notification (§4.12).

use super::codec::{DESTINATION, ESME, Fields, LONG_SOURCE, SOURCE, Source, Writer, body};
use crate::{Address, DecodeError, EncodeError, Status, Tlvs};

/// query_sm: what became of a message?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuerySm<'a> {
    /// The SMSC's name for the message; at most 64 octets.
    pub message_id: &'a [u8],
    /// Who sent it, as in the submit_sm.
    pub source: Address<'a>,
}

impl<'a> Fields<'a> for QuerySm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let message_id = reader.c_string("message_id")?;
        Ok(QuerySm {
            message_id,
            source: reader.address(&SOURCE)?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("message_id", self.message_id, 64)?;
        writer.address(&SOURCE, &self.source)
    }
}

/// query_sm_resp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuerySmResp<'a> {
    /// The SMSC's name for the message; at most 64 octets.
    pub message_id: &'a [u8],
    /// When the final state was reached: an SMPP time, or empty before that.
    pub final_date: &'a [u8],
    /// The state (SMPP 3.4 §5.2.28).
    pub message_state: u8,
    /// The network's error code, or 0.
    pub error_code: u8,
    /// Optional parameters (SMPP 5.0).
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for QuerySmResp<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(QuerySmResp {
            message_id: reader.loose_c_string("message_id")?,
            final_date: reader.loose_c_string("final_date")?,
            message_state: reader.loose_u8("message_state")?,
            error_code: reader.loose_u8("error_code")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if writer.status != Status::ROK && *self == QuerySmResp::default() {
            return Ok(());
        }
        writer.c_string("message_id", self.message_id, 64)?;
        writer.time("final_date", self.final_date)?;
        writer.octets(&[self.message_state, self.error_code]);
        writer.tlvs(&self.tlvs)
    }
}

/// cancel_sm: one message by its message_id, or all between two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CancelSm<'a> {
    /// SMS application service; at most 5 octets.
    pub service_type: &'a [u8],
    /// The SMSC's name for the message, at most 64 octets; empty for all.
    pub message_id: &'a [u8],
    /// Who sent it, as in the submit_sm.
    pub source: Address<'a>,
    /// Who was to receive it; may be empty when message_id is given.
    pub destination: Address<'a>,
}

impl<'a> Fields<'a> for CancelSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(CancelSm {
            service_type: reader.c_string("service_type")?,
            message_id: reader.c_string("message_id")?,
            source: reader.address(&SOURCE)?,
            destination: reader.address(&DESTINATION)?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.c_string("message_id", self.message_id, 64)?;
        writer.address(&SOURCE, &self.source)?;
        writer.address(&DESTINATION, &self.destination)
    }
}

/// replace_sm: another text, time or receipt for a message still waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplaceSm<'a> {
    /// The SMSC's name for the message; at most 64 octets.
    pub message_id: &'a [u8],
    /// Who sent it, as in the submit_sm.
    pub source: Address<'a>,
    /// An SMPP time, or empty to leave it.
    pub schedule_delivery_time: &'a [u8],
    /// An SMPP time, or empty to leave it.
    pub validity_period: &'a [u8],
    /// Which receipts are wanted (SMPP 3.4 §5.2.17).
    pub registered_delivery: u8,
    /// A canned message of the SMSC, or 0.
    pub sm_default_msg_id: u8,
    /// The new text, encoded as the old one was; at most 254 octets.
    pub short_message: &'a [u8],
    /// Optional parameters (SMPP 5.0: message_payload).
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for ReplaceSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(ReplaceSm {
            message_id: reader.c_string("message_id")?,
            source: reader.address(&SOURCE)?,
            schedule_delivery_time: reader.c_string("schedule_delivery_time")?,
            validity_period: reader.c_string("validity_period")?,
            registered_delivery: reader.u8("registered_delivery")?,
            sm_default_msg_id: reader.u8("sm_default_msg_id")?,
            short_message: reader.counted("short_message")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("message_id", self.message_id, 64)?;
        writer.address(&SOURCE, &self.source)?;
        writer.time("schedule_delivery_time", self.schedule_delivery_time)?;
        writer.time("validity_period", self.validity_period)?;
        writer.octets(&[self.registered_delivery, self.sm_default_msg_id]);
        writer.short_message(self.short_message)?;
        writer.tlvs(&self.tlvs)
    }
}

/// alert_notification: a subscriber can be reached again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlertNotification<'a> {
    /// Who can be reached; at most 64 octets.
    pub source: Address<'a>,
    /// Which ESME asked to be told; at most 64 octets.
    pub esme: Address<'a>,
    /// ms_availability_status, if any.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for AlertNotification<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let source = reader.address(&LONG_SOURCE)?;
        Ok(AlertNotification {
            source,
            esme: reader.address(&ESME)?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.address(&LONG_SOURCE, &self.source)?;
        writer.address(&ESME, &self.esme)?;
        writer.tlvs(&self.tlvs)
    }
}

body!(QuerySm, QuerySmResp, CancelSm, ReplaceSm, AlertNotification);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;

    #[test]
    fn the_answer_to_a_failed_query_may_lack_its_body() {
        assert_eq!(QuerySmResp::decode(b"").unwrap(), QuerySmResp::default());
        let partial = QuerySmResp::decode(b"7\0\0\x02").unwrap();
        assert_eq!((partial.message_id, partial.message_state), (&b"7"[..], 2));
    }

    #[test]
    fn a_request_needs_all_its_fields() {
        let mut out = Vec::new();
        let query = QuerySm {
            message_id: b"7",
            source: Address::parse("12345"),
        };
        query
            .encode(Command::QUERY_SM, Status::ROK, 3, &mut out)
            .unwrap();
        assert_eq!(QuerySm::decode(&out[16..]), Ok(query));
        let error = QuerySm::decode(&out[16..out.len() - 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "source_addr at octet 20: no NUL before the PDU's end"
        );
    }
}
