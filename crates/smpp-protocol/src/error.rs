//! What can be wrong with a PDU.

use super::status::Status;

/// A PDU that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} at octet {position}: {problem}")]
pub struct DecodeError {
    /// The field's name in the specification.
    pub field: &'static str,
    /// The octet of the PDU at which the field begins; the header is 0 to 15.
    pub position: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The PDU ends before the field does.
    #[error("{} wanted, {left} left in the PDU", octets(*wanted))]
    Truncated {
        /// Octets the field needs.
        wanted: usize,
        /// Octets left before the PDU's end.
        left: usize,
    },
    /// A C-octet string without its NUL.
    #[error("no NUL before the PDU's end")]
    Unterminated,
    /// A value that the field does not have.
    #[error("value {0} is not defined")]
    Undefined(u32),
}

/// A number of octets as error messages say it: `1 octet`, `2 octets`.
pub fn octets(count: usize) -> String {
    match count {
        1 => "1 octet".into(),
        _ => format!("{count} octets"),
    }
}

impl DecodeError {
    /// The command_status with which to answer such a request.
    pub fn status(&self) -> Status {
        match (self.field, self.problem) {
            ("short_message", _) => Status::RINVMSGLEN,
            ("dest_flag", Problem::Undefined(_)) => Status::RINVDESTFLAG,
            (_, Problem::Undefined(_)) => Status::RINVOPTPARAMVAL,
            _ => Status::RINVCMDLEN,
        }
    }
}

/// A PDU that must not be sent, because SMPP does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than the specification allows.
    #[error("{field} has {}, at most {limit} are allowed", octets(*length))]
    TooLong {
        /// The field's name in the specification.
        field: &'static str,
        /// Its length, the closing NUL not counted.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A NUL inside a C-octet string would end it early.
    #[error("{field} contains a NUL at octet {index}, which SMPP cannot carry there: remove it")]
    Nul {
        /// The field's name in the specification.
        field: &'static str,
        /// Where in the value.
        index: usize,
    },
    /// SMPP times are empty or have 16 characters.
    #[error("{field} has {}, an SMPP time has 16 or none", octets(*length))]
    NotATime {
        /// The field's name in the specification.
        field: &'static str,
        /// Its length.
        length: usize,
    },
    /// A region of TLVs that does not consist of whole TLVs.
    #[error("the TLVs are damaged: {0}")]
    Tlvs(#[from] DecodeError),
}
