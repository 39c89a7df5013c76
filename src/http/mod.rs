//! Where a process can be looked at: one listener, and what it serves.
//!
//! | path | what | for |
//! |---|---|---|
//! | `/` | the page (`page/`) | people |
//! | `/live` | 200 while all threads make progress, else 503 and which does not | a liveness probe: an SMSC or Kafka that is away never fails it |
//! | `/ready` | 200 while nothing is missing, else 503 and what is | a readiness probe, people |
//! | `/metrics` | metrics ([`metrics`](crate::metrics)) | Prometheus |
//! | `/status` | a [`Status`] as JSON | scripts, `kafka-smpp top` |
//! | `/processes` | those of all processes of the deployment, this one first | `kafka-smpp top`, the page |
//! | `/history` | the last hour of all of them together ([`History`]) | the page |
//! | `/steer` | GET: whether anybody may steer; POST: an [order](crate::control::Command), with the token | the page, scripts |
//!
//! Everybody who reaches the address may read: nothing there is a secret, a text or a phone number.
//! So it listens on what the configuration names, and a network policy says who reaches that.
//!
//! A page of somebody else in an operator's browser cannot steer, because that takes a header which
//! browsers do not let it send, and cannot read, [whatever its name leads to](hosts).
//!
//! # Bounds
//!
//! Whoever connects proves nothing. At most [`CONNECTIONS`] connections are served at once, and
//! [`CONNECTIONS_OF_ONE`] of one address, so that one who opens many leaves room for the probes of
//! others; more are closed at once. A request's head has [`HEAD_TIMEOUT`] and [`HEAD_OCTETS`], its body
//! [`BODY_OCTETS`], and a connection lives for [`LIFE`].

mod bounds;
mod files;
mod hosts;
mod listener;
pub(crate) mod notices;
mod routes;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

pub use listener::{Error, Handle, Options, Server};

use crate::status::{History, Live, Status};

/// Connections that are served at once.
const CONNECTIONS: usize = 64;
/// Of these, those of one address.
const CONNECTIONS_OF_ONE: usize = 24;
/// How long a request's head may take, and how long a connection may wait for the next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How many octets of a request are held that are not understood yet.
const HEAD_OCTETS: usize = 16 * 1024;
/// How many octets a body may have.
const BODY_OCTETS: usize = 16 * 1024;
/// How long a connection may live: whoever wants more connects again.
const LIFE: Duration = Duration::from_secs(120);

/// What is looked at.
pub trait Seen: Send + Sync + 'static {
    /// All that can be seen.
    fn status(&self) -> Status;

    /// All that can be seen of all processes of the deployment, of this one first.
    fn processes(&self) -> Vec<Status>;

    /// The last hour.
    fn history(&self) -> History;

    /// Whether all threads make progress. It must not wait for any of them.
    fn live(&self) -> Live;
}

/// Serves one connection from this machine, as the listener does.
#[cfg(feature = "fuzzing")]
pub(crate) async fn served(
    stream: tokio::io::DuplexStream,
    seen: std::sync::Arc<dyn Seen>,
    steered: crate::control::Handle,
    token: secrecy::SecretString,
) {
    let routes = routes::routes(seen, steered, token);
    let routes = hosts::Hosts([].into()).guard(routes);
    let stopping = tokio_util::sync::CancellationToken::new();
    listener::serve(stream, hosts::Near(true), routes, stopping).await;
}
