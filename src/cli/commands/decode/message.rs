//! What the octets of a message mean: its text, its header, the receipt it is.

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::commands::receipt::Report;
use smpp_protocol::pdu::MessageType;
use smpp_protocol::pdu::anatomy::Anatomy;
use smpp_protocol::text::Encoding;
use smpp_protocol::{Dialect, Pdu, Receipt, Udh};

/// The text of a PDU that carries a message, and what belongs to it.
#[derive(Serialize)]
pub(in crate::cli) struct Message {
    /// What esm_class says it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// How the text is encoded.
    pub encoding: &'static str,
    /// The text as far as it can be read; of a receipt in the characters in which its labels are
    /// found.
    pub text: String,
    /// The user data header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub udh: Vec<Element>,
    /// Which part of a longer message it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concatenation: Option<Part>,
    /// What it says of another message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Report>,
}

/// An information element.
#[derive(Serialize)]
pub(in crate::cli) struct Element {
    /// What it is.
    pub id: u8,
    /// Its data.
    pub hex: String,
}

/// Which part of a longer message.
#[derive(Serialize)]
pub(in crate::cli) struct Part {
    /// The same in all parts.
    pub reference: u16,
    /// How many parts.
    pub total: u8,
    /// Which.
    pub part: u8,
}

impl Message {
    /// The message that a PDU carries, if it does and can be read.
    pub fn of(anatomy: &Anatomy<'_>, octets: &[u8], dialect: &Dialect) -> Option<Self> {
        let default = dialect.alphabet();
        let length = anatomy.header?.length as usize;
        let sm = Pdu::decode(octets.get(..length)?).ok()?.message()?;
        let header = Udh::split(sm.text_octets()).filter(|_| sm.has_udh());
        let element = |element: smpp_protocol::udh::Element<'_>| Element {
            id: element.id,
            hex: HEXLOWER.encode(element.data),
        };
        let encoding = Encoding::of(sm.data_coding, default);
        let receipt = dialect.report(&sm);
        let text = match receipt {
            Some(_) => Receipt::characters(sm.text_octets_without_udh(), encoding),
            None => sm.text(&default),
        };
        Some(Message {
            kind: kind(sm.esm_class),
            encoding: encoding.name(),
            receipt: receipt.map(|receipt| Report::of(&receipt, &text, sm.tlvs, &dialect.ids)),
            text,
            udh: header
                .map(|(header, _)| header.elements().map(element).collect())
                .unwrap_or_default(),
            concatenation: sm.concatenation().map(|of| Part {
                reference: of.reference,
                total: of.total,
                part: of.part,
            }),
        })
    }
}

/// The type of a message in words.
pub(super) fn kind(esm_class: u8) -> String {
    match MessageType::of(esm_class) {
        MessageType::Reserved(bits) => format!("reserved_{bits}"),
        other => other.name().unwrap_or("message").into(),
    }
}
