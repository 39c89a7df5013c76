//! What a session does with each PDU of the SMSC.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::time::Instant;

use super::channel::{Responder, Response};
use super::client::{Answer, Notice, Outcome};
use super::flow::Signal;
use super::session::{End, Phase, Session};
use super::window::Matched;
use smpp_protocol::frame::{HEADER, Header};
use smpp_protocol::pdu::Outbind;
use smpp_protocol::tlv::{Tag, Tlvs};
use smpp_protocol::{Command, Status};

impl Session {
    /// Serves the whole PDUs that were read.
    pub(super) fn serve(&mut self, now: Instant) -> Result<(), End> {
        let mut input = std::mem::take(&mut self.input);
        let received = SystemTime::now();
        let (mut pdus, mut answered) = (0, 0);
        let served = loop {
            match input.next() {
                Ok(None) => break Ok(()),
                Ok(Some((header, pdu))) => {
                    pdus += 1;
                    match self.pdu(header, pdu, received, now) {
                        Ok(freed) => answered += usize::from(freed),
                        Err(end) => break Err(end),
                    }
                }
                Err(impossible) => {
                    let (nack, status) = (Command::GENERIC_NACK, Status::RINVCMDLEN);
                    self.push_empty(nack, status, 0);
                    self.leave(impossible.into(), now);
                    break Ok(());
                }
            }
        };
        self.clock.partial = match self.clock.partial {
            _ if !input.is_partial() => None,
            Some(since) if pdus == 0 => Some(since),
            _ => Some(now),
        };
        self.input = input;
        if pdus > 0 {
            self.clock.heard = now;
            self.clock.enquired = None;
        }
        if answered > 0 || self.trust_has_changed() {
            self.regulate(now);
        }
        self.channel.release(answered);
        self.shared.counters.pdus_in.add(pdus);
        self.shared.counters.answered.add(answered);
        served
    }

    /// Serves one PDU; true when a place in the window became free by it.
    fn pdu(
        &mut self,
        header: Header,
        pdu: &[u8],
        received: SystemTime,
        now: Instant,
    ) -> Result<bool, End> {
        self.wire.received(header, pdu);
        match header.command {
            Command::UNBIND_RESP if matches!(self.phase, Phase::Unbinding { .. }) => {
                return Err(End::Closed);
            }
            // An answer to enquire_link has said it all by having come.
            Command::ENQUIRE_LINK_RESP => {
                if let Some(asked) = self.clock.asked.take() {
                    self.shared.measured(now.saturating_duration_since(asked));
                }
            }
            Command::UNBIND_RESP
            | Command::BIND_TRANSMITTER_RESP
            | Command::BIND_RECEIVER_RESP
            | Command::BIND_TRANSCEIVER_RESP => {}
            Command::ALERT_NOTIFICATION => {
                self.clock.traffic = now;
                self.shared.counters.inbound.add(1);
                let alert = Notice::Alert(Bytes::copy_from_slice(pdu));
                self.inbound.notice(alert);
            }
            // Within a session it asks for what there is already.
            Command::OUTBIND => {
                let body = pdu.get(HEADER..).unwrap_or_default();
                if let Ok(outbind) = Outbind::decode(body) {
                    self.inbound.notice(Notice::Outbind {
                        system_id: outbind.system_id.to_vec(),
                        peer: self.peer,
                    });
                }
            }
            command if command.is_response() => return Ok(self.answer(header, pdu, received, now)),
            Command::ENQUIRE_LINK => {
                self.push_empty(Command::ENQUIRE_LINK_RESP, Status::ROK, header.sequence);
            }
            Command::UNBIND => {
                self.push_empty(Command::UNBIND_RESP, Status::ROK, header.sequence);
                self.leave(End::PeerUnbound, now);
            }
            Command::DELIVER_SM | Command::DATA_SM => self.request(header, pdu, now),
            _ => {
                let (nack, status) = (Command::GENERIC_NACK, Status::RINVCMDID);
                self.push_empty(nack, status, header.sequence);
                self.shared.counters.refused_commands.add(1);
            }
        }
        Ok(false)
    }

    fn answer(&mut self, header: Header, pdu: &[u8], received: SystemTime, now: Instant) -> bool {
        match self.window.answered(header.sequence, header.command) {
            Matched::Open(token, sending) => {
                self.clock.traffic = now;
                self.trust.answered(1, now);
                let answer = answer(header, pdu, received);
                let signal = match answer.status {
                    Status::ROK => Signal::Taken,
                    other => self.client.means(other),
                };
                let congestion = congestion_state(&answer);
                (self.flow).answered(sending, signal, congestion, now.into_std());
                self.client.outcome(token, Outcome::Answered(answer));
                true
            }
            Matched::Late(token) => {
                self.trust.answered(1, now);
                self.flow.late();
                self.shared.counters.late.add(1);
                self.client
                    .outcome(token, Outcome::Late(answer(header, pdu, received)));
                false
            }
            Matched::Unknown => {
                self.shared.counters.unmatched.add(1);
                false
            }
        }
    }

    fn request(&mut self, header: Header, pdu: &[u8], now: Instant) {
        let command = header.command.response();
        self.clock.traffic = now;
        if matches!(self.phase, Phase::Settling { .. } | Phase::Unbinding { .. }) {
            // Our unbind is next, or on its way. What has no answer then the SMSC delivers again,
            // to the next session; what is refused many SMSCs do not.
            self.shared.counters.inbound_left.add(1);
            return;
        }
        self.unanswered += 1;
        self.shared.counters.inbound.add(1);
        let response = Response {
            command,
            status: self.refusal,
            sequence: header.sequence,
        };
        let responder = Responder::new(Arc::clone(&self.channel), response);
        self.inbound.receive(Bytes::copy_from_slice(pdu), responder);
    }
}

/// How busy the SMSC says that it is, from 0 to 99 (SMPP 5.0 §4.8.4.18).
fn congestion_state(answer: &Answer) -> Option<u8> {
    if answer.tlvs.is_empty() {
        return None;
    }
    match Tlvs::new(&answer.tlvs).get(Tag::CONGESTION_STATE)? {
        [state] => Some(*state),
        _ => None,
    }
}

/// The answer as the client sees it. A body may be missing, end without NUL or go on after it.
fn answer(header: Header, pdu: &[u8], received: SystemTime) -> Answer {
    let body = pdu.get(HEADER..).unwrap_or_default();
    let end = body
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(body.len());
    let rest = body.get(end + 1..).unwrap_or_default();
    Answer {
        command: header.command,
        status: header.status,
        message_id: body[..end].to_vec(),
        tlvs: if rest.is_empty() {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(rest)
        },
        received,
    }
}
