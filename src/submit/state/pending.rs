//! What goes into a transaction besides progress.

use std::sync::Arc;

use crate::record::internal::number;
use crate::record::outbound::Operation;
use smpp_esme::Answer;
use smpp_protocol::pdu::Destination;
use smpp_protocol::{Command, Pdu, Status};

use crate::submit::message::outgoing::{Job, Letter, Refusal, Returned};
use crate::submit::state::segments::End;

/// Names a lane for as long as it is held; a partition that comes back gets another.
pub type LaneId = u64;

/// A fate on its way into a transaction.
#[derive(Debug)]
pub struct Entry {
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Whether the lane's progress knows it already.
    pub applied: bool,
    /// What happened.
    pub fate: Fate,
}

/// What happened to a record.
#[derive(Debug)]
pub enum Fate {
    /// The SMSC answered, and that is the result.
    Answered(Box<Sent>, Answer),
    /// The SMSC took a part; what its receipts will need, `true` for all of it. The record goes
    /// on.
    Taken(Box<Sent>, Answer, bool),
    /// It ends without an answer.
    Refused(Box<Refusal>),
    /// It is appended to its topic again.
    PutBack(Box<Job>, Returned),
    /// An answer that is not the result, because there is another already.
    Late(Box<Sent>, Answer),
    /// Its event was refused by its topic, for its size most likely: this one says so, without
    /// what may be the reason.
    /// An answer it replaces is still remembered for its receipts.
    TooLarge(Box<Refusal>, Option<(Box<Sent>, Answer)>),
}

/// A sending: what is needed to publish its answer.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Offset of the record.
    pub offset: i64,
    /// What its events say.
    pub letter: Arc<Letter>,
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
    /// What the record took of the lane's capacity, in octets.
    pub octets: usize,
    /// Which part was sent, from 1; `None` if this is about the whole message.
    pub part: Option<u16>,
    /// What is known of all parts, if the message has several and this is about the whole.
    pub parts: Option<Box<[End]>>,
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
}

/// The user_message_reference of a request, or of the first of several.
fn reference_of(pdu: &[u8]) -> Option<u16> {
    let message = Pdu::decode(pdu).ok()?.message()?;
    message.tlvs.user_message_reference()
}

/// Whether the SMSC took the message: a generic_nack takes nothing, whatever it says.
pub fn accepted(answer: &Answer) -> bool {
    answer.status == Status::ROK && answer.command != Command::GENERIC_NACK
}

impl Sent {
    /// The sending of `job` over `bind`.
    pub fn of(job: &Job, bind: &Arc<str>) -> Self {
        Sent {
            offset: job.offset,
            letter: job.letter.clone(),
            bind: bind.clone(),
            registered: job.registered,
            attempt: job.attempt(),
            possible_duplicate: job.possible_duplicate,
            submitted_at: job.submitted_at,
            octets: job.octets(),
            part: None,
            parts: job.ends(),
            recipients: match job.letter.operation {
                Operation::SubmitMulti => Recipients::of(&job.pdu),
                _ => None,
            },
            reference: job.registered.then(|| reference_of(&job.pdu)).flatten(),
        }
    }

    /// The sending of the part of `job` at `index` over `bind`.
    pub fn part_of(job: &Job, bind: &Arc<str>, index: usize) -> Self {
        Sent {
            // There are 255 at most.
            part: Some(index as u16 + 1),
            parts: None,
            ..Sent::of(job, bind)
        }
    }
}

impl Entry {
    /// An entry that the progress does not know yet.
    pub fn new(lane: LaneId, fate: Fate) -> Self {
        Entry {
            lane,
            applied: false,
            fate,
        }
    }

    /// The record it finishes, and how many octets of memory that frees.
    pub fn finishes(&self) -> Option<(i64, usize)> {
        match &self.fate {
            Fate::Answered(sent, _) => Some((sent.offset, sent.octets)),
            Fate::Refused(refusal) | Fate::TooLarge(refusal, _) => {
                Some((refusal.offset, refusal.held))
            }
            Fate::PutBack(job, _) => Some((job.offset, job.octets())),
            Fate::Late(..) | Fate::Taken(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smpp_protocol::Address;
    use smpp_protocol::pdu::{Destinations, SubmitMulti};

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
}
