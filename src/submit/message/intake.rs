//! A Kafka record becomes a job, or a refusal that says what is wrong with it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::record::codec::Unread;
use crate::record::event::SendErrorKind;
use crate::record::keys::Position;
use crate::record::outbound::{Operation, Outbound};
use crate::record::submit_sm::derived_log_id;

use crate::submit::binds::account::Account;
use crate::submit::message::outgoing::{Job, Letter, Refusal, Returned, instant};
use crate::submit::message::{self, Message as Prepared};
use crate::submit::options::Settings;
use crate::submit::state::history::History;
use crate::submit::state::segments::Parts;

/// What a fetched record comes to.
pub enum Incoming {
    /// To be sent, at once or when it is due.
    Job(Box<Job>, Option<Instant>),
    /// Not to be sent.
    Refused(Box<Refusal>),
}

/// Why a record cannot be read yet, although nothing is wrong with it: its schema is not here.
#[derive(Debug)]
pub struct NotYet(pub String);

/// Reads a record of one of the account's topics.
///
/// # Errors
///
/// When it is to be read again in a moment, before anything behind it.
pub fn read(
    account: &Account,
    settings: &Settings,
    message: &BorrowedMessage<'_>,
) -> Result<Incoming, NotYet> {
    let headers = Returned::read(message.headers());
    let readable = headers.is_some();
    let (returned, headers) = headers.unwrap_or_default();
    let mut letter = Letter {
        account: account.reference.clone(),
        topic: account.topic(message.topic()),
        partition: message.partition(),
        position: returned.origin.clone().unwrap_or_else(|| Position {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        }),
        log_id: String::new(),
        extra_data: None,
        source: None,
        destination: None,
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        truncated: false,
        operation: Operation::default(),
        message_id: None,
    };
    letter.log_id = derived_log_id(&letter.position);
    // What the headers say of it; what its partition knows of it is added by the books.
    let known = History::of_headers(&returned);
    let refusal = |letter: Letter, kind: SendErrorKind, field: Option<String>, text: String| {
        let refusal = Refusal {
            field,
            parts: returned.parts(),
            ..Refusal::new(message.offset(), Arc::new(letter), kind, text)
        };
        refusal.after(&known)
    };
    let refused = |letter: Letter, field: Option<String>, text: String| {
        Incoming::Refused(Box::new(Refusal {
            with_original: true,
            ..refusal(letter, SendErrorKind::InvalidRecord, field, text)
        }))
    };
    if account.options.lease_only {
        let text = "this topic only leases binds to connectors; its records are not sent";
        return Ok(refused(letter, None, text.into()));
    }
    if !readable {
        let text = "the name of a header is not UTF-8: write it so, or leave the header out";
        return Ok(refused(letter, Some("headers".into()), text.into()));
    }
    let Some(payload) = message.payload() else {
        let text =
            "the record has no value (a tombstone); a SubmitSm or another operation is expected";
        return Ok(refused(letter, None, text.into()));
    };
    let record = match account.options.codec.outbound(payload) {
        Ok(record) => record,
        Err(Unread::Wait(why)) => return Err(NotYet(why)),
        Err(Unread::Invalid(invalid)) => {
            letter.log_id = invalid.log_id.unwrap_or(letter.log_id);
            letter.extra_data = invalid.extra_data;
            return Ok(refused(letter, invalid.field, invalid.text));
        }
    };
    let (now, wall) = (Instant::now(), Timestamp::now());
    let prepared = message::prepare(&record, &account.options.defaults, &letter.position, wall);
    adopt(&mut letter, &record);
    Ok(match prepared {
        Ok(prepared) => job(
            letter,
            message.offset(),
            prepared,
            &returned,
            settings,
            (now, wall),
        ),
        Err(refused) => Incoming::Refused(Box::new(refusal(
            letter,
            refused.kind,
            refused.field,
            refused.text,
        ))),
    })
}

/// What events repeat of the record.
fn adopt(letter: &mut Letter, record: &Outbound<'_>) {
    let sm = &record.sm;
    if let Some(log_id) = &sm.log_id {
        letter.log_id = log_id.to_string();
    }
    letter.operation = record.operation;
    letter.message_id = record.message_id.as_ref().map(ToString::to_string);
    letter.extra_data = sm.extra_data.as_deref().map(ToOwned::to_owned);
    letter.source = sm.source.as_ref().map(|a| a.number.to_string());
    let destination = &sm.destination.number;
    letter.destination = (!destination.is_empty()).then(|| destination.to_string());
}

fn job(
    mut letter: Letter,
    offset: i64,
    prepared: Prepared,
    returned: &Returned,
    settings: &Settings,
    (now, wall): (Instant, Timestamp),
) -> Incoming {
    let at = |t: Option<Timestamp>| t.and_then(|t| instant(t, now, wall));
    let deadline = at(returned.deadline).or(at(prepared.deadline));
    let due = at(returned.not_before).filter(|due| *due > now);
    letter.truncated = prepared.truncated;
    let pdu = bytes::Bytes::from(prepared.pdu);
    let mut parts = (prepared.parts > 1).then(|| Parts::split(&pdu)).flatten();
    let known = match (&mut parts, &returned.taken) {
        (Some(parts), Some(taken)) => parts.take_header(taken),
        (_, taken) => taken.is_none(),
    };
    let job = Job {
        offset,
        letter: Arc::new(letter),
        pdu,
        parts: parts.map(Box::new),
        registered: prepared.registered,
        expires: at(prepared.expires_at),
        deadline,
        in_doubt: prepared.in_doubt.unwrap_or(settings.in_doubt),
        max_resends: prepared.max_resends.unwrap_or(settings.max_resends),
        doubts: returned.doubts,
        retries: 0,
        earlier: returned.earlier,
        held_since: None,
        requires: 0,
        // Parts that were taken and cannot be told apart from the others go out again.
        possible_duplicate: returned.possible_duplicate || returned.doubts > 0 || !known,
        submitted_at: wall,
    };
    Incoming::Job(Box::new(job), due)
}
