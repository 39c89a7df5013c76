//! What goes into a transaction besides progress.

use std::sync::Arc;

use crate::record::internal::number;
use smpp_esme::Answer;
use smpp_protocol::pdu::Destination;
use smpp_protocol::{Command, Pdu, Status};

use crate::submit::message::outgoing::{Outgoing, RecordContext, Rejection, Returned};
use crate::submit::state::segments::SegmentOutcome;

/// Names a partition for as long as it is held; a partition that comes back gets another.
pub type AssignmentId = u64;

/// A outcome on its way into a transaction.
#[derive(Debug)]
pub struct PendingResult {
    /// The partition it belongs to.
    pub assignment: AssignmentId,
    /// Whether the partition's progress knows it already.
    pub applied: bool,
    /// What happened.
    pub outcome: RecordOutcome,
}

/// What happened to a record.
#[derive(Debug)]
pub enum RecordOutcome {
    /// The SMSC answered, and that is the result.
    Answered(Box<Sent>, Answer),
    /// The SMSC took a segment; what its receipts will need, `true` for all of it. The record goes
    /// on.
    Taken(Box<Sent>, Answer, bool),
    /// It ends without an answer.
    Rejected(Box<Rejection>),
    /// It is appended to its topic again.
    PutBack(Box<Outgoing>, Returned),
    /// An answer that is not the result, because there is another already.
    Late(Box<Sent>, Answer),
    /// Its event was refused by its topic, for its size most likely: this one says so, without
    /// what may be the reason.
    /// An answer it replaces is still remembered for its receipts.
    TooLarge(Box<Rejection>, Option<(Box<Sent>, Answer)>),
}

/// A sending: what is needed to publish its answer.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Offset of the record.
    pub offset: i64,
    /// What its events say.
    pub context: Arc<RecordContext>,
    /// The bind it went over.
    pub bind: Arc<str>,
    /// Whether a receipt may come.
    pub registered: bool,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Whether the result must say that it may be a duplicate.
    pub possible_duplicate: bool,
    /// When it was handed to the session.
    pub submitted_at: jiff::Timestamp,
    /// What the record took of the partition's capacity, in octets.
    pub octets: usize,
    /// Which part was sent, from 1; `None` if this is about the whole message.
    pub segment: Option<u16>,
    /// What is known of all segments, if the message has several and this is about the whole.
    pub segments: Option<Box<[SegmentOutcome]>>,
    /// To whom it went, if that is not one recipient.
    pub recipients: Option<Recipients>,
    /// The user_message_reference that the record set.
    pub reference: Option<u16>,
}

/// To whom a SubmitMulti goes, each of whom has a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients {
    /// Those who are named, each once, as a [`number`].
    pub numbers: Arc<[i64]>,
    /// Whether distribution lists are among them, which the SMSC keeps.
    pub lists: bool,
}

impl Recipients {
    /// Those of a submit_multi; `None` of any other PDU.
    pub fn of(pdu: &[u8]) -> Option<Recipients> {
        let Ok(Pdu::SubmitMulti(multi)) = Pdu::decode(pdu) else {
            return None;
        };
        let (mut numbers, mut lists) = (Vec::new(), false);
        for destination in multi.destinations.iter() {
            match destination {
                Destination::Sme(to) => numbers.push(number(to.number).unwrap_or_default()),
                Destination::List(_) => lists = true,
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(Recipients {
            numbers: numbers.into(),
            lists,
        })
    }

    /// How much memory they take, in octets.
    pub fn octets(&self) -> usize {
        std::mem::size_of_val(&*self.numbers)
    }
}

/// The user_message_reference of a request, or of the first of several.
pub fn reference_of(pdu: &[u8]) -> Option<u16> {
    let message = Pdu::decode(pdu).ok()?.message()?;
    message.tlvs.user_message_reference()
}

/// Whether the SMSC took the message: a generic_nack takes nothing, whatever it says.
pub fn accepted(answer: &Answer) -> bool {
    answer.status == Status::ROK && answer.command != Command::GENERIC_NACK
}

impl Sent {
    /// The sending of `outgoing` over `bind`.
    pub fn of(outgoing: &Outgoing, bind: &Arc<str>) -> Self {
        Sent {
            offset: outgoing.offset,
            context: outgoing.context.clone(),
            bind: bind.clone(),
            registered: outgoing.registered,
            attempt: outgoing.attempt(),
            possible_duplicate: outgoing.possible_duplicate,
            submitted_at: outgoing.submitted_at,
            octets: outgoing.octets(),
            segment: None,
            segments: outgoing.segment_outcomes(),
            recipients: outgoing.recipients.clone(),
            reference: outgoing.reference,
        }
    }

    /// The sending of the part of `outgoing` at `index` over `bind`.
    pub fn segment_of(outgoing: &Outgoing, bind: &Arc<str>, index: usize) -> Self {
        Sent {
            // There are 255 at most.
            segment: Some(index as u16 + 1),
            segments: None,
            ..Sent::of(outgoing, bind)
        }
    }
}

impl PendingResult {
    /// An entry that the progress does not know yet.
    pub fn new(assignment: AssignmentId, outcome: RecordOutcome) -> Self {
        PendingResult {
            assignment,
            applied: false,
            outcome,
        }
    }

    /// The record it finishes, and how many octets of memory that frees.
    pub fn finishes(&self) -> Option<(i64, usize)> {
        match &self.outcome {
            RecordOutcome::Answered(sent, _) => Some((sent.offset, sent.octets)),
            RecordOutcome::Rejected(rejection) | RecordOutcome::TooLarge(rejection, _) => {
                Some((rejection.offset, rejection.held))
            }
            RecordOutcome::PutBack(outgoing, _) => Some((outgoing.offset, outgoing.octets())),
            RecordOutcome::Late(..) | RecordOutcome::Taken(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smpp_protocol::Address;
    use smpp_protocol::pdu::{Destinations, Sm, SubmitMulti};
    use smpp_protocol::tlv::{Tag, Tlvs, push_tlv};

    #[test]
    fn a_multi_goes_to_everybody_it_names_once() {
        let number = |number| Destination::Sme(Address::parse(number));
        let list = Destination::List(b"staff");
        let of = |to: &[Destination<'_>]| {
            let mut pdu = Vec::new();
            SubmitMulti {
                destinations: Destinations::Slice(to),
                ..SubmitMulti::default()
            }
            .encode(Command::SUBMIT_MULTI, Status::ROK, 0, &mut pdu)
            .unwrap();
            let to = Recipients::of(&pdu).unwrap();
            (to.numbers.len(), to.lists)
        };
        let (one, two) = (number("+41791111111"), number("+41792222222"));
        assert_eq!(of(&[one, two, one]), (2, false));
        assert_eq!(of(&[one, list]), (1, true));
        assert_eq!(
            of(&[number("ACME"), number("ACMA"), number("ACME")]),
            (2, false)
        );
        assert_eq!(Recipients::of(b"no PDU"), None);
    }

    #[test]
    fn the_reference_is_that_of_the_first_of_several() {
        let with = |reference: &[u8], pdus: &mut Vec<u8>| {
            let mut region = Vec::new();
            push_tlv(&mut region, Tag::USER_MESSAGE_REFERENCE, reference).unwrap();
            let sm = Sm {
                tlvs: Tlvs::new(&region),
                ..Sm::default()
            };
            sm.encode(Command::SUBMIT_SM, Status::ROK, 0, pdus).unwrap();
        };
        let mut pdus = Vec::new();
        with(&[1, 2], &mut pdus);
        with(&[3, 4], &mut pdus);
        assert_eq!(reference_of(&pdus), Some(0x0102));
        assert_eq!(reference_of(b"no PDU"), None);
    }
}
