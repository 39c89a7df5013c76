//! A PDU taken apart for people: every range of octets by its name, and what a strict reading
//! finds wrong with it.
//!
//! The fields are those of [`Pdu`], read by the same code in the same order; only here responses
//! that end early are wrong, and whatever can be read before the damage is kept.

mod flaw;

use std::ops::Range;

pub use flaw::{Flaw, FlawKind};

use super::codec::{Reader, Source};
use super::{HIGHEST_PRIORITY, Pdu, REGISTERED_DELIVERY, Sm, walk};
use crate::frame::{HEADER, MAX_SEQUENCE};
use crate::time::{self, Time, TimeError};
use crate::udh::{CONCATENATION, CONCATENATION_16, Element, PORTS_16};
use crate::{
    Command, Concatenation, DecodeError, EncodeError, Header, MessageState, Problem, Status, Tag,
    Tlv, Tlvs, Udh,
};

/// Octets of a TLV's tag and length.
const TLV_HEADER: usize = 4;

/// A PDU taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anatomy<'a> {
    /// command_length, when its four octets are there.
    pub length: Option<u32>,
    /// The header, when its 16 octets are there.
    pub header: Option<Header>,
    /// The header's and the body's fields and TLVs as they follow each other, up to the first
    /// that cannot be read.
    pub parts: Vec<Part<'a>>,
    /// What is wrong or odd.
    pub flaws: Vec<Flaw>,
}

/// A field or TLV and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its name in the specification; of an unknown TLV `tlv`, of what cannot be read `unread`.
    pub name: &'static str,
    /// The list of which it is a field, and in which entry, counted from 0.
    pub entry: Option<(&'static str, usize)>,
    /// Octets of the PDU; the header is 0 to 15.
    pub range: Range<usize>,
    /// The octets themselves, with the length of a TLV and the NUL of a text.
    pub octets: &'a [u8],
    /// What they hold.
    pub value: Value<'a>,
}

/// What a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of one or four octets.
    Number(u32),
    /// A C-octet string, without its NUL.
    Text(&'a [u8]),
    /// An octet string.
    Octets(&'a [u8]),
    /// An optional parameter.
    Tlv(Tlv<'a>),
    /// What could not be read.
    Unread,
}

impl<'a> Anatomy<'a> {
    /// Takes octets apart that should be one PDU.
    pub fn of(octets: &'a [u8]) -> Self {
        let mut anatomy = Anatomy {
            length: octets.first_chunk().map(|four| u32::from_be_bytes(*four)),
            header: Header::decode(octets),
            ..Anatomy::default()
        };
        match anatomy.header {
            None => {
                anatomy.flaw(FlawKind::TruncatedHeader, "header", 0..octets.len());
                anatomy.unread(octets, 0);
            }
            Some(header) => anatomy.take_apart(octets, header),
        }
        anatomy
    }

    /// Whether a strict reader refuses the PDU.
    pub fn is_malformed(&self) -> bool {
        self.flaws.iter().any(|flaw| flaw.kind.is_error())
    }

    /// Whether the header names a PDU that SMPP has.
    pub fn command(&self) -> Option<Command> {
        self.header
            .map(|header| header.command)
            .filter(|command| command.name().is_some())
    }

    fn flaw(&mut self, kind: FlawKind, field: &'static str, range: Range<usize>) {
        self.flaws.push(Flaw { kind, field, range });
    }

    fn unread(&mut self, octets: &'a [u8], from: usize) {
        let left = octets.get(from..).unwrap_or_default();
        if !left.is_empty() {
            self.parts.push(Part {
                name: "unread",
                entry: None,
                range: from..octets.len(),
                octets: left,
                value: Value::Unread,
            });
        }
    }

    fn take_apart(&mut self, octets: &'a [u8], header: Header) {
        self.header_parts(octets, header);
        let length = header.length as usize;
        if length < HEADER {
            self.flaw(
                FlawKind::LengthBelowHeader(header.length),
                "command_length",
                0..4,
            );
            return self.unread(octets, HEADER);
        }
        if length > octets.len() {
            let kind = FlawKind::LengthBeyondOctets(header.length);
            self.flaw(kind, "command_length", 0..octets.len());
        } else if length < octets.len() {
            let kind = FlawKind::TrailingOctets(octets.len() - length);
            self.flaw(kind, "command_length", length..octets.len());
        }
        let pdu = octets.get(..length).unwrap_or(octets);
        self.body(pdu, header);
        self.unread(octets, pdu.len());
        self.judge(pdu, header);
    }

    fn header_parts(&mut self, octets: &'a [u8], header: Header) {
        let fields = [
            ("command_length", header.length),
            ("command_id", header.command.0),
            ("command_status", header.status.0),
            ("sequence_number", header.sequence),
        ];
        for (index, (name, value)) in fields.into_iter().enumerate() {
            let range = index * 4..index * 4 + 4;
            self.parts.push(Part {
                name,
                entry: None,
                octets: octets.get(range.clone()).unwrap_or_default(),
                range,
                value: Value::Number(value),
            });
        }
    }

    fn body(&mut self, pdu: &'a [u8], header: Header) {
        let body = pdu.get(HEADER..).unwrap_or_default();
        let mut tracer = Tracer {
            reader: Reader { body, rest: body },
            anatomy: self,
            entry: None,
        };
        let Some(read) = walk(header.command, &mut tracer) else {
            let kind = FlawKind::UnknownCommand(header.command);
            self.flaw(kind, "command_id", 4..8);
            return self.unread(pdu, HEADER);
        };
        let at = tracer.reader.position();
        match read {
            Ok(()) if !tracer.reader.rest.is_empty() => {
                tracer.tlvs();
                let mut tlvs = self.parts.iter().filter(|part| part.range.start >= at);
                // 5.0 lets every response say how busy the SMSC is, §4.8.4.18.
                let may = |part: &Part<'_>| {
                    part.name == "congestion_state" && header.command.is_response()
                };
                if !tlvs.all(may) {
                    self.flaw(FlawKind::UnexpectedTlvs, "tlv", at..pdu.len());
                }
            }
            Ok(()) => {}
            Err(_) if body.is_empty() && header.command.is_response() => {
                let kind = match header.command {
                    Command::DELIVER_SM_RESP => FlawKind::UnusedBodyOmitted,
                    _ => FlawKind::BodyOmitted,
                };
                if header.status == Status::ROK {
                    self.flaw(kind, "body", HEADER..HEADER);
                }
            }
            Err(DecodeError {
                field,
                position,
                problem,
            }) => {
                let end = match problem {
                    Problem::Undefined(_) => position + 1,
                    _ => pdu.len(),
                };
                self.flaw(FlawKind::Field(problem), field, position..end);
                self.unread(pdu, at);
            }
        }
    }

    /// What a reader takes, but a careful writer does not send.
    fn judge(&mut self, pdu: &'a [u8], header: Header) {
        if header.sequence == 0 || header.sequence > MAX_SEQUENCE {
            let kind = FlawKind::SequenceNumber(header.sequence);
            self.flaw(kind, "sequence_number", 12..16);
        }
        if header.status != Status::ROK && !header.command.is_response() {
            let kind = FlawKind::StatusInRequest(header.status);
            self.flaw(kind, "command_status", 8..12);
        }
        for odd in [Part::odd_length, Part::odd_time, Part::reserved] {
            self.flaws.extend(self.parts.iter().filter_map(odd));
        }
        let is_answer = matches!(
            header.command,
            Command::SUBMIT_SM_RESP | Command::DELIVER_SM_RESP | Command::DATA_SM_RESP
        );
        let is_missing = self.range_of("message_id").is_empty() && !self.is_malformed();
        if is_answer && pdu.len() > HEADER && is_missing {
            self.flaw(FlawKind::MessageIdOmitted, "message_id", HEADER..HEADER);
        }
        if let (false, Ok(read)) = (self.is_malformed(), Pdu::decode(pdu)) {
            self.judge_fields(&read, header);
        }
    }

    fn judge_fields(&mut self, read: &Pdu<'a>, header: Header) {
        let encoded = read.encode(header.status, header.sequence, &mut Vec::new());
        if let Err(error) = encoded {
            let field = match error {
                EncodeError::TooLong { field, .. }
                | EncodeError::Nul { field, .. }
                | EncodeError::NotATime { field, .. } => field,
                EncodeError::Tlvs(_) => "tlv",
            };
            self.flaw(FlawKind::NotAllowed(error), field, self.range_of(field));
        }
        if let Some(sm) = read.message() {
            self.judge_message(&sm);
        }
    }

    /// What is odd about a message and what ties it to others.
    fn judge_message(&mut self, sm: &Sm<'a>) {
        let short = self.range_of("short_message");
        let payload = self.range_of("message_payload");
        if !short.is_empty() && payload.len() > TLV_HEADER {
            self.flaw(FlawKind::TwoTexts, "message_payload", payload.clone());
        }
        let sar = [
            "sar_msg_ref_num",
            "sar_total_segments",
            "sar_segment_seqnum",
        ];
        let ranges = sar.map(|name| (name, self.range_of(name)));
        let given = ranges.into_iter().find(|(_, range)| !range.is_empty());
        if let Some((name, range)) = given
            && Concatenation::of_sar(&sm.tlvs).is_none()
        {
            self.flaw(FlawKind::Concatenation, name, range);
        }
        let (field, range) = match (short.is_empty(), payload.is_empty()) {
            (false, _) => ("short_message", short),
            (true, false) => ("message_payload", payload),
            (true, true) => ("esm_class", self.range_of("esm_class")),
        };
        if !sm.has_udh() {
            if begins_with_udh(sm.text_octets()) {
                self.flaw(FlawKind::UnannouncedUdh, field, range);
            }
            return;
        }
        match Udh::split(sm.text_octets()) {
            Some((udh, _)) if udh.is_whole() => {
                let is_tie = |id| matches!(id, CONCATENATION | CONCATENATION_16);
                let ties = udh.elements().any(|element| is_tie(element.id));
                if ties && udh.concatenation().is_none() {
                    self.flaw(FlawKind::Concatenation, field, range);
                }
            }
            _ => self.flaw(FlawKind::DamagedUdh, field, range),
        }
    }

    /// Where a field is; nowhere if it is missing.
    fn range_of(&self, field: &str) -> Range<usize> {
        let part = self.parts.iter().find(|part| part.name == field);
        part.map_or(0..0, |part| part.range.clone())
    }
}

/// Whether a text begins with what ties parts together, or with ports: no text does so by chance.
fn begins_with_udh(text: &[u8]) -> bool {
    let Some((udh, _)) = Udh::split(text).filter(|(udh, _)| udh.is_whole()) else {
        return false;
    };
    let mut elements = udh.elements();
    let is_ports = |element: Element<'_>| element.id == PORTS_16 && element.data.len() == 4;
    udh.concatenation().is_some_and(|of| of.total > 1) || elements.next().is_some_and(is_ports)
}

impl Part<'_> {
    /// The time in a field that has one, if it can be read; nothing where there is none.
    pub fn time(&self) -> Option<Result<Time, TimeError>> {
        match (self.name, self.value) {
            (_, Value::Text([])) => None,
            ("schedule_delivery_time" | "validity_period" | "final_date", Value::Text(text)) => {
                Some(time::parse(&String::from_utf8_lossy(text)))
            }
            ("broadcast_end_time", Value::Tlv(tlv)) => {
                Some(time::parse(&String::from_utf8_lossy(tlv.characters()?)))
            }
            _ => None,
        }
    }

    /// Times of another length are found when the PDU is written.
    fn odd_time(&self) -> Option<Flaw> {
        let is_judged = match self.value {
            Value::Text(text) => text.len() == 16,
            _ => true,
        };
        let is_odd = is_judged && matches!(self.time(), Some(Err(_)));
        is_odd.then(|| Flaw {
            kind: FlawKind::Time,
            field: self.name,
            range: self.range.clone(),
        })
    }

    /// Values of which SMPP says nothing, but that they are reserved.
    fn reserved(&self) -> Option<Flaw> {
        let value = match self.value {
            Value::Number(value) => value,
            Value::Tlv(tlv) if tlv.tag == Tag::MESSAGE_STATE => tlv.number()?,
            _ => return None,
        };
        let is_reserved = match self.name {
            "priority_flag" => value > HIGHEST_PRIORITY.into(),
            "registered_delivery" => value > REGISTERED_DELIVERY.into(),
            "replace_if_present_flag" => value > 1,
            "number_of_dests" => value == 0,
            "message_state" => {
                let state = u8::try_from(value).ok();
                state.and_then(MessageState::from_value).is_none()
            }
            _ => false,
        };
        is_reserved.then(|| Flaw {
            kind: FlawKind::Reserved(value),
            field: self.name,
            range: self.range.clone(),
        })
    }

    fn odd_length(&self) -> Option<Flaw> {
        let Value::Tlv(tlv) = self.value else {
            return None;
        };
        (!tlv.has_valid_length()).then(|| Flaw {
            kind: FlawKind::TlvLength(tlv.value.len()),
            field: self.name,
            range: self.range.clone(),
        })
    }
}

/// Reads fields strictly and notes where they are.
struct Tracer<'a, 't> {
    reader: Reader<'a>,
    anatomy: &'t mut Anatomy<'a>,
    entry: Option<(&'static str, usize)>,
}

impl<'a> Tracer<'a, '_> {
    fn noted<T: Copy>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
        value: impl FnOnce(T) -> Value<'a>,
    ) -> Result<T, DecodeError> {
        let (start, before) = (self.reader.position(), self.reader.rest);
        let found = read(&mut self.reader)?;
        let range = start..self.reader.position();
        self.anatomy.parts.push(Part {
            name,
            entry: self.entry,
            octets: before.get(..range.len()).unwrap_or_default(),
            range,
            value: value(found),
        });
        Ok(found)
    }
}

impl<'a> Source<'a> for Tracer<'a, '_> {
    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.noted(field, |r| r.u8(field), |octet| Value::Number(octet.into()))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.noted(field, |r| r.u32(field), Value::Number)
    }

    fn c_string(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        self.noted(field, |r| r.c_string(field), Value::Text)
    }

    fn loose_c_string(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        self.c_string(field)
    }

    fn loose_u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.u8(field)
    }

    fn counted(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u8("sm_length")?;
        self.noted(field, |r| r.take(field, length.into()), Value::Octets)
    }

    fn tlvs(&mut self) -> Tlvs<'a> {
        let start = self.reader.position();
        let tlvs = self.reader.tlvs();
        let (mut at, mut damaged) = (start, tlvs.octets());
        for tlv in &tlvs {
            let (octets, rest) = damaged
                .split_at_checked(4 + tlv.value.len())
                .unwrap_or_default();
            let range = at..at + octets.len();
            (at, damaged) = (range.end, rest);
            self.anatomy.parts.push(Part {
                name: tlv.tag.name().unwrap_or("tlv"),
                entry: None,
                range,
                octets,
                value: Value::Tlv(tlv),
            });
        }
        let end = at + damaged.len();
        if !damaged.is_empty() {
            let (kind, name) = match damaged {
                [tag, tag_low, high, low, value @ ..] => (
                    FlawKind::TruncatedTlvValue {
                        wanted: u16::from_be_bytes([*high, *low]).into(),
                        left: value.len(),
                    },
                    Tag(u16::from_be_bytes([*tag, *tag_low])).name(),
                ),
                _ => (FlawKind::TruncatedTlvHeader, None),
            };
            self.anatomy.flaw(kind, name.unwrap_or("tlv"), at..end);
            self.anatomy.parts.push(Part {
                name: "unread",
                entry: None,
                range: at..end,
                octets: damaged,
                value: Value::Unread,
            });
        }
        tlvs
    }

    fn undefined(&self, field: &'static str, value: u8) -> DecodeError {
        self.reader.undefined(field, value)
    }

    fn reader(&self) -> Reader<'a> {
        self.reader
    }

    fn entry(&mut self, list: &'static str) {
        let index = self.entry.map_or(0, |(_, index)| index + 1);
        self.entry = Some((list, index));
    }

    fn end_list(&mut self) {
        self.entry = None;
    }
}

#[cfg(test)]
mod tests;
