//! Events about what the SMSC delivered, as they are written to `sms.receipts` and
//! `sms.inbound`.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::form::{date_option, extra, hex, hex_option, is_false, symbol, time, time_option};
use super::keys::Position;
use smpp_protocol::Names;
use smpp_protocol::receipt::When;

/// What became of a message, as the SMSC reports it, on `sms.receipts`.
///
/// What comes from the message itself (`log_id`, `extra_data`, `record`, ...) is there when the
/// receipt could be correlated.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeliveryReceipt<'a> {
    /// `DeliveryReceipt`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The message's log id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<&'a str>,
    /// The message's own extra data, byte for byte.
    #[serde(serialize_with = "extra", skip_serializing_if = "Option::is_none")]
    pub extra_data: Option<&'a RawValue>,
    /// Whether the message it is about was found.
    pub correlated: bool,
    /// Whether it may as well be about another message; then what comes from the message is that
    /// of the likeliest.
    #[serde(skip_serializing_if = "is_false")]
    pub ambiguous: bool,
    /// If it is ambiguous, the log ids of the messages that it may be about, 16 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<&'a str>,
    /// Always false: the result of an outbound record is on `sms.responses` or `sms.errors`.
    pub terminal: bool,
    /// The attempt that got this message id, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The outbound record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<&'a Position>,
    /// Which part of a long message, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
    /// The ESME.
    pub esme: &'a str,
    /// The bind it came on; none if it never came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<&'a str>,
    /// The SMSC's id of the message, as it stands in the receipt.
    pub message_id: &'a str,
    /// What became of the message: `DELIVERED`, `EXPIRED`, ... (SMPP 5.0, 4.8.4.41); `OVERDUE`
    /// if no final receipt came in time.
    #[serde(serialize_with = "symbol")]
    pub state: &'static str,
    /// Whether no other state follows. It never is the end when esm_class says that it is an
    /// intermediate notification or an acknowledgement.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// What esm_class says it is (SMPP 3.4, 5.2.12): `delivery_receipt`,
    /// `intermediate_notification`, `delivery_acknowledgement` (of the phone),
    /// `user_acknowledgement`, `conversation_abort` or `reserved`; none if it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'a str>,
    /// Whether it stands for final receipts that did not come in time.
    #[serde(skip_serializing_if = "is_false")]
    pub overdue: bool,
    /// How many final receipts did not come in time, if it is overdue: 1, or of a SubmitMulti
    /// one for each recipient that is missing; none if nobody knows, because distribution lists
    /// are among the recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u32>,
    /// `stat` of the receipt's text, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat: Option<&'a str>,
    /// `err` of the receipt's text, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err: Option<&'a str>,
    /// The network_error_code TLV (SMPP 3.4, 5.3.2.31).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_error_code: Option<NetworkError>,
    /// `submit date` of the receipt's text by the SMSC's clock, `2026-01-02T03:04:00`; with its
    /// distance from UTC where the receipt says it.
    #[serde(
        serialize_with = "date_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub submit_date: Option<When>,
    /// `done date` of the receipt's text by the SMSC's clock, `2026-01-02T03:04:00`; with its
    /// distance from UTC where the receipt says it.
    #[serde(
        serialize_with = "date_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub done_date: Option<When>,
    /// `text` of the receipt's text: the beginning of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// The message's sender, as submitted; of a message that is not known, or went without one,
    /// to whom the receipt went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a str>,
    /// The message's recipient, as submitted; of a message that is not known, or went to several,
    /// from whom the receipt came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<&'a str>,
    /// From whom the receipt came, if that is not written like `destination`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_source: Option<&'a str>,
    /// To whom the receipt went, if that is not written like `source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_destination: Option<&'a str>,
    /// When the submit_sm was handed to the session.
    #[serde(
        serialize_with = "time_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub submitted_at: Option<Timestamp>,
    /// When the receipt came.
    #[serde(
        serialize_with = "time_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub received_at: Option<Timestamp>,
    /// The short_message of the receipt as it came, in hexadecimal.
    #[serde(serialize_with = "hex_option", skip_serializing_if = "Option::is_none")]
    pub short_message_hex: Option<&'a [u8]>,
    /// Its optional parameters as they came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlvs: Vec<Tlv<'a>>,
}

/// The error of a network (SMPP 3.4, 5.3.2.31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkError {
    /// Which kind of network: 1 ANSI-136, 2 IS-95, 3 GSM, ...
    pub network: u8,
    /// Its error code.
    pub code: u16,
}

/// Which segment of a longer message (3GPP TS 23.040, 9.2.3.24.1; SMPP 3.4, 5.3.2.22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConcatenationInfo {
    /// The same in all segments of a message.
    pub reference: u16,
    /// How many segments there are.
    pub total: u8,
    /// Which one this is, from 1; none of a message that was put together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u8>,
}

/// An address with all three of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Party<'a> {
    /// Digits or letters, as they came.
    pub number: Cow<'a, str>,
    /// Type of number (SMPP 3.4, 5.2.5).
    pub ton: u8,
    /// Numbering plan indicator (SMPP 3.4, 5.2.6).
    pub npi: u8,
}

impl<'a> Party<'a> {
    /// An address as it came.
    pub fn of(address: &smpp_protocol::Address<'a>) -> Self {
        Party {
            number: String::from_utf8_lossy(address.number),
            ton: address.ton.0,
            npi: address.npi.0,
        }
    }
}

/// An optional parameter as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tlv<'a> {
    /// Its tag.
    pub tag: u16,
    /// The tag's name, if the specification or `vendor.tlvs` has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Its value, in hexadecimal.
    #[serde(rename = "hex", serialize_with = "hex")]
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// A parameter as it came, by the specification's name or the vendor's.
    pub fn of(tlv: smpp_protocol::Tlv<'a>, names: &'a Names) -> Self {
        Tlv {
            tag: tlv.tag.0,
            name: names.tag(tlv.tag),
            value: tlv.value,
        }
    }
}

/// A message from a phone, on `sms.inbound`. One that came in several parts is put together
/// (3GPP TS 23.040, 9.2.3.24.1; SMPP 3.4, 5.3.2.22).
#[derive(Clone, Debug, Default, Serialize)]
pub struct InboundSms<'a> {
    /// `InboundSms`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The ESME.
    pub esme: &'a str,
    /// The bind it came on.
    pub bind: &'a str,
    /// `deliver_sm` or `data_sm`.
    pub command: &'static str,
    /// Who sent it.
    pub source: Party<'a>,
    /// To whom.
    pub destination: Party<'a>,
    /// Its text, if data_coding names an encoding and the octets are valid in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    /// Its user data as they came, without the user data header, in hexadecimal; those of all
    /// parts one after another.
    #[serde(rename = "octets_hex", serialize_with = "hex")]
    pub octets: Cow<'a, [u8]>,
    /// The user data header as it came, in hexadecimal (3GPP TS 23.040, 9.2.3.24); of a
    /// message put together that of its first part, without the concatenation.
    #[serde(
        rename = "udh_hex",
        serialize_with = "hex_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub udh: Option<Cow<'a, [u8]>>,
    /// data_coding (SMPP 3.4, 5.2.19).
    pub data_coding: u8,
    /// esm_class (SMPP 3.4, 5.2.12).
    pub esm_class: u8,
    /// What esm_class says it is, if not just a message: `user_acknowledgement`,
    /// `delivery_acknowledgement`, `conversation_abort` or `reserved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<&'a str>,
    /// protocol_id (SMPP 3.4, 5.2.13).
    pub protocol_id: u8,
    /// priority_flag (SMPP 3.4, 5.2.14).
    pub priority_flag: u8,
    /// service_type (SMPP 3.4, 5.2.11).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub service_type: Cow<'a, str>,
    /// Its optional parameters as they came; of a message put together those of its first
    /// part, without those that carry or count parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlvs: Vec<Tlv<'a>>,
    /// How it was divided, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concatenation: Option<ConcatenationInfo>,
    /// Whether all of it is here.
    pub complete: bool,
    /// The parts that did not come in time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u8>,
    /// The parts it was put together of, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<InboundSegment<'a>>,
    /// What is wrong with it, if it could not be read; `pdu_hex` has all there is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// The whole PDU as it came, in hexadecimal, if it could not be read.
    #[serde(
        rename = "pdu_hex",
        serialize_with = "hex_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub pdu: Option<&'a [u8]>,
    /// Whether it may have been published before: an acknowledgement was lost, or every part
    /// came a second time.
    #[serde(skip_serializing_if = "is_false")]
    pub possible_duplicate: bool,
    /// When it came, or the last of its parts.
    #[serde(serialize_with = "time")]
    pub received_at: Timestamp,
}

impl InboundSms<'_> {
    /// What tells it from others: where and when it came, and a digest of what it holds.
    pub fn id(&self) -> String {
        let digest = crc32fast::hash(self.pdu.unwrap_or(&self.octets));
        let at = self.received_at.as_microsecond();
        format!("{}/{at}/{digest:08x}", self.bind)
    }
}

/// One segment of a message that was put together, as it came.
#[derive(Clone, Debug, Serialize)]
pub struct InboundSegment<'a> {
    /// Which segment, from 1.
    pub part: u8,
    /// Its user data without the user data header, in hexadecimal.
    #[serde(rename = "octets_hex", serialize_with = "hex")]
    pub octets: &'a [u8],
    /// Its user data header, in hexadecimal.
    #[serde(
        rename = "udh_hex",
        serialize_with = "hex_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub udh: Option<&'a [u8]>,
    /// data_coding (SMPP 3.4, 5.2.19).
    pub data_coding: u8,
    /// Its optional parameters, without message_payload, which is in `octets_hex`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlvs: Vec<Tlv<'a>>,
    /// The bind it came on.
    pub bind: &'a str,
    /// When it came.
    #[serde(serialize_with = "time")]
    pub received_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    #[test]
    fn a_receipt_without_its_message_says_so() {
        let event = DeliveryReceipt {
            kind: "DeliveryReceipt",
            esme: "acme",
            bind: Some("acme-0.0"),
            message_id: "7F",
            state: "DELIVERED",
            is_final: true,
            stat: Some("DELIVRD"),
            received_at: Some(Timestamp::UNIX_EPOCH),
            short_message_hex: Some(b"id:7F"),
            tlvs: vec![Tlv {
                tag: 0x0427,
                name: Some("message_state"),
                value: &[2],
            }],
            ..DeliveryReceipt::default()
        };
        assert_eq!(
            String::from_utf8(json::to_vec(&event).unwrap()).unwrap(),
            concat!(
                r#"{"type":"DeliveryReceipt","correlated":false,"terminal":false,"esme":"acme","#,
                r#""bind":"acme-0.0","message_id":"7F","state":"DELIVERED","final":true,"#,
                r#""stat":"DELIVRD","received_at":"1970-01-01T00:00:00.000000Z","#,
                r#""short_message_hex":"69643a3746","#,
                r#""tlvs":[{"tag":1063,"name":"message_state","hex":"02"}]}"#
            )
        );
    }

    #[test]
    fn an_inbound_message_carries_its_octets_beside_its_text() {
        let event = InboundSms {
            kind: "InboundSms",
            source: Party {
                number: "41791234567".into(),
                ton: 1,
                npi: 1,
            },
            text: Some("Ж".into()),
            octets: [0x04, 0x16][..].into(),
            data_coding: 8,
            ..InboundSms::default()
        };
        let read: serde_json::Value =
            serde_json::from_slice(&json::to_vec(&event).unwrap()).unwrap();
        assert_eq!(
            (&read["text"], &read["octets_hex"]),
            (&"Ж".into(), &"0416".into())
        );
        assert_eq!(read["source"]["ton"], 1);
    }
}
