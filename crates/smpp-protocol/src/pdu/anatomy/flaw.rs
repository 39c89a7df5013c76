//! What can be wrong with a PDU, or odd about it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::frame::{HEADER, other_protocol};
use crate::tlv::Shape;
use crate::{Command, EncodeError, Problem, Status, Tag, octets};

/// Something wrong with a PDU, or odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What.
    pub kind: FlawKind,
    /// The field or TLV that is concerned.
    pub field: &'static str,
    /// Octets of the PDU; empty where octets are missing.
    pub range: Range<usize>,
}

/// What can be wrong with a PDU, or odd about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// Fewer than 16 octets.
    TruncatedHeader,
    /// A command_length no PDU can have: nothing of the PDU can be trusted.
    LengthBelowHeader(u32),
    /// Octets are missing that command_length counts.
    LengthBeyondOctets(u32),
    /// Octets follow that command_length does not count.
    TrailingOctets(usize),
    /// A command_id of neither SMPP 3.4 nor 5.0.
    UnknownCommand(Command),
    /// A response that reports success lacks its body.
    BodyOmitted,
    /// The same of a deliver_sm_resp, whose body says nothing.
    UnusedBodyOmitted,
    /// An answer with parameters, but without what stands before them.
    MessageIdOmitted,
    /// A field that cannot be read.
    Field(Problem),
    /// Fewer octets than a tag and a length take.
    TruncatedTlvHeader,
    /// Fewer octets than the TLV's length says.
    TruncatedTlvValue {
        /// What the length says.
        wanted: usize,
        /// What is there.
        left: usize,
    },
    /// A field that must not be sent so.
    NotAllowed(EncodeError),
    /// TLVs in a PDU that has none in SMPP 3.4.
    UnexpectedTlvs,
    /// The value has a length that the tag does not have.
    TlvLength(usize),
    /// 16 characters, but no SMPP time.
    Time,
    /// A value to which SMPP gives no meaning.
    Reserved(u32),
    /// Both short_message and message_payload.
    TwoTexts,
    /// What should tie parts together does not: there is no such part, or something is missing.
    Concatenation,
    /// The text should begin with a user data header, but does not.
    DamagedUdh,
    /// The text begins like a user data header that esm_class does not announce.
    UnannouncedUdh,
    /// A sequence_number of 0 or above 0x7FFFFFFF.
    SequenceNumber(u32),
    /// A request with a command_status.
    StatusInRequest(Status),
}

impl FlawKind {
    /// Whether a strict reader refuses the PDU.
    pub const fn is_error(self) -> bool {
        !matches!(
            self,
            FlawKind::NotAllowed(_)
                | FlawKind::UnexpectedTlvs
                | FlawKind::TlvLength(_)
                | FlawKind::Time
                | FlawKind::Reserved(_)
                | FlawKind::TwoTexts
                | FlawKind::Concatenation
                | FlawKind::DamagedUdh
                | FlawKind::UnannouncedUdh
                | FlawKind::UnusedBodyOmitted
                | FlawKind::MessageIdOmitted
                | FlawKind::SequenceNumber(_)
                | FlawKind::StatusInRequest(_)
        )
    }
}

impl Flaw {
    /// The name by which programs know it.
    pub fn code(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self.kind {
            FlawKind::TruncatedHeader => "truncated_header",
            FlawKind::LengthBelowHeader(_) => "command_length_below_16",
            FlawKind::LengthBeyondOctets(_) => "command_length_exceeds_data",
            FlawKind::TrailingOctets(_) => "trailing_bytes_after_pdu",
            FlawKind::UnknownCommand(_) => "unknown_command_id",
            FlawKind::BodyOmitted => "body_omitted_status_0",
            FlawKind::UnusedBodyOmitted => "body_omitted",
            FlawKind::MessageIdOmitted => "message_id_omitted",
            FlawKind::Field(Problem::Truncated { .. }) => {
                return Cow::Owned(format!("truncated_{}", self.field));
            }
            FlawKind::Field(Problem::Unterminated) => "unterminated_c_octet_string",
            FlawKind::Field(Problem::Undefined(_)) => {
                return Cow::Owned(format!("undefined_{}", self.field));
            }
            FlawKind::TruncatedTlvHeader => "truncated_tlv_header",
            FlawKind::TruncatedTlvValue { .. } => "truncated_tlv_value",
            FlawKind::NotAllowed(EncodeError::TooLong { .. }) => "over_length",
            FlawKind::NotAllowed(EncodeError::NotATime { .. }) | FlawKind::Time => "not_a_time",
            FlawKind::NotAllowed(_) => "not_allowed",
            FlawKind::UnexpectedTlvs => "unexpected_tlvs",
            FlawKind::TlvLength(_) => "tlv_length",
            FlawKind::Reserved(_) => "reserved_value",
            FlawKind::TwoTexts => "short_message_and_payload",
            FlawKind::Concatenation => "concatenation",
            FlawKind::DamagedUdh => "damaged_udh",
            FlawKind::UnannouncedUdh => "unannounced_udh",
            FlawKind::SequenceNumber(_) => "sequence_number_range",
            FlawKind::StatusInRequest(_) => "command_status_in_request",
        })
    }
}

/// What the octets are instead, where a length gives it away.
fn instead(length: u32) -> String {
    let other = other_protocol(&length.to_be_bytes());
    other.map_or(String::new(), |protocol| {
        format!(": this is {protocol}, not SMPP")
    })
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.kind {
            FlawKind::TruncatedHeader => write!(f, "a PDU has at least {HEADER} octets"),
            FlawKind::LengthBelowHeader(length) => write!(
                f,
                "command_length {length} is less than the {HEADER} octets of a header: the stream \
                 is out of step{}",
                instead(length)
            ),
            FlawKind::LengthBeyondOctets(length) => write!(
                f,
                "command_length {length} is more than the {} there are{}",
                octets(self.range.end),
                instead(length)
            ),
            FlawKind::TrailingOctets(1) => {
                write!(f, "1 octet follows that command_length does not count")
            }
            FlawKind::TrailingOctets(count) => {
                write!(
                    f,
                    "{count} octets follow that command_length does not count"
                )
            }
            FlawKind::UnknownCommand(command) => {
                write!(
                    f,
                    "command_id {command} is defined by neither SMPP 3.4 nor 5.0"
                )
            }
            FlawKind::BodyOmitted => write!(f, "the request succeeded, but its answer has no body"),
            FlawKind::UnusedBodyOmitted => write!(
                f,
                "there is no body, which SMPP 3.4 §4.6.2 has as one NUL; nothing is lost by it"
            ),
            FlawKind::MessageIdOmitted => write!(
                f,
                "there is no message_id, not even its NUL: the body begins with parameters"
            ),
            FlawKind::Field(problem) => write!(f, "{field}: {problem}"),
            FlawKind::TruncatedTlvHeader => {
                let are = if self.range.len() == 1 { "is" } else { "are" };
                let left = octets(self.range.len());
                write!(f, "{left} {are} left, a TLV has at least 4")
            }
            FlawKind::TruncatedTlvValue { wanted, left } => {
                let are = if left == 1 { "is" } else { "are" };
                let wanted = octets(wanted);
                write!(f, "{field}: its length says {wanted}, {left} {are} left")
            }
            FlawKind::NotAllowed(error) => write!(f, "{error}"),
            FlawKind::UnexpectedTlvs => write!(f, "SMPP 3.4 has no TLVs in this PDU"),
            FlawKind::TlvLength(length) => {
                write!(f, "{field} has {}", octets(length))?;
                match Tag::from_name(field).and_then(Tag::shape) {
                    Some(Shape::Integer(wanted)) => write!(f, ", SMPP gives it {wanted}"),
                    Some(Shape::CString(most)) => {
                        write!(f, ", SMPP gives it {most} at most, with its NUL")
                    }
                    Some(Shape::Octets(least, most)) if least == most => {
                        write!(f, ", SMPP gives it {least}")
                    }
                    Some(Shape::Octets(least, most)) => {
                        write!(f, ", SMPP gives it {least} to {most}")
                    }
                    None => Ok(()),
                }
            }
            FlawKind::Time => write!(
                f,
                "{field} is no SMPP time: YYMMDDhhmmsstnnp with nn up to 48 and p of +, - or R"
            ),
            FlawKind::Reserved(value) => write!(f, "{field}: SMPP has no meaning for {value}"),
            FlawKind::TwoTexts => write!(
                f,
                "short_message and message_payload exclude each other; short_message is read"
            ),
            FlawKind::Concatenation => write!(
                f,
                "{field} names no part of a longer message: it is beyond the last, or incomplete"
            ),
            FlawKind::DamagedUdh if field == "esm_class" => {
                write!(
                    f,
                    "esm_class announces a user data header, but there is no text"
                )
            }
            FlawKind::DamagedUdh => write!(
                f,
                "esm_class announces a user data header, but {field} does not begin with a whole \
                 one"
            ),
            FlawKind::UnannouncedUdh => write!(
                f,
                "{field} begins like a user data header, which esm_class does not announce \
                 (0x40): it is read as text"
            ),
            FlawKind::SequenceNumber(number) => {
                write!(
                    f,
                    "sequence_number 0x{number:08X} is outside 1 to 0x7FFFFFFF"
                )
            }
            FlawKind::StatusInRequest(status) => write!(f, "{status} in a request, which has none"),
        }
    }
}
