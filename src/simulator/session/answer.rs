//! What each PDU of the ESME is answered.

use tokio::time::Instant;

use super::{End, Seat, Session};
use crate::simulator::account::{Bound, Delivery, Mode, What};
use crate::simulator::journal::Entry;
use crate::smpp::pdu::{Bind, BindResp};
use crate::smpp::tlv::push_tlv;
use crate::smpp::{Command, Frame, Status, Tag, Tlvs, frame};

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
            Command::DELIVER_SM_RESP | Command::DATA_SM_RESP => self.delivered(sequence, status),
            Command::GENERIC_NACK => self.delivered(sequence, status.max(Status(1))),
            Command::ENQUIRE_LINK if self.deaf => {}
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
            Ok(bind) => self.seat(command, &bind).err().unwrap_or(Status::ROK),
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

    /// Takes a seat in the account, or says why not.
    fn seat(&mut self, command: Command, bind: &Bind<'_>) -> Result<(), Status> {
        let shared = &self.shared;
        let mode = Mode::of(command).ok_or(Status::RINVCMDID)?;
        if self.seat.is_some() {
            return Err(Status::RALYBND);
        }
        let name = str::from_utf8(bind.system_id).map_err(|_| Status::RINVSYSID)?;
        let account = shared.account(name, bind.password)?;
        if let Some(status) = self.faults.bind(name, &mut self.rng) {
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
        let entry = Entry::Bound {
            at: self.clock,
            session: self.id,
            account: name,
            mode,
            peer: &self.peer.to_string(),
        };
        shared.journal.note(&mut self.page, &entry);
        self.seat = Some(Seat { account, mode });
        Ok(())
    }

    /// The ESME answered a deliver_sm.
    fn delivered(&mut self, sequence: u32, status: Status) {
        let Some(delivery) = self.unanswered.remove(&sequence) else {
            return;
        };
        let Some(seat) = &self.seat else { return };
        self.answered += 1;
        self.message_id.clear();
        if let What::Receipt { number, .. } = delivery.what {
            self.shared
                .options
                .message_ids
                .form
                .write(number, &mut self.message_id);
        }
        let (at, session, account, tries) =
            (self.clock, self.id, &*seat.account.name, delivery.tries);
        let message_id = &*self.message_id;
        let entry = match delivery.what {
            _ if status != Status::ROK => Entry::Refused {
                at,
                session,
                account,
                message_id,
                status,
                tries,
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
        if status != Status::ROK {
            self.shared.counters.deliveries_refused.add(1);
            return self.try_again(delivery);
        }
        match delivery.what {
            What::Receipt { .. } => self.shared.counters.receipts.add(1),
            What::Inbound { .. } => self.shared.counters.inbound.add(1),
        }
    }

    fn try_again(&mut self, delivery: Delivery) {
        let retry = self.shared.options.receipts.retry.get();
        let again: Instant = self.now + retry;
        match &self.seat {
            Some(seat) if retry.is_zero() => seat.account.park(delivery),
            _ => self.receipts.push((again, delivery)),
        }
    }
}
