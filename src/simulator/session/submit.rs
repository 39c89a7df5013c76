//! submit_sm: limits, faults, acceptance, response and receipt.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{End, Session};
use crate::simulator::account::{Delivery, What};
use crate::simulator::fault::{Ending, Plan, Subject};
use crate::simulator::journal::{Accepted, readable};
use crate::simulator::receipt::{EXCERPT, Receipt, wanted};
use crate::simulator::store::{Party, Stored};
use crate::smpp::pdu::{DataSm, Sm, SmResp};
use crate::smpp::{Command, Frame, MessageState, Status, Tag, frame};

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
                return self.refuse(command, Status::RINVCMDLEN, sequence);
            }
            Ok(message) => message,
            Err(error) => return self.refuse(command, error.status(), sequence),
        };
        if let Err(status) = self.admit(&message) {
            return self.refuse(command, status, sequence);
        }
        let plan = self.plan(&message);
        if let Some((status, nack)) = plan.refuse {
            let command = if nack { Command::GENERIC_NACK } else { command };
            return self.refuse(command, status, sequence);
        }
        if plan.ending == Ending::BeforeAcceptance {
            self.end = Some(End::Lost);
            return;
        }
        self.accept(&message, sequence, &plan);
        self.respond(command, sequence, &plan);
        if !plan.stall.is_zero() {
            self.stalled = Some(self.now + plan.stall);
        }
        self.deaf |= plan.deaf;
    }

    fn refuse(&mut self, command: Command, status: Status, sequence: u32) {
        let counters = &self.shared.counters;
        match status {
            Status::RTHROTTLED => counters.throttled.add(1),
            _ => counters.refused.add(1),
        }
        self.reply(command, status, sequence);
    }

    /// What this side's limits and the bind say about it.
    fn admit(&self, message: &Sm<'_>) -> Result<(), Status> {
        let transmits = self.seat.as_ref().filter(|seat| seat.mode.transmits());
        let seat = transmits.ok_or(Status::RINVBNDSTS)?;
        if message.destination.number.is_empty() {
            return Err(Status::RINVDSTADR);
        }
        let window = self.shared.options.window;
        if window > 0 && self.held.len() >= window || !seat.account.admits(self.now) {
            return Err(Status::RTHROTTLED);
        }
        Ok(())
    }

    pub(super) fn plan(&mut self, message: &Sm<'_>) -> Plan {
        let account = self.seat.as_ref().map_or("", |seat| &seat.account.name);
        let (source, destination) = (message.source.number, message.destination.number);
        self.faults.submit(
            Subject {
                account,
                source,
                destination,
            },
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
        let ids = &self.shared.options.message_ids;
        ids.form.write(number, &mut self.message_id);
        number
    }

    /// How a message will end.
    pub(super) fn fate(&mut self) -> Fate {
        let told = &self.shared.options.receipts;
        let end = told.outcomes.draw(&mut self.rng);
        let delay = told.delay.draw(&mut self.rng);
        let done = jiff::SignedDuration::try_from(delay).unwrap_or_default();
        let done = self.clock.saturating_add(done);
        Fate {
            end,
            delay,
            done: done.unwrap_or(self.clock),
        }
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
        let Some(seat) = self.seat.as_ref().filter(|_| self.shared.store.keeps()) else {
            return;
        };
        let stored = Stored {
            number,
            account: seat.account.name.as_str().into(),
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
        Accepted {
            at: self.clock,
            session: self.id,
            account: self
                .seat
                .as_ref()
                .map(|s| s.account.name.clone())
                .unwrap_or_default(),
            sequence,
            message_id: self.message_id.clone(),
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
            self.rng.u64(1 << 40..1 << 44)
        } else {
            number
        };
        let times = (self.clock, fate.done);
        let Some(pdu) = self.receipt(message, octets, number, state, times) else {
            return;
        };
        let due: Instant = if plan.early {
            self.now
        } else {
            self.now + fate.delay
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
        form.write(number, &mut self.receipt_id);
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
            tracing::warn!(%error, id = self.receipt_id, "cannot write a receipt");
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
        let response = SmResp {
            message_id: self.message_id.as_bytes(),
            ..SmResp::default()
        };
        let encoded = response.encode(command.response(), Status::ROK, sequence, &mut self.out);
        if encoded.is_err() {
            frame::push_empty(command.response(), Status::ROK, sequence, &mut self.out);
        }
        if plan.ending == Ending::WithinResponse {
            self.out.truncate(start + (self.out.len() - start) / 2);
            self.end = Some(End::Lost);
            return;
        }
        let delay = self.shared.options.response_delay.draw(&mut self.rng) + plan.late;
        if !delay.is_zero()
            || self
                .shared
                .paused
                .load(std::sync::atomic::Ordering::Relaxed)
        {
            self.order += 1;
            let response = self.out.split_off(start);
            self.held.insert((self.now + delay, self.order), response);
        } else if plan.split {
            self.split = Some(start + (self.out.len() - start) / 2);
        }
    }
}
