//! A deliver_sm or data_sm as a record.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::message::OwnedHeaders;

use crate::kafka::cloud_events::{self, CloudEvents};
use crate::meters::Meters;
use crate::record::codec::{Codecs, Unwritable};
use crate::record::inbound::InboundSms;
use crate::record::inbound_message::{self, Message};
use crate::record::internal::NewDelivery;
use crate::record::keys;
use smpp_protocol::Dialect;
use smpp_protocol::frame::HEADER;
use smpp_protocol::pdu::Sm;
use smpp_protocol::receipt::Receipt;
use smpp_protocol::udh::Concatenation;

/// What must be known of an ESME to read what it is sent.
#[derive(Clone, Debug, Default)]
pub struct Esme {
    /// Its name.
    pub name: String,
    /// What its SMSC does in its own way.
    pub dialect: Arc<Dialect>,
    /// What is counted and timed of it.
    pub meters: Arc<Meters>,
}

/// Which kind of record a PDU became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Receipt,
    Segment,
    Inbound,
    Unreadable,
    Notification,
}

/// A record to be produced.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Option<OwnedHeaders>,
}

/// How a PDU came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) esme: &'a Esme,
    pub(super) codecs: &'a Codecs,
    pub(super) cloud_events: &'a CloudEvents,
    pub(super) bind: &'a str,
    pub(super) at: Timestamp,
    /// When its session was bound.
    pub(super) bound_at: Option<Timestamp>,
    pub(super) possible_duplicate: bool,
}

impl<'a> Arrival<'a> {
    fn plain(&self) -> inbound_message::Arrival<'a> {
        inbound_message::Arrival {
            esme: &self.esme.name,
            bind: self.bind,
            at: self.at,
            possible_duplicate: self.possible_duplicate,
        }
    }
}

/// Makes the record of a whole PDU.
pub(super) fn record(pdu: &[u8], arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let message = match Message::read(pdu) {
        Ok(message) => message,
        Err(error) => return unreadable(pdu, &error, arrival),
    };
    if let Some(reported) = arrival.esme.dialect.report_ids(&message.sm) {
        return receipt(pdu, &reported, arrival);
    }
    match message.segment() {
        Some(concatenation) => segment(pdu, &message.sm, concatenation, arrival),
        None => inbound(&message, arrival),
    }
}

fn receipt(
    pdu: &[u8],
    reported: &Receipt<'_>,
    arrival: &Arrival<'_>,
) -> Result<Incoming, Unwritable> {
    let esme = arrival.esme;
    let id = match esme
        .dialect
        .ids
        .of_receipt(reported)
        .filter(|id| !id.is_empty())
    {
        Some(id) => id,
        // It belongs to no message; a repeat of it still has the same key.
        None => {
            let body = pdu.get(HEADER..).unwrap_or_default();
            Cow::Owned(format!("#{:08x}", crc32fast::hash(body)))
        }
    };
    let key = keys::identity(&esme.name, &id);
    delivery(Kind::Receipt, key, pdu, arrival)
}

fn segment(
    pdu: &[u8],
    sm: &Sm<'_>,
    concatenation: Concatenation,
    arrival: &Arrival<'_>,
) -> Result<Incoming, Unwritable> {
    let (from, to) = (sm.source.number, sm.destination.number);
    let key = keys::segments(&arrival.esme.name, from, to, concatenation);
    delivery(Kind::Segment, key, pdu, arrival)
}

/// What waits for others to be complete goes on as it came.
fn delivery(
    kind: Kind,
    key: String,
    pdu: &[u8],
    arrival: &Arrival<'_>,
) -> Result<Incoming, Unwritable> {
    let delivery = NewDelivery {
        esme: &arrival.esme.name,
        bind: arrival.bind,
        received_at: arrival.at,
        pdu,
        bound_at: arrival.bound_at,
        home: None,
        tries: 0,
    };
    Ok(Incoming {
        kind,
        key: key.into_bytes(),
        value: arrival.codecs.deliveries.write(&delivery)?,
        headers: None,
    })
}

fn inbound(message: &Message<'_>, arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let event = message.event(&arrival.esme.dialect, &arrival.plain());
    Ok(Incoming {
        kind: Kind::Inbound,
        key: message.sm.source.number.to_vec(),
        value: arrival.codecs.inbound.write(&event)?,
        headers: cloud_event_headers(&event, arrival),
    })
}

/// The headers in which it says what it is, if it does.
fn cloud_event_headers(event: &InboundSms<'_>, arrival: &Arrival<'_>) -> Option<OwnedHeaders> {
    let about = || cloud_events::About {
        name: event.kind,
        id: event.id(),
        time: event.received_at,
        subject: &event.source.number,
    };
    let format = arrival.codecs.inbound.format();
    arrival.cloud_events.headers(None, format, about)
}

/// What cannot be read goes on as it came: nobody else will see it.
fn unreadable(pdu: &[u8], wrong: &str, arrival: &Arrival<'_>) -> Result<Incoming, Unwritable> {
    let event = InboundSms {
        error: Some(wrong),
        pdu: Some(pdu),
        ..arrival.plain().nothing()
    };
    Ok(Incoming {
        kind: Kind::Unreadable,
        key: arrival.esme.name.clone().into_bytes(),
        value: arrival.codecs.inbound.write(&event)?,
        headers: cloud_event_headers(&event, arrival),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::internal::Delivery;
    use smpp_protocol::message_id::Form;
    use smpp_protocol::text::{Alphabet, Encoding};
    use smpp_protocol::tlv::push_tlv;
    use smpp_protocol::{Address, Command, Status, Tag, Tlvs};

    fn arrival<'a>(esme: &'a Esme, codecs: &'a Codecs) -> Arrival<'a> {
        Arrival {
            esme,
            codecs,
            cloud_events: &CloudEvents::OFF,
            bind: "acme-0",
            at: Timestamp::UNIX_EPOCH,
            bound_at: None,
            possible_duplicate: false,
        }
    }

    fn acme(receipts: Form) -> Esme {
        let mut dialect = Dialect::default();
        dialect.ids.receipt = receipts.into();
        Esme {
            name: "acme".into(),
            dialect: dialect.into(),
            meters: Arc::default(),
        }
    }

    fn deliver(sm: &Sm<'_>) -> Vec<u8> {
        let mut pdu = Vec::new();
        sm.encode(Command::DELIVER_SM, Status::ROK, 5, &mut pdu)
            .unwrap();
        pdu
    }

    fn made(pdu: &[u8], esme: &Esme) -> (Kind, String, Value) {
        let made = record(pdu, &arrival(esme, &Codecs::default())).unwrap();
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
    fn an_acknowledgement_goes_with_the_receipts_if_it_names_its_message() {
        let ack = |text: &[u8], tlvs: &[u8]| {
            deliver(&Sm {
                esm_class: 0x10,
                short_message: text,
                tlvs: Tlvs::new(tlvs),
                ..Sm::default()
            })
        };
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"7F\0").unwrap();
        for pdu in [ack(b"id:7F", b""), ack(b"yes", &tlvs)] {
            let (kind, key, _) = made(&pdu, &acme(Form::Text));
            assert_eq!((kind, &*key), (Kind::Receipt, "acme/7F"));
        }
        let (kind, _, value) = made(&ack(b"yes, I have it", b""), &acme(Form::Text));
        assert_eq!(kind, Kind::Inbound);
        assert_eq!(value["message_type"], "user_acknowledgement");
        assert_eq!(value["text"], "yes, I have it");
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
        smpp_protocol::frame::set_sequence(&mut pdu, 77);
        assert_eq!(made(&pdu, &acme(Form::Text)).1, key, "nor is its repeat");
    }

    #[test]
    fn a_message_that_carries_receipted_message_id_stays_one() {
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"7F\0").unwrap();
        let message = |esm_class, text: &[u8], tlvs: &[u8]| {
            let sm = Sm {
                source: Address::parse("+41791234567"),
                esm_class,
                short_message: text,
                tlvs: Tlvs::new(tlvs),
                ..Sm::default()
            };
            made(&deliver(&sm), &acme(Form::Text))
        };
        let (kind, key, value) = message(0, b"Yes please", &tlvs);
        assert_eq!((kind, &*key), (Kind::Inbound, "41791234567"));
        assert_eq!(value["text"], "Yes please");
        assert_eq!(value["tlvs"][0]["name"], "receipted_message_id");
        let (kind, key, _) = message(0x40, b"\x05\0\x03\x2a\x02\x01Yes, ", &tlvs);
        assert_eq!(
            (kind, &*key),
            (Kind::Segment, "@part/acme/41791234567//42.8.2")
        );
        push_tlv(&mut tlvs, Tag::MESSAGE_STATE, &[5]).unwrap();
        let (kind, key, _) = message(0, b"", &tlvs);
        assert_eq!((kind, &*key), (Kind::Receipt, "acme/7F"), "it has a state");
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
    fn a_part_of_a_long_message_goes_where_the_others_go() {
        let part = |text: &[u8]| {
            deliver(&Sm {
                source: Address::parse("+41791234567"),
                destination: Address::parse("1234"),
                esm_class: 0x40,
                short_message: text,
                ..Sm::default()
            })
        };
        let pdu = part(b"\x05\x00\x03\x2a\x03\x02hello");
        let (kind, key, value) = made(&pdu, &acme(Form::Text));
        assert_eq!(
            (kind, &*key),
            (Kind::Segment, "@part/acme/41791234567/1234/42.8.3")
        );
        let read: Delivery = serde_json::from_value(value).unwrap();
        assert_eq!(read.pdu, pdu);
        let other = part(b"\x05\x00\x03\x2a\x03\x01Oh, ");
        assert_eq!(made(&other, &acme(Form::Text)).1, key);
    }

    #[test]
    fn the_only_part_of_a_message_is_all_of_it() {
        let pdu = deliver(&Sm {
            esm_class: 0x40,
            short_message: b"\x05\x00\x03\x2a\x01\x01hello",
            ..Sm::default()
        });
        let (kind, _, value) = made(&pdu, &acme(Form::Text));
        assert_eq!(kind, Kind::Inbound);
        assert_eq!(
            value["concatenation"],
            json!({"reference": 42, "total": 1, "part": 1})
        );
        assert_eq!(
            (&value["text"], &value["udh_hex"]),
            (&json!("hello"), &json!("0500032a0101"))
        );
        assert_eq!(value["complete"], true);
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

    #[test]
    fn a_receipt_that_only_its_text_marks_is_one_if_the_smsc_is_known_for_it() {
        let text = |text: &'static [u8]| {
            deliver(&Sm {
                short_message: text,
                ..Sm::default()
            })
        };
        let pdu = text(b"id:7F stat:DELIVRD err:000");
        let mut esme = acme(Form::Text);
        assert_eq!(made(&pdu, &esme).0, Kind::Inbound);
        let mut dialect = Dialect::default();
        dialect.receipts.unmarked = true;
        esme.dialect = dialect.into();
        assert_eq!(made(&pdu, &esme).1, "acme/7F");
        for other in [&b"my id: 7F"[..], b"stat:DELIVRD", b"hello"] {
            assert_eq!(made(&text(other), &esme).0, Kind::Inbound);
        }
    }

    #[test]
    fn data_coding_0_is_the_smscs_own_alphabet() {
        let pdu = deliver(&Sm {
            short_message: b"caf\xE9",
            tlvs: Tlvs::new(b"\x14\x01\0\x01\x07"),
            ..Sm::default()
        });
        let mut dialect = Dialect::from(Alphabet::from(Encoding::Latin1));
        dialect.names.tags.push((Tag(0x1401), "operator_id".into()));
        let esme = Esme {
            name: "acme".into(),
            dialect: dialect.into(),
            meters: Arc::default(),
        };
        let (_, _, value) = made(&pdu, &esme);
        assert_eq!(value["text"], "café");
        assert_eq!(value["tlvs"][0]["name"], "operator_id");
    }

    #[test]
    fn whatever_an_smsc_delivers_becomes_a_record() {
        const HEAD: &[u8] = b"\0\x01\x01491\0\x01\x01123\0\0\0\0\0\0\0\0";
        let odd = |rest: &[u8]| {
            let body = [HEAD, rest].concat();
            let mut pdu = Vec::new();
            smpp_protocol::Header {
                length: 16 + body.len() as u32,
                command: Command::DELIVER_SM,
                status: Status::ROK,
                sequence: 1,
            }
            .encode(&mut pdu);
            pdu.extend_from_slice(&body);
            pdu
        };
        for (rest, text, why) in [
            (&b"\0\0\x02hi"[..], Some("hi"), "nothing is odd"),
            (
                b"\0\0\x02hi\x04\x24\0",
                Some("hi"),
                "a parameter that is cut off",
            ),
            (
                b"\0\0\x02hi\x14\x01\0\x02zz",
                Some("hi"),
                "a vendor's parameter",
            ),
            (b"\xC8\0\x02hi", Some("hi"), "message waiting"),
            (b"\xF0\0\x02hi", Some("hi"), "a flash message"),
            (b"\x09\0\x02hi", None, "a reserved data_coding"),
            (
                b"\x08\0\x03\x04\x16\x04",
                Some("Ж\u{FFFD}"),
                "half a character",
            ),
        ] {
            let (kind, _, value) = made(&odd(rest), &acme(Form::Text));
            assert_eq!(kind, Kind::Inbound, "{why}");
            assert_eq!(value.get("text").and_then(Value::as_str), text, "{why}");
        }
        for rest in [&b"\0\0\xFFhi"[..], b"", b"\0"] {
            let (kind, _, value) = made(&odd(rest), &acme(Form::Text));
            assert_eq!(kind, Kind::Unreadable);
            assert!(value["error"].is_string() && value["pdu_hex"].is_string());
        }
    }
}
