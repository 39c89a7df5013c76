//! Messages and their answers: submit_sm, deliver_sm, data_sm (SMPP 3.4 §4.4, §4.6, §4.7).

use super::codec::{
    DESTINATION, Fields, LONG_DESTINATION, LONG_SOURCE, SOURCE, Source, Writer, body,
};
use crate::text::{self, Alphabet};
use crate::{Address, Command, Concatenation, DecodeError, EncodeError, Status, Tag, Tlvs, Udh};

/// Set in esm_class when the text begins with a user data header (SMPP 3.4 §5.2.12).
pub const UDH_INDICATOR: u8 = 0x40;

/// The bits of registered_delivery that ask for anything to come back (SMPP 3.4 §5.2.17): a
/// receipt of the SMSC, an acknowledgement of the phone or its user, an intermediate
/// notification. The others are reserved.
pub const REGISTERED_DELIVERY: u8 = 0b0001_1111;

/// The highest priority_flag: 5.0 has one more than 3.4 (§5.2.14).
pub const HIGHEST_PRIORITY: u8 = 4;

/// Set in esm_class when a reply path is asked for (SMPP 3.4 §5.2.12).
pub const REPLY_PATH: u8 = 0x80;

/// What esm_class says a message is, bits 5 to 2 (SMPP 3.4 §5.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Somebody's text.
    Default,
    /// The SMSC says what became of a message.
    DeliveryReceipt,
    /// The recipient's device says it has the message.
    DeliveryAcknowledgement,
    /// The recipient says so by hand.
    UserAcknowledgement,
    /// A conversation was aborted (Korean CDMA).
    ConversationAbort,
    /// The SMSC says how things stand before the end.
    IntermediateNotification,
    /// Values the specification reserves.
    Reserved(u8),
}

impl MessageType {
    /// The type within an esm_class.
    pub const fn of(esm_class: u8) -> MessageType {
        match (esm_class >> 2) & 0xF {
            0 => MessageType::Default,
            1 => MessageType::DeliveryReceipt,
            2 => MessageType::DeliveryAcknowledgement,
            4 => MessageType::UserAcknowledgement,
            6 => MessageType::ConversationAbort,
            8 => MessageType::IntermediateNotification,
            other => MessageType::Reserved(other),
        }
    }

    /// Its name: `delivery_receipt`, `intermediate_notification`, ...; `None` of somebody's text.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            MessageType::Default => return None,
            MessageType::DeliveryReceipt => "delivery_receipt",
            MessageType::DeliveryAcknowledgement => "delivery_acknowledgement",
            MessageType::UserAcknowledgement => "user_acknowledgement",
            MessageType::ConversationAbort => "conversation_abort",
            MessageType::IntermediateNotification => "intermediate_notification",
            MessageType::Reserved(_) => "reserved",
        })
    }

    /// Whether the SMSC's word on a message's end cannot be in it: it tells how things stand
    /// before the end, or what a phone or its user did.
    pub const fn is_preliminary(self) -> bool {
        matches!(
            self,
            MessageType::IntermediateNotification
                | MessageType::DeliveryAcknowledgement
                | MessageType::UserAcknowledgement
        )
    }

    /// Whether a phone or its user acknowledges a message.
    pub const fn is_acknowledgement(self) -> bool {
        matches!(
            self,
            MessageType::DeliveryAcknowledgement | MessageType::UserAcknowledgement
        )
    }

    /// Whether the SMSC speaks of another message's fate.
    pub const fn reports_on_a_message(self) -> bool {
        matches!(
            self,
            MessageType::DeliveryReceipt | MessageType::IntermediateNotification
        )
    }
}

/// What follows the user data header. A header longer than the text is taken for text.
fn without_udh(text: &[u8], esm_class: u8) -> &[u8] {
    match Udh::split(text) {
        Some((_, text)) if esm_class & UDH_INDICATOR != 0 => text,
        _ => text,
    }
}

/// How a text belongs with others: its user data header says so, or its TLVs do.
fn concatenation(text: &[u8], esm_class: u8, tlvs: &Tlvs<'_>) -> Option<Concatenation> {
    Udh::split(text)
        .filter(|_| esm_class & UDH_INDICATOR != 0)
        .and_then(|(udh, _)| udh.concatenation())
        .or_else(|| Concatenation::of_sar(tlvs))
}

/// submit_sm and deliver_sm, which have the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sm<'a> {
    /// SMS application service; at most 5 octets, usually empty.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// Who receives.
    pub destination: Address<'a>,
    /// Mode, type, user data header and reply path; see [`MessageType`].
    pub esm_class: u8,
    /// TP-PID of GSM.
    pub protocol_id: u8,
    /// 0 (lowest) to 3.
    pub priority_flag: u8,
    /// An SMPP time or empty for at once; not used in deliver_sm.
    pub schedule_delivery_time: &'a [u8],
    /// An SMPP time or empty for the SMSC's default; not used in deliver_sm.
    pub validity_period: &'a [u8],
    /// Which receipts are wanted (SMPP 3.4 §5.2.17).
    pub registered_delivery: u8,
    /// 1 to replace an undelivered message of the same addresses.
    pub replace_if_present_flag: u8,
    /// How the text is encoded (SMPP 3.4 §5.2.19).
    pub data_coding: u8,
    /// A canned message of the SMSC, or 0.
    pub sm_default_msg_id: u8,
    /// The text, at most 254 octets; empty when message_payload has it.
    pub short_message: &'a [u8],
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Sm<'a> {
    /// The text with its user data header, if any: short_message, or message_payload when that
    /// is empty.
    pub fn text_octets(&self) -> &'a [u8] {
        match self.short_message {
            [] => self.tlvs.get(Tag::MESSAGE_PAYLOAD).unwrap_or_default(),
            text => text,
        }
    }

    /// The text after its user data header, if any.
    pub fn text_octets_without_udh(&self) -> &'a [u8] {
        without_udh(self.text_octets(), self.esm_class)
    }

    /// Which part of a longer message this is, by user data header or by TLVs.
    pub fn concatenation(&self) -> Option<Concatenation> {
        concatenation(self.text_octets(), self.esm_class, &self.tlvs)
    }

    /// The text in characters, as far as it can be read; `default` is the SMSC's default alphabet.
    pub fn text(&self, default: &Alphabet) -> String {
        text::decode_user_data(
            self.text_octets(),
            self.has_udh(),
            self.data_coding,
            default,
        )
    }

    /// What esm_class says the message is.
    pub const fn message_type(&self) -> MessageType {
        MessageType::of(self.esm_class)
    }

    /// Whether the text begins with a user data header.
    pub const fn has_udh(&self) -> bool {
        self.esm_class & UDH_INDICATOR != 0
    }
}

impl<'a> Fields<'a> for Sm<'a> {
    #[inline(always)]
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let service_type = reader.c_string("service_type")?;
        let source = reader.address(&SOURCE)?;
        let destination = reader.address(&DESTINATION)?;
        let [esm_class, protocol_id, priority_flag] =
            reader.octets(&["esm_class", "protocol_id", "priority_flag"])?;
        let schedule_delivery_time = reader.c_string("schedule_delivery_time")?;
        let validity_period = reader.c_string("validity_period")?;
        let [
            registered_delivery,
            replace_if_present_flag,
            data_coding,
            sm_default_msg_id,
        ] = reader.octets(&[
            "registered_delivery",
            "replace_if_present_flag",
            "data_coding",
            "sm_default_msg_id",
        ])?;
        Ok(Sm {
            service_type,
            source,
            destination,
            esm_class,
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            replace_if_present_flag,
            data_coding,
            sm_default_msg_id,
            short_message: reader.counted("short_message")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.address(&SOURCE, &self.source)?;
        writer.address(&DESTINATION, &self.destination)?;
        writer.octets(&[self.esm_class, self.protocol_id, self.priority_flag]);
        writer.time("schedule_delivery_time", self.schedule_delivery_time)?;
        writer.time("validity_period", self.validity_period)?;
        writer.octets(&[
            self.registered_delivery,
            self.replace_if_present_flag,
            self.data_coding,
            self.sm_default_msg_id,
        ]);
        writer.short_message(self.short_message)?;
        writer.tlvs(&self.tlvs)
    }
}

/// data_sm, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataSm<'a> {
    /// SMS application service; at most 5 octets, usually empty.
    pub service_type: &'a [u8],
    /// Who sends; here a number may have 64 octets.
    pub source: Address<'a>,
    /// Who receives; here a number may have 64 octets.
    pub destination: Address<'a>,
    /// Mode, type, user data header and reply path; see [`MessageType`].
    pub esm_class: u8,
    /// Which receipts are wanted (SMPP 3.4 §5.2.17).
    pub registered_delivery: u8,
    /// How the text is encoded (SMPP 3.4 §5.2.19).
    pub data_coding: u8,
    /// Optional parameters; message_payload has the text.
    pub tlvs: Tlvs<'a>,
}

/// The fields that data_sm shares with submit_sm, which are all of its own.
impl<'a> From<DataSm<'a>> for Sm<'a> {
    fn from(data: DataSm<'a>) -> Self {
        Sm {
            service_type: data.service_type,
            source: data.source,
            destination: data.destination,
            esm_class: data.esm_class,
            registered_delivery: data.registered_delivery,
            data_coding: data.data_coding,
            tlvs: data.tlvs,
            ..Sm::default()
        }
    }
}

impl<'a> Fields<'a> for DataSm<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        Ok(DataSm {
            service_type: reader.c_string("service_type")?,
            source: reader.address(&LONG_SOURCE)?,
            destination: reader.address(&LONG_DESTINATION)?,
            esm_class: reader.u8("esm_class")?,
            registered_delivery: reader.u8("registered_delivery")?,
            data_coding: reader.u8("data_coding")?,
            tlvs: reader.tlvs(),
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.c_string("service_type", self.service_type, 5)?;
        writer.address(&LONG_SOURCE, &self.source)?;
        writer.address(&LONG_DESTINATION, &self.destination)?;
        writer.octets(&[self.esm_class, self.registered_delivery, self.data_coding]);
        writer.tlvs(&self.tlvs)
    }
}

/// submit_sm_resp, deliver_sm_resp and data_sm_resp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SmResp<'a> {
    /// The SMSC's name for the message, at most 64 octets; empty when the response had no body,
    /// and in deliver_sm_resp.
    pub message_id: &'a [u8],
    /// Optional parameters, such as delivery_failure_reason.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Fields<'a> for SmResp<'a> {
    fn read(reader: &mut impl Source<'a>) -> Result<Self, DecodeError> {
        let message_id: &[u8] = match begins_with_parameters(reader.reader().rest) {
            true => &[],
            false => reader.loose_c_string("message_id")?,
        };
        Ok(SmResp {
            message_id,
            tlvs: reader.tlvs(),
        })
    }

    /// A refused submit_sm is answered without body (SMPP 3.4 §4.4.2).
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let refused = writer.status != Status::ROK && writer.command == Command::SUBMIT_SM_RESP;
        if refused && *self == SmResp::default() {
            return Ok(());
        }
        writer.c_string("message_id", self.message_id, 64)?;
        writer.tlvs(&self.tlvs)
    }
}

/// Whether an answer has parameters where its message_id should stand, as some SMSCs write errors:
/// the tags of SMPP begin with an octet with which no id does.
#[inline(always)]
fn begins_with_parameters(body: &[u8]) -> bool {
    let is_possible = matches!(body, [0..=0x1F, _, _, _, ..]);
    is_possible && are_parameters(body)
}

#[cold]
fn are_parameters(body: &[u8]) -> bool {
    let are = |region| Tlvs::new(region).check().is_ok();
    // An id that is empty is a NUL before them.
    let is_empty_id = matches!(body, [0, rest @ ..] if are(rest));
    !is_empty_id && are(body)
}

body!(Sm, DataSm, SmResp);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Npi, Problem, Ton, tlv};

    fn hello() -> Sm<'static> {
        Sm {
            source: Address {
                ton: Ton::ALPHANUMERIC,
                npi: Npi::UNKNOWN,
                number: b"ACME",
            },
            destination: Address::parse("+4915112345678"),
            registered_delivery: 1,
            short_message: b"hello",
            ..Sm::default()
        }
    }

    fn wire(sm: &Sm<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        sm.encode(Command::SUBMIT_SM, Status::ROK, 1, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn submit_sm_goes_out_octet_by_octet_as_specified() {
        let body = b"\0\x05\0ACME\0\x01\x014915112345678\0\0\0\0\0\0\x01\0\0\0\x05hello";
        assert_eq!(
            wire(&hello())[16..].escape_ascii().to_string(),
            body.escape_ascii().to_string()
        );
        assert_eq!(Sm::decode(body), Ok(hello()));
    }

    #[test]
    fn a_short_message_that_ends_early_is_named_with_its_place() {
        let pdu = wire(&hello());
        let error = Sm::decode(&pdu[16..pdu.len() - 1]).unwrap_err();
        assert_eq!(error.problem, Problem::Truncated { wanted: 5, left: 4 });
        assert_eq!(
            (error.field, error.position),
            ("short_message", pdu.len() - 5)
        );
        assert_eq!(error.status(), Status::RINVMSGLEN);
        assert_eq!(Sm::decode(&pdu[16..20]).unwrap_err().field, "source_addr");
    }

    #[test]
    fn the_text_may_be_in_message_payload() {
        let mut region = Vec::new();
        tlv::push_tlv(&mut region, Tag::MESSAGE_PAYLOAD, b"long").unwrap();
        let mut sm = Sm {
            tlvs: Tlvs::new(&region),
            ..hello()
        };
        assert_eq!(sm.text_octets(), b"hello");
        sm.short_message = b"";
        assert_eq!(sm.text_octets(), b"long");
    }

    #[test]
    fn what_smpp_does_not_allow_is_not_sent() {
        let mut out = Vec::new();
        let mut refuse = |sm: Sm<'_>| {
            let error = sm
                .encode(Command::SUBMIT_SM, Status::ROK, 1, &mut out)
                .unwrap_err();
            assert!(out.is_empty());
            error.to_string()
        };
        let long = [b'x'; 255];
        assert_eq!(
            refuse(Sm {
                short_message: &long,
                ..hello()
            }),
            "short_message has 255 octets, at most 254 are allowed"
        );
        assert_eq!(
            refuse(Sm {
                validity_period: b"1 day",
                ..hello()
            }),
            "validity_period has 5 octets, an SMPP time has 16 or none"
        );
        assert!(
            refuse(Sm {
                service_type: b"a\0b",
                ..hello()
            })
            .contains("NUL at octet 1")
        );
        assert!(
            refuse(Sm {
                tlvs: Tlvs::new(b"\0\x05\0"),
                ..hello()
            })
            .contains("tlv at octet 16")
        );
    }

    #[test]
    fn responses_come_with_and_without_body() {
        assert_eq!(SmResp::decode(b"").unwrap().message_id, b"");
        assert_eq!(SmResp::decode(b"4F").unwrap().message_id, b"4F");
        assert_eq!(SmResp::decode(b"4F\0junk").unwrap().message_id, b"4F");
        let failed = |body| {
            let read = SmResp::decode(body).unwrap();
            let reason = read.tlvs.get(Tag::DELIVERY_FAILURE_REASON);
            (read.message_id, reason.map(<[u8]>::to_vec))
        };
        for body in [
            &b"\x04\x25\0\x01\x03"[..],
            b"\0\x1D\0\x03no\0\x04\x25\0\x01\x03",
            b"\0\x04\x25\0\x01\x03",
        ] {
            assert_eq!(failed(body), (&b""[..], Some(vec![3])), "{body:?}");
        }
        assert_eq!(
            failed(b"\x04\x25\0\x01"),
            (&b"\x04\x25"[..], None),
            "damaged"
        );
        assert_eq!(failed(b"\0"), (&b""[..], None));
        let mut out = Vec::new();
        let throttled = Status::RTHROTTLED;
        SmResp::default()
            .encode(Command::SUBMIT_SM_RESP, throttled, 1, &mut out)
            .unwrap();
        assert_eq!(out.len(), 16);
    }
}
