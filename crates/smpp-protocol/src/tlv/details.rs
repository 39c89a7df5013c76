//! Values of several parts (SMPP 3.4 §5.3.2, SMPP 5.0 §4.8.4).

use super::{Tag, Tlv};

/// A part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'a> {
    /// A number of one or two octets.
    Number(u16),
    /// Characters.
    Text(&'a [u8]),
    /// Octets.
    Octets(&'a [u8]),
}

use Detail::{Number, Octets, Text};

impl<'a> Tlv<'a> {
    /// The parts of a value that has several, in their order, each with its name; nothing for
    /// other values, and for those whose length does not fit.
    pub fn details(&self) -> Option<Vec<(&'static str, Detail<'a>)>> {
        let octet = |octet: u8| Number(octet.into());
        let two = |high: u8, low: u8| Number(u16::from_be_bytes([high, low]));
        let value = self.value;
        Some(match (self.tag, value) {
            (Tag::CALLBACK_NUM, [mode, ton, npi, address @ ..]) => vec![
                ("digit_mode_indicator", octet(*mode)),
                ("addr_ton", octet(*ton)),
                ("addr_npi", octet(*npi)),
                // 0: TBCD digits, 1: ASCII.
                (
                    "address",
                    if *mode == 0 {
                        Octets(address)
                    } else {
                        Text(address)
                    },
                ),
            ],
            (Tag::CALLBACK_NUM_ATAG, [data_coding, text @ ..]) => {
                vec![("data_coding", octet(*data_coding)), ("text", Octets(text))]
            }
            (Tag::SOURCE_SUBADDRESS | Tag::DEST_SUBADDRESS, [kind, address @ ..]) => {
                vec![("type_tag", octet(*kind)), ("subaddress", Octets(address))]
            }
            (Tag::NETWORK_ERROR_CODE, [network, high, low]) => vec![
                ("network_type", octet(*network)),
                ("error_code", two(*high, *low)),
            ],
            (Tag::ITS_SESSION_INFO, [session, sequence]) => vec![
                ("session_number", octet(*session)),
                ("sequence_number", octet(sequence >> 1)),
                ("end_of_session", octet(sequence & 1)),
            ],
            (Tag::MS_VALIDITY, [behaviour, unit, high, low]) => vec![
                ("validity_behaviour", octet(*behaviour)),
                ("time_unit", octet(*unit)),
                ("time", two(*high, *low)),
            ],
            (Tag::MS_VALIDITY, [behaviour]) => vec![("validity_behaviour", octet(*behaviour))],
            (Tag::BROADCAST_AREA_IDENTIFIER, [format, area @ ..]) => {
                // 0: the name of an area; the others are geometry.
                let area = if *format == 0 {
                    Text(area)
                } else {
                    Octets(area)
                };
                vec![("format", octet(*format)), ("details", area)]
            }
            (Tag::BROADCAST_CONTENT_TYPE, [network, high, low]) => vec![
                ("network_type", octet(*network)),
                ("service", two(*high, *low)),
            ],
            (Tag::BROADCAST_FREQUENCY_INTERVAL, [unit, high, low]) => {
                vec![("time_unit", octet(*unit)), ("number", two(*high, *low))]
            }
            (Tag::BILLING_IDENTIFICATION, [format, data @ ..]) => {
                vec![("format", octet(*format)), ("data", Octets(data))]
            }
            _ => return None,
        })
    }

    /// The value of a tag whose octets are characters, although SMPP calls them octets: a time,
    /// digits.
    pub fn characters(&self) -> Option<&'a [u8]> {
        let is_text = matches!(
            self.tag,
            Tag::BROADCAST_END_TIME
                | Tag::SOURCE_NODE_ID
                | Tag::DEST_NODE_ID
                | Tag::DEST_ADDR_NP_INFORMATION
        );
        is_text.then(|| self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    fn details(tag: Tag, value: &[u8]) -> Option<Vec<(&'static str, Detail<'_>)>> {
        Tlv { tag, value }.details()
    }

    #[test]
    fn every_part_of_a_value_has_its_name() {
        assert_eq!(
            details(Tag::CALLBACK_NUM, b"\x01\x01\x01555").unwrap(),
            [
                ("digit_mode_indicator", Number(1)),
                ("addr_ton", Number(1)),
                ("addr_npi", Number(1)),
                ("address", Text(b"555")),
            ]
        );
        assert_eq!(
            details(Tag::MS_VALIDITY, b"\x04\x02\x01\x00").unwrap(),
            [
                ("validity_behaviour", Number(4)),
                ("time_unit", Number(2)),
                ("time", Number(256)),
            ]
        );
        assert_eq!(
            details(Tag::ITS_SESSION_INFO, b"\x07\x05").unwrap(),
            [
                ("session_number", Number(7)),
                ("sequence_number", Number(2)),
                ("end_of_session", Number(1)),
            ]
        );
        assert_eq!(
            details(Tag::BROADCAST_AREA_IDENTIFIER, b"\0North").unwrap(),
            [("format", Number(0)), ("details", Text(b"North"))]
        );
    }

    #[test]
    fn values_of_one_part_and_of_a_wrong_length_have_none() {
        assert_eq!(details(Tag::SOURCE_PORT, b"\0\x07"), None);
        assert_eq!(details(Tag::NETWORK_ERROR_CODE, b"\x03\0"), None);
        assert_eq!(details(Tag::MS_VALIDITY, b"\x04\x02"), None);
        assert_eq!(details(Tag::CALLBACK_NUM, b""), None);
    }

    #[test]
    fn of_every_tag_with_octets_it_is_known_what_they_are() {
        // A number, text in an encoding of its own, or octets indeed.
        const PLAIN: [Tag; 6] = [
            Tag::MESSAGE_PAYLOAD,
            Tag::USSD_SERVICE_OP,
            Tag::BROADCAST_CONTENT_TYPE_INFO,
            Tag::BROADCAST_SERVICE_GROUP,
            Tag::DEST_ADDR_NP_COUNTRY,
            Tag::ALERT_ON_MESSAGE_DELIVERY,
        ];
        for tag in Tag::ALL {
            let Some(Shape::Octets(_, most)) = tag.shape() else {
                continue;
            };
            let value = vec![0; most.into()];
            let tlv = Tlv {
                tag: *tag,
                value: &value,
            };
            let known = [
                tlv.details().is_some(),
                tlv.characters().is_some(),
                PLAIN.contains(tag),
            ];
            let times = known.iter().filter(|known| **known).count();
            assert_eq!(times, 1, "{tag}: parts, characters, or one of PLAIN?");
        }
    }

    #[test]
    fn a_time_is_characters() {
        let value = b"260131120000000+\0";
        let end = Tlv {
            tag: Tag::BROADCAST_END_TIME,
            value,
        };
        assert_eq!(end.characters(), Some(&value[..16]));
        let payload = Tlv {
            tag: Tag::MESSAGE_PAYLOAD,
            value,
        };
        assert_eq!(payload.characters(), None);
    }
}
