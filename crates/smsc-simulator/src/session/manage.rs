//! Questions and orders about messages that were accepted, and messages to several at once.

use super::submit::Fate;
use super::{End, Session};
use crate::account::Delivery;
use crate::fault::Plan;
use crate::store::{Party, Stored};
use smpp_protocol::pdu::{
    BroadcastSm, CancelBroadcastSm, CancelSm, Destination, Pdu, QueryBroadcastSm, QuerySm,
    QuerySmResp, ReplaceSm, Sm, SmResp, SubmitMulti, SubmitMultiResp, Unsuccess, Unsuccesses,
};
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command, Frame, MessageState, Status, Tag, Tlvs};

/// What every broadcast_sm has (SMPP 5.0 §4.4.1.1).
const OF_BROADCASTS: [Tag; 4] = [
    Tag::BROADCAST_AREA_IDENTIFIER,
    Tag::BROADCAST_CONTENT_TYPE,
    Tag::BROADCAST_REP_NUM,
    Tag::BROADCAST_FREQUENCY_INTERVAL,
];

impl Session {
    /// Answers a request about messages, or for several recipients.
    pub(super) fn manage(&mut self, frame: Frame<'_>) {
        let (command, sequence) = (frame.header.command, frame.header.sequence);
        if self
            .bound
            .as_ref()
            .is_none_or(|bound| !bound.mode.transmits())
        {
            return self.reply(command, Status::RINVBNDSTS, sequence);
        }
        let answered = match Pdu::read(frame) {
            Err(error) => Err(error.status()),
            Ok(Pdu::QuerySm(query)) => self.query(&query, sequence),
            Ok(Pdu::CancelSm(cancel)) => self.cancel(&cancel),
            Ok(Pdu::ReplaceSm(replace)) => self.replace(&replace),
            Ok(Pdu::SubmitMulti(multi)) => self.multi(&multi, sequence),
            Ok(Pdu::BroadcastSm(broadcast)) => self.broadcast(&broadcast, sequence),
            Ok(Pdu::QueryBroadcastSm(query)) => self.query_broadcast(&query, sequence),
            Ok(Pdu::CancelBroadcastSm(cancel)) => self.cancel_broadcast(&cancel),
            Ok(_) => Err(Status::RINVCMDID),
        };
        match answered {
            Ok(true) => {}
            Ok(false) => self.reply(command, Status::ROK, sequence),
            Err(status) => self.reply(command, status, sequence),
        }
    }

    fn account(&self) -> &str {
        self.bound.as_ref().map_or("", |bound| &bound.account.name)
    }

    fn found(&self, id: &[u8], source: &Address<'_>, broadcast: bool) -> Option<Stored> {
        let id = str::from_utf8(id).ok()?;
        let all = self.shared.store.find(id, self.account(), source.number);
        all.into_iter()
            .find(|message| message.broadcast == broadcast)
    }

    fn query(&mut self, query: &QuerySm<'_>, sequence: u32) -> Result<bool, Status> {
        let found = self.found(query.message_id, &query.source, false);
        let message = found.ok_or(Status::RQUERYFAIL)?;
        let state = message.state(self.clock);
        let date = message.final_date(self.clock);
        let failed = state.is_final() && state != MessageState::Delivered;
        let answer = QuerySmResp {
            message_id: query.message_id,
            final_date: date.as_bytes(),
            message_state: state.value(),
            error_code: failed.into(),
            ..QuerySmResp::default()
        };
        let command = Command::QUERY_SM_RESP;
        let written = answer.encode(command, Status::ROK, sequence, &mut self.out);
        written.map(|()| true).map_err(|_| Status::RQUERYFAIL)
    }

    fn cancel(&mut self, cancel: &CancelSm<'_>) -> Result<bool, Status> {
        let id = str::from_utf8(cancel.message_id).map_err(|_| Status::RINVMSGID)?;
        if !id.is_empty()
            && self
                .found(cancel.message_id, &cancel.source, false)
                .is_none()
        {
            return Err(Status::RINVMSGID);
        }
        let named = !id.is_empty();
        let fits = |message: &Stored| {
            !message.broadcast
                && *message.source.number == *cancel.source.number
                && (named || *message.destination.number == *cancel.destination.number)
                && (named
                    || cancel.service_type.is_empty()
                    || *message.service_type == *cancel.service_type)
        };
        match self.end_early(Some(id).filter(|_| named), fits) {
            0 => Err(Status::RCANCELFAIL),
            _ => Ok(false),
        }
    }

    /// Ends what is chosen of the account's messages now; how many these are.
    fn end_early(&mut self, id: Option<&str>, fits: impl Fn(&Stored) -> bool) -> usize {
        let (now, account) = (self.clock, self.account().to_owned());
        let own = |message: &Stored| *message.account == *account && fits(message);
        let changed = self.shared.store.change(id, now, own, |message| {
            (message.done, message.end) = (now, Some(MessageState::Deleted));
        });
        for (_, message) in &changed {
            self.tell_anew(message, std::time::Duration::ZERO);
        }
        changed.len()
    }

    /// The receipt that was planned for the message gives way to one that says what holds now.
    fn tell_anew(&mut self, message: &Stored, delay: std::time::Duration) {
        let Some(bound) = &self.bound else { return };
        if !bound.account.revoke(message.number) {
            return;
        }
        let Some(end) = message.end else { return };
        let fate = Fate {
            end: Some(end),
            delay,
            done: message.done,
        };
        let (sm, octets) = (message.message(), &message.octets);
        if let Some(pdu) = self.receipt(
            &sm,
            octets,
            message.number,
            end,
            (message.submitted, fate.done),
        ) {
            let what = super::What::Receipt {
                number: message.number,
                state: end,
            };
            let delivery = Delivery {
                pdu,
                what,
                tries: 0,
            };
            self.receipts.push((self.now + fate.delay, delivery));
        }
    }

    fn replace(&mut self, replace: &ReplaceSm<'_>) -> Result<bool, Status> {
        let found = self.found(replace.message_id, &replace.source, false);
        let message = found.ok_or(Status::RINVMSGID)?;
        if message.is_over(self.clock) {
            return Err(Status::RREPLACEFAIL);
        }
        let id = str::from_utf8(replace.message_id).map_err(|_| Status::RINVMSGID)?;
        let text = match replace.short_message {
            [] => replace.tlvs.get(Tag::MESSAGE_PAYLOAD).unwrap_or_default(),
            text => text,
        };
        let (now, account) = (self.clock, self.account().to_owned());
        let own = |message: &Stored| *message.account == *account;
        let changed = self.shared.store.change(Some(id), now, own, |message| {
            message.octets = text.to_vec();
            message.registered_delivery = replace.registered_delivery;
        });
        for (_, message) in &changed {
            let left = message.done.duration_since(now).unsigned_abs();
            self.tell_anew(message, left);
        }
        Ok(false)
    }

    fn multi(&mut self, multi: &SubmitMulti<'_>, sequence: u32) -> Result<bool, Status> {
        let bound = self.bound.as_ref().ok_or(Status::RINVBNDSTS)?;
        if !bound.account.admits(self.now) {
            self.shared.counters.throttled.add(1);
            return Err(Status::RTHROTTLED);
        }
        let number = self.number();
        self.response_due = Some(self.now);
        let mut unsuccess = Vec::new();
        let (mut accepted, mut silent) = (0, false);
        for destination in multi.destinations.iter() {
            let refused = match destination {
                // Nobody keeps lists here.
                Destination::List(name) => Some((
                    Address {
                        number: name,
                        ..Address::default()
                    },
                    Status::RINVDLNAME,
                )),
                Destination::Sme(address) if address.number.is_empty() => {
                    Some((address, Status::RINVDSTADR))
                }
                Destination::Sme(address) => {
                    match self.one_of_several(multi, address, number, sequence) {
                        Ok(plan) => {
                            silent |= plan.swallow || plan.ignore;
                            None
                        }
                        Err(status) => Some((address, status)),
                    }
                }
            };
            match refused {
                Some((address, status)) => unsuccess.push(Unsuccess { address, status }),
                None => accepted += 1,
            }
            if self.end == Some(End::Lost) {
                return Ok(true);
            }
        }
        if silent {
            return Ok(true);
        }
        if let (0, Some(first)) = (accepted, unsuccess.first()) {
            self.shared.counters.refused.add(1);
            return Err(first.status);
        }
        let answer = SubmitMultiResp {
            message_id: self.message_id.as_bytes(),
            unsuccess: Unsuccesses::Slice(&unsuccess),
            ..SubmitMultiResp::default()
        };
        let command = Command::SUBMIT_MULTI_RESP;
        let written = answer.encode(command, Status::ROK, sequence, &mut self.out);
        written.map(|()| true).map_err(|_| Status::RSYSERR)
    }

    /// Takes a message to one of several recipients in, with what goes wrong, or says why not.
    fn one_of_several(
        &mut self,
        multi: &SubmitMulti<'_>,
        destination: Address<'_>,
        number: u64,
        sequence: u32,
    ) -> Result<Plan, Status> {
        let message = Sm {
            service_type: multi.service_type,
            source: multi.source,
            destination,
            esm_class: multi.esm_class,
            registered_delivery: multi.registered_delivery,
            data_coding: multi.data_coding,
            short_message: multi.short_message,
            tlvs: multi.tlvs,
            ..Sm::default()
        };
        let plan = self.plan(&message);
        if plan.ignore {
            self.ignore(sequence, &message);
            return Ok(plan);
        }
        if let Some((status, _)) = plan.refuse {
            self.reject(Some(status), sequence, Some(&message));
            return Err(status);
        }
        self.take_in(&message, sequence, number, &plan);
        Ok(plan)
    }

    fn broadcast(&mut self, broadcast: &BroadcastSm<'_>, sequence: u32) -> Result<bool, Status> {
        let given = |tag: &Tag| broadcast.tlvs.get(*tag).is_some();
        if !OF_BROADCASTS.iter().all(given) {
            return Err(Status::RMISSINGOPTPARAM);
        }
        let replaced = self.found(broadcast.message_id, &broadcast.source, true);
        match (
            broadcast.replace_if_present_flag,
            broadcast.message_id,
            &replaced,
        ) {
            (0, _, _) | (_, b"", _) => {}
            (_, _, None) => return Err(Status::RINVMSGID),
            (_, id, Some(old)) => {
                let number = old.number;
                let id = str::from_utf8(id).unwrap_or_default().to_owned();
                self.end_early(Some(&id), |message| message.number == number);
            }
        }
        let number = self.number();
        self.shared.counters.accepted.add(1);
        let fate = self.fate();
        let mut tlvs = Vec::new();
        for tlv in broadcast.tlvs.iter() {
            if tlv.tag == Tag::BROADCAST_AREA_IDENTIFIER {
                push_tlv(&mut tlvs, tlv.tag, tlv.value).map_err(|_| Status::RINVBCASTAREAFMT)?;
            }
        }
        let message = Stored {
            number,
            account: self.account().into(),
            broadcast: true,
            service_type: broadcast.service_type.into(),
            source: Party::of(&broadcast.source),
            destination: Party::of(&Address::default()),
            octets: Vec::new(),
            registered_delivery: 0,
            tlvs,
            submitted: self.clock,
            done: fate.done,
            end: fate.end,
        };
        self.shared.store.keep(&self.message_id, message);
        let answer = SmResp {
            message_id: self.message_id.as_bytes(),
            ..SmResp::default()
        };
        let command = Command::BROADCAST_SM_RESP;
        let written = answer.encode(command, Status::ROK, sequence, &mut self.out);
        written.map(|()| true).map_err(|_| Status::RBCASTFAIL)
    }

    /// State, areas and how far each was reached (SMPP 5.0 §4.6.2).
    fn query_broadcast(
        &mut self,
        query: &QueryBroadcastSm<'_>,
        sequence: u32,
    ) -> Result<bool, Status> {
        let found = self.found(query.message_id, &query.source, true);
        let message = found.ok_or(Status::RBCASTQUERYFAIL)?;
        let state = message.state(self.clock);
        let reached = if state == MessageState::Delivered {
            100
        } else {
            0
        };
        let failed = |_| Status::RBCASTQUERYFAIL;
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::MESSAGE_STATE, &[state.value()]).map_err(failed)?;
        for area in Tlvs::new(&message.tlvs).iter() {
            push_tlv(&mut tlvs, area.tag, area.value).map_err(failed)?;
            push_tlv(&mut tlvs, Tag::BROADCAST_AREA_SUCCESS, &[reached]).map_err(failed)?;
        }
        let answer = SmResp {
            message_id: query.message_id,
            tlvs: Tlvs::new(&tlvs),
        };
        let command = Command::QUERY_BROADCAST_SM_RESP;
        let written = answer.encode(command, Status::ROK, sequence, &mut self.out);
        written.map(|()| true).map_err(failed)
    }

    fn cancel_broadcast(&mut self, cancel: &CancelBroadcastSm<'_>) -> Result<bool, Status> {
        let id = str::from_utf8(cancel.message_id).map_err(|_| Status::RBCASTCANCELFAIL)?;
        let fits =
            |message: &Stored| message.broadcast && *message.source.number == *cancel.source.number;
        match self.end_early(Some(id).filter(|id| !id.is_empty()), fits) {
            0 => Err(Status::RBCASTCANCELFAIL),
            _ => Ok(false),
        }
    }
}
