//! One session with an SMSC and its life.
//!
//! A [`Bind`] connects, binds, serves the session and connects again, for as long as its
//! [`Lease`] and its [`Handle`] let it. One task owns a session: it numbers the requests, writes
//! and reads in batches, keeps the timers, and tells the [`Client`] what became of each request
//! and [`Inbound`] what the SMSC wants to deliver. An SMSC may also begin the session itself:
//! then binds wait for it at a [`Door`].
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use kafka_smpp::esme::{Bind, Client, Inbound, Lease, Options};
//!
//! # async fn example(client: Arc<dyn Client>, inbound: Arc<dyn Inbound>, submit_sm: Vec<u8>) {
//! let options = Options { hosts: vec!["127.0.0.1:2775".into()], ..Options::default() };
//! let (bind, handle) = Bind::new(options, client, inbound, Lease::unlimited());
//! tokio::spawn(bind.run());
//! while let Some(slot) = handle.slot().await {
//!     // The outcome of token 42 is told to the client, exactly once.
//!     if slot.submit(42, submit_sm.clone(), Duration::from_secs(10)).is_ok() {
//!         break;
//!     }
//! }
//! handle.close(Duration::from_secs(2)).await;
//! # }
//! ```

mod backoff;
mod bind;
mod channel;
mod client;
mod clock;
mod connect;
mod counters;
pub mod flow;
mod handle;
mod home;
pub mod host;
mod input;
mod lease;
pub mod options;
pub mod outbind;
mod outbox;
pub mod rate;
mod serve;
mod session;
mod tls;
mod trust;
mod window;

#[cfg(test)]
mod tests;

pub use bind::Bind;
#[cfg(test)]
pub(crate) use channel::testing;
pub use channel::{NotQueued, Responder, Slot};
pub use client::{Answer, Client, Doubt, Inbound, Notice, Outcome, Token};
pub use connect::reach;
pub use counters::Counters;
pub use flow::{Pace, Siblings, Signal};
pub use handle::{Handle, State};
pub use lease::{Lease, Moment};
pub use options::{Identity, Mode, Options, OutbindTls, Reconnect, Timers, Tls};
pub use outbind::{Door, Welcome};
pub use rate::Rate;
pub(crate) use session::SESSION_OCTETS;
pub use tls::TlsError;
pub(crate) use tls::client_config;
