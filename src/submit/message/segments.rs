//! Long messages in parts (3GPP TS 23.040, 9.2.3.24.1; SMPP 3.4, 5.3.2.22).

use crate::record::keys::Position;
use crate::record::submit_sm::SubmitSm;
use crate::settings::{OnTooLong, SegmentMethod};
use smpp_protocol::pdu::{Sm, UDH_INDICATOR};
use smpp_protocol::segment::{self, Method, Room};
use smpp_protocol::text::Encoding;
use smpp_protocol::udh::{CONCATENATION, CONCATENATION_16, Concatenation, Udh};
use smpp_protocol::{Command, Status, Tag, Tlvs};

use super::content::{Body, SHORT_MESSAGE};
use super::{Defaults, Refused, parameters};

/// What ties the parts of a message together that may be cut, `elements` being in its header.
pub(super) fn method(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    elements: &[u8],
) -> Result<Method, Refused> {
    Ok(if is_part(record, defaults, elements)? {
        Method::Payload
    } else {
        asked(record, defaults)
    })
}

/// What ties parts together by the wish of record and ESME.
fn asked(record: &SubmitSm<'_>, defaults: &Defaults) -> Method {
    let asked = record.segmentation.method;
    match asked.unwrap_or(defaults.segmentation.method) {
        SegmentMethod::Payload => Method::Payload,
        // Each part would replace the one before.
        SegmentMethod::Auto if replaces(record) => Method::Payload,
        SegmentMethod::Auto | SegmentMethod::Udh8 => Method::Udh8,
        SegmentMethod::Udh16 => Method::Udh16,
        SegmentMethod::Sar => Method::Sar,
    }
}

/// Checks how many parts there are, and leaves those beyond the allowed out if that is wanted.
/// Returns whether that was so.
pub(super) fn limit(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    text: &[u8],
    elements: usize,
    body: &mut Body,
) -> Result<bool, Refused> {
    let (field, count) = (body.field, body.ends.len());
    if count > 1 && replaces(record) {
        return Err(Refused::invalid(
            "replace_if_present_flag",
            format!(
                "replace_if_present_flag: {field} needs {count} parts, of which each would replace the one before: leave the flag out, or set segmentation to \"payload\""
            ),
        ));
    }
    let most = record.segmentation.max_parts;
    let most = most.unwrap_or(defaults.segmentation.max_parts);
    if count <= usize::from(most) {
        return Ok(false);
    }
    let too_long = record.segmentation.on_too_long;
    match too_long.unwrap_or(defaults.segmentation.on_too_long) {
        OnTooLong::Truncate => {
            body.ends.truncate(usize::from(most));
            if most == 1 {
                body.ends = vec![alone(text, elements, body)];
            }
            Ok(true)
        }
        OnTooLong::Reject => {
            let or = match usize::from(most) {
                segment::MAX_PARTS => "set segmentation to \"payload\"",
                _ => "raise segmentation.max_parts",
            };
            Err(Refused::invalid(
                field,
                format!(
                    "{field} needs {count} parts, at most {most} are allowed: shorten it, or {or}"
                ),
            ))
        }
    }
}

/// How much of the text fits into one part that has no others beside it.
fn alone(text: &[u8], elements: usize, body: &Body) -> usize {
    let first = body.ends.first().copied().unwrap_or_default();
    if body.encoding == Encoding::Iso2022Jp {
        // Only the parts that were made of it end where its escape sequences do.
        return first;
    }
    let room = Room::of(body.encoding, body.method, elements).single;
    let mut pieces = segment::split(text, body.encoding, room);
    pieces.next().map_or(first, <[u8]>::len)
}

/// Whether one PDU carries it in message_payload: what is more than one short message if the SMSC
/// is to cut it, else what is too long for short_message.
pub(super) fn needs_payload(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    body: &Body,
    text: usize,
    elements: usize,
    user_data: usize,
) -> bool {
    let too_long = match asked(record, defaults) {
        Method::Payload => text > segment::capacity(body.encoding, elements),
        _ => user_data > SHORT_MESSAGE,
    };
    let may = record.auto_message_payload != Some(false) && defaults.version.has_parameters();
    body.in_payload || too_long && may
}

fn replaces(record: &SubmitSm<'_>) -> bool {
    record.replace_if_present_flag.unwrap_or(0) != 0
}

/// Whether the producer cut the message and this is a part of it.
fn is_part(record: &SubmitSm<'_>, defaults: &Defaults, elements: &[u8]) -> Result<bool, Refused> {
    let header = Udh::new(elements);
    if [CONCATENATION, CONCATENATION_16]
        .iter()
        .any(|id| header.get(*id).is_some())
    {
        return Ok(true);
    }
    for parameter in &record.tlvs {
        if parameters::tag(&parameter.tag, &defaults.dialect.names)? == Tag::SAR_MSG_REF_NUM {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The reference that ties the parts of the message that first stood at `position` together.
///
/// A phone puts parts together by sender, reference and count, so two long messages to one
/// recipient that are under way at the same time must differ in it. There is no counter that
/// processes could share, so it derives from what they all know: the record's offset, shifted by
/// a hash of topic, partition and recipient. Of one partition, where a key puts all messages to
/// a recipient, 256 records in a row (65,536 with 16 bits) differ for certain; of different
/// partitions, with a chance of 255 in 256. The same record always gets the same reference, so
/// that parts sent again after a crash complete those the phone has instead of beginning anew.
pub fn reference(position: &Position, destination: &[u8]) -> u16 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(position.topic.as_bytes());
    hash.update(&position.partition.to_be_bytes());
    hash.update(destination);
    let shift = i64::from(hash.finalize());
    // The lowest bits count.
    shift.wrapping_add(position.offset) as u16
}

/// What all parts have in common.
pub(super) struct Writing<'a> {
    pub sm: Sm<'a>,
    pub method: Method,
    pub reference: u16,
    /// Information elements of the producer.
    pub elements: &'a [u8],
    /// Parameters of the producer.
    pub parameters: &'a [u8],
    pub encoding: Encoding,
}

impl Writing<'_> {
    /// Appends the PDU of each part of `text`.
    pub fn write(&self, text: &[u8], ends: &[usize], out: &mut Vec<u8>) -> Result<(), Refused> {
        let total = u8::try_from(ends.len()).unwrap_or(u8::MAX);
        let mut begin = 0;
        for (part, &end) in (1..=total).zip(ends) {
            let piece = text.get(begin..end).unwrap_or_default();
            self.write_one(total, part, piece, out)?;
            begin = end;
        }
        Ok(())
    }

    fn write_one(
        &self,
        total: u8,
        part: u8,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let wide = self.method == Method::Udh16;
        let concatenation = Concatenation {
            // A header of 8 bits takes the low octet; the parameter has room for both.
            reference: self.reference,
            wide,
            total,
            part,
        };
        let mut elements = Vec::with_capacity(self.elements.len() + 6);
        let mut parameters = self.parameters.to_vec();
        if self.method.writes_header() {
            concatenation.push_element(&mut elements);
        } else {
            concatenation
                .push_sar(&mut parameters)
                .map_err(|e| Refused::not_smpp(&e))?;
        }
        elements.extend_from_slice(self.elements);
        let mut user_data = Vec::with_capacity(160);
        segment::push_user_data(&elements, piece, self.encoding, &mut user_data)
            .map_err(|e| Refused::not_smpp(&e))?;
        let header = if elements.is_empty() {
            0
        } else {
            UDH_INDICATOR
        };
        let sm = Sm {
            esm_class: self.sm.esm_class | header,
            short_message: &user_data,
            tlvs: Tlvs::new(&parameters),
            ..self.sm
        };
        sm.encode(Command::SUBMIT_SM, Status::ROK, 0, out)
            .map_err(|e| Refused::not_smpp(&e))
    }
}
