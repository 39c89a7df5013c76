//! Mobile-originated messages: what subscribers send to an ESME.

use smpp_protocol::pdu::Sm;
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command, EncodeError, Status, Tag, Tlvs};

/// data_coding of UCS-2 (SMPP 3.4 §5.2.19).
const UCS2: u8 = 8;

/// The longest short_message (SMPP 3.4 §5.2.22).
const SHORT: usize = 254;

/// A mobile-originated message, delivered to an account as deliver_sm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mo {
    /// system_id of the account; none: one that is bound to receive.
    pub account: Option<String>,
    /// The sender, as people write it.
    pub source: String,
    /// The number it was sent to.
    pub destination: String,
    /// The message's octets; more than 254 travel as message_payload.
    pub octets: Vec<u8>,
    /// data_coding.
    pub data_coding: u8,
    /// esm_class.
    pub esm_class: u8,
    /// Encoded TLVs, one after another.
    pub tlvs: Vec<u8>,
}

impl Mo {
    /// A text: printable ASCII that GSM 03.38 has in the same place as it is, anything else as
    /// UCS-2.
    pub fn new(source: &str, destination: &str, text: &str) -> Self {
        let same_in_gsm = |c: u8| matches!(c, b' '..=b'?' | b'A'..=b'Z' | b'a'..=b'z') && c != b'$';
        let (octets, data_coding) = match text.bytes().all(same_in_gsm) {
            true => (text.as_bytes().to_vec(), 0),
            false => (
                text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                UCS2,
            ),
        };
        Mo {
            source: source.to_owned(),
            destination: destination.to_owned(),
            octets,
            data_coding,
            ..Mo::default()
        }
    }

    /// The deliver_sm of it, with sequence_number 0.
    pub(super) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut tlvs = self.tlvs.clone();
        let long = self.octets.len() > SHORT;
        if long {
            push_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, &self.octets)?;
        }
        let deliver = Sm {
            source: Address::parse(&self.source),
            destination: Address::parse(&self.destination),
            esm_class: self.esm_class,
            data_coding: self.data_coding,
            short_message: if long { &[] } else { &self.octets },
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        deliver.encode(Command::DELIVER_SM, Status::ROK, 0, &mut pdu)?;
        Ok(pdu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ascii_where_gsm_agrees_and_ucs2_elsewhere() {
        let plain = Mo::new("4479", "80800", "Hello, 5 < 6?");
        assert_eq!(
            (&plain.octets[..], plain.data_coding),
            (&b"Hello, 5 < 6?"[..], 0)
        );
        let cyrillic = Mo::new("4479", "80800", "Да");
        assert_eq!(
            (&cyrillic.octets[..], cyrillic.data_coding),
            (&[4, 0x14, 4, 0x30][..], 8)
        );
        assert_eq!(Mo::new("1", "2", "a@b").data_coding, 8);
        assert_eq!(Mo::new("1", "2", "$5").data_coding, 8);
    }

    #[test]
    fn a_long_message_is_a_payload() {
        let long = Mo {
            octets: vec![b'x'; 255],
            ..Mo::new("4479", "80800", "")
        };
        let pdu = long.encode().unwrap();
        let payload = [&[0x04, 0x24, 0, 255][..], &[b'x'; 255]].concat();
        assert!(pdu.ends_with(&payload));
    }
}
