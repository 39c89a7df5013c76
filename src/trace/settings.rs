//! Settings of the trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which PDUs go to `topics.trace`, and what of them is shown there. Passwords never are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How large a share of the phones is traced, between 0.0 and 1.0. Of a phone that is, everything
    /// is: messages to it and from it, their answers, and their receipts, in all processes. PDUs that
    /// name no phone are traced in the same share, each with its answer; binds and unbinds always.
    pub sample: f64,
    /// Only these requests, by their names in SMPP (`submit_sm`, `deliver_sm`), and their answers.
    /// Empty: all.
    pub commands: Vec<String>,
    /// Whether texts are shown. If not, the octets of each text and of parameters whose meaning is
    /// not known are replaced by as many `x`; headers of texts (UDH) and the states of receipts
    /// stay. Default false.
    pub texts: bool,
    /// How phone numbers are shown: `full`, or `last4`: only their last four digits.
    pub numbers: Numbers,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sample: 0.01,
            commands: Vec::new(),
            texts: false,
            numbers: Numbers::default(),
        }
    }
}

/// How phone numbers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// As they are.
    Full,
    /// Their last four digits.
    #[default]
    Last4,
}
