//! Properties of every PDU.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Address, Npi, Tag, Tlvs, Ton, tlv};

/// Octet strings to build PDUs from, kept apart because PDUs borrow.
#[derive(Debug, Clone)]
struct Parts {
    short: Vec<u8>,
    long: Vec<u8>,
    number: Vec<u8>,
    time: Vec<u8>,
    text: Vec<u8>,
    region: Vec<u8>,
    octets: [u8; 8],
}

fn parts() -> impl Strategy<Value = Parts> {
    let time = prop_oneof![Just(vec![]), vec(b'0'..=b'9', 16)];
    let params = vec((any::<u16>(), vec(any::<u8>(), 0..40)), 0..4);
    let region = params.prop_map(|params| {
        let mut region = Vec::new();
        for (tag, value) in params {
            tlv::push_tlv(&mut region, Tag(tag), &value).unwrap();
        }
        region
    });
    let strings = (vec(1u8.., 0..=5), vec(1u8.., 0..=64), vec(1u8.., 0..=20));
    (
        strings,
        time,
        vec(any::<u8>(), 0..=254),
        region,
        any::<[u8; 8]>(),
    )
        .prop_map(
            |((short, long, number), time, text, region, octets)| Parts {
                short,
                long,
                number,
                time,
                text,
                region,
                octets,
            },
        )
}

/// The lists in a submit_multi and its response.
type Lists<'a> = ([Destination<'a>; 2], [Unsuccess<'a>; 2]);

fn lists(parts: &Parts) -> Lists<'_> {
    let address = Address {
        ton: Ton(parts.octets[0]),
        npi: Npi(parts.octets[1]),
        number: &parts.number,
    };
    let status = |n| Status(n * u32::from(parts.octets[2]));
    (
        [Destination::Sme(address), Destination::List(&parts.number)],
        [1, 0xFFFF].map(|n| Unsuccess {
            address,
            status: status(n),
        }),
    )
}

/// One of every PDU.
fn every<'a>(parts: &'a Parts, lists: &'a Lists<'a>) -> Vec<Pdu<'a>> {
    let Parts {
        short,
        long,
        number,
        time,
        text,
        region,
        octets,
    } = parts;
    let [
        ton,
        npi,
        esm_class,
        protocol_id,
        priority_flag,
        registered,
        data_coding,
        flag,
    ] = *octets;
    let source = Address {
        ton: Ton(ton),
        npi: Npi(npi),
        number,
    };
    let destination = Address {
        ton: Ton(npi),
        npi: Npi(ton),
        number,
    };
    let tlvs = Tlvs::new(region);
    let bind = Bind {
        system_id: short,
        password: short,
        system_type: short,
        interface_version: flag,
        addr_ton: Ton(ton),
        addr_npi: Npi(npi),
        address_range: number,
    };
    let sm = Sm {
        service_type: short,
        source,
        destination,
        esm_class,
        protocol_id,
        priority_flag,
        schedule_delivery_time: time,
        validity_period: time,
        registered_delivery: registered,
        replace_if_present_flag: flag,
        data_coding,
        sm_default_msg_id: flag,
        short_message: text,
        tlvs,
    };
    let data = DataSm {
        service_type: short,
        source: Address {
            number: long,
            ..source
        },
        destination: Address {
            number: long,
            ..destination
        },
        esm_class,
        registered_delivery: registered,
        data_coding,
        tlvs,
    };
    let replace = ReplaceSm {
        message_id: long,
        source,
        schedule_delivery_time: time,
        validity_period: time,
        registered_delivery: registered,
        sm_default_msg_id: flag,
        short_message: text,
        tlvs,
    };
    let query = QuerySmResp {
        message_id: long,
        final_date: time,
        message_state: flag,
        error_code: esm_class,
        tlvs,
    };
    let answer = SmResp {
        message_id: long,
        tlvs,
    };
    let bound = BindResp {
        system_id: short,
        tlvs,
    };
    let alert = AlertNotification {
        source: data.source,
        esme: data.destination,
        tlvs,
    };
    let multi = SubmitMulti {
        service_type: short,
        source,
        esm_class,
        destinations: Destinations::Slice(&lists.0),
        schedule_delivery_time: time,
        data_coding,
        short_message: text,
        tlvs,
        ..SubmitMulti::default()
    };
    let broadcast = BroadcastSm {
        service_type: short,
        source,
        message_id: long,
        priority_flag,
        schedule_delivery_time: time,
        validity_period: time,
        replace_if_present_flag: flag,
        data_coding,
        sm_default_msg_id: flag,
        tlvs,
    };
    let cancel = CancelBroadcastSm {
        service_type: short,
        message_id: long,
        source,
        tlvs,
    };
    vec![
        Pdu::BindReceiver(bind),
        Pdu::BindReceiverResp(bound),
        Pdu::BindTransmitter(bind),
        Pdu::BindTransmitterResp(bound),
        Pdu::BindTransceiver(bind),
        Pdu::BindTransceiverResp(bound),
        Pdu::Outbind(Outbind {
            system_id: short,
            password: short,
        }),
        Pdu::SubmitSm(sm),
        Pdu::SubmitSmResp(answer),
        Pdu::DeliverSm(sm),
        Pdu::DeliverSmResp(answer),
        Pdu::DataSm(data),
        Pdu::DataSmResp(answer),
        Pdu::QuerySm(QuerySm {
            message_id: long,
            source,
        }),
        Pdu::QuerySmResp(query),
        Pdu::CancelSm(CancelSm {
            service_type: short,
            message_id: long,
            source,
            destination,
        }),
        Pdu::ReplaceSm(replace),
        Pdu::AlertNotification(alert),
        Pdu::SubmitMulti(multi),
        Pdu::SubmitMultiResp(SubmitMultiResp {
            message_id: long,
            unsuccess: Unsuccesses::Slice(&lists.1),
            tlvs,
        }),
        Pdu::BroadcastSm(broadcast),
        Pdu::BroadcastSmResp(answer),
        Pdu::QueryBroadcastSm(QueryBroadcastSm {
            message_id: long,
            source,
            tlvs,
        }),
        Pdu::QueryBroadcastSmResp(answer),
        Pdu::CancelBroadcastSm(cancel),
        Pdu::CancelBroadcastSmResp,
        Pdu::CancelSmResp,
        Pdu::ReplaceSmResp,
        Pdu::EnquireLink,
        Pdu::EnquireLinkResp,
        Pdu::Unbind,
        Pdu::UnbindResp,
        Pdu::GenericNack,
    ]
}

/// A PDU as octets.
fn wire(pdu: &Pdu<'_>, sequence: u32) -> Vec<u8> {
    let mut wire = Vec::new();
    pdu.encode(Status::ROK, sequence, &mut wire).unwrap();
    wire
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(parts in parts(), sequence in 1..=frame::MAX_SEQUENCE) {
        for pdu in every(&parts, &lists(&parts)) {
            let wire = wire(&pdu, sequence);
            let header = Header::decode(&wire).unwrap();
            prop_assert_eq!(header.length as usize, wire.len());
            prop_assert_eq!((header.command, header.sequence), (pdu.command(), sequence));
            prop_assert_eq!(Pdu::decode(&wire).unwrap(), pdu);
        }
    }

    #[test]
    fn no_pdu_is_left_out(parts in parts()) {
        let lists = lists(&parts);
        let mut commands: Vec<_> = every(&parts, &lists).iter().map(Pdu::command).collect();
        commands.sort_unstable_by_key(|command| command.0);
        let mut all = Command::ALL.to_vec();
        all.sort_unstable_by_key(|command| command.0);
        prop_assert_eq!(commands, all);
    }

    #[test]
    fn no_octets_make_decoding_panic(
        command in prop::sample::select(Command::ALL),
        body in vec(any::<u8>(), 0..300),
    ) {
        let length = (frame::HEADER + body.len()) as u32;
        let header = Header { length, command, status: Status::ROK, sequence: 1 };
        match Pdu::read(Frame { header, body: &body }) {
            Ok(Pdu::SubmitSm(sm)) => prop_assert!(sm.text_octets().len() <= body.len()),
            Ok(_) => {}
            Err(error) => prop_assert!(error.position <= length as usize),
        }
    }

    #[test]
    fn a_pdu_cut_short_is_an_error_or_an_honest_part(parts in parts(), cut in any::<prop::sample::Index>()) {
        for pdu in every(&parts, &lists(&parts)) {
            let wire = wire(&pdu, 1);
            let cut = cut.index(wire.len());
            prop_assert!(Pdu::decode(&wire[..cut]).is_err(), "command_length promises more");
            prop_assert_eq!(frame::split(&wire[..cut], 65_536), Ok(None));
        }
    }

    /// A body that ends early, and so runs into the next PDU if it is read beyond its end.
    #[test]
    fn what_follows_a_pdu_is_never_read(
        parts in parts(),
        cut in any::<prop::sample::Index>(),
        after in vec(any::<u8>(), 1..40),
    ) {
        for pdu in every(&parts, &lists(&parts)) {
            let whole = wire(&pdu, 1);
            let length = frame::HEADER + cut.index(whole.len() - frame::HEADER + 1);
            let mut alone = whole[..length].to_vec();
            alone[..4].copy_from_slice(&(length as u32).to_be_bytes());
            let followed = [&alone[..], &after].concat();
            let (first, second) = (Pdu::decode(&alone), Pdu::decode(&followed));
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
            let split = frame::split(&followed, 65_536).unwrap().unwrap();
            prop_assert_eq!(split.body, &alone[frame::HEADER..]);
        }
    }
}

#[test]
fn an_unknown_command_is_kept_whole() {
    let wire = b"\0\0\0\x12\0\0\xFF\xFF\0\0\0\0\0\0\0\x07hi";
    let pdu = Pdu::decode(wire).unwrap();
    assert_eq!(
        (pdu.command(), pdu.command().name()),
        (Command(0xFFFF), None)
    );
    let mut again = Vec::new();
    pdu.encode(Status::ROK, 7, &mut again).unwrap();
    assert_eq!(again, wire);
}
