//! What happened, for those who count from outside.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use super::account::Mode;
use smpp_protocol::{MessageState, Status};

/// One line of the journal file. A line is in the file before the PDU it is about is answered.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry<'a> {
    /// A bind was granted.
    Bound {
        /// When.
        at: Timestamp,
        /// Number of the session, from 1.
        session: u64,
        /// system_id.
        account: &'a str,
        /// What the session may do.
        mode: Mode,
        /// Address of the ESME.
        peer: &'a str,
    },
    /// A bound session ended.
    Closed {
        /// When.
        at: Timestamp,
        /// Number of the session.
        session: u64,
        /// system_id.
        account: &'a str,
        /// Whether after an unbind.
        unbound: bool,
    },
    /// A submit_sm was accepted.
    Accepted(&'a Accepted),
    /// A submit_sm was refused, or neither accepted nor answered.
    Rejected {
        /// When.
        at: Timestamp,
        /// Number of the session.
        session: u64,
        /// system_id of the bind; empty before it.
        account: &'a str,
        /// sequence_number of the submit_sm.
        sequence: u32,
        /// command_status of the answer; none if there is no answer.
        #[serde(serialize_with = "as_shown_or_none")]
        status: Option<Status>,
        /// destination_addr; empty if the PDU cannot be read.
        destination: &'a str,
    },
    /// A receipt was acknowledged with ESME_ROK.
    Receipt {
        /// When.
        at: Timestamp,
        /// Number of the session.
        session: u64,
        /// system_id.
        account: &'a str,
        /// The message's id as in submit_sm_resp.
        message_id: &'a str,
        /// What the receipt said, as in its text.
        #[serde(serialize_with = "as_stat")]
        state: MessageState,
        /// How often it had been sent.
        tries: u32,
    },
    /// An inbound message was acknowledged with ESME_ROK.
    Inbound {
        /// When.
        at: Timestamp,
        /// Number of the session.
        session: u64,
        /// system_id.
        account: &'a str,
        /// Number of the inbound message, from 1.
        number: u64,
        /// How often it had been sent.
        tries: u32,
    },
    /// A deliver_sm was answered with an error, or not in time.
    Refused {
        /// When.
        at: Timestamp,
        /// Number of the session.
        session: u64,
        /// system_id.
        account: &'a str,
        /// The receipt's message as in submit_sm_resp, empty for an inbound message.
        message_id: &'a str,
        /// Number of the inbound message; none for a receipt.
        number: Option<u64>,
        /// command_status of the answer; none if it was not answered in time.
        #[serde(serialize_with = "as_shown_or_none")]
        status: Option<Status>,
        /// How often it had been sent.
        tries: u32,
        /// Whether it will be offered again.
        again: bool,
    },
}

/// An accepted submit_sm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// When.
    pub at: Timestamp,
    /// Number of the session.
    pub session: u64,
    /// system_id of the bind.
    pub account: String,
    /// sequence_number of the submit_sm.
    pub sequence: u32,
    /// The id given to it in the response.
    pub message_id: String,
    /// When the response is due; none: it never comes.
    pub response_due: Option<Timestamp>,
    /// source_addr.
    pub source: String,
    /// destination_addr.
    pub destination: String,
    /// esm_class.
    pub esm_class: u8,
    /// data_coding.
    pub data_coding: u8,
    /// registered_delivery.
    pub registered_delivery: u8,
    /// TLV user_message_reference.
    pub user_message_reference: Option<u16>,
    /// The message without its user data header, as far as it can be read: UTF-16 for data_coding
    /// 8, else one character an octet.
    pub text: String,
    /// short_message or message_payload, octet for octet; hexadecimal in the file.
    #[serde(serialize_with = "as_hex")]
    pub octets: Vec<u8>,
}

fn as_hex<S: serde::Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&HEXLOWER.encode_display(octets))
}

fn as_stat<S: serde::Serializer>(state: &MessageState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.stat())
}

fn as_shown_or_none<S: serde::Serializer>(
    status: &Option<Status>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match status {
        Some(status) => serializer.collect_str(status),
        None => serializer.serialize_none(),
    }
}

/// A message as far as it can be read, see [`Accepted::text`].
pub(super) fn readable(octets: &[u8], esm_class: u8, data_coding: u8) -> String {
    let body = match octets.split_first() {
        Some((length, rest)) if esm_class & 0x40 != 0 => {
            rest.get(usize::from(*length)..).unwrap_or_default()
        }
        _ => octets,
    };
    if data_coding != 8 {
        return body.iter().copied().map(char::from).collect();
    }
    let units = body
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The journal of all sessions: the last messages in memory, everything in the file.
pub(super) struct Journal {
    file: Option<Mutex<File>>,
    kept: Mutex<VecDeque<Accepted>>,
    limit: usize,
}

/// What one session has to say since it last did; kept together so that a batch of PDUs costs one
/// write.
#[derive(Default)]
pub(super) struct Page {
    lines: Vec<u8>,
    accepted: Vec<Accepted>,
}

impl Journal {
    pub(super) fn open(path: Option<&Path>, limit: usize) -> io::Result<Self> {
        let append = |path| OpenOptions::new().create(true).append(true).open(path);
        Ok(Journal {
            file: path.map(append).transpose()?.map(Mutex::new),
            kept: Mutex::default(),
            limit,
        })
    }

    /// Whether anybody wants to know about accepted messages.
    pub(super) fn listens(&self) -> bool {
        self.file.is_some() || self.limit > 0
    }

    pub(super) fn note(&self, page: &mut Page, entry: &Entry<'_>) {
        if self.file.is_some() && serde_json::to_writer(&mut page.lines, entry).is_ok() {
            page.lines.push(b'\n');
        }
    }

    pub(super) fn accept(&self, page: &mut Page, accepted: Accepted) {
        self.note(page, &Entry::Accepted(&accepted));
        if self.limit > 0 {
            page.accepted.push(accepted);
        }
    }

    /// Gives the page's lines to the kernel, so that they outlive this process.
    pub(super) fn write(&self, page: &mut Page) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| !page.lines.is_empty()) {
            file.lock().write_all(&page.lines)?;
            page.lines.clear();
        }
        if !page.accepted.is_empty() {
            let mut kept = self.kept.lock();
            kept.extend(page.accepted.drain(..));
            let beyond = kept.len().saturating_sub(self.limit);
            kept.drain(..beyond);
        }
        Ok(())
    }

    pub(super) fn kept(&self) -> Vec<Accepted> {
        self.kept.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(n: u32) -> Accepted {
        Accepted {
            at: Timestamp::UNIX_EPOCH,
            session: 1,
            account: "a".into(),
            sequence: n,
            message_id: format!("{n:x}"),
            response_due: Timestamp::from_millisecond(50).ok(),
            source: "ACME".into(),
            destination: "4479".into(),
            esm_class: 0,
            data_coding: 0,
            registered_delivery: 1,
            user_message_reference: Some(7),
            text: "hi".into(),
            octets: b"hi".to_vec(),
        }
    }

    #[test]
    fn lines_are_in_the_file_once_the_page_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(Some(&path), 0).unwrap();
        let mut page = Page::default();
        journal.accept(&mut page, accepted(10));
        let refused = Entry::Refused {
            at: Timestamp::UNIX_EPOCH,
            session: 1,
            account: "a",
            message_id: "a",
            number: None,
            status: Some(Status::RX_T_APPN),
            tries: 2,
            again: true,
        };
        journal.note(&mut page, &refused);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        journal.write(&mut page).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"event\":\"accepted\",\"at\":\"1970-01-01T00:00:00Z\",\"session\":1,\"account\":\"a\",\
             \"sequence\":10,\"message_id\":\"a\",\
             \"response_due\":\"1970-01-01T00:00:00.05Z\",\
             \"source\":\"ACME\",\"destination\":\"4479\",\
             \"esm_class\":0,\"data_coding\":0,\"registered_delivery\":1,\
             \"user_message_reference\":7,\"text\":\"hi\",\"octets\":\"6869\"}\n\
             {\"event\":\"refused\",\"at\":\"1970-01-01T00:00:00Z\",\"session\":1,\"account\":\"a\",\
             \"message_id\":\"a\",\"number\":null,\"status\":\"ESME_RX_T_APPN\",\"tries\":2,\
             \"again\":true}\n"
        );
        assert_eq!(journal.kept(), []);
    }

    #[test]
    fn memory_keeps_the_last_messages() {
        let journal = Journal::open(None, 2).unwrap();
        let mut page = Page::default();
        (1..=3).for_each(|n| journal.accept(&mut page, accepted(n)));
        journal.write(&mut page).unwrap();
        assert_eq!(journal.kept(), [accepted(2), accepted(3)]);
    }

    #[test]
    fn messages_are_read_without_their_header() {
        assert_eq!(readable(b"hi", 0, 0), "hi");
        assert_eq!(readable(b"\x05\x00\x03\x01\x02\x01hi", 0x40, 0), "hi");
        assert_eq!(readable(&[0x04, 0x1f, 0x04, 0x40], 0, 8), "Пр");
        assert_eq!(readable(b"\x05", 0x40, 0), "");
        assert_eq!(readable(b"", 0x40, 8), "");
    }
}
