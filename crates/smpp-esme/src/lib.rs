#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! A [`Bind`] connects, binds, serves the session and connects again, for as long as its
//! [`Lease`] and its [`Handle`] let it. One task owns a session: it numbers the requests, writes
//! and reads in batches, keeps the timers, and tells the [`Client`] what became of each request
//! and [`Inbound`] what the SMSC wants to deliver. An SMSC may also begin the session itself:
//! then binds wait for it at a [`OutbindListener`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backoff;
mod bind;
mod channel;
mod client;
mod clock;
mod codes;
mod connect;
mod counters;
pub mod flow;
mod handle;
mod home;
pub mod host;
mod input;
mod lease;
pub mod local;
mod notices;
pub mod options;
pub mod outbind;
mod outbox;
pub mod rate;
mod serve;
mod session;
mod tcp;
mod tls;
mod trust;
mod window;
mod wire;

#[cfg(test)]
mod tests;

pub use bind::{Bind, CLOSED};
#[cfg(any(test, feature = "testing"))]
pub use channel::testing;
pub use channel::{NotQueued, Responder, Slot};
pub use client::{Answer, Change, Client, Doubt, Inbound, Notice, Outcome, Token};
pub use codes::ERROR_CODES;
pub use connect::reach;
pub use counters::Counts;
pub use flow::{Pace, Siblings, Signal};
pub use handle::{Handle, State};
pub use lease::{Lease, Moment};
pub use notices::NOTICES;
pub use options::{Credentials, Mode, Options, OutbindTls, Reconnect, Tcp, Timers, Tls};
pub use outbind::{OutbindListener, OutbindOptions};
pub use rate::Rate;
pub use session::SESSION_OCTETS;
pub use tcp::KEEP_ALIVE_MAX;
pub use tls::{TlsError, client_config};
pub use wire::{Direction, PDUS, Passing, Tap};
pub use written_units::Time;
