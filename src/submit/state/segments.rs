//! The segments of a long message: which the SMSC took, and what that makes of the message.
//!
//! Pure bookkeeping. What is known of those under way is in [`segmented`](super::segmented).

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use smpp_esme::{Answer, Doubt};
use smpp_protocol::Status;
use smpp_protocol::frame::Header;

use crate::submit::state::pending::accepted;

/// What is known of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentOutcome {
    /// It was not sent, or certainly not taken, and goes out (again).
    Waiting,
    /// A session has it.
    InFlight,
    /// The SMSC took it, under this message_id.
    Taken(Arc<str>),
    /// The SMSC does not want it.
    Rejected(Status),
    /// The SMSC asked to try again later.
    Later(Status),
    /// It may have been sent; no answer came.
    Doubt(Doubt),
}

/// What the segments make of their message, once none of them is with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The SMSC took all.
    Taken,
    /// The SMSC does not want a segment, so it does not get the others.
    Rejected,
    /// A part may have been sent.
    Doubt(Doubt),
    /// The SMSC asked to try a segment again later.
    Later(Status),
    /// Parts are missing, for no reason of the SMSC.
    Waiting,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Segments {
    pdus: Vec<Bytes>,
    segment_outcomes: Vec<SegmentOutcome>,
    /// Which of them may have been sent by an attempt that got no answer.
    doubted: Vec<bool>,
    /// The rejection, or else the answer that came last.
    answer: Option<Answer>,
}

impl Segments {
    /// The segments whose PDUs stand one after another in `pdus`; `None` if that is only one.
    pub fn split(pdus: &Bytes) -> Option<Segments> {
        let mut rest = pdus.clone();
        let mut split = Vec::new();
        while let Some(header) = Header::decode(&rest) {
            let length = header.length as usize;
            if length == 0 || length > rest.len() {
                break;
            }
            split.push(rest.split_to(length));
        }
        (split.len() > 1).then(|| Segments {
            segment_outcomes: vec![SegmentOutcome::Waiting; split.len()],
            doubted: vec![false; split.len()],
            pdus: split,
            answer: None,
        })
    }

    /// What is known of each part, in order.
    pub fn segment_outcomes(&self) -> Box<[SegmentOutcome]> {
        let end = |(end, doubted): (&SegmentOutcome, &bool)| match end {
            SegmentOutcome::Waiting if *doubted => SegmentOutcome::Doubt(Doubt::ConnectionLost),
            end => end.clone(),
        };
        self.segment_outcomes
            .iter()
            .zip(&self.doubted)
            .map(end)
            .collect()
    }

    /// Any of them may have been sent before.
    pub fn doubt_all(&mut self) {
        self.doubted.fill(true);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.segment_outcomes.len()
    }

    /// How many are to go out.
    pub fn waiting(&self) -> usize {
        let waiting = self
            .segment_outcomes
            .iter()
            .filter(|end| **end == SegmentOutcome::Waiting);
        waiting.count()
    }

    /// Whether the SMSC took any.
    pub fn any_taken(&self) -> bool {
        self.segment_outcomes
            .iter()
            .any(|end| matches!(end, SegmentOutcome::Taken(_)))
    }

    /// The next part to go out, which is out from now on: its index and its PDU.
    pub fn take_next(&mut self) -> Option<(usize, Bytes)> {
        let index = self
            .segment_outcomes
            .iter()
            .position(|end| *end == SegmentOutcome::Waiting)?;
        *self.segment_outcomes.get_mut(index)? = SegmentOutcome::InFlight;
        Some((index, self.pdus.get(index)?.clone()))
    }

    /// The indexes of those that a session has.
    pub fn out(&self) -> impl Iterator<Item = usize> + '_ {
        let segment_outcomes = self.segment_outcomes.iter().enumerate();
        segment_outcomes
            .filter(|(_, end)| **end == SegmentOutcome::InFlight)
            .map(|(i, _)| i)
    }

    /// What became of a segment.
    pub fn note(&mut self, index: usize, end: SegmentOutcome) {
        if let (SegmentOutcome::Doubt(_), Some(doubted)) = (&end, self.doubted.get_mut(index)) {
            *doubted = true;
        }
        if let Some(known) = self.segment_outcomes.get_mut(index) {
            *known = end;
        }
    }

    /// The SMSC answered a segment.
    pub fn answered(&mut self, index: usize, answer: &Answer, is_final: bool) {
        let end = match answer.status {
            _ if accepted(answer) => {
                SegmentOutcome::Taken(String::from_utf8_lossy(&answer.message_id).into())
            }
            status if is_final => SegmentOutcome::Rejected(status),
            status => SegmentOutcome::Later(status),
        };
        let rejected = self
            .segment_outcomes
            .iter()
            .any(|end| matches!(end, SegmentOutcome::Rejected(_)));
        if !rejected {
            self.answer = Some(answer.clone());
        }
        self.note(index, end);
    }

    /// Whether a late answer to a segment still says something new.
    pub fn is_open(&self, index: usize) -> bool {
        let end = self.segment_outcomes.get(index);
        end.is_some_and(|end| {
            !matches!(
                end,
                SegmentOutcome::Taken(_) | SegmentOutcome::Rejected(_) | SegmentOutcome::InFlight
            )
        })
    }

    /// What they make of the message.
    pub fn standing(&self) -> Standing {
        let find =
            |of: fn(&SegmentOutcome) -> Option<Standing>| self.segment_outcomes.iter().find_map(of);
        find(|end| matches!(end, SegmentOutcome::Rejected(_)).then_some(Standing::Rejected))
            .or_else(|| {
                find(|end| match end {
                    SegmentOutcome::Doubt(doubt) => Some(Standing::Doubt(*doubt)),
                    _ => None,
                })
            })
            .or_else(|| {
                find(|end| match end {
                    SegmentOutcome::Later(status) => Some(Standing::Later(*status)),
                    _ => None,
                })
            })
            .or_else(|| {
                find(|end| {
                    matches!(end, SegmentOutcome::Waiting | SegmentOutcome::InFlight)
                        .then_some(Standing::Waiting)
                })
            })
            .unwrap_or(Standing::Taken)
    }

    /// The segments that were not taken go out again.
    pub fn again(&mut self) {
        for end in &mut self.segment_outcomes {
            if !matches!(end, SegmentOutcome::Taken(_)) {
                *end = SegmentOutcome::Waiting;
            }
        }
    }

    /// The answer that speaks for the message: the rejection, or the last, under the message_id
    /// of the first part.
    pub fn answer(&self) -> Option<Answer> {
        let mut answer = self.answer.clone()?;
        if self.standing() == Standing::Taken
            && let Some(SegmentOutcome::Taken(id)) = self.segment_outcomes.first()
        {
            answer.message_id = id.as_bytes().to_vec();
        }
        Some(answer)
    }

    /// The segments taken, to be named in a header: a digest of all PDUs, then each number with
    /// its message_id in hexadecimal. `None` if none was taken.
    pub fn to_header(&self) -> Option<String> {
        use std::fmt::Write as _;
        let mut header = format!("{:08x}", self.digest());
        for (number, end) in (1..).zip(&self.segment_outcomes) {
            if let SegmentOutcome::Taken(id) = end {
                let _ = write!(header, " {number}={}", HEXLOWER.encode(id.as_bytes()));
            }
        }
        self.any_taken().then_some(header)
    }

    /// Takes in what a header says was taken. `false` if it speaks of other segments, because the
    /// configuration changed meanwhile, or cannot be believed: then all go out.
    pub fn take_header(&mut self, header: &str) -> bool {
        let mut words = header.split(' ');
        let digest = words.next().and_then(|d| u32::from_str_radix(d, 16).ok());
        let Some(segment_outcomes) = self.read(words) else {
            return false;
        };
        let believed =
            digest == Some(self.digest()) && segment_outcomes.contains(&SegmentOutcome::Waiting);
        if believed {
            self.segment_outcomes = segment_outcomes;
        }
        believed
    }

    fn read<'a>(&self, words: impl Iterator<Item = &'a str>) -> Option<Vec<SegmentOutcome>> {
        let mut segment_outcomes = vec![SegmentOutcome::Waiting; self.count()];
        for word in words {
            let (index, id) = segment_taken(word)?;
            *segment_outcomes.get_mut(index)? = SegmentOutcome::Taken(id);
        }
        Some(segment_outcomes)
    }

    fn digest(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        self.pdus.iter().for_each(|pdu| hash.update(pdu));
        hash.finalize()
    }
}

/// What a header says of the segments of a message that is not at hand, of which there were `total`,
/// or at least as many as it names. `None` if it cannot be read.
pub fn named(header: &str, total: Option<u8>) -> Option<Box<[SegmentOutcome]>> {
    let taken = header.split(' ').skip(1).map(segment_taken);
    let taken: Vec<(usize, Arc<str>)> = taken.collect::<Option<_>>()?;
    let highest = taken.iter().map(|(index, _)| index + 1).max()?;
    let mut segment_outcomes =
        vec![SegmentOutcome::Waiting; highest.max(total.map_or(0, usize::from))];
    for (index, id) in taken {
        *segment_outcomes.get_mut(index)? = SegmentOutcome::Taken(id);
    }
    Some(segment_outcomes.into())
}

/// A part in a header: its index and its message_id.
fn segment_taken(word: &str) -> Option<(usize, Arc<str>)> {
    let (number, id) = word.split_once('=')?;
    // There are 255 at most.
    let index = usize::from(number.parse::<u8>().ok()?).checked_sub(1)?;
    Some((index, from_hex(id)?.into()))
}

fn from_hex(digits: &str) -> Option<String> {
    let octets = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use smpp_protocol::Command;
    use smpp_protocol::frame::push_empty;

    fn three() -> Segments {
        let mut pdus = Vec::new();
        for n in 0..3 {
            push_empty(Command::SUBMIT_SM, Status::ROK, n, &mut pdus);
        }
        Segments::split(&pdus.into()).unwrap()
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

    fn send_all(segments: &mut Segments) -> Vec<usize> {
        std::iter::from_fn(|| segments.take_next())
            .map(|(i, _)| i)
            .collect()
    }

    #[test]
    fn one_pdu_is_not_in_parts() {
        let mut pdu = Vec::new();
        push_empty(Command::SUBMIT_SM, Status::ROK, 0, &mut pdu);
        assert!(Segments::split(&pdu.into()).is_none());
        assert!(Segments::split(&Bytes::new()).is_none());
    }

    #[test]
    fn all_taken_is_taken_under_the_first_id() {
        let mut segments = three();
        assert_eq!(send_all(&mut segments), [0, 1, 2]);
        assert_eq!(segments.standing(), Standing::Waiting, "all are out");
        for (index, id) in [(1, "B"), (0, "A"), (2, "C")] {
            segments.answered(index, &answer(Status::ROK, id), true);
        }
        assert_eq!(segments.standing(), Standing::Taken);
        assert_eq!(segments.answer().unwrap().message_id, b"A");
    }

    #[test]
    fn one_rejected_part_rejects_the_message_whatever_the_others_say() {
        let mut segments = three();
        send_all(&mut segments);
        segments.answered(0, &answer(Status::ROK, "A"), true);
        segments.answered(1, &answer(Status::RINVDSTADR, ""), true);
        segments.note(2, SegmentOutcome::Doubt(Doubt::Timeout));
        assert_eq!(segments.standing(), Standing::Rejected);
        segments.answered(2, &answer(Status::ROK, "C"), true);
        assert_eq!(segments.answer().unwrap().status, Status::RINVDSTADR);
    }

    #[test]
    fn a_doubt_weighs_more_than_a_delay() {
        let mut segments = three();
        send_all(&mut segments);
        segments.answered(0, &answer(Status::RTHROTTLED, ""), false);
        segments.note(1, SegmentOutcome::Doubt(Doubt::ConnectionLost));
        segments.note(2, SegmentOutcome::Waiting);
        assert_eq!(segments.standing(), Standing::Doubt(Doubt::ConnectionLost));
        segments.answered(1, &answer(Status::ROK, "B"), false);
        assert_eq!(segments.standing(), Standing::Later(Status::RTHROTTLED));
    }

    #[test]
    fn what_was_taken_does_not_go_out_again() {
        let mut segments = three();
        send_all(&mut segments);
        segments.answered(1, &answer(Status::ROK, "B"), true);
        segments.note(0, SegmentOutcome::Doubt(Doubt::Timeout));
        segments.answered(2, &answer(Status::RTHROTTLED, ""), false);
        segments.again();
        assert_eq!(segments.waiting(), 2);
        let unknown = SegmentOutcome::Doubt(Doubt::ConnectionLost);
        assert_eq!(
            *segments.segment_outcomes(),
            [
                unknown,
                SegmentOutcome::Taken("B".into()),
                SegmentOutcome::Waiting
            ]
        );
        assert_eq!(send_all(&mut segments), [0, 2]);
    }

    #[test]
    fn a_header_names_what_was_taken_and_is_believed_for_the_same_parts_only() {
        let mut segments = three();
        assert_eq!(segments.to_header(), None);
        send_all(&mut segments);
        segments.answered(1, &answer(Status::ROK, "B é="), true);
        let header = segments.to_header().unwrap();
        assert!(header.ends_with(" 2=4220c3a93d"), "{header}");

        let segment_outcomes = named(&header, Some(3)).unwrap();
        let taken = SegmentOutcome::Taken("B é=".into());
        assert_eq!(
            *segment_outcomes,
            [SegmentOutcome::Waiting, taken, SegmentOutcome::Waiting]
        );
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
        let mut others = Segments::split(&others.into()).unwrap();
        assert!(!others.take_header(&header));
        let all = header.replace(" 2=", " 1=41 3=43 2=");
        for bad in [
            "",
            "x",
            &all,
            &header.replace(" 2=", " 9="),
            &format!("{header}4"),
        ] {
            let mut segments = three();
            assert!(!segments.take_header(bad), "{bad}");
            assert_eq!(segments.waiting(), 3);
        }
    }
}
