//! Our codec against two that others wrote: `rusmpp-core` (SMPP 5.0) and `smpp34` (SMPP 3.4).
//!
//! Generated PDUs are written by us, read and written again by them, and must come back octet for
//! octet. Where a codec does something else, the difference is in its table, with the clause of the
//! specification that decides it. A difference that is not in the table fails the test, and so does
//! one that is in the table and was not seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;
mod rusmpp;
mod smpp34;

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use smpp_protocol::{Command, Pdu, Status, Tlv, Tlvs};

/// How many of each kind of PDU.
const CASES: usize = 400;

/// Something that another codec does differently, and who is right.
struct Difference {
    /// Which PDUs it shows in.
    commands: &'static [Command],
    /// Whether it shows in this one.
    shows: fn(&Pdu<'_>) -> bool,
    /// What the codec does.
    what: &'static str,
    /// What the specification says.
    clause: &'static str,
}

/// The optional parameters of a PDU.
fn parameters<'a>(pdu: &Pdu<'a>) -> Tlvs<'a> {
    match pdu {
        Pdu::BindReceiverResp(fields)
        | Pdu::BindTransmitterResp(fields)
        | Pdu::BindTransceiverResp(fields) => fields.tlvs,
        Pdu::SubmitSm(fields) | Pdu::DeliverSm(fields) => fields.tlvs,
        Pdu::SubmitSmResp(fields)
        | Pdu::DeliverSmResp(fields)
        | Pdu::DataSmResp(fields)
        | Pdu::BroadcastSmResp(fields)
        | Pdu::QueryBroadcastSmResp(fields) => fields.tlvs,
        Pdu::DataSm(fields) => fields.tlvs,
        Pdu::QuerySmResp(fields) => fields.tlvs,
        Pdu::ReplaceSm(fields) => fields.tlvs,
        Pdu::AlertNotification(fields) => fields.tlvs,
        Pdu::SubmitMulti(fields) => fields.tlvs,
        Pdu::SubmitMultiResp(fields) => fields.tlvs,
        Pdu::BroadcastSm(fields) => fields.tlvs,
        Pdu::QueryBroadcastSm(fields) => fields.tlvs,
        Pdu::CancelBroadcastSm(fields) => fields.tlvs,
        _ => Tlvs::default(),
    }
}

/// Whether any optional parameter of a PDU is such a one.
fn any(pdu: &Pdu<'_>, is: impl FnMut(Tlv<'_>) -> bool) -> bool {
    parameters(pdu).iter().any(is)
}

/// What became of a PDU of ours that another codec read and wrote.
enum Came {
    /// These octets.
    Back(Vec<u8>),
    /// It was not read.
    Refused(String),
    /// The codec has no such PDU.
    Unknown,
}

/// Sends generated PDUs through a codec. `differences` are the only ones allowed.
fn compare(name: &str, differences: &[Difference], through: impl Fn(&[u8]) -> Came) {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
    // The first of each kind of PDU is enough to see what is wrong.
    let mut wrong = BTreeMap::new();
    for _ in 0..CASES {
        let parts = generate::parts().new_tree(&mut runner).unwrap().current();
        let lists = parts.lists();
        for pdu in parts.pdus(&lists) {
            let mut ours = Vec::new();
            pdu.encode(Status::ROK, parts.sequence, &mut ours).unwrap();
            let theirs = match through(&ours) {
                Came::Unknown => continue,
                Came::Back(octets) => octets.escape_ascii().to_string(),
                Came::Refused(why) => why,
            };
            known.insert(pdu.command());
            let shown = |d: &Difference| d.commands.contains(&pdu.command()) && (d.shows)(&pdu);
            let expected = differences.iter().position(shown);
            let ours = ours.escape_ascii().to_string();
            let same = theirs == ours;
            match expected {
                Some(difference) if !same => {
                    seen.insert(difference);
                }
                None if same => {}
                _ => {
                    let is = if same { "no longer differs" } else { "differs" };
                    let listed = expected.map(|n| &differences[n]);
                    let listed =
                        listed.map_or(String::new(), |d| format!("{} ({})", d.what, d.clause));
                    let text =
                        format!("{name} {is} {listed}\n{pdu:?}\nours   {ours}\ntheirs {theirs}");
                    wrong.entry((pdu.command(), same)).or_insert(text);
                }
            }
        }
    }
    let wrong: Vec<_> = wrong.into_values().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let listed = differences.iter().enumerate();
    let unseen: Vec<_> = listed
        .filter(|(n, _)| !seen.contains(n))
        .map(|(_, d)| d.what)
        .collect();
    assert!(unseen.is_empty(), "{name} does not differ here: {unseen:?}");
    assert!(known.len() >= 25, "{name} was asked about {known:?} only");
}
