//! `rusmpp-core`, which knows SMPP 5.0.

use rusmpp_core::command::owned::Command;
use rusmpp_core::decode::owned::DecodeWithLength;
use rusmpp_core::encode::{Encode, Length};
use smpp_protocol::{Command as Code, Pdu, Tag};

use super::{Came, Difference, any, compare, parameters};

/// Every PDU that has optional parameters.
const ALL: &[Code] = Code::ALL;

const DIFFERENCES: &[Difference] = &[
    Difference {
        commands: &[Code::QUERY_SM_RESP],
        shows: |pdu| any(pdu, |_| true),
        what: "drops the optional parameters of a query_sm_resp",
        clause: "SMPP 5.0 §4.5.2 names none, but a vendor may add some (§4.8.4)",
    },
    Difference {
        commands: ALL,
        shows: |pdu| any(pdu, |tlv| tlv.tag == Tag::BROADCAST_REP_NUM),
        what: "takes broadcast_rep_num for a number of one octet",
        clause: "SMPP 5.0 §4.8.4, broadcast_rep_num: its length is 2",
    },
    Difference {
        commands: ALL,
        shows: |pdu| any(pdu, |tlv| tlv.tag == Tag::SOURCE_TELEMATICS_ID),
        what: "takes source_telematics_id for a number of two octets",
        clause: "SMPP 3.4 §5.3.2.8: its length is 1, other than that of dest_telematics_id",
    },
    Difference {
        commands: ALL,
        shows: |pdu| {
            any(pdu, |tlv| {
                tlv.tag == Tag::MS_MSG_WAIT_FACILITIES && tlv.value[0] & 0x7C != 0
            })
        },
        what: "clears the reserved bits of ms_msg_wait_facilities",
        clause: "SMPP 3.4 §5.3.2.13: bits 2 to 6 are reserved; we carry them as they are",
    },
    Difference {
        commands: ALL,
        shows: |pdu| {
            any(pdu, |tlv| {
                tlv.tag == Tag::CALLBACK_NUM_PRES_IND && tlv.value[0] & 0xF0 != 0
            })
        },
        what: "clears the reserved bits of callback_num_pres_ind",
        clause: "SMPP 3.4 §5.3.2.37: bits 4 to 7 are reserved; we carry them as they are",
    },
    Difference {
        commands: &[
            Code::BIND_RECEIVER_RESP,
            Code::BIND_TRANSMITTER_RESP,
            Code::BIND_TRANSCEIVER_RESP,
            Code::REPLACE_SM,
            Code::ALERT_NOTIFICATION,
            Code::QUERY_BROADCAST_SM,
        ],
        shows: |pdu| parameters(pdu).iter().count() > 1,
        what: "keeps the first optional parameter of PDUs for which the specification names one",
        clause: "SMPP 5.0 §4.1, §4.5 and §4.6 name one each; a vendor may add others (§4.8.4)",
    },
    Difference {
        commands: &[Code::DATA_SM],
        shows: |pdu| match pdu {
            Pdu::DataSm(sm) => sm.source.number.len() > 20,
            _ => false,
        },
        what: "refuses a data_sm with a number of more than 20 characters",
        clause: "SMPP 3.4 §4.7.1 and SMPP 5.0 §4.2.2.1: up to 65 octets",
    },
    Difference {
        commands: ALL,
        shows: |pdu| {
            any(pdu, |tlv| {
                tlv.tag == Tag::MS_VALIDITY && matches!(tlv.value.len(), 2 | 3)
            })
        },
        what: "refuses a PDU with an ms_validity of 2 or 3 octets",
        clause: "SMPP 5.0 §4.8.4, ms_validity: 1 to 4 octets, of which 1 and 4 have a meaning",
    },
];

#[test]
fn what_we_write_rusmpp_reads_and_writes_the_same() {
    compare("rusmpp-core", DIFFERENCES, |ours| {
        let mut body = bytes::BytesMut::from(&ours[4..]);
        let length = body.len();
        match Command::decode(&mut body, length) {
            Ok((command, _)) => Came::Back(written(&command)),
            Err(error) => Came::Refused(error.to_string()),
        }
    });
}

/// A command as octets, command_length included.
fn written(command: &Command) -> Vec<u8> {
    let mut out = vec![0; 4 + command.length()];
    out[..4].copy_from_slice(&(4 + command.length() as u32).to_be_bytes());
    let length = command.encode(&mut out[4..]);
    out.truncate(4 + length);
    out
}
