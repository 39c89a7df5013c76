//! A deliver_sm or data_sm as a record.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::record::codec::{Codecs, Unwritable};
use crate::record::inbound::{InboundSms, Part, Party, Tlv};
use crate::record::internal::Delivery;
use crate::record::keys;
use crate::smpp::frame::HEADER;
use crate::smpp::message_id::{self, Form};
use crate::smpp::pdu::{DataSm, Sm};
use crate::smpp::receipt::Receipt;
use crate::smpp::text::{self, Alphabet, Encoding};
use crate::smpp::udh::{Concatenation, Udh};
use crate::smpp::{Address, Frame, Pdu, Tlvs};

/// What must be known of an ESME to read what it is sent.
#[derive(Clone, Debug, Default)]
pub struct Esme {
    /// Its name.
    pub name: String,
    /// How the SMSC writes message ids in receipts.
    pub message_id: Form,
    /// The SMSC's default alphabet: what data_coding 0 means.
    pub alphabet: Alphabet,
}

/// Which kind of record a PDU became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Receipt,
    Inbound,
    Unreadable,
}

/// A record to be produced.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// How a PDU came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) esme: &'a Esme,
    pub(super) codecs: &'a Codecs,
    pub(super) bind: &'a str,
    pub(super) at: Timestamp,
    pub(super) possible_duplicate: bool,
}

/// The fields deliver_sm and data_sm have in common, by the names of the former.
struct Fields<'a> {
    command: &'static str,
    sm: Sm<'a>,
}

impl<'a> Fields<'a> {
    fn of_data(sm: &DataSm<'a>) -> Self {
        Fields {
            command: "data_sm",
            sm: Sm {
                service_type: sm.service_type,
                source: sm.source,
                destination: sm.destination,
                esm_class: sm.esm_class,
                registered_delivery: sm.registered_delivery,
                data_coding: sm.data_coding,
                tlvs: sm.tlvs,
                ..Sm::default()
            },
        }
    }
}

/// Makes the record of a whole PDU.
pub(super) fn read(pdu: &[u8], arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let fields = match Frame::decode(pdu).and_then(Pdu::read) {
        Ok(Pdu::DeliverSm(sm)) => Fields {
            command: "deliver_sm",
            sm,
        },
        Ok(Pdu::DataSm(sm)) => Fields::of_data(&sm),
        Ok(other) => {
            let wrong = format!("{} is not a message", other.command());
            return unreadable(pdu, &wrong, arrival);
        }
        Err(error) => return unreadable(pdu, &error.to_string(), arrival),
    };
    match fields.sm.is_receipt() {
        true => receipt(pdu, &fields, arrival),
        false => inbound(&fields, arrival),
    }
}

fn receipt(pdu: &[u8], fields: &Fields<'_>, arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let esme = arrival.esme;
    let said = Receipt::of(&fields.sm, &esme.alphabet);
    let id = match said.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => message_id::borrow(id, esme.message_id),
        // It belongs to no message; a repeat of it still has the same key.
        None => {
            let body = pdu.get(HEADER..).unwrap_or_default();
            Cow::Owned(format!("#{:08x}", crc32fast::hash(body)))
        }
    };
    let delivery = Delivery {
        esme: esme.name.clone(),
        bind: arrival.bind.to_owned(),
        received_at: arrival.at,
        pdu: pdu.to_vec(),
    };
    Ok(Incoming {
        kind: Kind::Receipt,
        key: keys::identity(&esme.name, &id).into_bytes(),
        value: arrival.codecs.deliveries.write(&delivery)?,
    })
}

fn inbound(fields: &Fields<'_>, arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let sm = &fields.sm;
    let octets = sm.text_octets_without_udh();
    let encoding = Encoding::of(sm.data_coding, arrival.esme.alphabet);
    let text = match encoding {
        Encoding::Binary => None,
        _ => Some(text::decode_as(octets, encoding)),
    };
    let (source, destination) = (number(&sm.source), number(&sm.destination));
    let service_type = String::from_utf8_lossy(sm.service_type);
    let event = InboundSms {
        command: fields.command,
        source: party(&sm.source, &source),
        destination: party(&sm.destination, &destination),
        text: text.as_deref(),
        octets,
        udh: udh(sm),
        data_coding: sm.data_coding,
        esm_class: sm.esm_class,
        protocol_id: sm.protocol_id,
        priority_flag: sm.priority_flag,
        service_type: &service_type,
        tlvs: tlvs(sm.tlvs),
        concatenation: sm.concatenation().map(part),
        ..empty(arrival)
    };
    Ok(Incoming {
        kind: Kind::Inbound,
        key: sm.source.number.to_vec(),
        value: arrival.codecs.inbound.write(&event)?,
    })
}

/// What cannot be read goes on as it came: nobody else will see it.
fn unreadable(pdu: &[u8], wrong: &str, arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let event = InboundSms {
        error: Some(wrong),
        pdu: Some(pdu),
        ..empty(arrival)
    };
    Ok(Incoming {
        kind: Kind::Unreadable,
        key: arrival.esme.name.clone().into_bytes(),
        value: arrival.codecs.inbound.write(&event)?,
    })
}

fn empty<'a>(arrival: &Arrival<'a>) -> InboundSms<'a> {
    InboundSms {
        kind: "InboundSms",
        esme: &arrival.esme.name,
        bind: arrival.bind,
        command: "",
        source: Party::default(),
        destination: Party::default(),
        text: None,
        octets: &[],
        udh: None,
        data_coding: 0,
        esm_class: 0,
        protocol_id: 0,
        priority_flag: 0,
        service_type: "",
        tlvs: Vec::new(),
        concatenation: None,
        error: None,
        pdu: None,
        possible_duplicate: arrival.possible_duplicate,
        received_at: arrival.at,
    }
}

fn number<'a>(address: &Address<'a>) -> Cow<'a, str> {
    String::from_utf8_lossy(address.number)
}

fn party<'a>(address: &Address<'_>, number: &'a str) -> Party<'a> {
    Party {
        number,
        ton: address.ton.0,
        npi: address.npi.0,
    }
}

/// The user data header, its count included.
fn udh<'a>(sm: &Sm<'a>) -> Option<&'a [u8]> {
    let text = sm.text_octets();
    if !sm.has_udh() {
        return None;
    }
    let (_, rest) = Udh::split(text)?;
    text.get(..text.len() - rest.len())
}

fn part(concatenation: Concatenation) -> Part {
    Part {
        reference: concatenation.reference,
        total: concatenation.total,
        part: concatenation.part,
    }
}

fn tlvs(tlvs: Tlvs<'_>) -> Vec<Tlv<'_>> {
    tlvs.iter()
        .map(|tlv| Tlv {
            tag: tlv.tag.0,
            name: tlv.tag.name(),
            value: tlv.value,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::smpp::{Command, Status};

    fn arrival<'a>(esme: &'a Esme, codecs: &'a Codecs) -> Arrival<'a> {
        Arrival {
            esme,
            codecs,
            bind: "acme-0",
            at: Timestamp::UNIX_EPOCH,
            possible_duplicate: false,
        }
    }

    fn acme(message_id: Form) -> Esme {
        Esme {
            name: "acme".into(),
            message_id,
            ..Esme::default()
        }
    }

    fn deliver(sm: &Sm<'_>) -> Vec<u8> {
        let mut pdu = Vec::new();
        sm.encode(Command::DELIVER_SM, Status::ROK, 5, &mut pdu)
            .unwrap();
        pdu
    }

    fn made(pdu: &[u8], esme: &Esme) -> (Kind, String, Value) {
        let made = read(pdu, &arrival(esme, &Codecs::default())).unwrap();
        let key = String::from_utf8(made.key).unwrap();
        (made.kind, key, serde_json::from_slice(&made.value).unwrap())
    }

    #[test]
    fn a_receipt_goes_under_its_normalised_message_id() {
        let pdu = deliver(&Sm {
            esm_class: 0x04,
            short_message: b"id:0489708364 stat:DELIVRD",
            ..Sm::default()
        });
        let (kind, key, value) = made(&pdu, &acme(Form::Decimal));
        assert_eq!((kind, &*key), (Kind::Receipt, "acme/489708364"));
        assert_eq!(value["bind"], "acme-0");
        let read: Delivery = serde_json::from_value(value).unwrap();
        assert_eq!(read.pdu, pdu);
        assert_eq!(made(&pdu, &acme(Form::Text)).1, "acme/0489708364");
    }

    #[test]
    fn a_receipt_without_id_is_not_lost() {
        let mut pdu = deliver(&Sm {
            esm_class: 0x04,
            short_message: b"all is well",
            ..Sm::default()
        });
        let (kind, key, _) = made(&pdu, &acme(Form::Text));
        assert_eq!(kind, Kind::Receipt);
        assert!(key.starts_with("acme/#"), "{key}");
        crate::smpp::frame::set_sequence(&mut pdu, 77);
        assert_eq!(made(&pdu, &acme(Form::Text)).1, key, "nor is its repeat");
    }

    #[test]
    fn a_message_keeps_its_octets_beside_its_text() {
        let pdu = deliver(&Sm {
            source: Address::parse("+41791234567"),
            destination: Address::parse("1234"),
            data_coding: 8,
            short_message: &[0x04, 0x16],
            ..Sm::default()
        });
        let (kind, key, value) = made(&pdu, &acme(Form::Text));
        assert_eq!((kind, &*key), (Kind::Inbound, "41791234567"));
        assert_eq!(value["text"], "Ж");
        assert_eq!(value["octets_hex"], "0416");
        assert_eq!(value["command"], "deliver_sm");
        assert_eq!(
            value["source"],
            json!({"number": "41791234567", "ton": 1, "npi": 1})
        );
        assert_eq!(value.get("concatenation"), None);
    }

    #[test]
    fn a_part_of_a_long_message_says_which() {
        let pdu = deliver(&Sm {
            esm_class: 0x40,
            short_message: b"\x05\x00\x03\x2a\x03\x02hello",
            ..Sm::default()
        });
        let (kind, _, value) = made(&pdu, &acme(Form::Text));
        assert_eq!(kind, Kind::Inbound);
        assert_eq!(
            value["concatenation"],
            json!({"reference": 42, "total": 3, "part": 2})
        );
        assert_eq!(
            (&value["text"], &value["udh_hex"]),
            (&json!("hello"), &json!("0500032a0302"))
        );
    }

    #[test]
    fn binary_has_no_text() {
        let pdu = deliver(&Sm {
            data_coding: 4,
            short_message: &[0, 255],
            ..Sm::default()
        });
        let (_, _, value) = made(&pdu, &acme(Form::Text));
        assert_eq!(
            (value.get("text"), &value["octets_hex"]),
            (None, &json!("00ff"))
        );
    }

    #[test]
    fn what_cannot_be_read_goes_on_as_it_came() {
        let mut pdu = deliver(&Sm::default());
        pdu.truncate(20);
        pdu[3] = 20;
        let (kind, key, value) = made(&pdu, &acme(Form::Text));
        assert_eq!((kind, &*key), (Kind::Unreadable, "acme"));
        assert!(value["error"].as_str().unwrap().contains("dest_addr"));
        assert!(value["pdu_hex"].as_str().unwrap().starts_with("00000014"));
    }
}
