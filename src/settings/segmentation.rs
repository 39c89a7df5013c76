//! How long texts become parts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a text that is longer than one short message is sent (3GPP TS 23.040 §9.2.3.24.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Segmentation {
    /// What ties the parts together: `udh8` (a user data header with a reference of 8 bits),
    /// `udh16` (of 16 bits), `sar` (the sar_* parameters; the SMSC writes the header), `payload`
    /// (no parts: one PDU with message_payload, which the SMSC cuts), or `auto`: `udh8`, and
    /// `payload` for what cannot be cut here.
    pub method: Method,
    /// How many parts a message may have; each is paid for. 1 to 255.
    #[schemars(range(min = 1, max = 255))]
    pub max_parts: u8,
    /// What becomes of a text that needs more parts: `reject` it, or `truncate` it to the parts
    /// allowed; its result then says `truncated`.
    pub on_too_long: OnTooLong,
}

impl Default for Segmentation {
    fn default() -> Self {
        Segmentation {
            method: Method::default(),
            max_parts: 255,
            on_too_long: OnTooLong::default(),
        }
    }
}

/// What ties the parts of a message together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// As `udh8`; as `payload` what cannot be cut here.
    #[default]
    Auto,
    /// A user data header with a reference of 8 bits.
    Udh8,
    /// A user data header with a reference of 16 bits.
    Udh16,
    /// sar_msg_ref_num, sar_total_segments and sar_segment_seqnum.
    Sar,
    /// message_payload, uncut.
    Payload,
}

impl Method {
    /// The method that people call `name`.
    pub fn from_name(name: &str) -> Option<Method> {
        Some(match name {
            "auto" => Method::Auto,
            "udh8" => Method::Udh8,
            "udh16" => Method::Udh16,
            "sar" => Method::Sar,
            "payload" => Method::Payload,
            _ => return None,
        })
    }
}

/// What becomes of a text that needs more parts than allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnTooLong {
    /// It is refused.
    #[default]
    Reject,
    /// Its end is left out.
    Truncate,
}
