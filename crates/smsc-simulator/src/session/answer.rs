//! What each PDU of the ESME is answered.

use super::{BoundAccount, End, Session};
use crate::Retry;
use crate::account::{Bound, Delivery, Mode, What};
use crate::fault::Subject;
use crate::journal::Entry;
use smpp_protocol::pdu::{Bind, BindResp};
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Command, Frame, Status, Tag, Tlvs, frame};

impl Session {
    pub(super) fn answer(&mut self, frame: Frame<'_>) {
        let (command, status, sequence) = (
            frame.header.command,
            frame.header.status,
            frame.header.sequence,
        );
        match command {
            Command::SUBMIT_SM => self.submit(frame),
            command if !self.knows(command) => {
                let nack = Command::GENERIC_NACK;
                frame::push_empty(nack, Status::RINVCMDID, sequence, &mut self.out);
            }
            Command::DATA_SM => self.submit(frame),
            Command::QUERY_SM
            | Command::CANCEL_SM
            | Command::REPLACE_SM
            | Command::SUBMIT_MULTI
            | Command::BROADCAST_SM
            | Command::QUERY_BROADCAST_SM
            | Command::CANCEL_BROADCAST_SM => self.manage(frame),
            Command::DELIVER_SM_RESP | Command::DATA_SM_RESP => {
                self.delivered(sequence, Some(status));
            }
            Command::GENERIC_NACK => self.delivered(sequence, Some(status.max(Status(1)))),
            Command::ENQUIRE_LINK if self.silent => {}
            Command::ENQUIRE_LINK => self.reply(command, Status::ROK, sequence),
            Command::UNBIND => {
                self.reply(command, Status::ROK, sequence);
                self.end = Some(End::Unbound);
            }
            Command::UNBIND_RESP => self.end = Some(End::Unbound),
            Command::BIND_RECEIVER | Command::BIND_TRANSMITTER | Command::BIND_TRANSCEIVER => {
                self.bind(frame);
            }
            command if command.is_response() => {}
            _ => {
                let nack = Command::GENERIC_NACK;
                frame::push_empty(nack, Status::RINVCMDID, sequence, &mut self.out);
            }
        }
    }

    /// Whether this side's version of SMPP has the command: 3.3 has neither transceivers nor
    /// data_sm, and only 5.0 has broadcasts.
    fn knows(&self, command: Command) -> bool {
        let since = match command {
            Command::BIND_TRANSCEIVER | Command::DATA_SM => 0x34,
            Command::BROADCAST_SM | Command::QUERY_BROADCAST_SM | Command::CANCEL_BROADCAST_SM => {
                0x50
            }
            _ => 0,
        };
        self.shared.options.version.octet() >= since
    }

    /// Whether both sides know optional parameters.
    pub(super) fn has_parameters(&self) -> bool {
        self.version >= 0x34
    }

    /// A response without body.
    pub(super) fn reply(&mut self, command: Command, status: Status, sequence: u32) {
        frame::push_empty(command.response(), status, sequence, &mut self.out);
    }

    fn bind(&mut self, frame: Frame<'_>) {
        let (command, sequence) = (frame.header.command, frame.header.sequence);
        let status = match Bind::decode(frame.body) {
            Ok(bind) => self
                .bind_account(command, &bind)
                .err()
                .unwrap_or(Status::ROK),
            Err(error) => error.status(),
        };
        if status != Status::ROK {
            return self.reply(command, status, sequence);
        }
        let system_id = self.shared.options.system_id.as_bytes();
        let mut tlvs = Vec::new();
        if self.has_parameters() {
            let version = [self.shared.options.version.octet()];
            // One octet always fits.
            let _ = push_tlv(&mut tlvs, Tag::SC_INTERFACE_VERSION, &version);
        }
        let response = BindResp {
            system_id,
            tlvs: Tlvs::new(&tlvs),
        };
        let response = response.encode(command.response(), status, sequence, &mut self.out);
        if response.is_err() {
            self.reply(command, status, sequence);
        }
    }

    /// Binds to the account, or says why not.
    fn bind_account(&mut self, command: Command, bind: &Bind<'_>) -> Result<(), Status> {
        let shared = &self.shared;
        let mode = Mode::of(command).ok_or(Status::RINVCMDID)?;
        if self.bound.is_some() {
            return Err(Status::RALYBND);
        }
        let name = str::from_utf8(bind.system_id).map_err(|_| Status::RINVSYSID)?;
        let account = shared.account(name, bind.password)?;
        let subject = Subject {
            session: self.id,
            account: name,
            ..Subject::default()
        };
        if let Some(status) = self.faults.bind(subject, self.now, &mut self.rng) {
            return Err(status);
        }
        let bound = Bound {
            session: self.id,
            account: name.to_owned(),
            mode,
            peer: self.peer,
        };
        let options = &shared.options;
        account.bind(
            bound,
            options.deliver_window,
            options.max_binds,
            self.wake.clone(),
        )?;
        self.version = bind.interface_version.min(shared.options.version.octet());
        shared.counters.binds.add(1);
        let life = self.faults.life(subject, self.now, &mut self.rng);
        self.dies = life.map(|life| self.now + life);
        let entry = Entry::Bound {
            at: self.clock,
            session: self.id,
            account: name,
            mode,
            peer: &self.peer.to_string(),
        };
        shared.journal.note(&mut self.page, &entry);
        self.bound = Some(BoundAccount { account, mode });
        Ok(())
    }

    /// The ESME answered a deliver_sm, or has not for too long.
    pub(super) fn delivered(&mut self, sequence: u32, status: Option<Status>) {
        let Some(delivery) = self.unanswered.remove(&sequence) else {
            return;
        };
        let Some(bound) = &self.bound else { return };
        self.answered += 1;
        self.message_id.clear();
        let inbound = match delivery.what {
            What::Receipt { number, .. } => {
                let number = self.shared.numbers.shown(number);
                let form = self.shared.options.message_ids.form;
                form.write(number, &mut self.message_id);
                None
            }
            What::Inbound { number } => Some(number),
        };
        let (at, session, account, tries) =
            (self.clock, self.id, &*bound.account.name, delivery.tries);
        let message_id = &*self.message_id;
        let entry = match delivery.what {
            _ if status != Some(Status::ROK) => Entry::Refused {
                at,
                session,
                account,
                message_id,
                number: inbound,
                status,
                tries,
                again: self.shared.options.receipts.retry != Retry::Never,
            },
            What::Receipt { state, .. } => Entry::Receipt {
                at,
                session,
                account,
                message_id,
                state,
                tries,
            },
            What::Inbound { number } => Entry::Inbound {
                at,
                session,
                account,
                number,
                tries,
            },
        };
        self.shared.journal.note(&mut self.page, &entry);
        let counters = &self.shared.counters;
        match (status, inbound) {
            (Some(Status::ROK), None) => counters.receipts.add(1),
            (Some(Status::ROK), Some(_)) => counters.inbound.add(1),
            (Some(_), inbound) => {
                counters.deliveries_refused.add(1);
                counters.inbound_refused.add(inbound.is_some().into());
            }
            (None, inbound) => {
                counters.unanswered.add(1);
                counters.inbound_unanswered.add(inbound.is_some().into());
            }
        }
        if status != Some(Status::ROK) {
            self.try_again(delivery);
        }
    }

    fn try_again(&mut self, delivery: Delivery) {
        match self.shared.options.receipts.retry {
            Retry::Never => {
                let counters = &self.shared.counters;
                let is_inbound = matches!(delivery.what, What::Inbound { .. });
                counters.lost.add(1);
                counters.inbound_lost.add(is_inbound.into());
            }
            Retry::NextBind => {
                if let Some(bound) = &self.bound {
                    bound.account.park(delivery);
                }
            }
            Retry::After(time) => self.receipts.push((self.now + time.get(), delivery)),
        }
    }
}
