//! Events as CloudEvents 1.0, in the binary mode of its Kafka binding: what an event is about
//! stands in headers, its value stays as it is.

use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::message::{Header, Headers, OwnedHeaders};

use crate::record::format::Format;

/// What the headers begin with that hold its attributes.
const PREFIX: &str = "ce_";
/// The header of the media type.
const CONTENT_TYPE: &str = "content-type";

/// Whether and how events say what they are. The default is that they do not.
#[derive(Clone, Debug, Default)]
pub struct CloudEvents {
    /// The context in which they happened, if they say it.
    source: Option<Arc<str>>,
}

/// What an event is.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// Its type: the name of its record.
    pub name: &'a str,
    /// What tells it from all others of its source, the same whenever the event is made.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What it is about: a log id, or an address.
    pub subject: &'a str,
}

impl CloudEvents {
    /// Events that do not say what they are.
    pub const OFF: CloudEvents = CloudEvents { source: None };

    /// Events that say what they are, with this `source`.
    pub fn of(source: &str) -> Self {
        CloudEvents {
            source: Some(source.into()),
        }
    }

    /// The headers of an event, with those that came with its record. A record that is a
    /// CloudEvent itself is another event: what says so does not travel on.
    pub fn headers<'a>(
        &self,
        travelling: Option<OwnedHeaders>,
        format: Format,
        about: impl FnOnce() -> About<'a>,
    ) -> Option<OwnedHeaders> {
        let Some(source) = &self.source else {
            return travelling;
        };
        let About {
            name,
            id,
            time,
            subject,
        } = about();
        let name = format!("kafka-smpp.{name}");
        let time = time.to_string();
        let told = [
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_source", source),
            ("ce_type", &name),
            ("ce_time", &time),
            ("ce_subject", subject),
            (CONTENT_TYPE, media_type(format)),
        ];
        let travelling = travelling.map(|t| without(&t)).unwrap_or_default();
        let some = told.iter().filter(|(_, value)| !value.is_empty());
        Some(some.fold(travelling, |all, (key, value)| {
            all.insert(Header {
                key,
                value: Some(*value),
            })
        }))
    }
}

/// The media type of an event's value.
fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json | Format::JsonSchema | Format::Aiosmpplib => "application/json",
        Format::Avro | Format::AvroSingleObject => "application/avro",
        Format::Cbor => "application/cbor",
    }
}

/// Headers without those that make a CloudEvent of a record. Extensions stay, such as those of
/// a trace.
pub fn without(headers: &OwnedHeaders) -> OwnedHeaders {
    let is_other = |header: &Header<'_, &[u8]>| !is_one(header.key);
    let others = headers.iter().filter(is_other);
    others.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

/// Only those headers.
pub fn only(headers: &OwnedHeaders) -> Option<OwnedHeaders> {
    let own = headers.iter().filter(|header| is_one(header.key));
    let own = own.fold(OwnedHeaders::new(), OwnedHeaders::insert);
    (own.count() > 0).then_some(own)
}

fn is_one(key: &str) -> bool {
    const ATTRIBUTES: [&str; 7] = [
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "subject",
        "dataschema",
    ];
    key.eq_ignore_ascii_case(CONTENT_TYPE)
        || key
            .strip_prefix(PREFIX)
            .is_some_and(|name| ATTRIBUTES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About<'static> {
        About {
            name: "SubmitSmResp",
            id: "sms.outbound:3:1042/1".into(),
            time: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            subject: "order-7",
        }
    }

    fn header<'h>(headers: &'h OwnedHeaders, key: &str) -> Vec<&'h str> {
        let of = headers.iter().filter(|h| h.key == key);
        of.map(|h| std::str::from_utf8(h.value.unwrap()).unwrap())
            .collect()
    }

    fn travelling() -> OwnedHeaders {
        let pairs = [
            ("traceparent", "00-1"),
            ("ce_id", "theirs"),
            ("ce_sampledrate", "7"),
            ("content-type", "text/plain"),
        ];
        pairs.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header {
                key,
                value: Some(*value),
            })
        })
    }

    #[test]
    fn an_event_says_what_it_is_once() {
        let events = CloudEvents::of("/kafka-smpp/sms");
        let headers = events
            .headers(Some(travelling()), Format::Json, about)
            .unwrap();
        for (key, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", "sms.outbound:3:1042/1"),
            ("ce_source", "/kafka-smpp/sms"),
            ("ce_type", "kafka-smpp.SubmitSmResp"),
            ("ce_time", "2026-01-02T03:04:05.5Z"),
            ("ce_subject", "order-7"),
            ("content-type", "application/json"),
            ("traceparent", "00-1"),
            ("ce_sampledrate", "7"),
        ] {
            assert_eq!(header(&headers, key), [value], "{key}");
        }
        let own = only(&headers).unwrap();
        assert_eq!(own.count(), 7, "a reduced event keeps these alone");
    }

    #[test]
    fn without_the_setting_nothing_changes() {
        let events = CloudEvents::default();
        assert!(events.headers(None, Format::Json, about).is_none());
        let same = events.headers(Some(travelling()), Format::Json, about);
        assert_eq!(same.unwrap().count(), 4);
    }
}
