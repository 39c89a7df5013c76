//! A message as it passes: what is counted here and measured in benchmarks.

use std::borrow::Cow;

use jiff::Timestamp;
use kafka_smpp::record::codec::Codec;
use kafka_smpp::record::event::{About, Details, SubmitSmResp};
use kafka_smpp::record::internal::BorrowedEntry;
use kafka_smpp::record::keys::{self, Position};
use kafka_smpp::record::submit_sm::SubmitSm;

/// 158 characters, with what a campaign usually says of a message.
pub const RECORD: &str = r#"{"log_id":"campaign-17/000123456","extra_data":{"customer":4711,"tags":["a","b"]},"source":"ACME","destination":"+41791234567","short_message":"Dear customer, your parcel will arrive today between 14:00 and 15:00. Please have your identity card at hand. Track it on our site, or answer STOP to opt out.","registered_delivery":1}"#;

/// Where the n-th message stands.
pub fn position(n: u64) -> Position {
    Position {
        topic: "sms.outbound".into(),
        partition: (n % 4) as i32,
        offset: 1_000_000 + n as i64,
    }
}

/// The result of a record that stands at `position`.
pub fn event<'a>(
    record: &'a SubmitSm<'a>,
    position: &'a Position,
    at: Timestamp,
) -> SubmitSmResp<'a> {
    SubmitSmResp {
        kind: "SubmitSmResp",
        about: About {
            log_id: record.log_id.as_deref().unwrap_or_default(),
            extra_data: record.extra_data.as_deref(),
            terminal: true,
            attempt: 1,
            possible_duplicate: false,
            late: false,
            record: position,
            esme: "acme",
            bind: Some("acme-3.0"),
            source: Some("ACME"),
            destination: Some("+41791234567"),
        },
        accepted: true,
        command_status: 0,
        command_status_name: "ESME_ROK",
        message_id: "4F2A001734",
        submitted_at: at,
        responded_at: at,
        truncated: false,
        part: None,
        parts: Vec::new(),
        details: Details::default(),
    }
}

/// The SMSC's id of the n-th message.
pub fn message_id(n: u64) -> String {
    format!("{:016X}", scattered(n))
}

/// To whom the n-th message goes.
pub fn destination(n: u64) -> String {
    format!("+4179{:07}", n % 10_000_000)
}

fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The entry of the n-th message as it is written with its response: its key and its value.
pub fn entry(codec: &Codec, n: u64, submitted_at: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let (record, message_id, scattered) = (position(n), message_id(n), scattered(n));
    let log_id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        n >> 8,
        n & 0xFFFF,
        n & 0xFFF,
        scattered & 0xFFF,
        scattered >> 16
    );
    let destination = destination(n);
    let entry = BorrowedEntry {
        esme: "acme",
        message_id: &message_id,
        log_id: &log_id,
        extra_data: None,
        record: Cow::Borrowed(&record),
        part: None,
        attempt: 1,
        submitted_at,
        source: Some("ACME"),
        destination: Some(&destination),
        recipients: None,
        numbers: Cow::default(),
        lists: false,
        reference: None,
        headers: Vec::new(),
    };
    let key = keys::entry("acme", &message_id, &record, None);
    (key.into_bytes(), codec.must_write(&entry))
}
