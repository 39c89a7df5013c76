//! What the octets of a message mean: its text, its header, the receipt it is.

use serde::Serialize;

use crate::cli::octets::to_hex;
use crate::cli::receipt::Report;
use crate::smpp::pdu::MessageType;
use crate::smpp::pdu::anatomy::Anatomy;
use crate::smpp::text::{Alphabet, Encoding};
use crate::smpp::{Concatenation, Dialect, Pdu, Receipt, Tlvs, Udh};

/// The text of a submit_sm, deliver_sm or data_sm and what belongs to it.
#[derive(Serialize)]
pub(in crate::cli) struct Message {
    /// What esm_class says it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// How the text is encoded.
    pub encoding: &'static str,
    /// The text as far as it can be read.
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
        match Pdu::decode(octets.get(..length)?).ok()? {
            Pdu::SubmitSm(sm) | Pdu::DeliverSm(sm) => Some(Carried {
                esm_class: sm.esm_class,
                data_coding: sm.data_coding,
                octets: sm.text_octets(),
                text: sm.text(&default),
                concatenation: sm.concatenation(),
                tlvs: sm.tlvs,
                receipt: sm.is_receipt().then(|| dialect.receipt(&sm)),
            }),
            Pdu::DataSm(sm) => Some(Carried {
                esm_class: sm.esm_class,
                data_coding: sm.data_coding,
                octets: sm.text_octets(),
                text: sm.text(&default),
                concatenation: sm.concatenation(),
                tlvs: sm.tlvs,
                receipt: sm.is_receipt().then(|| dialect.receipt_of_data(&sm)),
            }),
            _ => None,
        }
        .map(|carried| carried.message(default))
    }
}

/// What the PDUs that carry a message have in common.
struct Carried<'a> {
    esm_class: u8,
    data_coding: u8,
    octets: &'a [u8],
    text: String,
    concatenation: Option<Concatenation>,
    tlvs: Tlvs<'a>,
    receipt: Option<Receipt<'a>>,
}

impl Carried<'_> {
    fn message(self, default: Alphabet) -> Message {
        let header = Udh::split(self.octets)
            .filter(|_| self.esm_class & crate::smpp::pdu::UDH_INDICATOR != 0)
            .map(|(header, _)| header);
        let element = |element: crate::smpp::udh::Element<'_>| Element {
            id: element.id,
            hex: to_hex(element.data),
        };
        let receipt = self.receipt.as_ref();
        Message {
            kind: kind(self.esm_class),
            encoding: Encoding::of(self.data_coding, default).name(),
            receipt: receipt.map(|receipt| Report::of(receipt, &self.text, self.tlvs)),
            text: self.text,
            udh: header
                .map(|header| header.elements().map(element).collect())
                .unwrap_or_default(),
            concatenation: self.concatenation.map(|of| Part {
                reference: of.reference,
                total: of.total,
                part: of.part,
            }),
        }
    }
}

/// The type of a message in words.
pub(super) fn kind(esm_class: u8) -> String {
    match MessageType::of(esm_class) {
        MessageType::Reserved(bits) => format!("reserved_{bits}"),
        other => other.name().unwrap_or("message").into(),
    }
}
