//! What the demo sends.

use serde_json::json;

/// The simulated SMSC refuses recipients that begin like this.
pub const UNREACHABLE: &str = "4900";

/// An outbound record.
pub struct Sample {
    /// What is special about it.
    pub about: &'static str,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its text, as it is shown.
    pub text: String,
}

const LONG: &str = "This one is longer than a single short message holds: 160 characters of the \
GSM alphabet, or 70 of anything else. It goes over in one piece here, because SMPP has a \
parameter for long texts, and comes back with one response and one receipt, like the others.";

/// The first `count` messages: one of each kind, then numbered ones.
pub fn samples(count: u32) -> Vec<Sample> {
    let special = [
        Sample::text("plain", "491701000001", "Hello from kafka-smpp!"),
        Sample::text("Cyrillic", "79161000002", "Привет! Это UCS-2."),
        Sample::text("emoji", "447701000003", "On my way 🚀"),
        Sample::text("long", "33601000004", LONG),
        Sample {
            about: "bad: no recipient",
            key: "bad".into(),
            value: json!({ "log_id": "demo-bad", "short_message": "To nobody" }).to_string(),
            text: "To nobody".into(),
        },
        Sample::text(
            "refused by the SMSC",
            "490000000005",
            "To a number that does not exist",
        ),
    ];
    let first = special.into_iter().take(count as usize);
    first.chain((6..count).map(Sample::number)).collect()
}

impl Sample {
    fn text(about: &'static str, to: &str, text: &str) -> Sample {
        let log_id = format!("demo-{}", about.split(' ').next().unwrap_or(about));
        Sample::with(about, log_id, to, text)
    }

    /// The `n`th message.
    pub fn number(n: u32) -> Sample {
        let to = format!("49170{n:07}");
        Sample::with("", format!("demo-{n}"), &to, &format!("Message number {n}"))
    }

    fn with(about: &'static str, log_id: String, to: &str, text: &str) -> Sample {
        let value = json!({
            "log_id": log_id,
            "destination": to,
            "short_message": text,
            "registered_delivery": 1,
            "extra_data": { "order": log_id },
        });
        Sample {
            about,
            key: to.to_owned(),
            value: value.to_string(),
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::json::submit_sm;

    #[test]
    fn all_can_be_read_and_all_but_the_bad_one_have_a_recipient() {
        for sample in samples(20) {
            let read = submit_sm(sample.value.as_bytes()).unwrap();
            assert_eq!(
                read.destination.number.is_empty(),
                sample.key == "bad",
                "{read:?}"
            );
        }
        assert_eq!(samples(20).len(), 20);
        assert_eq!(samples(2).len(), 2);
    }
}
