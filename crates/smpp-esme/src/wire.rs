//! What goes over a connection, for those who watch.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::trace;

use super::options::Options;
use smpp_protocol::frame::Header;

/// The target of the lines about single PDUs, which are at `trace`.
pub const PDUS: &str = "smpp_esme::pdu";

/// Which way a PDU goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the SMSC.
    Sent,
    /// From the SMSC.
    Received,
}

/// A PDU that goes over a connection.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Which way.
    pub direction: Direction,
    /// The address of the SMSC.
    pub peer: SocketAddr,
    /// Its header.
    pub header: Header,
    /// The whole PDU, header included. A bind has its password in there.
    pub pdu: &'a [u8],
}

/// Sees the PDUs of one bind, each as it was read, when a request has begun to be written, or when
/// another PDU is about to be. The session waits for it meanwhile: it must be quick.
pub trait Tap: fmt::Debug + Send + Sync {
    /// A PDU passes.
    fn pdu(&self, passing: Passing<'_>);
}

/// The connection of one bind, and who watches it. Neither texts nor numbers are told to the log.
#[derive(Debug)]
pub(super) struct Wire {
    /// The bind's name.
    bind: String,
    /// The address of the SMSC.
    peer: SocketAddr,
    tap: Option<Arc<dyn Tap>>,
}

impl Wire {
    pub fn new(options: &Options, peer: SocketAddr) -> Self {
        Wire {
            bind: options.name.clone(),
            peer,
            tap: options.tap.clone(),
        }
    }

    /// The bind's name.
    pub fn bind(&self) -> &str {
        &self.bind
    }

    /// A PDU was read.
    #[inline]
    pub fn received(&self, header: Header, pdu: &[u8]) {
        if self.is_watched() {
            self.pass(Direction::Received, header, pdu);
        }
    }

    /// A request was begun to be written, or another PDU is about to be.
    #[inline]
    pub fn sent(&self, pdu: &[u8]) {
        if self.is_watched()
            && let Some(header) = Header::decode(pdu)
        {
            self.pass(Direction::Sent, header, pdu);
        }
    }

    /// Whether anybody may be interested: all that a PDU costs if nobody is.
    #[inline]
    fn is_watched(&self) -> bool {
        self.tap.is_some() || LevelFilter::current() == LevelFilter::TRACE
    }

    #[cold]
    fn pass(&self, direction: Direction, header: Header, pdu: &[u8]) {
        let Header {
            length,
            command,
            status,
            sequence,
        } = header;
        let bind = &*self.bind;
        match direction {
            Direction::Sent => {
                trace!(target: PDUS, bind, %command, %status, sequence, length, "sent");
            }
            Direction::Received => {
                trace!(target: PDUS, bind, %command, %status, sequence, length, "received");
            }
        }
        if let Some(tap) = &self.tap {
            let peer = self.peer;
            tap.pdu(Passing {
                direction,
                peer,
                header,
                pdu,
            });
        }
    }
}
