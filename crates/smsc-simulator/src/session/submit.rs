//! submit_sm: limits, faults, acceptance, response and receipt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{End, Session};
use crate::Congestion;
use crate::account::{Delivery, What};
use crate::fault::{Ending, Plan, Subject};
use crate::id::STRAY;
use crate::journal::{Accepted, Entry, readable};
use crate::receipt::{EXCERPT, Receipt, wanted};
use crate::store::{Party, Stored};
use smpp_protocol::pdu::{DataSm, Sm, SmResp};
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Command, Frame, MessageState, Status, Tag, Tlvs, frame};

/// So far behind with its answers a serial server calls itself congested.
const FAR_BEHIND: Duration = Duration::from_secs(10);

/// How a message ends.
pub(super) struct Fate {
    /// In no state if nobody ever hears of it.
    pub end: Option<MessageState>,
    pub delay: Duration,
    pub done: Timestamp,
}

impl Session {
    pub(super) fn submit(&mut self, frame: Frame<'_>) {
        let (command, sequence) = (frame.header.command, frame.header.sequence);
        let message = match command {
            Command::DATA_SM => DataSm::decode(frame.body).map(Sm::from),
            _ => Sm::decode(frame.body),
        };
        let message = match message {
            // SMPP 3.3 knows no parameters: they are octets too many.
            Ok(message) if !message.tlvs.is_empty() && !self.has_parameters() => {
                return self.refuse(command, Status::RINVCMDLEN, sequence, Some(&message));
            }
            Ok(message) => message,
            Err(error) => return self.refuse(command, error.status(), sequence, None),
        };
        if let Err(status) = self.admit(&message) {
            return self.refuse(command, status, sequence, Some(&message));
        }
        let plan = self.plan(&message);
        if plan.ignore {
            return self.ignore(sequence, &message);
        }
        if let Some((status, nack)) = plan.refuse {
            let command = if nack { Command::GENERIC_NACK } else { command };
            return self.refuse(command, status, sequence, Some(&message));
        }
        if plan.ending == Ending::BeforeAcceptance {
            self.end = Some(End::Lost);
            return;
        }
        self.response_due = self.due(&plan);
        self.accept(&message, sequence, &plan);
        self.respond(command, sequence, &plan);
        if !plan.stall.is_zero() {
            self.stalled = Some(self.now + plan.stall);
        }
        self.silent |= plan.silent;
    }

    fn refuse(
        &mut self,
        command: Command,
        status: Status,
        sequence: u32,
        message: Option<&Sm<'_>>,
    ) {
        let counters = &self.shared.counters;
        match status == Status::RTHROTTLED || self.is_full() {
            true => counters.throttled.add(1),
            false => counters.refused.add(1),
        }
        self.reject(Some(status), sequence, message);
        match self.congestion() {
            Some(_) if command != Command::GENERIC_NACK => {
                self.message_id.clear();
                self.write_response(command, status, sequence);
            }
            _ => self.reply(command, status, sequence),
        }
    }

    /// Neither accepts nor answers.
    pub(super) fn ignore(&mut self, sequence: u32, message: &Sm<'_>) {
        self.shared.counters.ignored.add(1);
        self.reject(None, sequence, Some(message));
    }

    /// Writes down a message that is not accepted.
    pub(super) fn reject(
        &mut self,
        status: Option<Status>,
        sequence: u32,
        message: Option<&Sm<'_>>,
    ) {
        let destination = message.map_or(&[][..], |message| message.destination.number);
        let entry = Entry::Rejected {
            at: self.clock,
            session: self.id,
            account: self.bound.as_ref().map_or("", |bound| &bound.account.name),
            sequence,
            status,
            destination: &String::from_utf8_lossy(destination),
        };
        self.shared.journal.note(&mut self.page, &entry);
    }

    /// Whether the window has no room.
    fn is_full(&self) -> bool {
        let window = self.shared.options.window;
        window > 0 && self.held.len() >= window
    }

    /// When a message that comes now is answered, if it is.
    fn due(&mut self, plan: &Plan) -> Option<Instant> {
        if plan.swallow || plan.ending != Ending::None {
            return None;
        }
        let options = &self.shared.options;
        let delay = options.response_delay.draw(&mut self.rng) + plan.late;
        if options.answer_rate <= 0.0 {
            return Some(self.now + delay);
        }
        let each = Duration::from_secs_f64(1.0 / options.answer_rate.max(0.001));
        self.busy = self.busy.max(self.now) + each;
        self.last_due = self.last_due.max(self.busy + delay);
        Some(self.last_due)
    }

    /// congestion_state, if it is to be told to this ESME.
    fn congestion(&self) -> Option<u8> {
        let congestion = self.shared.options.congestion?;
        if self.version < 0x50 {
            return None;
        }
        Some(match congestion {
            Congestion::Always(state) => state,
            Congestion::Load => self.load(),
        })
    }

    fn load(&self) -> u8 {
        let window = match self.shared.options.window {
            0 => 0.0,
            window => self.held.len() as f64 / window as f64,
        };
        let behind = self.busy.saturating_duration_since(self.now);
        let behind = behind.as_secs_f64() / FAR_BEHIND.as_secs_f64();
        let pace = self
            .bound
            .as_ref()
            .map_or(0.0, |s| s.account.load(self.now));
        (window.max(behind).max(pace) * 100.0).min(100.0) as u8
    }

    /// Writes a response with the message_id at hand.
    fn write_response(&mut self, command: Command, status: Status, sequence: u32) {
        let mut tlvs = Vec::new();
        if let Some(state) = self.congestion() {
            // One octet always fits.
            let _ = push_tlv(&mut tlvs, Tag::CONGESTION_STATE, &[state]);
        }
        let response = SmResp {
            message_id: self.message_id.as_bytes(),
            tlvs: Tlvs::new(&tlvs),
        };
        let encoded = response.encode(command.response(), status, sequence, &mut self.out);
        if encoded.is_err() {
            frame::push_empty(command.response(), status, sequence, &mut self.out);
        }
    }

    /// What this side's limits and the bind say about it.
    fn admit(&self, message: &Sm<'_>) -> Result<(), Status> {
        let transmits = self.bound.as_ref().filter(|bound| bound.mode.transmits());
        let bound = transmits.ok_or(Status::RINVBNDSTS)?;
        if message.destination.number.is_empty() {
            return Err(Status::RINVDSTADR);
        }
        if self.is_full() {
            return Err(self.shared.options.window_status.0);
        }
        match bound.account.admits(self.now) {
            true => Ok(()),
            false => Err(Status::RTHROTTLED),
        }
    }

    pub(super) fn plan(&mut self, message: &Sm<'_>) -> Plan {
        let account = self.bound.as_ref().map_or("", |bound| &bound.account.name);
        let (source, destination) = (message.source.number, message.destination.number);
        self.faults.submit(
            Subject {
                session: self.id,
                account,
                source,
                destination,
            },
            self.now,
            &mut self.rng,
        )
    }

    /// Gives it its message_id, writes it down, and plans its receipt.
    fn accept(&mut self, message: &Sm<'_>, sequence: u32, plan: &Plan) {
        let number = self.number();
        self.take_in(message, sequence, number, plan);
    }

    /// The number of a new message, whose message_id is at hand then.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.shared.numbers.next();
        let shown = self.shared.numbers.shown(number);
        let form = self.shared.options.message_ids.form;
        form.write(shown, &mut self.message_id);
        number
    }

    /// How a message will end.
    pub(super) fn fate(&mut self) -> Fate {
        let told = &self.shared.options.receipts;
        let end = told.outcomes.draw(&mut self.rng);
        let delay = told.delay.draw(&mut self.rng);
        let done = self.time_after(delay);
        Fate { end, delay, done }
    }

    /// The time of day after a while.
    fn time_after(&self, while_: Duration) -> Timestamp {
        let later = SignedDuration::try_from(while_).unwrap_or_default();
        self.clock.saturating_add(later).unwrap_or(self.clock)
    }

    /// Writes down a message of this number, and plans its receipt.
    pub(super) fn take_in(&mut self, message: &Sm<'_>, sequence: u32, number: u64, plan: &Plan) {
        self.shared.counters.accepted.add(1);
        let octets = message.text_octets();
        if self.shared.journal.listens() {
            let accepted = self.accepted(message, octets, sequence);
            self.shared.journal.accept(&mut self.page, accepted);
        }
        let fate = self.fate();
        self.remember(message, octets, number, &fate);
        self.expect_receipt(message, octets, number, plan, &fate);
    }

    fn remember(&self, message: &Sm<'_>, octets: &[u8], number: u64, fate: &Fate) {
        let Some(bound) = self.bound.as_ref().filter(|_| self.shared.store.keeps()) else {
            return;
        };
        let stored = Stored {
            number,
            account: bound.account.name.as_str().into(),
            broadcast: false,
            service_type: message.service_type.into(),
            source: Party::of(&message.source),
            destination: Party::of(&message.destination),
            octets: octets.iter().copied().take(EXCERPT).collect(),
            registered_delivery: message.registered_delivery,
            tlvs: Vec::new(),
            submitted: self.clock,
            done: fate.done,
            end: fate.end,
        };
        self.shared.store.keep(&self.message_id, stored);
    }

    fn accepted(&self, message: &Sm<'_>, octets: &[u8], sequence: u32) -> Accepted {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let reference = message.tlvs.find(Tag::USER_MESSAGE_REFERENCE);
        let reference = reference.and_then(|tlv| tlv.number());
        let due = |at: Instant| self.time_after(at.saturating_duration_since(self.now));
        Accepted {
            at: self.clock,
            session: self.id,
            account: self
                .bound
                .as_ref()
                .map(|s| s.account.name.clone())
                .unwrap_or_default(),
            sequence,
            message_id: self.message_id.clone(),
            response_due: self.response_due.map(due),
            source: text(message.source.number),
            destination: text(message.destination.number),
            esm_class: message.esm_class,
            data_coding: message.data_coding,
            registered_delivery: message.registered_delivery,
            user_message_reference: reference.and_then(|number| number.try_into().ok()),
            text: readable(octets, message.esm_class, message.data_coding),
            octets: octets.to_vec(),
        }
    }

    fn expect_receipt(
        &mut self,
        message: &Sm<'_>,
        octets: &[u8],
        number: u64,
        plan: &Plan,
        fate: &Fate,
    ) {
        let told = &self.shared.options.receipts;
        let Some(state) = fate.end else { return };
        if !told.always && !wanted(state, message.registered_delivery) {
            return;
        }
        let number = if plan.stray {
            self.rng.u64(STRAY)
        } else {
            number
        };
        let times = (self.clock, fate.done);
        let Some(pdu) = self.receipt(message, octets, number, state, times) else {
            return;
        };
        let due = match (plan.early, plan.behind) {
            (true, _) => self.now,
            (_, true) => self.response_due.unwrap_or(self.now),
            _ => self.now + fate.delay,
        };
        let what = || What::Receipt { number, state };
        if plan.twice {
            self.receipts.push((
                due,
                Delivery {
                    pdu: pdu.clone(),
                    what: what(),
                    tries: 0,
                },
            ));
        }
        self.receipts.push((
            due,
            Delivery {
                pdu,
                what: what(),
                tries: 0,
            },
        ));
    }

    /// The receipt of a message that was submitted and is done at these times.
    pub(super) fn receipt(
        &mut self,
        message: &Sm<'_>,
        octets: &[u8],
        number: u64,
        state: MessageState,
        (submitted, done): (Timestamp, Timestamp),
    ) -> Option<Vec<u8>> {
        let ids = &self.shared.options.message_ids;
        let form = ids.receipt.unwrap_or(ids.form);
        let shown = self.shared.numbers.shown(number);
        form.write(shown, &mut self.receipt_id);
        let receipt = Receipt {
            id: &self.receipt_id,
            message,
            octets,
            state,
            submitted,
            done,
            plain: !self.has_parameters(),
        };
        let pdu = receipt.encode(&self.shared.options.receipts);
        pdu.inspect_err(|error| {
            let id = &self.receipt_id;
            crate::notices::ReceiptNotMade { error, id }.emit();
        })
        .ok()
    }

    fn respond(&mut self, command: Command, sequence: u32, plan: &Plan) {
        if plan.ending == Ending::AfterAcceptance {
            self.end = Some(End::Lost);
            return;
        }
        if plan.swallow {
            return;
        }
        let start = self.out.len();
        self.write_response(command, Status::ROK, sequence);
        if plan.ending == Ending::WithinResponse {
            self.out.truncate(start + (self.out.len() - start) / 2);
            self.end = Some(End::Lost);
            return;
        }
        let due = self.response_due.unwrap_or(self.now);
        let paused = &self.shared.paused;
        if due > self.now || paused.load(std::sync::atomic::Ordering::Relaxed) {
            self.order += 1;
            let response = self.out.split_off(start);
            self.held.insert((due, self.order), response);
        } else if plan.split {
            self.split = Some(start + (self.out.len() - start) / 2);
        }
    }
}
