//! The way into a session, for those who submit and those who answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashSet;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::client::Token;
use smpp_protocol::{Command, Status};

/// Room for so many answers is kept when a burst is over.
pub(super) const SPARE: usize = 1024;

/// A request on its way to the session.
#[derive(Debug)]
pub(super) struct Request {
    pub token: Token,
    pub pdu: Bytes,
    pub timeout: Duration,
}

/// The answer to a request of the SMSC, on its way to the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    pub command: Command,
    pub status: Status,
    pub sequence: u32,
}

/// Requests to be taken back as far as nothing of them is written. Dropped when that is done.
#[derive(Debug)]
pub(super) struct Recall {
    pub tokens: HashSet<Token>,
    /// Never sent: whoever recalls waits until it is dropped.
    _done: oneshot::Sender<()>,
}

/// What a session shares with its slots and responders. It lives as long as the session: those
/// who keep a slot longer find it closed. Bounded by the number of slots, and by what the
/// receiver of the SMSC's requests holds of them.
#[derive(Debug)]
pub(super) struct Channel {
    inbox: Mutex<Inbox>,
    /// One permit for each free place in the window; closed with the channel.
    places: Semaphore,
    /// Places that the window has no more and somebody still holds: they are not free when they
    /// come back.
    owed: AtomicUsize,
    /// How many places there are, free or not: for those who look.
    limit: AtomicUsize,
    /// Slots of an earlier epoch are refused. Raised under the inbox's lock.
    epoch: AtomicU64,
}

#[derive(Debug, Default)]
struct Inbox {
    requests: VecDeque<Request>,
    responses: Vec<Response>,
    recalls: Vec<Recall>,
    waker: Option<Waker>,
    /// No more requests are taken.
    frozen: bool,
    /// No more responses either.
    closed: bool,
}

impl Channel {
    /// A channel with room for `limit` unanswered requests.
    pub fn new(limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(Channel {
            inbox: Mutex::new(Inbox {
                requests: VecDeque::with_capacity(limit.min(1024)),
                ..Inbox::default()
            }),
            places: Semaphore::new(limit),
            owed: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            epoch: AtomicU64::new(0),
        })
    }

    /// Waits for a place; `None` when the channel is frozen.
    pub async fn slot(self: Arc<Self>) -> Option<Slot> {
        loop {
            self.places.acquire().await.ok()?.forget();
            if let Some(slot) = self.hand_out() {
                return Some(slot);
            }
        }
    }

    /// A place if there is one now.
    pub fn try_slot(self: Arc<Self>) -> Option<Slot> {
        self.places.try_acquire().ok()?.forget();
        self.hand_out()
    }

    /// Makes a slot of a place that was taken a moment ago; `None` if the window has become
    /// smaller in that moment, and the place is one of those that it has no more.
    fn hand_out(self: &Arc<Self>) -> Option<Slot> {
        // Read before the debt: who sees the epoch after a smaller window sees what is owed, too.
        let epoch = self.epoch.load(Acquire);
        (self.pay(1) == 0).then(|| Slot {
            channel: Some(Arc::clone(self)),
            epoch,
        })
    }

    /// `count` requests have their outcome.
    pub fn release(&self, count: usize) {
        let free = count - self.pay(count);
        self.places.add_permits(free);
    }

    /// The window has `limit` places from now on. Those that are free and too many go at once, the
    /// others when they come back. Only the session says this.
    pub fn set_limit(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let before = self.limit();
        if limit == before {
            return;
        }
        self.limit.store(limit, Relaxed);
        if limit > before {
            self.release(limit - before);
        } else {
            let gone = self.places.forget_permits(before - limit);
            self.owed.fetch_add(before - limit - gone, Relaxed);
        }
    }

    /// Pays off up to `most` of the places that are owed: how many.
    fn pay(&self, most: usize) -> usize {
        let mut owed = self.owed.load(Relaxed);
        while owed > 0 && most > 0 {
            let paid = owed.min(most);
            match self
                .owed
                .compare_exchange_weak(owed, owed - paid, Relaxed, Relaxed)
            {
                Ok(_) => return paid,
                Err(now) => owed = now,
            }
        }
        0
    }

    /// How many requests may be unanswered now.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// How many places are taken, for those who look.
    pub fn used(&self) -> usize {
        let places = self.limit() + self.owed.load(Relaxed);
        places.saturating_sub(self.places.available_permits())
    }

    /// Refuses all slots that were handed out so far and not used.
    pub fn void_slots(&self) {
        let _inbox = self.inbox.lock();
        self.epoch.fetch_add(1, AcqRel);
    }

    /// Moves everything that waits into the session's own queues and wakes `cx` when more comes.
    /// Returns what is to be taken back of it and of what was there before.
    pub fn take(
        &self,
        requests: &mut VecDeque<Request>,
        responses: &mut Vec<Response>,
        cx: &Context<'_>,
    ) -> Vec<Recall> {
        let mut inbox = self.inbox.lock();
        if requests.is_empty() {
            std::mem::swap(requests, &mut inbox.requests);
        } else {
            requests.append(&mut inbox.requests);
        }
        responses.append(&mut inbox.responses);
        inbox.responses.shrink_to(SPARE);
        if !inbox
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            inbox.waker = Some(cx.waker().clone());
        }
        std::mem::take(&mut inbox.recalls)
    }

    /// Asks the session to take these requests back. What it returns ends when all outcomes are
    /// told; `None` if the session is over.
    ///
    /// A sender may have picked one of them and not queued it yet, for however long. It had its
    /// slot before it picked, and so before this: none of the slots handed out so far is of any
    /// use afterwards.
    pub fn recall(&self, tokens: &[Token]) -> Option<oneshot::Receiver<()>> {
        let (done, told) = oneshot::channel();
        let tokens: HashSet<Token> = tokens.iter().copied().collect();
        let mut inbox = self.inbox.lock();
        if inbox.closed {
            return None;
        }
        self.epoch.fetch_add(1, AcqRel);
        inbox.recalls.push(Recall {
            tokens,
            _done: done,
        });
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(told)
    }

    /// Lets the session look at what has changed.
    pub fn wake(&self) {
        let waker = self.inbox.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes no more requests: those that wait, in order.
    pub fn freeze(&self) -> VecDeque<Request> {
        self.places.close();
        let mut inbox = self.inbox.lock();
        inbox.frozen = true;
        std::mem::take(&mut inbox.requests)
    }

    /// The session is over: takes nothing more.
    pub fn close(&self) -> VecDeque<Request> {
        let left = self.freeze();
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        inbox.responses.clear();
        inbox.recalls.clear();
        inbox.waker = None;
        left
    }

    fn request(&self, request: Request, epoch: u64) -> Result<(), Request> {
        let waker = {
            let mut inbox = self.inbox.lock();
            if inbox.frozen || epoch < self.epoch.load(Acquire) {
                return Err(request);
            }
            inbox.requests.push_back(request);
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn respond(&self, response: Response) -> bool {
        let waker = {
            let mut inbox = self.inbox.lock();
            if inbox.closed {
                return false;
            }
            inbox.responses.push(response);
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// A free place in the window of one session. Dropped unused, it is free again.
#[derive(Debug)]
pub struct Slot {
    /// `None` once it is used.
    channel: Option<Arc<Channel>>,
    /// The channel's when it was handed out.
    epoch: u64,
}

/// The session ended, froze or took its slots back before the request was queued: not one octet
/// of it was sent, and no outcome will follow. Carries the PDU back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this slot is of no use any more: wait for another one")]
pub struct NotQueued(pub Bytes);

impl Slot {
    /// Queues a request: a whole encoded PDU, whose sequence number the session will set.
    ///
    /// The response timer starts when the first octet goes to the socket. The place in the window
    /// is free again when the client has been told the outcome.
    ///
    /// An error means that the session is over or frozen, or has taken back the slots it had handed
    /// out: the request counts as never sent, and the client is not told anything about `token`.
    pub fn submit(
        mut self,
        token: Token,
        pdu: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), NotQueued> {
        let request = Request {
            token,
            pdu: pdu.into(),
            timeout,
        };
        match &self.channel {
            Some(channel) => {
                channel
                    .request(request, self.epoch)
                    .map_err(|request| NotQueued(request.pdu))?;
                self.channel = None;
                Ok(())
            }
            None => Err(NotQueued(request.pdu)),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel.release(1);
        }
    }
}

/// Answers one deliver_sm or data_sm, at most once and whenever its fate is known.
///
/// Dropped unused, it refuses the message for now.
#[derive(Debug)]
pub struct Responder {
    channel: Option<Arc<Channel>>,
    response: Response,
}

impl Responder {
    /// One that gives `response` unless another status is known.
    pub(super) fn new(channel: Arc<Channel>, response: Response) -> Self {
        Responder {
            channel: Some(channel),
            response,
        }
    }

    /// Refuses the message for now, with ESME_RX_T_APPN or as [`refusal`](super::Options::refusal)
    /// says: the SMSC delivers it again, perhaps.
    pub fn put_off(self) {}

    /// Answers with `status`. False when the session is over: nothing is answered, and the SMSC
    /// will deliver the message again.
    pub fn respond(mut self, status: Status) -> bool {
        let response = Response {
            status,
            ..self.response
        };
        self.channel
            .take()
            .is_some_and(|channel| channel.respond(response))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel.respond(self.response);
        }
    }
}

/// Sessions of which there is only a part, for tests of those who use them.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use std::task::Waker;

    use super::*;

    /// A session of which there are only the answers to the SMSC's requests.
    pub struct Answers(Arc<Channel>);

    /// As a session has it by default.
    pub(crate) fn refusal(sequence: u32) -> Response {
        Response {
            command: Command::DELIVER_SM_RESP,
            status: Status::RX_T_APPN,
            sequence,
        }
    }

    impl Default for Answers {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Answers {
        /// One that has answered nothing.
        pub fn new() -> Self {
            Answers(Channel::new(1))
        }

        /// What answers the deliver_sm of this sequence number.
        pub fn responder(&self, sequence: u32) -> Responder {
            Responder::new(self.0.clone(), refusal(sequence))
        }

        /// The answers since the last time: sequence numbers, and what was answered.
        pub fn take(&self) -> Vec<(u32, Status)> {
            let mut responses = Vec::new();
            let cx = Context::from_waker(Waker::noop());
            self.0.take(&mut VecDeque::new(), &mut responses, &cx);
            let answer = |response: Response| (response.sequence, response.status);
            responses.into_iter().map(answer).collect()
        }
    }

    /// A session of which there are only the places, for tests of those who submit.
    pub struct Places(Arc<Channel>);

    impl Places {
        /// One with so many free places.
        pub fn new(count: usize) -> Self {
            Places(Channel::new(count))
        }

        /// A free place, if there is one.
        pub fn slot(&self) -> Option<Slot> {
            Arc::clone(&self.0).try_slot()
        }

        /// Takes requests back, as [`Handle::recall`](crate::Handle::recall) does.
        pub fn recall(&self, tokens: &[Token]) {
            drop(self.0.recall(tokens));
        }

        /// What was submitted since the last time.
        pub fn take(&self) -> Vec<Token> {
            let mut requests = VecDeque::new();
            let cx = Context::from_waker(Waker::noop());
            self.0.take(&mut requests, &mut Vec::new(), &cx);
            requests.into_iter().map(|request| request.token).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(channel: &Channel) -> (Vec<Token>, Vec<Response>) {
        let (mut requests, mut responses) = (VecDeque::new(), Vec::new());
        channel.take(
            &mut requests,
            &mut responses,
            &Context::from_waker(Waker::noop()),
        );
        (
            requests.into_iter().map(|request| request.token).collect(),
            responses,
        )
    }

    fn slot(channel: &Arc<Channel>) -> Option<Slot> {
        Arc::clone(channel).try_slot()
    }

    #[test]
    fn a_slot_is_taken_until_the_outcome_and_comes_back_when_dropped() {
        let channel = Channel::new(2);
        let (first, second) = (slot(&channel).unwrap(), slot(&channel).unwrap());
        assert!(slot(&channel).is_none());
        drop(second);
        let second = slot(&channel).unwrap();
        first.submit(1, Bytes::new(), Duration::ZERO).unwrap();
        second.submit(2, Bytes::new(), Duration::ZERO).unwrap();
        assert!(slot(&channel).is_none(), "both wait for their outcome");
        assert_eq!(drained(&channel).0, [1, 2]);
        channel.release(1);
        assert!(slot(&channel).is_some());
    }

    #[test]
    fn a_smaller_window_takes_free_places_at_once_and_the_others_when_they_come_back() {
        let channel = Channel::new(4);
        let held: Vec<Slot> = (0..3).filter_map(|_| slot(&channel)).collect();
        channel.set_limit(1);
        assert!(slot(&channel).is_none(), "the free one is gone");
        drop(held);
        let one = slot(&channel).unwrap();
        assert!(
            slot(&channel).is_none(),
            "two of three came back for nothing"
        );
        channel.set_limit(0);
        channel.set_limit(2);
        let two = slot(&channel).unwrap();
        assert!(slot(&channel).is_none(), "what is owed is paid first");
        drop((one, two));
        let both = (slot(&channel), slot(&channel));
        assert!(both.0.is_some() && both.1.is_some());
        assert!(slot(&channel).is_none());
    }

    #[test]
    fn a_frozen_channel_returns_what_waits_and_takes_nothing_more() {
        let channel = Channel::new(2);
        slot(&channel)
            .unwrap()
            .submit(1, Bytes::new(), Duration::ZERO)
            .unwrap();
        let kept = slot(&channel).unwrap();
        assert_eq!(channel.freeze().len(), 1);
        let refused = kept.submit(2, Bytes::from_static(b"pdu"), Duration::ZERO);
        assert_eq!(refused, Err(NotQueued(Bytes::from_static(b"pdu"))));
        assert!(slot(&channel).is_none());
        assert!(drained(&channel).0.is_empty());
    }

    #[test]
    fn what_is_recalled_is_not_queued_afterwards() {
        let channel = Channel::new(2);
        let kept = slot(&channel).unwrap();
        let told = channel.recall(&[7]).unwrap();
        let refused = kept.submit(7, Bytes::new(), Duration::ZERO);
        assert_eq!(refused, Err(NotQueued(Bytes::new())));
        let other = slot(&channel).unwrap();
        other.submit(8, Bytes::new(), Duration::ZERO).unwrap();
        assert_eq!(drained(&channel).0, [8]);
        assert!(told.blocking_recv().is_err(), "the session has seen it");
        channel.close();
        assert!(channel.recall(&[8]).is_none());
    }

    #[test]
    fn a_sender_may_stall_over_any_number_of_recalls() {
        let channel = Channel::new(2);
        let stalled = slot(&channel).unwrap(); // it picks 7 now
        for tokens in [&[7, 8][..], &[9], &[]] {
            drop(channel.recall(tokens));
        }
        let refused = stalled.submit(7, Bytes::new(), Duration::ZERO);
        assert_eq!(refused, Err(NotQueued(Bytes::new())));
        for token in [10, 11] {
            let next = slot(&channel).expect("its place is free again");
            next.submit(token, Bytes::new(), Duration::ZERO).unwrap();
        }
        assert_eq!(drained(&channel).0, [10, 11]);
    }

    #[test]
    fn slots_that_are_void_give_their_places_back() {
        let channel = Channel::new(3);
        let kept = slot(&channel).unwrap();
        channel.set_limit(1);
        channel.void_slots();
        assert!(kept.submit(2, Bytes::new(), Duration::ZERO).is_err());
        let one = slot(&channel).expect("its place is the one that is left");
        assert!(slot(&channel).is_none());
        channel.set_limit(0);
        channel.void_slots();
        channel.set_limit(2);
        assert!(one.submit(3, Bytes::new(), Duration::ZERO).is_err());
        let slots: Vec<Slot> = std::iter::from_fn(|| slot(&channel)).collect();
        assert_eq!((slots.len(), channel.limit()), (2, 2));
    }

    #[test]
    fn a_place_that_was_just_taken_when_the_window_closed_is_no_slot() {
        let channel = Channel::new(2);
        // A sender takes a place, and before it has its slot the session closes the window.
        channel.places.try_acquire().unwrap().forget();
        channel.set_limit(0);
        channel.void_slots();
        assert!(channel.hand_out().is_none(), "it would be queued");
        // A slot comes back while the window closes: too late to be seen, too early to pay.
        channel.set_limit(1);
        channel.places.try_acquire().unwrap().forget();
        channel.set_limit(0);
        channel.void_slots();
        channel.places.add_permits(1);
        assert!(slot(&channel).is_none());
        channel.set_limit(1);
        assert!(slot(&channel).is_some(), "nothing is owed any more");
    }

    #[test]
    fn a_responder_answers_once_and_a_forgotten_one_asks_for_a_repetition() {
        let channel = Channel::new(1);
        let responder = |n| Responder::new(Arc::clone(&channel), testing::refusal(n));
        channel.freeze();
        assert!(
            responder(1).respond(Status::ROK),
            "a frozen session still answers"
        );
        drop(responder(2));
        let answers = drained(&channel).1;
        let statuses: Vec<_> = answers.iter().map(|a| (a.sequence, a.status)).collect();
        assert_eq!(statuses, [(1, Status::ROK), (2, Status::RX_T_APPN)]);
        channel.close();
        assert!(
            !responder(3).respond(Status::ROK),
            "nobody is there any more"
        );
    }
}
