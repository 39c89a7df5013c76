//! What a receipt says, as far as it must be known to publish it.

use crate::smpp::{Frame, Pdu, Tag, Tlvs};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u8);

const STATES: [(&str, &str); 9] = [
    ("ENROUTE", "ENROUTE"),
    ("DELIVRD", "DELIVERED"),
    ("EXPIRED", "EXPIRED"),
    ("DELETED", "DELETED"),
    ("UNDELIV", "UNDELIVERABLE"),
    ("ACCEPTD", "ACCEPTED"),
    ("UNKNOWN", "UNKNOWN"),
    ("REJECTD", "REJECTED"),
    ("SKIPPED", "SKIPPED"),
];

impl State {
    pub(super) fn is_final(self) -> bool {
        !matches!(self.0, 0 | 1 | 6 | 7)
    }

    pub(super) fn name(self) -> &'static str {
        STATES
            .get(usize::from(self.0).wrapping_sub(1))
            .map_or("UNKNOWN", |s| s.1)
    }
}

#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) text: &'a [u8],
    pub(super) source: &'a [u8],
    pub(super) destination: &'a [u8],
    pub(super) tlvs: Tlvs<'a>,
}

impl<'a> Said<'a> {
    pub(super) fn of(pdu: &'a [u8]) -> Said<'a> {
        match Frame::decode(pdu).and_then(Pdu::read) {
            Ok(Pdu::DeliverSm(sm)) => Said {
                text: sm.text_octets(),
                source: sm.source.number,
                destination: sm.destination.number,
                tlvs: sm.tlvs,
            },
            Ok(Pdu::DataSm(sm)) => Said {
                text: sm.text_octets(),
                source: sm.source.number,
                destination: sm.destination.number,
                tlvs: sm.tlvs,
            },
            _ => Said::default(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        let text = std::str::from_utf8(self.text).ok()?;
        let (_, rest) = text.split_once(&format!("{name}:"))?;
        rest.split(' ').next()
    }

    pub(super) fn state(&self) -> State {
        if let Some([state]) = self.tlvs.get(Tag::MESSAGE_STATE) {
            return State(*state);
        }
        let stat = self.field("stat").unwrap_or_default();
        let index = STATES.iter().position(|s| s.0 == stat);
        State(index.map_or(7, |i| i as u8 + 1))
    }
}
