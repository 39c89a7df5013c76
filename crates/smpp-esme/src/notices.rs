//! What is said of binds: every line of this crate at `info` and above.
//!
//! The codes are those of kafka-smpp, which has a page for each (`docs/errors`).

use std::fmt;
use std::net::SocketAddr;

use plain_telemetry::ErrorCode;

use super::codes;

plain_telemetry::notices! {
    /// What is said of binds: every line of this crate at `info` and above.
    pub static NOTICES;

    /// The file of a password cannot be read when a bind is made. The password that was read before is
    /// used. Write the file anew, with the password and nothing else.
    warn[ErrorCode::new("KS-1108")] PasswordNotRead<'a> "the file of a password cannot be read; going on with the one before" {
        /// Which file.
        display file: &'a dyn fmt::Display,
        /// Why.
        value why: &'a str,
    }


    /// A session is bound.
    info Bound<'a> "bound" {
        /// Which bind.
        value bind: &'a str,
        /// The address of the SMSC.
        display peer: SocketAddr,
        /// Transmitter, receiver or transceiver.
        value mode: &'a str,
        /// How many sessions this bind has had, this one included.
        value generation: u64,
    }

    /// A session ended and the next begins when the SMSC asks for it (outbind).
    warn[ErrorCode::new("KS-2003")] OutbindSessionEnded<'a> "{reason}" {
        /// How it ended, after what time, with how many messages unanswered.
        inline reason: &'a str,
        /// Which bind.
        value bind: &'a str,
    }

    /// A bind left another host for the first one of its list, which is there again.
    info LeftForFirstHost<'a> "left for the first host, which accepts connections again; nothing was unanswered" {
        /// Which bind.
        value bind: &'a str,
        /// The host that it had.
        display from: &'a str,
        /// The first host.
        display to: &'a str,
    }

    /// The process lost the right to this bind, so it was cut: Kafka was away for too long.
    warn[ErrorCode::new("KS-2004")] SessionCut<'a> "session ended: {end}" {
        /// Why.
        inline end: &'a dyn fmt::Display,
        /// Which bind.
        value bind: &'a str,
        /// How many messages had no answer.
        value in_doubt: usize,
    }

    /// A session was ended by this side as it was to be, or by the SMSC or the network while this side
    /// was ending it: then some messages may have had no answer.
    info SessionEnded<'a> "session ended: {end}" {
        /// Why.
        inline end: &'a dyn fmt::Display,
        /// Which bind.
        value bind: &'a str,
        /// How many messages had no answer.
        value in_doubt: usize,
    }

    /// The first host of the list accepts connections again, but no bind. The session with another one,
    /// which was left for it, is made again. If this repeats, ask the SMSC's operator.
    warn[ErrorCode::new("KS-2005")] FirstHostDoesNotBind<'a> "the first host accepts connections and does not bind: {failure}; back to where it was, at once" {
        /// Why.
        inline failure: &'a dyn fmt::Display,
        /// Which bind.
        value bind: &'a str,
        /// The first host.
        display first: &'a str,
        /// The host that the bind goes back to.
        display host: &'a str,
    }

    /// The SMSC refuses the bind for a reason that does not pass by itself, such as a wrong password.
    /// It is tried again slowly, so that the account is not locked.
    error[codes::REFUSED] BindRefused<'a> "{reason}" {
        /// Why, and what may help.
        inline reason: &'a str,
        /// Which bind.
        value bind: &'a str,
        /// The account.
        value system_id: &'a str,
        /// How long it waits before the next attempt.
        value wait: &'a str,
    }

    /// A session ended, or a bind failed; the next attempt follows.
    warn NotBound<'a> "{reason}; next attempt with {host} {wait}" {
        /// How the session ended, or why the bind failed, and what may help.
        inline reason: &'a str,
        /// The host of the next attempt.
        inline host: &'a str,
        /// When.
        inline wait: &'a str,
        /// Which bind.
        value bind: &'a str,
        /// Failures in a row.
        value attempts: u32,
        /// By which the cause is explained.
        display error_code: ErrorCode,
    }

    /// An SMSC asks for a bind (outbind).
    info OutbindAccepted<'a> "outbind" {
        /// Which bind.
        value bind: &'a str,
        /// The address of the SMSC.
        display peer: SocketAddr,
    }

    /// Somebody connects to the outbind listener who is not the SMSC, or sends something else than an
    /// outbind.
    warn[ErrorCode::new("KS-2006")] OutbindDropped<'a> "an outbind connection was dropped: {rejected}" {
        /// Why.
        inline rejected: &'a dyn fmt::Display,
        /// Which bind.
        value bind: &'a str,
        /// The address of the peer.
        display peer: SocketAddr,
        /// How many since the last such line.
        value connections: u64,
    }
}
