//! What of a PDU is nobody's business, hidden octet for octet: lengths, and what is not hidden, stay
//! true.
//!
//! What is shown is known to be harmless. So a parameter of a vendor, whose meaning nobody here knows,
//! and what cannot be read are hidden with the texts.

use smpp_protocol::pdu::anatomy::{Anatomy, Part, Value};
use smpp_protocol::tlv::Shape;
use smpp_protocol::{Tag, Tlv, Udh};

use super::{Numbers, Settings};

/// Octets of a parameter before its value.
const TLV_HEADER: usize = 4;
/// How many digits of a number are shown.
const SHOWN: usize = 4;
/// esm_class says that a text begins with a header (SMPP 3.4 §5.2.12).
const UDHI: u32 = 0x40;
/// Which message types of a deliver_sm esm_class says, and those that are receipts.
const MESSAGE_TYPE: u32 = 0x3C;
const RECEIPTS: [u32; 2] = [0x04, 0x20];

/// What is hidden.
pub struct Mask {
    texts: bool,
    numbers: bool,
}

impl Mask {
    pub fn new(settings: &Settings) -> Self {
        Mask {
            texts: !settings.texts,
            numbers: settings.numbers == Numbers::Last4,
        }
    }

    /// What is hidden, as the header of a record says it.
    pub fn name(&self) -> &'static str {
        match (self.texts, self.numbers) {
            (true, true) => "texts,numbers",
            (true, false) => "texts",
            (false, true) => "numbers",
            (false, false) => "",
        }
    }

    /// The PDU with that hidden, and with every password.
    pub fn masked(&self, pdu: &[u8]) -> Vec<u8> {
        let anatomy = Anatomy::of(pdu);
        let mut masked = pdu.to_vec();
        let mut esm_class = 0;
        for part in &anatomy.parts {
            if let ("esm_class", Value::Number(class)) = (part.name, part.value) {
                esm_class = class;
            }
            if let Some(octets) = masked.get_mut(part.range.clone()) {
                self.part(part, esm_class, octets);
            }
        }
        masked
    }

    fn part(&self, part: &Part<'_>, esm_class: u32, octets: &mut [u8]) {
        match part.value {
            Value::Text(text) => {
                // What is behind the text is its NUL.
                let octets = octets.get_mut(..text.len()).unwrap_or_default();
                match part.name {
                    "password" => octets.fill(b'*'),
                    "source_addr" | "destination_addr" | "esme_addr" if self.numbers => {
                        number(octets);
                    }
                    _ => {}
                }
            }
            Value::Octets(_) if self.texts => text(esm_class, octets),
            Value::Tlv(tlv) => {
                let value = octets.get_mut(TLV_HEADER..).unwrap_or_default();
                match Content::of(&tlv) {
                    Content::Number if self.numbers => number(value),
                    Content::Text if self.texts => text(esm_class, value),
                    Content::Unknown if self.texts || self.numbers => value.fill(b'x'),
                    _ => {}
                }
            }
            // It may be a password as well.
            Value::Unread => octets.fill(0),
            _ => {}
        }
    }
}

/// What a parameter holds.
enum Content {
    /// The number of a phone.
    Number,
    /// The text of a message.
    Text,
    /// Nobody knows, or something that people have written.
    Unknown,
    /// Something else.
    Harmless,
}

impl Content {
    fn of(tlv: &Tlv<'_>) -> Self {
        match tlv.tag {
            Tag::CALLBACK_NUM | Tag::SOURCE_SUBADDRESS | Tag::DEST_SUBADDRESS => Content::Number,
            Tag::MESSAGE_PAYLOAD => Content::Text,
            Tag::RECEIPTED_MESSAGE_ID | Tag::NETWORK_ERROR_CODE => Content::Harmless,
            tag => match tag.shape() {
                Some(Shape::Integer(_)) => Content::Harmless,
                _ => Content::Unknown,
            },
        }
    }
}

/// Hides a number but for its end.
fn number(octets: &mut [u8]) {
    let hidden = octets.len().saturating_sub(SHOWN);
    octets[..hidden].fill(b'*');
}

/// Hides a text, but for its header and for what a receipt says before it repeats one.
fn text(esm_class: u32, octets: &mut [u8]) {
    let is_receipt = RECEIPTS.contains(&(esm_class & MESSAGE_TYPE));
    let shown = if esm_class & UDHI != 0 {
        Udh::split(octets).map_or(0, |(_, rest)| octets.len() - rest.len())
    } else {
        0
    };
    let text = octets.get_mut(shown..).unwrap_or_default();
    let shown = if is_receipt { facts(text) } else { 0 };
    text[shown..].fill(b'x');
}

/// How many octets of a receipt's text say what became of the message (SMPP 3.4, appendix B). One of
/// another form may say anything.
pub fn facts(receipt: &[u8]) -> usize {
    let lower = receipt.to_ascii_lowercase();
    if !lower.starts_with(b"id:") {
        return 0;
    }
    const TEXT: &[u8] = b"text:";
    let text = lower.windows(TEXT.len()).position(|at| at == TEXT);
    text.map_or(0, |at| at + TEXT.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smpp_protocol::pdu::{Bind, LongBind, Pdu, Sm};
    use smpp_protocol::tlv::Tlvs;
    use smpp_protocol::{Address, Command, Header, Status};

    use super::*;

    fn mask(texts: bool, numbers: Numbers) -> Mask {
        Mask::new(&Settings {
            texts,
            numbers,
            ..Settings::default()
        })
    }

    fn encoded(command: Command, message: &Sm<'_>) -> Vec<u8> {
        let mut pdu = Vec::new();
        message.encode(command, Status::ROK, 1, &mut pdu).unwrap();
        pdu
    }

    #[test]
    fn texts_and_numbers_are_hidden_and_all_else_stays() {
        let message = Sm {
            source: Address::parse("ACME"),
            destination: Address::parse("+41791234567"),
            esm_class: 0x40,
            short_message: b"\x05\0\x03\x01\x02\x01the code is 1234",
            ..Sm::default()
        };
        let pdu = encoded(Command::SUBMIT_SM, &message);
        let masked = mask(false, Numbers::Last4).masked(&pdu);
        let read = Pdu::decode(&masked).unwrap().message().unwrap();
        assert_eq!(read.destination.number, b"*******4567");
        assert_eq!(read.source.number, b"ACME");
        let hidden = [b"\x05\0\x03\x01\x02\x01".as_slice(), &[b'x'; 16]].concat();
        assert_eq!(read.short_message, hidden);
        let shown = mask(true, Numbers::Full).masked(&pdu);
        assert_eq!(shown, pdu);
        let numbers = mask(true, Numbers::Last4);
        assert_eq!(numbers.name(), "numbers");
        let read = numbers.masked(&pdu);
        let read = Pdu::decode(&read).unwrap().message().unwrap();
        assert_eq!(read.short_message, message.short_message);
    }

    #[test]
    fn a_receipt_shows_what_became_of_its_message() {
        let shown = "id:8F sub:001 dlvrd:001 stat:DELIVRD err:000 text:";
        let text = format!("{shown}the code is");
        for (esm_class, expected) in [
            (0x04, format!("{shown}{}", "x".repeat(11))),
            (0x00, "x".repeat(text.len())),
        ] {
            let receipt = Sm {
                esm_class,
                short_message: text.as_bytes(),
                ..Sm::default()
            };
            let pdu = encoded(Command::DELIVER_SM, &receipt);
            let masked = mask(false, Numbers::Full).masked(&pdu);
            let read = Pdu::decode(&masked).unwrap().message().unwrap();
            assert_eq!(String::from_utf8_lossy(read.short_message), expected);
        }
        assert_eq!(facts(b"dear customer, text: stop"), 0);
    }

    #[test]
    fn parameters_are_hidden_unless_they_are_known_to_be_harmless() {
        let tlvs = [
            b"\x03\x81\0\x081234567\0".as_slice(), // callback_num
            b"\x04\x24\0\x03pay",                  // message_payload
            b"\x14\x01\0\x04what",                 // a vendor's
            b"\x04\x27\0\x01\x02",                 // message_state
            b"\0\x1E\0\x038F\0",                   // receipted_message_id
        ];
        let all = tlvs.concat();
        let message = Sm {
            tlvs: Tlvs::new(&all),
            ..Sm::default()
        };
        let pdu = encoded(Command::DELIVER_SM, &message);
        let end = |masked: &[u8]| masked[masked.len() - all.len()..].to_vec();
        let masked = end(&mask(false, Numbers::Last4).masked(&pdu));
        let expected = [
            b"\x03\x81\0\x08****567\0".as_slice(),
            b"\x04\x24\0\x03xxx",
            b"\x14\x01\0\x04xxxx",
            tlvs[3],
            tlvs[4],
        ];
        assert_eq!(masked, expected.concat());
        assert_eq!(end(&mask(true, Numbers::Full).masked(&pdu)), all);
    }

    #[test]
    fn a_password_is_never_shown() {
        let bind = Bind {
            system_id: b"acme",
            password: b"s3cret",
            ..Bind::default()
        };
        let long = Bind {
            password: b"a password that is longer",
            ..bind
        };
        let (mut short_pdu, mut long_pdu) = (Vec::new(), Vec::new());
        let command = Command::BIND_TRANSCEIVER;
        bind.encode(command, Status::ROK, 1, &mut short_pdu)
            .unwrap();
        LongBind(long)
            .encode(command, Status::ROK, 1, &mut long_pdu)
            .unwrap();
        let all = mask(true, Numbers::Full);
        for (pdu, password) in [(&short_pdu, bind.password), (&long_pdu, long.password)] {
            // Also if it is damaged somewhere.
            for length in 16..=pdu.len() {
                let masked = all.masked(&pdu[..length]);
                assert_eq!(masked.len(), length);
                let shown = masked
                    .windows(4)
                    .any(|at| password.windows(4).any(|p| p == at));
                assert!(!shown, "{length}: {masked:02x?}");
            }
            assert_eq!(Header::decode(&all.masked(pdu)), Header::decode(pdu));
        }
    }

    proptest! {
        #[test]
        fn any_octets_keep_their_length_and_header(octets: Vec<u8>, texts: bool) {
            let masked = mask(texts, Numbers::Last4).masked(&octets);
            prop_assert_eq!(masked.len(), octets.len());
            if let Some(header) = octets.get(..16) {
                prop_assert_eq!(&masked[..16], header);
            }
        }
    }
}
