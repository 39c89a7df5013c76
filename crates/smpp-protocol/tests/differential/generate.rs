//! PDUs as the specification allows them: every length up to its limit, every TLV of a length it
//! may have.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use smpp_protocol::pdu::*;
use smpp_protocol::tlv::{Shape, push_tlv};
use smpp_protocol::{Address, Npi, Pdu, Status, Tag, Tlvs, Ton};

/// Values that PDUs are made of, kept apart because PDUs borrow.
#[derive(Debug, Clone)]
pub struct Parts {
    pub sequence: u32,
    system_id: Vec<u8>,
    password: Vec<u8>,
    system_type: Vec<u8>,
    range: Vec<u8>,
    service_type: Vec<u8>,
    numbers: [Vec<u8>; 2],
    long_number: Vec<u8>,
    message_id: Vec<u8>,
    times: [Vec<u8>; 2],
    text: Vec<u8>,
    region: Vec<u8>,
    kinds: [(u8, u8); 2],
    flags: [u8; 7],
    list: Vec<u8>,
}

/// Printable ASCII of at most so many characters.
fn ascii(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(b' '..=b'~', 0..=most)
}

fn time() -> impl Strategy<Value = Vec<u8>> {
    let absolute = "[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])(0[0-9]|1[0-9]|2[0-3])[0-5][0-9][0-5][0-9][0-9](0[0-9]|[1-3][0-9]|4[0-8])[-+]";
    prop_oneof![
        Just(Vec::new()),
        absolute.prop_map(String::into_bytes),
        "000001[0-9]{6}000R".prop_map(String::into_bytes),
    ]
}

/// A parameter of the specification with a value of the length that it has, or a vendor's.
fn parameter() -> impl Strategy<Value = (Tag, Vec<u8>)> {
    let known = select(Tag::ALL).prop_flat_map(|tag| {
        let value = match tag.shape() {
            Some(Shape::Integer(octets)) => vec(any::<u8>(), usize::from(octets)).boxed(),
            // 7 to 65 octets (SMPP 5.0 §4.8.4), which the shape does not tell.
            Some(Shape::CString(_))
                if matches!(tag, Tag::SOURCE_NETWORK_ID | Tag::DEST_NETWORK_ID) =>
            {
                vec(b'0'..=b'9', 6..20)
                    .prop_map(|id| [&id[..], b"\0"].concat())
                    .boxed()
            }
            Some(Shape::CString(most)) => ascii(usize::from(most.min(60)) - 1)
                .prop_map(|text| [&text[..], b"\0"].concat())
                .boxed(),
            Some(Shape::Octets(least, most)) => {
                vec(any::<u8>(), usize::from(least)..=usize::from(most.min(200))).boxed()
            }
            None => Just(Vec::new()).boxed(),
        };
        (Just(tag), value)
    });
    let vendor =
        (0x1400u16..=0x3FFF, vec(any::<u8>(), 0..20)).prop_map(|(tag, value)| (Tag(tag), value));
    prop_oneof![4 => known, 1 => vendor]
}

pub fn parts() -> impl Strategy<Value = Parts> {
    let region = vec(parameter(), 0..4).prop_map(|parameters| {
        let mut region = Vec::new();
        for (tag, value) in parameters {
            push_tlv(&mut region, tag, &value).unwrap();
        }
        region
    });
    let session = (ascii(15), ascii(8), ascii(12), ascii(40));
    let numbers = ([ascii(20), ascii(20)], ascii(64), ascii(64), ascii(20));
    let rest = (
        1..=0x7FFF_FFFFu32,
        ascii(5),
        [time(), time()],
        vec(any::<u8>(), 0..=254),
        region,
    );
    let ton = || 0u8..=6;
    let npi = || select(&[0u8, 1, 3, 4, 6, 8, 9, 10, 14, 18][..]);
    let kinds = [(ton(), npi()), (ton(), npi())];
    (session, numbers, rest, kinds, any::<[u8; 7]>()).prop_map(
        |(session, numbers, rest, kinds, flags)| {
            let (system_id, password, system_type, range) = session;
            let (numbers, long_number, message_id, list) = numbers;
            let (sequence, service_type, times, text, region) = rest;
            Parts {
                sequence,
                system_id,
                password,
                system_type,
                range,
                service_type,
                numbers,
                long_number,
                message_id,
                times,
                text,
                region,
                kinds,
                flags,
                list,
            }
        },
    )
}

/// The lists of a submit_multi and its response.
pub type Lists<'a> = ([Destination<'a>; 2], [Unsuccess<'a>; 1]);

impl Parts {
    fn address<'a>(&self, which: usize, number: &'a [u8]) -> Address<'a> {
        let (ton, npi) = self.kinds[which];
        Address {
            ton: Ton(ton),
            npi: Npi(npi),
            number,
        }
    }

    pub fn lists(&self) -> Lists<'_> {
        let address = self.address(1, &self.numbers[1]);
        let unsuccess = Unsuccess {
            address,
            status: Status::RINVDSTADR,
        };
        (
            [Destination::Sme(address), Destination::List(&self.list)],
            [unsuccess],
        )
    }

    /// One PDU of each kind.
    pub fn pdus<'a>(&'a self, lists: &'a Lists<'a>) -> Vec<Pdu<'a>> {
        let source = self.address(0, &self.numbers[0]);
        let destination = self.address(1, &self.numbers[1]);
        let [long_source, long_destination] = [0, 1].map(|n| self.address(n, &self.long_number));
        let [schedule_delivery_time, validity_period] = [&self.times[0][..], &self.times[1]];
        let [
            esm_class,
            protocol_id,
            priority_flag,
            registered_delivery,
            data_coding,
            default_id,
            flag,
        ] = self.flags;
        let tlvs = Tlvs::new(&self.region);
        let Parts {
            service_type,
            message_id,
            text: short_message,
            ..
        } = self;
        let bind = Bind {
            system_id: &self.system_id,
            password: &self.password,
            system_type: &self.system_type,
            interface_version: 0x34,
            addr_ton: Ton(self.kinds[0].0),
            addr_npi: Npi(self.kinds[0].1),
            address_range: &self.range,
        };
        let bound = BindResp {
            system_id: &self.system_id,
            tlvs,
        };
        let sm = Sm {
            service_type,
            source,
            destination,
            esm_class,
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            replace_if_present_flag: flag & 1,
            data_coding,
            sm_default_msg_id: default_id,
            short_message,
            tlvs,
        };
        let data = DataSm {
            service_type,
            source: long_source,
            destination: long_destination,
            esm_class,
            registered_delivery,
            data_coding,
            tlvs,
        };
        let multi = SubmitMulti {
            service_type,
            source,
            destinations: Destinations::Slice(&lists.0),
            esm_class,
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            replace_if_present_flag: flag & 1,
            data_coding,
            sm_default_msg_id: default_id,
            short_message,
            tlvs,
        };
        let broadcast = BroadcastSm {
            service_type,
            source,
            message_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            replace_if_present_flag: flag & 1,
            data_coding,
            sm_default_msg_id: default_id,
            tlvs,
        };
        let answer = SmResp { message_id, tlvs };
        let multi_answer = SubmitMultiResp {
            message_id,
            unsuccess: Unsuccesses::Slice(&lists.1),
            tlvs,
        };
        let queried = QuerySmResp {
            message_id,
            final_date: validity_period,
            message_state: flag % 10,
            error_code: default_id,
            tlvs,
        };
        let replace = ReplaceSm {
            message_id,
            source,
            schedule_delivery_time,
            validity_period,
            registered_delivery,
            sm_default_msg_id: default_id,
            short_message,
            tlvs,
        };
        vec![
            Pdu::BindReceiver(bind),
            Pdu::BindTransmitter(bind),
            Pdu::BindTransceiver(bind),
            Pdu::BindReceiverResp(bound),
            Pdu::BindTransmitterResp(bound),
            Pdu::BindTransceiverResp(bound),
            Pdu::Outbind(Outbind {
                system_id: &self.system_id,
                password: &self.password,
            }),
            Pdu::SubmitSm(sm),
            Pdu::SubmitSmResp(answer),
            Pdu::DeliverSm(sm),
            Pdu::DeliverSmResp(answer),
            Pdu::DataSm(data),
            Pdu::DataSmResp(answer),
            Pdu::QuerySm(QuerySm { message_id, source }),
            Pdu::QuerySmResp(queried),
            Pdu::CancelSm(CancelSm {
                service_type,
                message_id,
                source,
                destination,
            }),
            Pdu::CancelSmResp,
            Pdu::ReplaceSm(replace),
            Pdu::ReplaceSmResp,
            Pdu::AlertNotification(AlertNotification {
                source: long_source,
                esme: long_destination,
                tlvs,
            }),
            Pdu::SubmitMulti(multi),
            Pdu::SubmitMultiResp(multi_answer),
            Pdu::BroadcastSm(broadcast),
            Pdu::BroadcastSmResp(answer),
            Pdu::QueryBroadcastSm(QueryBroadcastSm {
                message_id,
                source,
                tlvs,
            }),
            Pdu::QueryBroadcastSmResp(answer),
            Pdu::CancelBroadcastSm(CancelBroadcastSm {
                service_type,
                message_id,
                source,
                tlvs,
            }),
            Pdu::CancelBroadcastSmResp,
            Pdu::EnquireLink,
            Pdu::EnquireLinkResp,
            Pdu::Unbind,
            Pdu::UnbindResp,
            Pdu::GenericNack,
        ]
    }
}

/// Some values, the same every time.
pub fn one() -> Parts {
    let mut runner = TestRunner::deterministic();
    parts().new_tree(&mut runner).unwrap().current()
}
