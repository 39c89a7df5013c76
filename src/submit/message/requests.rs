//! The PDUs of records other than SubmitSm.

use crate::record::outbound::{Destination, Operation, Outbound};
use smpp_protocol::address::Written;
use smpp_protocol::pdu::{
    self, BroadcastSm, CancelBroadcastSm, CancelSm, DataSm, Pdu, QueryBroadcastSm, QuerySm,
    REGISTERED_DELIVERY, ReplaceSm, SubmitMulti, UDH_INDICATOR,
};
use smpp_protocol::{Status, Tag, Tlvs, octets, segment, tlv};

use super::{
    Defaults, Message, Refused, Scratch, ascii, check_defined, content, destination, parameters,
    source, time,
};

/// The most destinations of a submit_multi (SMPP 3.4, 5.2.24).
const MOST_DESTINATIONS: usize = 254;

/// Makes the PDU of a record that is no SubmitSm.
pub(super) fn build(
    record: &Outbound<'_>,
    defaults: &Defaults,
    scratch: &mut Scratch,
) -> Result<Message, Refused> {
    let sm = &record.sm;
    check_defined(sm)?;
    let sender = source(sm, defaults)?;
    let source = sender.address();
    let recipient = destination("destination", &sm.destination)?;
    let destination = recipient.address();
    let service_type = sm.service_type.as_deref();
    let service_type = ascii(
        "service_type",
        service_type.unwrap_or(&defaults.service_type),
    )?;
    let schedule = time("schedule_delivery_time", sm.schedule_delivery_time)?;
    let validity = time("validity_period", sm.validity_period)?;
    let message_id = message_id(record)?;
    let text = text(record, defaults, scratch)?;
    let parameters = Tlvs::new(&scratch.parameters);
    let registered = sm.registered_delivery;
    let registered = registered.unwrap_or(defaults.registered_delivery);
    let esm_class = sm.esm_class.unwrap_or(0) | text.esm_class;
    let short_message = if text.in_payload {
        &[]
    } else {
        &scratch.user_data[..]
    };
    let to = destinations(record)?;
    let to: Vec<_> = to.iter().map(To::in_pdu).collect();
    let pdu = match record.operation {
        Operation::SubmitSm => return Err(Refused::invalid("type", "a SubmitSm has its own way")),
        Operation::QuerySm => Pdu::QuerySm(QuerySm { message_id, source }),
        Operation::CancelSm => Pdu::CancelSm(CancelSm {
            service_type,
            message_id,
            source,
            destination,
        }),
        Operation::ReplaceSm => Pdu::ReplaceSm(ReplaceSm {
            message_id,
            source,
            schedule_delivery_time: schedule.as_bytes(),
            validity_period: validity.as_bytes(),
            registered_delivery: registered,
            sm_default_msg_id: sm.sm_default_msg_id.unwrap_or(0),
            short_message,
            tlvs: parameters,
        }),
        Operation::DataSm => Pdu::DataSm(DataSm {
            service_type,
            source,
            destination,
            esm_class,
            registered_delivery: registered,
            data_coding: text.data_coding,
            tlvs: parameters,
        }),
        Operation::SubmitMulti => Pdu::SubmitMulti(SubmitMulti {
            service_type,
            source,
            destinations: pdu::Destinations::Slice(&to),
            esm_class,
            protocol_id: sm.protocol_id.unwrap_or(0),
            priority_flag: sm.priority_flag.unwrap_or(0),
            schedule_delivery_time: schedule.as_bytes(),
            validity_period: validity.as_bytes(),
            registered_delivery: registered,
            replace_if_present_flag: sm.replace_if_present_flag.unwrap_or(0),
            data_coding: text.data_coding,
            sm_default_msg_id: sm.sm_default_msg_id.unwrap_or(0),
            short_message,
            tlvs: parameters,
        }),
        Operation::BroadcastSm => Pdu::BroadcastSm(BroadcastSm {
            service_type,
            source,
            message_id,
            priority_flag: sm.priority_flag.unwrap_or(0),
            schedule_delivery_time: schedule.as_bytes(),
            validity_period: validity.as_bytes(),
            replace_if_present_flag: sm.replace_if_present_flag.unwrap_or(0),
            data_coding: text.data_coding,
            sm_default_msg_id: sm.sm_default_msg_id.unwrap_or(0),
            tlvs: parameters,
        }),
        Operation::QueryBroadcastSm => Pdu::QueryBroadcastSm(QueryBroadcastSm {
            message_id,
            source,
            tlvs: parameters,
        }),
        Operation::CancelBroadcastSm => Pdu::CancelBroadcastSm(CancelBroadcastSm {
            service_type,
            message_id,
            source,
            tlvs: parameters,
        }),
    };
    let mut octets = Vec::with_capacity(128 + scratch.user_data.len() + scratch.parameters.len());
    pdu.encode(Status::ROK, 0, &mut octets)
        .map_err(|e| Refused::not_smpp(&e))?;
    let receives = matches!(record.operation, Operation::SubmitMulti | Operation::DataSm);
    Ok(Message {
        pdu: octets,
        parts: 1,
        registered: receives && registered & REGISTERED_DELIVERY != 0,
        ..Message::default()
    })
}

/// The message that the record is about.
fn message_id<'a>(record: &'a Outbound<'_>) -> Result<&'a [u8], Refused> {
    let given = record.message_id.as_deref().unwrap_or_default();
    let missing = |text: &str| Err(Refused::invalid("message_id", text));
    match record.operation {
        Operation::QuerySm | Operation::ReplaceSm | Operation::QueryBroadcastSm
            if given.is_empty() =>
        {
            missing("message_id is missing: write the id that the SMSC's response gave the message")
        }
        Operation::CancelSm if given.is_empty() && record.sm.destination.number.is_empty() => {
            missing(
                "message_id is missing: write the id that the SMSC's response gave the message, or the destination to which all messages of source are to be cancelled",
            )
        }
        Operation::CancelBroadcastSm if given.is_empty() && record.sm.source.is_none() => missing(
            "message_id is missing: write the id that the SMSC's response gave the broadcast, or the source of which all are to be cancelled",
        ),
        _ => ascii("message_id", given),
    }
}

/// One of several recipients.
enum To<'a> {
    Number(Written<'a>),
    List(&'a [u8]),
}

impl To<'_> {
    fn in_pdu(&self) -> pdu::Destination<'_> {
        match self {
            To::Number(number) => pdu::Destination::Sme(number.address()),
            To::List(name) => pdu::Destination::List(name),
        }
    }
}

fn destinations<'a>(record: &'a Outbound<'_>) -> Result<Vec<To<'a>>, Refused> {
    let wrong = |text: String| Err(Refused::invalid("destinations", text));
    match (record.operation, record.destinations.len()) {
        (Operation::SubmitMulti, 0) => {
            return wrong(
                "destinations is missing: write a list of numbers, or of {\"list\": \"name\"}"
                    .into(),
            );
        }
        (_, count) if count > MOST_DESTINATIONS => {
            return wrong(format!(
                "destinations has {count} entries, at most {MOST_DESTINATIONS} are allowed: write several records"
            ));
        }
        (Operation::DataSm, _) if record.sm.destination.number.is_empty() => {
            return Err(Refused::invalid(
                "destination",
                "destination is missing: write the recipient's number, such as \"+41791234567\"",
            ));
        }
        _ => {}
    }
    let one = |to: &'a Destination<'_>| match to {
        Destination::Number(number) => destination("destinations", number).map(To::Number),
        Destination::List(name) => ascii("destinations", name).map(To::List),
    };
    record.destinations.iter().map(one).collect()
}

/// What is known of the text in `scratch.user_data`.
#[derive(Default)]
struct Text {
    data_coding: u8,
    esm_class: u8,
    /// It stands among the parameters already.
    in_payload: bool,
}

/// Writes text and parameters into `scratch`.
fn text(
    record: &Outbound<'_>,
    defaults: &Defaults,
    scratch: &mut Scratch,
) -> Result<Text, Refused> {
    use Operation::{
        BroadcastSm, CancelBroadcastSm, CancelSm, DataSm, QueryBroadcastSm, QuerySm, ReplaceSm,
    };
    scratch.user_data.clear();
    let names = &defaults.dialect.names;
    if let QuerySm | CancelSm | QueryBroadcastSm | CancelBroadcastSm = record.operation {
        parameters::push(&record.sm.tlvs, names, false, &mut scratch.parameters)?;
        return Ok(Text::default());
    }
    let mut sm = record.sm.clone();
    if record.operation == ReplaceSm && sm.encoding.is_none() {
        // The PDU has no data_coding: the text must be written as the one it replaces was.
        let alphabet = defaults.dialect.alphabet().encoding();
        sm.encoding = Some(if defaults.encoding == alphabet {
            content::DEFAULT.into()
        } else {
            defaults.encoding.name().into()
        });
    }
    let body = content::body(
        &sm,
        defaults,
        true,
        &mut scratch.text,
        &mut scratch.elements,
    )?;
    let Scratch {
        text,
        elements,
        user_data,
        parameters,
    } = scratch;
    segment::push_user_data(elements, text, body.encoding, user_data)
        .map_err(|e| Refused::not_smpp(&e))?;
    let always = matches!(record.operation, DataSm | BroadcastSm);
    let too_long = user_data.len() > content::SHORT_MESSAGE;
    if record.operation == ReplaceSm && too_long && !body.in_payload && !defaults.version.is_50() {
        let text = format!(
            "{} has {}, replace_sm takes 254: shorten it, or write it as message_payload if the SMSC takes that parameter of SMPP 5.0 there",
            body.field,
            octets(user_data.len())
        );
        return Err(Refused::invalid(body.field, text));
    }
    let too_long = too_long && defaults.version.has_parameters();
    let in_payload = always || body.in_payload || too_long;
    content::check_length(body.field, user_data.len(), in_payload)?;
    if in_payload {
        tlv::push_tlv(parameters, Tag::MESSAGE_PAYLOAD, user_data)
            .map_err(|e| Refused::not_smpp(&e))?;
    }
    parameters::push(&record.sm.tlvs, names, in_payload, parameters)?;
    if record.operation == BroadcastSm {
        check_broadcast(parameters)?;
    }
    Ok(Text {
        data_coding: body.data_coding,
        esm_class: if elements.is_empty() {
            0
        } else {
            UDH_INDICATOR
        },
        in_payload,
    })
}

/// What every broadcast_sm has (SMPP 5.0, 4.4.1.1).
fn check_broadcast(parameters: &[u8]) -> Result<(), Refused> {
    let given = Tlvs::new(parameters);
    for tag in [
        Tag::BROADCAST_AREA_IDENTIFIER,
        Tag::BROADCAST_CONTENT_TYPE,
        Tag::BROADCAST_REP_NUM,
        Tag::BROADCAST_FREQUENCY_INTERVAL,
    ] {
        if given.get(tag).is_none() {
            let text = format!("tlvs: {tag} is missing, which every broadcast has");
            return Err(Refused::invalid("tlvs", text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Message, prepare};
    use super::*;
    use crate::record::event::SendErrorKind;
    use crate::record::json;
    use crate::record::keys::Position;
    use crate::settings::InDoubt;
    use smpp_protocol::Address;
    use smpp_protocol::text::Encoding;

    fn try_to(json: &str) -> Result<Message, Refused> {
        let record = json::outbound(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
        let defaults = Defaults {
            registered_delivery: 1,
            service_type: "VMA".into(),
            ..Defaults::default()
        };
        let position = Position {
            topic: "sms.outbound".into(),
            partition: 0,
            offset: 0,
        };
        prepare(&record, &defaults, &position, jiff::Timestamp::UNIX_EPOCH)
    }

    /// Both addresses of every PDU here are those of +41791234567.
    fn number() -> Address<'static> {
        Address::parse("+41791234567")
    }

    #[test]
    fn a_query_names_the_message_and_may_always_be_asked_again() {
        let message =
            try_to(r#"{"type":"QuerySm","message_id":"7F","source":"+41791234567"}"#).unwrap();
        let wanted = QuerySm {
            message_id: b"7F",
            source: number(),
        };
        assert_eq!(Pdu::decode(&message.pdu), Ok(Pdu::QuerySm(wanted)));
        assert_eq!(message.in_doubt, Some(InDoubt::Resend));
        assert!(!message.registered);
    }

    #[test]
    fn a_cancellation_names_the_message_or_its_recipient() {
        let message =
            try_to(r#"{"type":"CancelSm","source":"+41791234567","destination":"+41791234567"}"#);
        let message = message.unwrap();
        let wanted = CancelSm {
            service_type: b"VMA",
            message_id: b"",
            source: number(),
            destination: number(),
        };
        assert_eq!(Pdu::decode(&message.pdu), Ok(Pdu::CancelSm(wanted)));
        assert_eq!(message.in_doubt, None);
    }

    #[test]
    fn a_replacement_is_written_as_its_message_was() {
        let message =
            try_to(r#"{"type":"ReplaceSm","message_id":"7F","short_message":"it [x]"}"#).unwrap();
        match Pdu::decode(&message.pdu) {
            Ok(Pdu::ReplaceSm(replace)) => {
                assert_eq!(replace.short_message, b"it \x1B\x3Cx\x1B\x3E");
                assert_eq!(replace.registered_delivery, 1);
            }
            other => panic!("{other:?}"),
        }
        // message_payload belongs to replace_sm in SMPP 5.0 only: who writes it, knows.
        let long = "x".repeat(255);
        let replacing = |field: &str| {
            try_to(&format!(
                r#"{{"type":"ReplaceSm","message_id":"7F","{field}":"{long}"}}"#
            ))
        };
        let error = replacing("short_message").unwrap_err();
        assert!(error.text.contains("message_payload"), "{}", error.text);
        assert!(replacing("message_payload").is_ok());
        let error = try_to(r#"{"type":"ReplaceSm","message_id":"7F","short_message":"Ж"}"#);
        assert_eq!(error.unwrap_err().kind, SendErrorKind::Encoding);
        let ucs2 = try_to(
            r#"{"type":"ReplaceSm","message_id":"7F","short_message":"Ж","encoding":"ucs2"}"#,
        );
        assert!(ucs2.is_ok());
    }

    #[test]
    fn data_has_its_text_among_the_parameters() {
        let long = "x".repeat(300);
        let message = try_to(&format!(
            r#"{{"type":"DataSm","destination":"+41791234567","short_message":"{long}"}}"#
        ));
        let message = message.unwrap();
        match Pdu::decode(&message.pdu) {
            Ok(Pdu::DataSm(data)) => {
                let data = pdu::Sm::from(data);
                assert_eq!(data.destination, number());
                assert_eq!(data.text_octets(), long.as_bytes());
            }
            other => panic!("{other:?}"),
        }
        assert!(message.registered);
        let ports = try_to(
            r#"{"type":"DataSm","destination":"1","short_message":"hi","udh":{"hex":"0605040B8423F0"}}"#,
        );
        match Pdu::decode(&ports.unwrap().pdu) {
            Ok(Pdu::DataSm(data)) => {
                let data = pdu::Sm::from(data);
                assert!(data.has_udh());
                assert_eq!(data.text_octets_without_udh(), b"hi");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_multi_has_numbers_and_lists() {
        let message = try_to(
            r#"{"type":"SubmitMulti","destinations":["+41791234567",{"list":"staff"}],"short_message":"Я"}"#,
        );
        match Pdu::decode(&message.unwrap().pdu) {
            Ok(Pdu::SubmitMulti(multi)) => {
                let to: Vec<_> = multi.destinations.iter().collect();
                let list = pdu::Destination::List(b"staff");
                assert_eq!(to, [pdu::Destination::Sme(number()), list]);
                assert_eq!(multi.data_coding, Encoding::Ucs2.data_coding());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let many = vec!["\"1\""; 255].join(",");
        let many =
            format!(r#"{{"type":"SubmitMulti","destinations":[{many}],"short_message":""}}"#);
        let long = format!(r#"{{"type":"QuerySm","message_id":"{}"}}"#, "7".repeat(65));
        for (json, field) in [
            (r#"{"type":"QuerySm"}"#, "message_id"),
            (r#"{"type":"ReplaceSm","short_message":"a"}"#, "message_id"),
            (r#"{"type":"ReplaceSm","message_id":"7"}"#, "short_message"),
            (r#"{"type":"CancelSm","source":"1"}"#, "message_id"),
            (r#"{"type":"CancelBroadcastSm"}"#, "message_id"),
            (r#"{"type":"DataSm","short_message":"a"}"#, "destination"),
            (
                r#"{"type":"SubmitMulti","short_message":"a"}"#,
                "destinations",
            ),
            (&many, "destinations"),
            (&long, "message_id"),
            (
                r#"{"type":"BroadcastSm","short_message":"a","tlvs":{"broadcast_rep_num":1}}"#,
                "tlvs",
            ),
            (r#"{"type":"QuerySm","message_id":"é"}"#, "message_id"),
        ] {
            let error = try_to(json).expect_err(json);
            assert_eq!(error.field.as_deref(), Some(field), "{}", error.text);
            assert_eq!(error.kind, SendErrorKind::InvalidRecord);
        }
    }
}
