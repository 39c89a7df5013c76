//! Long messages in parts (3GPP TS 23.040, 9.2.3.24.1; SMPP 3.4, 5.3.2.22).

use crate::record::keys::Position;
use crate::record::submit_sm::SubmitSm;
use crate::settings::{OnTooLong, SegmentMethod};
use crate::smpp::pdu::{Sm, UDH_INDICATOR};
use crate::smpp::segment::{self, Method};
use crate::smpp::text::Encoding;
use crate::smpp::udh::{CONCATENATION, CONCATENATION_16, Concatenation, Udh};
use crate::smpp::{Command, Status, Tag, Tlvs};

use super::content::{Body, SHORT_MESSAGE};
use super::{Defaults, Refused, parameters};

/// What becomes of a message's octets.
pub(super) enum Cut<'a> {
    /// One PDU.
    Whole {
        /// Whether they stand in message_payload.
        in_payload: bool,
    },
    /// Several.
    Parts {
        /// The octets of each.
        pieces: Vec<&'a [u8]>,
        /// What ties them together.
        method: Method,
        /// Whether the end is left out.
        truncated: bool,
    },
}

/// Decides over `text`, before which `elements` octets of information elements stand.
pub(super) fn cut<'t>(
    record: &SubmitSm<'_>,
    defaults: &Defaults,
    body: &Body,
    text: &'t [u8],
    elements: &[u8],
) -> Result<Cut<'t>, Refused> {
    let whole = || Cut::Whole {
        in_payload: body.in_payload || needs_payload(record, body, text, elements.len()),
    };
    let asked = record.segmentation.method;
    let method = match asked.unwrap_or(defaults.segmentation.method) {
        _ if body.in_payload || is_part(record, elements)? || !body.cuttable => {
            return Ok(whole());
        }
        SegmentMethod::Payload => return Ok(whole()),
        // Each part would replace the one before.
        SegmentMethod::Auto if replaces(record) => return Ok(whole()),
        SegmentMethod::Auto | SegmentMethod::Udh8 => Method::Udh8,
        SegmentMethod::Udh16 => Method::Udh16,
        SegmentMethod::Sar => Method::Sar,
    };
    let mut pieces = segment::parts(text, body.encoding, method, elements.len());
    if pieces.len() < 2 {
        return Ok(whole());
    }
    if replaces(record) {
        return Err(Refused::invalid(
            "replace_if_present_flag",
            format!(
                "replace_if_present_flag: {} needs {} parts, of which each would replace the one before: leave the flag out, or set segmentation to \"payload\"",
                body.field,
                pieces.len()
            ),
        ));
    }
    let most = record.segmentation.max_parts;
    let most = most.unwrap_or(defaults.segmentation.max_parts);
    let too_long = record.segmentation.on_too_long;
    let truncated = pieces.len() > usize::from(most);
    match too_long.unwrap_or(defaults.segmentation.on_too_long) {
        _ if !truncated => {}
        OnTooLong::Truncate => pieces.truncate(usize::from(most)),
        OnTooLong::Reject => {
            let (field, count) = (body.field, pieces.len());
            return Err(Refused::invalid(
                field,
                format!(
                    "{field} needs {count} parts, at most {most} are allowed: shorten it, or raise segmentation.max_parts"
                ),
            ));
        }
    }
    Ok(Cut::Parts {
        pieces,
        method,
        truncated,
    })
}

/// Whether one PDU carries it in message_payload because short_message is too short for it.
fn needs_payload(record: &SubmitSm<'_>, body: &Body, text: &[u8], elements: usize) -> bool {
    let header = if elements == 0 { 0 } else { 1 + elements };
    let octets = match body.encoding {
        Encoding::GsmPacked => (text.len() * 7).div_ceil(8),
        _ => text.len(),
    };
    header + octets > SHORT_MESSAGE && record.auto_message_payload != Some(false)
}

fn replaces(record: &SubmitSm<'_>) -> bool {
    record.replace_if_present_flag.unwrap_or(0) != 0
}

/// Whether the producer cut the message and this is a part of it.
fn is_part(record: &SubmitSm<'_>, elements: &[u8]) -> Result<bool, Refused> {
    let header = Udh::new(elements);
    if [CONCATENATION, CONCATENATION_16]
        .iter()
        .any(|id| header.get(*id).is_some())
    {
        return Ok(true);
    }
    for parameter in &record.tlvs {
        if parameters::tag(&parameter.tag)? == Tag::SAR_MSG_REF_NUM {
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
    /// Appends the PDU of each part.
    pub fn write(&self, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Refused> {
        let total = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
        for (part, piece) in (1..=total).zip(pieces) {
            self.write_one(total, part, piece, out)?;
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
