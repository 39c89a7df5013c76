//! The parts of a long message: which the SMSC took, and what that makes of the message.
//!
//! Pure bookkeeping. A message whose parts are under way is a [`flight`](super::flight).

use std::sync::Arc;

use bytes::Bytes;

use smpp_esme::{Answer, Doubt};
use smpp_protocol::Status;
use smpp_protocol::frame::Header;

use crate::submit::state::pending::accepted;

/// What is known of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was not sent, or certainly not taken, and goes out (again).
    Waiting,
    /// A session has it.
    Out,
    /// The SMSC took it, under this message_id.
    Taken(Arc<str>),
    /// The SMSC does not want it.
    Rejected(Status),
    /// The SMSC asked to try again later.
    Later(Status),
    /// It may have been sent; no answer came.
    Doubt(Doubt),
}

/// What the parts make of their message, once none of them is with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The SMSC took all.
    Taken,
    /// The SMSC does not want a part, so it does not get the others.
    Rejected,
    /// A part may have been sent.
    Doubt(Doubt),
    /// The SMSC asked to try a part again later.
    Later(Status),
    /// Parts are missing, for no reason of the SMSC.
    Waiting,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Parts {
    pdus: Vec<Bytes>,
    ends: Vec<End>,
    /// Which of them may have been sent by an attempt that got no answer.
    doubted: Vec<bool>,
    /// The rejection, or else the answer that came last.
    answer: Option<Answer>,
}

impl Parts {
    /// The parts whose PDUs stand one after another in `pdus`; `None` if that is only one.
    pub fn split(pdus: &Bytes) -> Option<Parts> {
        let mut rest = pdus.clone();
        let mut split = Vec::new();
        while let Some(header) = Header::decode(&rest) {
            let length = header.length as usize;
            if length == 0 || length > rest.len() {
                break;
            }
            split.push(rest.split_to(length));
        }
        (split.len() > 1).then(|| Parts {
            ends: vec![End::Waiting; split.len()],
            doubted: vec![false; split.len()],
            pdus: split,
            answer: None,
        })
    }

    /// What is known of each part, in order.
    pub fn ends(&self) -> Box<[End]> {
        let end = |(end, doubted): (&End, &bool)| match end {
            End::Waiting if *doubted => End::Doubt(Doubt::ConnectionLost),
            end => end.clone(),
        };
        self.ends.iter().zip(&self.doubted).map(end).collect()
    }

    /// Any of them may have been sent before.
    pub fn doubt_all(&mut self) {
        self.doubted.fill(true);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// How many are to go out.
    pub fn waiting(&self) -> usize {
        let waiting = self.ends.iter().filter(|end| **end == End::Waiting);
        waiting.count()
    }

    /// Whether the SMSC took any.
    pub fn any_taken(&self) -> bool {
        self.ends.iter().any(|end| matches!(end, End::Taken(_)))
    }

    /// The next part to go out, which is out from now on: its index and its PDU.
    pub fn take_next(&mut self) -> Option<(usize, Bytes)> {
        let index = self.ends.iter().position(|end| *end == End::Waiting)?;
        *self.ends.get_mut(index)? = End::Out;
        Some((index, self.pdus.get(index)?.clone()))
    }

    /// The indexes of those that a session has.
    pub fn out(&self) -> impl Iterator<Item = usize> + '_ {
        let ends = self.ends.iter().enumerate();
        ends.filter(|(_, end)| **end == End::Out).map(|(i, _)| i)
    }

    /// What became of a part.
    pub fn note(&mut self, index: usize, end: End) {
        if let (End::Doubt(_), Some(doubted)) = (&end, self.doubted.get_mut(index)) {
            *doubted = true;
        }
        if let Some(known) = self.ends.get_mut(index) {
            *known = end;
        }
    }

    /// The SMSC answered a part.
    pub fn answered(&mut self, index: usize, answer: &Answer, rejects: bool) {
        let end = match answer.status {
            _ if accepted(answer) => End::Taken(String::from_utf8_lossy(&answer.message_id).into()),
            status if rejects => End::Rejected(status),
            status => End::Later(status),
        };
        let rejected = self.ends.iter().any(|end| matches!(end, End::Rejected(_)));
        if !rejected {
            self.answer = Some(answer.clone());
        }
        self.note(index, end);
    }

    /// Whether a late answer to a part still says something new.
    pub fn is_open(&self, index: usize) -> bool {
        let end = self.ends.get(index);
        end.is_some_and(|end| !matches!(end, End::Taken(_) | End::Rejected(_) | End::Out))
    }

    /// What they make of the message.
    pub fn standing(&self) -> Standing {
        let find = |of: fn(&End) -> Option<Standing>| self.ends.iter().find_map(of);
        find(|end| matches!(end, End::Rejected(_)).then_some(Standing::Rejected))
            .or_else(|| {
                find(|end| match end {
                    End::Doubt(doubt) => Some(Standing::Doubt(*doubt)),
                    _ => None,
                })
            })
            .or_else(|| {
                find(|end| match end {
                    End::Later(status) => Some(Standing::Later(*status)),
                    _ => None,
                })
            })
            .or_else(|| {
                find(|end| matches!(end, End::Waiting | End::Out).then_some(Standing::Waiting))
            })
            .unwrap_or(Standing::Taken)
    }

    /// The parts that were not taken go out again.
    pub fn again(&mut self) {
        for end in &mut self.ends {
            if !matches!(end, End::Taken(_)) {
                *end = End::Waiting;
            }
        }
    }

    /// The answer that speaks for the message: the rejection, or the last, under the message_id
    /// of the first part.
    pub fn answer(&self) -> Option<Answer> {
        let mut answer = self.answer.clone()?;
        if self.standing() == Standing::Taken
            && let Some(End::Taken(id)) = self.ends.first()
        {
            answer.message_id = id.as_bytes().to_vec();
        }
        Some(answer)
    }

    /// The parts taken, to be named in a header: a digest of all PDUs, then each number with
    /// its message_id in hexadecimal. `None` if none was taken.
    pub fn to_header(&self) -> Option<String> {
        use std::fmt::Write as _;
        let mut header = format!("{:08x}", self.digest());
        for (number, end) in (1..).zip(&self.ends) {
            if let End::Taken(id) = end {
                let _ = write!(header, " {number}=");
                for octet in id.bytes() {
                    let _ = write!(header, "{octet:02x}");
                }
            }
        }
        self.any_taken().then_some(header)
    }

    /// Takes in what a header says was taken. `false` if it speaks of other parts, because the
    /// configuration changed meanwhile, or cannot be believed: then all go out.
    pub fn take_header(&mut self, header: &str) -> bool {
        let mut words = header.split(' ');
        let digest = words.next().and_then(|d| u32::from_str_radix(d, 16).ok());
        let Some(ends) = self.read(words) else {
            return false;
        };
        let believed = digest == Some(self.digest()) && ends.contains(&End::Waiting);
        if believed {
            self.ends = ends;
        }
        believed
    }

    fn read<'a>(&self, words: impl Iterator<Item = &'a str>) -> Option<Vec<End>> {
        let mut ends = vec![End::Waiting; self.count()];
        for word in words {
            let (index, id) = part_taken(word)?;
            *ends.get_mut(index)? = End::Taken(id);
        }
        Some(ends)
    }

    fn digest(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        self.pdus.iter().for_each(|pdu| hash.update(pdu));
        hash.finalize()
    }
}

/// What a header says of the parts of a message that is not at hand, of which there were `total`,
/// or at least as many as it names. `None` if it cannot be read.
pub fn named(header: &str, total: Option<u8>) -> Option<Box<[End]>> {
    let taken = header.split(' ').skip(1).map(part_taken);
    let taken: Vec<(usize, Arc<str>)> = taken.collect::<Option<_>>()?;
    let highest = taken.iter().map(|(index, _)| index + 1).max()?;
    let mut ends = vec![End::Waiting; highest.max(total.map_or(0, usize::from))];
    for (index, id) in taken {
        *ends.get_mut(index)? = End::Taken(id);
    }
    Some(ends.into())
}

/// A part in a header: its index and its message_id.
fn part_taken(word: &str) -> Option<(usize, Arc<str>)> {
    let (number, id) = word.split_once('=')?;
    // There are 255 at most.
    let index = usize::from(number.parse::<u8>().ok()?).checked_sub(1)?;
    Some((index, from_hex(id)?.into()))
}

fn from_hex(digits: &str) -> Option<String> {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let octets: Option<Vec<u8>> = pairs.iter().map(|pair| octet(pair)).collect();
    String::from_utf8(octets?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use smpp_protocol::Command;
    use smpp_protocol::frame::push_empty;

    fn three() -> Parts {
        let mut pdus = Vec::new();
        for n in 0..3 {
            push_empty(Command::SUBMIT_SM, Status::ROK, n, &mut pdus);
        }
        Parts::split(&pdus.into()).unwrap()
    }

    fn answer(status: Status, id: &str) -> Answer {
        Answer {
            command: Command::SUBMIT_SM_RESP,
            status,
            message_id: id.into(),
            tlvs: Bytes::new(),
            received: SystemTime::UNIX_EPOCH,
        }
    }

    fn send_all(parts: &mut Parts) -> Vec<usize> {
        std::iter::from_fn(|| parts.take_next())
            .map(|(i, _)| i)
            .collect()
    }

    #[test]
    fn one_pdu_is_not_in_parts() {
        let mut pdu = Vec::new();
        push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu);
        assert!(Parts::split(&pdu.into()).is_none());
        assert!(Parts::split(&Bytes::new()).is_none());
    }

    #[test]
    fn all_taken_is_taken_under_the_first_id() {
        let mut parts = three();
        assert_eq!(send_all(&mut parts), [0, 1, 2]);
        assert_eq!(parts.standing(), Standing::Waiting, "all are out");
        for (index, id) in [(1, "B"), (0, "A"), (2, "C")] {
            parts.answered(index, &answer(Status::ROK, id), true);
        }
        assert_eq!(parts.standing(), Standing::Taken);
        assert_eq!(parts.answer().unwrap().message_id, b"A");
    }

    #[test]
    fn one_rejected_part_rejects_the_message_whatever_the_others_say() {
        let mut parts = three();
        send_all(&mut parts);
        parts.answered(0, &answer(Status::ROK, "A"), true);
        parts.answered(1, &answer(Status::RINVDSTADR, ""), true);
        parts.note(2, End::Doubt(Doubt::Timeout));
        assert_eq!(parts.standing(), Standing::Rejected);
        parts.answered(2, &answer(Status::ROK, "C"), true);
        assert_eq!(parts.answer().unwrap().status, Status::RINVDSTADR);
    }

    #[test]
    fn a_doubt_weighs_more_than_a_delay() {
        let mut parts = three();
        send_all(&mut parts);
        parts.answered(0, &answer(Status::RTHROTTLED, ""), false);
        parts.note(1, End::Doubt(Doubt::ConnectionLost));
        parts.note(2, End::Waiting);
        assert_eq!(parts.standing(), Standing::Doubt(Doubt::ConnectionLost));
        parts.answered(1, &answer(Status::ROK, "B"), false);
        assert_eq!(parts.standing(), Standing::Later(Status::RTHROTTLED));
    }

    #[test]
    fn what_was_taken_does_not_go_out_again() {
        let mut parts = three();
        send_all(&mut parts);
        parts.answered(1, &answer(Status::ROK, "B"), true);
        parts.note(0, End::Doubt(Doubt::Timeout));
        parts.answered(2, &answer(Status::RTHROTTLED, ""), false);
        parts.again();
        assert_eq!(parts.waiting(), 2);
        let unknown = End::Doubt(Doubt::ConnectionLost);
        assert_eq!(
            *parts.ends(),
            [unknown, End::Taken("B".into()), End::Waiting]
        );
        assert_eq!(send_all(&mut parts), [0, 2]);
    }

    #[test]
    fn a_header_names_what_was_taken_and_is_believed_for_the_same_parts_only() {
        let mut parts = three();
        assert_eq!(parts.to_header(), None);
        send_all(&mut parts);
        parts.answered(1, &answer(Status::ROK, "B é="), true);
        let header = parts.to_header().unwrap();
        assert!(header.ends_with(" 2=4220c3a93d"), "{header}");

        let ends = named(&header, Some(3)).unwrap();
        let taken = End::Taken("B é=".into());
        assert_eq!(*ends, [End::Waiting, taken, End::Waiting]);
        assert_eq!(named(&header, None).unwrap().len(), 2, "as far as it says");
        for bad in [
            "",
            "x",
            "0011aabb",
            "0011aabb 2",
            "0011aabb 0=41",
            "0011aabb 256=41",
        ] {
            assert_eq!(named(bad, Some(3)), None, "{bad}");
        }

        let mut later = three();
        assert!(later.take_header(&header));
        assert_eq!(send_all(&mut later), [0, 2]);

        let mut others = Vec::new();
        for n in 5..8 {
            push_empty(Command::SUBMIT_SM, Status::ROK, n, &mut others);
        }
        let mut others = Parts::split(&others.into()).unwrap();
        assert!(!others.take_header(&header));
        let all = header.replace(" 2=", " 1=41 3=43 2=");
        for bad in [
            "",
            "x",
            &all,
            &header.replace(" 2=", " 9="),
            &format!("{header}4"),
        ] {
            let mut parts = three();
            assert!(!parts.take_header(bad), "{bad}");
            assert_eq!(parts.waiting(), 3);
        }
    }
}
