//! What a session tells those who use it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::channel::Responder;
use super::flow::{Pace, Signal};
use super::options::Mode;
use smpp_protocol::{Command, Status};

/// The caller's name for a request. The session does not interpret it.
pub type Token = u64;

/// The SMSC's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// submit_sm_resp, or generic_nack.
    pub command: Command,
    /// Any command_status, the vendor's own included.
    pub status: Status,
    /// message_id as it came, without the terminating NUL; empty when there is none.
    pub message_id: Vec<u8>,
    /// What follows message_id: optional parameters (SMPP 5.0 allows them), or oddities.
    pub tlvs: Bytes,
    /// When it was read from the socket.
    pub received: SystemTime,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, with whatever status.
    Answered(Answer),
    /// Not one octet of it was given to the kernel: the SMSC cannot have it.
    NotSent,
    /// The SMSC may have it; no answer came.
    InDoubt(Doubt),
    /// An answer to a token that was reported as `InDoubt(Timeout)` before.
    Late(Answer),
}

/// Why a request is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The response timer ran out; the session goes on, and an answer may still come late.
    Timeout,
    /// The session ended before the answer: its connection broke, or the SMSC unbound.
    ConnectionLost,
    /// The session was closed from this side before the answer.
    Closed,
    /// The right to write was over before the answer.
    LeaseOver,
    /// No message went either way for so long that the session was ended, before the answer.
    Inactive,
    /// The session was given up before the answer, because the SMSC answered none at all.
    Deaf,
    /// Whoever asked does not wait for the answer any more, because the message's partition is
    /// given up. The session goes on, and an answer may still come late. No session says this.
    GivenUp,
}

impl Doubt {
    /// Whether the session goes on, so that an answer may come all the same.
    pub fn may_be_answered(self) -> bool {
        matches!(self, Doubt::Timeout | Doubt::GivenUp)
    }
}

/// Receives the outcomes of requests.
///
/// All functions are called on the session's task: they must be quick and must not block.
pub trait Client: Send + Sync + 'static {
    /// A session begins, the `generation`-th of this bind. Called before anybody gets a slot.
    fn bound(&self, generation: u64) {
        let _ = generation;
    }

    /// The SMSC says which version of SMPP it speaks, in sc_interface_version of its answer to
    /// the bind (SMPP 3.4 §5.3.2.25); `None` if it does not say. Called before anybody gets a slot.
    fn speaks(&self, version: Option<u8>) {
        let _ = version;
    }

    /// The session is over and all its outcomes are told. Called before the state changes and
    /// before the next session begins, so that the two can never be mixed up; who only watches
    /// the state may see the next session without having seen the end of this one.
    fn unbound(&self, generation: u64) {
        let _ = generation;
    }

    /// What became of the request `token`.
    ///
    /// Each request that was queued gets exactly one of `Answered`, `NotSent` and `InDoubt`; after
    /// `InDoubt(Timeout)` at most one `Late` may follow within the same session.
    fn outcome(&self, token: Token, outcome: Outcome);

    /// What a command_status other than ESME_ROK says about the amount and the speed of requests.
    fn means(&self, status: Status) -> Signal {
        Signal::of(status)
    }

    /// What the bind may do has changed.
    fn paced(&self, pace: Pace) {
        let _ = pace;
    }

    /// All outcomes have been told that had to be told at this moment: of requests whose response
    /// timer ran out together.
    fn all_told(&self) {}

    /// The first octet of the request went to the socket.
    fn sent(&self, token: Token) {
        let _ = token;
    }
}

/// Receives the requests of the SMSC: deliver_sm and data_sm.
pub trait Inbound: Send + Sync + 'static {
    /// A session is bound: what arrives from now on came in it.
    fn bound(&self) {}

    /// A whole PDU, its header included, has arrived. Called on the session's task: it must be
    /// quick and must not block. The responder may be used later, on any thread.
    fn receive(&self, frame: Bytes, responder: Responder);

    /// The SMSC has said something that wants no answer. Called on the session's task, or on that
    /// of a bind: it must be quick and must not block.
    fn notice(&self, notice: Notice) {
        let _ = notice;
    }

    /// The bind has a session now, or has none any more. Called on the task of the bind, between its
    /// sessions' own calls: it must be quick and must not block.
    fn changed(&self, change: Change) {
        let _ = change;
    }
}

/// A change of a bind: from none to a session, or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The SMSC has bound a session.
    Bound {
        /// As what.
        mode: Mode,
        /// `host:port` as configured.
        host: Arc<str>,
        /// The address that this was.
        peer: SocketAddr,
        /// The SMSC's system_id, from its answer to the bind; empty if it names none.
        system_id: Vec<u8>,
        /// Counts the sessions of this bind, from 1.
        generation: u64,
    },
    /// A session is over, or the first attempt to get one failed: said once until there is one.
    Unbound {
        /// As what it was, or was to be, bound.
        mode: Mode,
        /// `host:port` as configured, of the session or of the attempt.
        host: Arc<str>,
        /// Why, in words.
        reason: String,
        /// Whether this side wanted it.
        wanted: bool,
        /// How long it was bound; `None` if it was not.
        lasted: Option<Duration>,
        /// How many requests had no answer.
        unanswered: usize,
    },
}

/// What an SMSC says without waiting for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A whole alert_notification, its header included (SMPP 3.4 §4.12).
    Alert(Bytes),
    /// An outbind (SMPP 3.4 §4.1.7), without its password.
    Outbind {
        /// The SMSC's system_id as it came.
        system_id: Vec<u8>,
        /// Where it came from.
        peer: SocketAddr,
    },
}
