//! What is asked of a text.

use serde::Deserialize;

use crate::cli::lines::{Fault, Line};
use crate::cli::texts::{self, encoding, language};
use smpp_protocol::segment::Method;
use smpp_protocol::text::national::Language;
use smpp_protocol::text::substitute::Handling;
use smpp_protocol::text::{Encoding, Policy, Room};

pub(super) fn method(name: &str) -> Result<Method, String> {
    match name {
        "udh8" => Ok(Method::Udh8),
        "udh16" => Ok(Method::Udh16),
        "sar" => Ok(Method::Sar),
        "payload" => Ok(Method::Payload),
        _ => Err("there are udh8, udh16, sar and payload".into()),
    }
}

pub(super) fn handling(name: &str) -> Result<Handling, String> {
    Handling::from_name(name)
        .ok_or_else(|| "there are strict, ignore, replace and transliterate".into())
}

pub(super) fn name(method: Method) -> &'static str {
    match method {
        Method::Udh8 => "udh8",
        Method::Udh16 => "udh16",
        Method::Sar => "sar",
        Method::Payload => "payload",
    }
}

/// A text and what is asked of it.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub text: String,
    /// As it was named, if only one was.
    pub name: Option<String>,
    pub encodings: Vec<Encoding>,
    pub languages: Vec<Language>,
    pub method: Method,
    pub handling: Handling,
    pub single_limit: Option<usize>,
    pub part_limit: Option<usize>,
}

/// A line of `--json-input`.
#[derive(Deserialize)]
struct Object {
    text: String,
    encoding: Option<String>,
    method: Option<String>,
    ref_bits: Option<u8>,
    national: Option<Vec<String>>,
    policy: Option<String>,
    single_limit: Option<usize>,
    part_limit: Option<usize>,
}

impl Asked {
    pub fn with(&self, line: Line<'_>, json_input: bool) -> Result<Asked, Fault> {
        let mut asked = self.clone();
        let text = texts::utf8(line)?;
        if !json_input {
            asked.text = text.to_owned();
            return Ok(asked);
        }
        let object: Object = serde_json::from_str(text).map_err(|e| texts::bad_json(&e, line))?;
        let wrong = |text: String| texts::fault("wrong_value", text);
        asked.text = object.text;
        if let Some(name) = object.encoding {
            asked.encodings = vec![encoding(&name).map_err(wrong)?.encoding];
            asked.name = Some(name);
        }
        if let Some(bits) = object.ref_bits {
            asked.method = match bits {
                8 => Method::Udh8,
                16 => Method::Udh16,
                _ => return Err(wrong(format!("ref_bits: {bits} is neither 8 nor 16"))),
            };
        }
        if let Some(name) = object.method {
            asked.method = method(&name).map_err(wrong)?;
        }
        if let Some(names) = object.national {
            let all: Result<Vec<_>, _> = names.iter().map(|name| language(name)).collect();
            asked.languages = all.map_err(wrong)?.into_iter().flat_map(|l| l.0).collect();
        }
        if let Some(name) = object.policy {
            asked.handling = handling(&name).map_err(wrong)?;
        }
        asked.single_limit = object.single_limit.or(asked.single_limit);
        asked.part_limit = object.part_limit.or(asked.part_limit);
        Ok(asked)
    }

    pub fn policy(&self, elements: usize) -> Policy<'_> {
        let policy = Policy {
            encodings: &self.encodings,
            languages: &self.languages,
            method: self.method,
            elements,
            handling: self.handling,
            room: None,
        };
        let first = self.encodings.first().copied().unwrap_or_default();
        let usual = policy.room(first, Default::default());
        let octets = |units: Option<usize>| units.map(|units| units.saturating_mul(first.unit()));
        let room = Room {
            single: octets(self.single_limit).unwrap_or(usual.single),
            part: octets(self.part_limit).unwrap_or(usual.part),
        };
        Policy {
            // A limit in units fits one encoding only.
            room: (room != usual && self.encodings.len() == 1).then_some(room),
            ..policy
        }
    }

    /// Limits that are not kept.
    pub fn ignored(&self) -> Vec<Fault> {
        let limited = self.single_limit.or(self.part_limit).is_some();
        let text = "the limits count units of one encoding: name it, or they are not kept";
        let ignored = (limited && self.encodings.len() != 1)
            .then(|| texts::fault("limit_ignored", text.into()));
        ignored.into_iter().collect()
    }
}
