//! A deliver_sm or data_sm from a phone, and the [`InboundSms`] it becomes: alone, or as a
//! segment of a long message.

use std::borrow::Cow;

use jiff::Timestamp;

use super::inbound::{ConcatenationInfo, InboundSegment, InboundSms, Party, Tlv};
use super::internal::Delivery;
use smpp_protocol::pdu::Sm;
use smpp_protocol::text::{self, Alphabet, decode_parts};
use smpp_protocol::udh::{CONCATENATION, CONCATENATION_16, Concatenation, Udh};
use smpp_protocol::{Dialect, Frame, Names, Pdu, Tag};

/// A deliver_sm or data_sm, its fields by the names of the former.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `deliver_sm` or `data_sm`.
    pub command: &'static str,
    /// Its fields.
    pub sm: Sm<'a>,
}

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The ESME that received it.
    pub esme: &'a str,
    /// The bind it came on.
    pub bind: &'a str,
    /// When it came.
    pub at: Timestamp,
    /// Whether it may have come before.
    pub possible_duplicate: bool,
}

impl<'a> Message<'a> {
    /// Reads a whole PDU.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn read(pdu: &'a [u8]) -> Result<Self, String> {
        match Frame::decode(pdu).and_then(Pdu::read) {
            Ok(Pdu::DeliverSm(sm)) => Ok(Message {
                command: "deliver_sm",
                sm,
            }),
            Ok(Pdu::DataSm(sm)) => Ok(Message {
                command: "data_sm",
                sm: sm.into(),
            }),
            Ok(other) => Err(format!("{} is not a message", other.command())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Which segment it is of a message that came in several.
    pub fn segment(&self) -> Option<Concatenation> {
        self.sm.concatenation().filter(|c| c.total > 1)
    }

    /// Its text as it came.
    pub fn user_data(&self) -> text::Part<'a> {
        text::Part {
            user_data: self.sm.text_octets(),
            has_udh: self.sm.has_udh(),
            data_coding: self.sm.data_coding,
        }
    }

    /// The event of a message that came in one PDU.
    pub fn event(&self, dialect: &'a Dialect, arrival: &Arrival<'a>) -> InboundSms<'a> {
        let user_data = self.user_data();
        InboundSms {
            text: decode_parts(&[user_data], &dialect.alphabet()).map(Cow::Owned),
            octets: Cow::Borrowed(user_data.octets()),
            udh: self.udh().map(Cow::Borrowed),
            tlvs: self.tlvs(&dialect.names, |_| true),
            concatenation: self.sm.concatenation().map(|c| ConcatenationInfo {
                part: Some(c.part),
                ..numbered(c)
            }),
            ..self.fields(arrival)
        }
    }

    /// What does not depend on the text.
    fn fields(&self, arrival: &Arrival<'a>) -> InboundSms<'a> {
        let sm = &self.sm;
        InboundSms {
            command: self.command,
            source: Party::of(&sm.source),
            destination: Party::of(&sm.destination),
            data_coding: sm.data_coding,
            esm_class: sm.esm_class,
            message_type: sm.message_type().name(),
            protocol_id: sm.protocol_id,
            priority_flag: sm.priority_flag,
            service_type: String::from_utf8_lossy(sm.service_type),
            ..arrival.nothing()
        }
    }

    /// The user data header, its count included.
    fn udh(&self) -> Option<&'a [u8]> {
        let text = self.sm.text_octets();
        let (_, rest) = Udh::split(text).filter(|_| self.sm.has_udh())?;
        text.get(..text.len() - rest.len())
    }

    /// The user data header without what says which segment this is; `None` if nothing is left.
    fn other_udh(&self) -> Option<Vec<u8>> {
        let (header, _) = Udh::split(self.sm.text_octets()).filter(|_| self.sm.has_udh())?;
        let mut other = vec![0];
        let kept = header
            .elements()
            .filter(|e| e.id != CONCATENATION && e.id != CONCATENATION_16);
        for element in kept {
            // Both lengths come from octets.
            other.extend([element.id, element.data.len() as u8]);
            other.extend_from_slice(element.data);
        }
        let count = u8::try_from(other.len() - 1).ok().filter(|n| *n > 0)?;
        other[0] = count;
        Some(other)
    }

    fn tlvs(&self, names: &'a Names, wanted: impl Fn(Tag) -> bool) -> Vec<Tlv<'a>> {
        let tlvs = self.sm.tlvs.iter().filter(|tlv| wanted(tlv.tag));
        tlvs.map(|tlv| Tlv::of(tlv, names)).collect()
    }
}

impl<'a> Arrival<'a> {
    /// An event that says only how something came.
    pub fn nothing(&self) -> InboundSms<'a> {
        InboundSms {
            kind: "InboundSms",
            esme: self.esme,
            bind: self.bind,
            complete: true,
            possible_duplicate: self.possible_duplicate,
            received_at: self.at,
            ..InboundSms::default()
        }
    }
}

/// A message that came in several PDUs, of which there is at least one: `segments` in their
/// order, and whether the whole may have been published before. `None` if there is none.
pub fn assembled<'a>(
    segments: &[(Message<'a>, &'a Delivery)],
    dialect: &'a Dialect,
    possible_duplicate: bool,
) -> Option<InboundSms<'a>> {
    let numbered_segments: Vec<(Concatenation, &Message<'a>, &'a Delivery)> = segments
        .iter()
        .filter_map(|(message, delivery)| Some((message.segment()?, message, *delivery)))
        .collect();
    let (concatenation, first, _) = numbered_segments.first()?;
    // It was all there when the last one came.
    let (_, _, last) = numbered_segments
        .iter()
        .max_by_key(|(.., d)| d.received_at)?;
    let arrival = Arrival {
        esme: &last.esme,
        bind: &last.bind,
        at: last.received_at,
        possible_duplicate,
    };
    let missing: Vec<u8> = (1..=concatenation.total)
        .filter(|n| numbered_segments.iter().all(|(c, ..)| c.part != *n))
        .collect();
    let octets: Vec<&[u8]> = numbered_segments
        .iter()
        .map(|(_, message, _)| message.user_data().octets())
        .collect();
    Some(InboundSms {
        text: joined(&numbered_segments, &dialect.alphabet()).map(Cow::Owned),
        octets: Cow::Owned(octets.concat()),
        udh: first.other_udh().map(Cow::Owned),
        tlvs: first.tlvs(&dialect.names, |tag| {
            !divides(tag) && tag != Tag::MESSAGE_PAYLOAD
        }),
        concatenation: Some(numbered(*concatenation)),
        complete: missing.is_empty(),
        missing,
        parts: (numbered_segments.iter())
            .map(|segment| described(segment, &dialect.names))
            .collect(),
        ..first.fields(&arrival)
    })
}

/// The text of what there is. Nothing is joined over a gap: half a character before it and
/// half of another behind are none.
fn joined(
    segments: &[(Concatenation, &Message<'_>, &Delivery)],
    alphabet: &Alphabet,
) -> Option<String> {
    segments
        .chunk_by(|(one, ..), (next, ..)| one.part + 1 == next.part)
        .map(|run| {
            let run: Vec<_> = run.iter().map(|(_, m, _)| m.user_data()).collect();
            decode_parts(&run, alphabet)
        })
        .collect()
}

fn described<'a>(
    (concatenation, message, delivery): &(Concatenation, &Message<'a>, &'a Delivery),
    names: &'a Names,
) -> InboundSegment<'a> {
    InboundSegment {
        part: concatenation.part,
        octets: message.user_data().octets(),
        udh: message.udh(),
        data_coding: message.sm.data_coding,
        tlvs: message.tlvs(names, |tag| tag != Tag::MESSAGE_PAYLOAD),
        bind: &delivery.bind,
        received_at: delivery.received_at,
    }
}

/// Whether a TLV only says which segment of a message it came with.
fn divides(tag: Tag) -> bool {
    [
        Tag::SAR_MSG_REF_NUM,
        Tag::SAR_TOTAL_SEGMENTS,
        Tag::SAR_SEGMENT_SEQNUM,
    ]
    .contains(&tag)
}

fn numbered(concatenation: Concatenation) -> ConcatenationInfo {
    ConcatenationInfo {
        reference: concatenation.reference,
        total: concatenation.total,
        part: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::json;
    use super::*;
    use smpp_protocol::tlv::push_tlv;
    use smpp_protocol::{Address, Command, Status, Tlvs};

    /// A part with these information elements, as it is delivered.
    fn part(elements: &[u8], data_coding: u8, octets: &[u8], at: &str) -> Delivery {
        let count = [elements.len() as u8];
        let sm = Sm {
            source: Address::parse("+4179"),
            destination: Address::parse("1234"),
            esm_class: 0x40,
            data_coding,
            short_message: &[&count[..], elements, octets].concat(),
            ..Sm::default()
        };
        delivery(&sm, at)
    }

    fn delivery(sm: &Sm<'_>, at: &str) -> Delivery {
        let mut pdu = Vec::new();
        sm.encode(Command::DELIVER_SM, Status::ROK, 1, &mut pdu)
            .unwrap();
        Delivery {
            esme: "acme".into(),
            bind: format!("acme-{at}"),
            received_at: format!("2026-01-02T03:04:{at}Z").parse().unwrap(),
            pdu,
            bound_at: None,
            home: None,
            tries: 0,
        }
    }

    fn told(segments: &[Delivery]) -> Value {
        let segments: Vec<_> = segments
            .iter()
            .map(|d| (Message::read(&d.pdu).unwrap(), d))
            .collect();
        let dialect = Dialect::default();
        let event = assembled(&segments, &dialect, false).unwrap();
        serde_json::from_slice(&json::to_vec(&event).unwrap()).unwrap()
    }

    #[test]
    fn a_whole_message_has_one_text_and_the_octets_of_each_part() {
        let event = told(&[
            part(
                b"\x05\x04\x0B\x84\0\0\0\x03\x2a\x02\x01",
                0,
                b"5 \x1B",
                "07",
            ),
            part(b"\0\x03\x2a\x02\x02", 0, b"e", "05"),
        ]);
        assert_eq!(event["text"], "5 €");
        assert_eq!(event["octets_hex"], "35201b65");
        assert_eq!(event["udh_hex"], "0605040b840000", "the ports are kept");
        assert_eq!(
            event["concatenation"],
            json!({ "reference": 42, "total": 2 })
        );
        assert_eq!(event["complete"], true);
        assert_eq!(event.get("missing"), None);
        assert_eq!(
            (&event["bind"], &event["received_at"]),
            (&json!("acme-07"), &json!("2026-01-02T03:04:07.000000Z")),
            "those of the part that came last"
        );
        assert_eq!(
            event["parts"][1],
            json!({
                "part": 2, "octets_hex": "65", "udh_hex": "0500032a0202", "data_coding": 0,
                "bind": "acme-05", "received_at": "2026-01-02T03:04:05.000000Z",
            })
        );
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_joined_across_it() {
        let event = told(&[
            part(b"\0\x03\x01\x04\x01", 8, &[0x04, 0x16, 0xD8, 0x3D], "05"),
            part(b"\0\x03\x01\x04\x03", 8, &[0xDE, 0x00, 0x04, 0x16], "06"),
        ]);
        assert_eq!(
            (&event["complete"], &event["missing"]),
            (&json!(false), &json!([2, 4]))
        );
        assert_eq!(event["text"], "Ж\u{FFFD}\u{FFFD}Ж");
    }

    #[test]
    fn parts_by_tlvs_come_without_them() {
        let sar = |n: u8, text: &[u8]| {
            let mut tlvs = Vec::new();
            push_tlv(&mut tlvs, Tag::SAR_MSG_REF_NUM, &[1, 0]).unwrap();
            push_tlv(&mut tlvs, Tag::SAR_TOTAL_SEGMENTS, &[2]).unwrap();
            push_tlv(&mut tlvs, Tag::SAR_SEGMENT_SEQNUM, &[n]).unwrap();
            push_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0, 9]).unwrap();
            push_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, text).unwrap();
            delivery(
                &Sm {
                    tlvs: Tlvs::new(&tlvs),
                    ..Sm::default()
                },
                "05",
            )
        };
        let event = told(&[sar(1, b"Hello, "), sar(2, b"world")]);
        assert_eq!(event["text"], "Hello, world");
        assert_eq!(event["concatenation"]["reference"], 256);
        let tlvs = event["tlvs"].as_array().unwrap();
        assert_eq!((tlvs.len(), &tlvs[0]["hex"]), (1, &json!("0009")));
        assert_eq!(event["parts"][0]["tlvs"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn of_nothing_there_is_no_event() {
        let alone = delivery(&Sm::default(), "05");
        let alone = (Message::read(&alone.pdu).unwrap(), &alone);
        let dialect = Dialect::default();
        assert!(assembled(&[alone], &dialect, false).is_none());
        assert!(assembled(&[], &dialect, false).is_none());
    }
}
