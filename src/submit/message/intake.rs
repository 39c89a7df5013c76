//! A Kafka record becomes an outgoing message, or a rejection that says what is wrong with it.

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
use crate::submit::message::outgoing::{Outgoing, RecordContext, Rejection, Returned, instant};
use crate::submit::message::{self, Message as Prepared};
use crate::submit::options::Settings;
use crate::submit::state::history::History;
use crate::submit::state::pending::{Recipients, reference_of};
use crate::submit::state::segments::Segments;

/// What a fetched record comes to.
pub enum Incoming {
    /// To be sent, at once or when it is due.
    Message(Box<Outgoing>, Option<Instant>),
    /// Not to be sent.
    Rejected(Box<Rejection>),
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
    let mut context = RecordContext {
        account: account.reference.clone(),
        topic: account.topic(message.topic()),
        partition: message.partition(),
        position: returned.origin.clone().unwrap_or_else(|| Position {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        }),
        // Of one that was put back this is not when its producer appended it.
        appended: (returned.origin.is_none())
            .then(|| message.timestamp().to_millis())
            .flatten()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok()),
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
    context.log_id = derived_log_id(&context.position);
    // What the headers say of it; what its partition knows of it is added by the pipeline.
    let known = History::of_headers(&returned);
    let rejection =
        |context: RecordContext, kind: SendErrorKind, field: Option<String>, text: String| {
            let rejection = Rejection {
                field,
                segments: returned.segments(),
                ..Rejection::new(message.offset(), Arc::new(context), kind, text)
            };
            rejection.after(&known)
        };
    let refused = |context: RecordContext, field: Option<String>, text: String| {
        Incoming::Rejected(Box::new(Rejection {
            with_original: true,
            ..rejection(context, SendErrorKind::InvalidRecord, field, text)
        }))
    };
    if account.options.lease_only {
        let text = "this topic only leases binds to connectors; its records are not sent";
        return Ok(refused(context, None, text.into()));
    }
    if !readable {
        let text = "the name of a header is not UTF-8: write it so, or leave the header out";
        return Ok(refused(context, Some("headers".into()), text.into()));
    }
    let Some(payload) = message.payload() else {
        let text =
            "the record has no value (a tombstone); a SubmitSm or another operation is expected";
        return Ok(refused(context, None, text.into()));
    };
    let record = match account.options.codec.outbound(payload) {
        Ok(record) => record,
        Err(Unread::Wait(why)) => return Err(NotYet(why)),
        Err(Unread::Invalid(invalid)) => {
            context.log_id = invalid.log_id.unwrap_or(context.log_id);
            context.extra_data = invalid.extra_data;
            return Ok(refused(context, invalid.field, invalid.text));
        }
    };
    let (now, wall) = (Instant::now(), Timestamp::now());
    let prepared = message::prepare(&record, &account.options.defaults, &context.position, wall);
    adopt(&mut context, &record);
    Ok(match prepared {
        Ok(prepared) => outgoing(
            context,
            message.offset(),
            prepared,
            &returned,
            settings,
            (now, wall),
        ),
        Err(refused) => Incoming::Rejected(Box::new(rejection(
            context,
            refused.kind,
            refused.field,
            refused.text,
        ))),
    })
}

/// What events repeat of the record.
fn adopt(context: &mut RecordContext, record: &Outbound<'_>) {
    let sm = &record.sm;
    if let Some(log_id) = &sm.log_id {
        context.log_id = log_id.to_string();
    }
    context.operation = record.operation;
    context.message_id = record.message_id.as_ref().map(ToString::to_string);
    context.extra_data = sm.extra_data.as_deref().map(ToOwned::to_owned);
    context.source = sm.source.as_ref().map(|a| a.number.to_string());
    let destination = &sm.destination.number;
    context.destination = (!destination.is_empty()).then(|| destination.to_string());
}

fn outgoing(
    mut context: RecordContext,
    offset: i64,
    prepared: Prepared,
    returned: &Returned,
    settings: &Settings,
    (now, wall): (Instant, Timestamp),
) -> Incoming {
    let at = |t: Option<Timestamp>| t.and_then(|t| instant(t, now, wall));
    let deadline = at(returned.deadline).or(at(prepared.deadline));
    let due = at(returned.not_before).filter(|due| *due > now);
    context.truncated = prepared.truncated;
    let pdu = bytes::Bytes::from(prepared.pdu);
    let mut segments = (prepared.parts > 1)
        .then(|| Segments::split(&pdu))
        .flatten();
    let known = match (&mut segments, &returned.taken) {
        (Some(segments), Some(taken)) => segments.take_header(taken),
        (_, taken) => taken.is_none(),
    };
    // Every answer needs them: they are read here, and not under the lock of the pipeline.
    let (recipients, reference) = if prepared.registered {
        (Recipients::of(&pdu), reference_of(&pdu))
    } else {
        (None, None)
    };
    let outgoing = Outgoing {
        offset,
        context: Arc::new(context),
        pdu,
        segments: segments.map(Box::new),
        registered: prepared.registered,
        recipients,
        reference,
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
    Incoming::Message(Box::new(outgoing), due)
}
