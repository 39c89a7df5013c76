//! `smpp34`, which knows SMPP 3.4.

use smpp_protocol::pdu::Sm;
use smpp_protocol::{Command, Tag};
use smpp34::*;

use super::{Came, Difference, any, compare};

const DIFFERENCES: &[Difference] = &[
    Difference {
        commands: &[Command::CANCEL_SM],
        shows: |_| true,
        what: "reads the header of a cancel_sm as its fields",
        clause: "SMPP 3.4 §4.9.1: service_type follows the header",
    },
    Difference {
        commands: &[
            Command::BIND_RECEIVER_RESP,
            Command::BIND_TRANSMITTER_RESP,
            Command::BIND_TRANSCEIVER_RESP,
        ],
        shows: |pdu| any(pdu, |tlv| tlv.tag != Tag::SC_INTERFACE_VERSION),
        what: "drops optional parameters of a bind's response other than sc_interface_version",
        clause: "SMPP 3.4 §3.3: an unrecognised parameter is ignored, so that no peer misses it; \
                 we keep it for whoever looks at it",
    },
    Difference {
        commands: &[
            Command::SUBMIT_SM_RESP,
            Command::DELIVER_SM_RESP,
            Command::QUERY_SM_RESP,
            Command::SUBMIT_MULTI_RESP,
            Command::REPLACE_SM,
        ],
        shows: |pdu| any(pdu, |_| true),
        what: "drops the optional parameters of PDUs that have none in SMPP 3.4",
        clause: "SMPP 5.0 §4.2, §4.3 and §4.5 give most of them some",
    },
    Difference {
        commands: &[Command::ALERT_NOTIFICATION],
        shows: |pdu| any(pdu, |tlv| tlv.tag != Tag::MS_AVAILABILITY_STATUS),
        what: "keeps ms_availability_status of an alert_notification alone",
        clause: "SMPP 3.4 §4.12.1 names no other; vendors' parameters (§3.2.4.1) get lost",
    },
];

macro_rules! through {
    ($ours:ident, $header:ident, $($command:ident => $pdu:ident),* $(,)?) => {
        match Command($header.command_id) {
            $(Command::$command => match $pdu::decode($header, $ours) {
                Ok(pdu) => Came::Back(pdu.encode()),
                Err(error) => Came::Refused(format!("{error:?}")),
            },)*
            _ => Came::Unknown,
        }
    };
}

#[test]
fn what_we_write_smpp34_reads_and_writes_the_same() {
    compare("smpp34", DIFFERENCES, |ours| {
        let header = CommandHeader::decode(ours).unwrap();
        through!(ours, header,
            BIND_RECEIVER => bind_receiver,
            BIND_RECEIVER_RESP => bind_receiver_resp,
            BIND_TRANSMITTER => bind_transmitter,
            BIND_TRANSMITTER_RESP => bind_transmitter_resp,
            BIND_TRANSCEIVER => bind_transceiver,
            BIND_TRANSCEIVER_RESP => bind_transceiver_resp,
            OUTBIND => outbind,
            SUBMIT_SM => submit_sm,
            SUBMIT_SM_RESP => submit_sm_resp,
            DELIVER_SM => deliver_sm,
            DELIVER_SM_RESP => deliver_sm_resp,
            DATA_SM => data_sm,
            DATA_SM_RESP => data_sm_resp,
            QUERY_SM => query_sm,
            QUERY_SM_RESP => query_sm_resp,
            CANCEL_SM => cancel_sm,
            CANCEL_SM_RESP => cancel_sm_resp,
            REPLACE_SM => replace_sm,
            REPLACE_SM_RESP => replace_sm_resp,
            ALERT_NOTIFICATION => alert_notification,
            SUBMIT_MULTI => submit_sm_multi,
            SUBMIT_MULTI_RESP => submit_sm_multi_resp,
            ENQUIRE_LINK => enquire_link,
            UNBIND_RESP => unbind_resp,
            GENERIC_NACK => generic_nack,
        )
    });
}

/// That octets come back says nothing of which field they are: one message, field by field.
#[test]
fn smpp34_means_the_same_fields() {
    let generated = super::generate::one();
    let lists = generated.lists();
    for pdu in generated.pdus(&lists) {
        let smpp_protocol::Pdu::SubmitSm(ours) = pdu else {
            continue;
        };
        let mut wire = Vec::new();
        pdu.encode(smpp_protocol::Status::ROK, 7, &mut wire)
            .unwrap();
        let theirs = submit_sm::decode(CommandHeader::decode(&wire).unwrap(), &wire).unwrap();
        assert_eq!(fields(&ours), fields_of(&theirs));
    }
}

type Fields<'a> = ([&'a [u8]; 6], [u8; 11], Vec<(u16, &'a [u8])>);

fn fields<'a>(sm: &Sm<'a>) -> Fields<'a> {
    let texts = [
        sm.service_type,
        sm.source.number,
        sm.destination.number,
        sm.schedule_delivery_time,
        sm.validity_period,
        sm.short_message,
    ];
    let octets = [
        sm.source.ton.0,
        sm.source.npi.0,
        sm.destination.ton.0,
        sm.destination.npi.0,
        sm.esm_class,
        sm.protocol_id,
        sm.priority_flag,
        sm.registered_delivery,
        sm.replace_if_present_flag,
        sm.data_coding,
        sm.sm_default_msg_id,
    ];
    let tlvs = sm.tlvs.iter().map(|tlv| (tlv.tag.0, tlv.value));
    (texts, octets, tlvs.collect())
}

fn fields_of(sm: &submit_sm) -> Fields<'_> {
    let texts = [
        sm.service_type.as_bytes(),
        sm.source_addr.as_bytes(),
        sm.destination_addr.as_bytes(),
        sm.schedule_delivery_time.as_bytes(),
        sm.validity_period.as_bytes(),
        &sm.short_message,
    ];
    let octets = [
        sm.source_addr_ton,
        sm.source_addr_npi,
        sm.dest_addr_ton,
        sm.dest_addr_npi,
        sm.esm_class,
        sm.protocol_id,
        sm.priority_flag,
        sm.registered_delivery,
        sm.replace_if_present_flag,
        sm.data_coding,
        sm.sm_default_msg_id,
    ];
    let tlvs = sm.tlvs.iter().map(|tlv| (tlv.tag, &tlv.value[..]));
    (texts, octets, tlvs.collect())
}
