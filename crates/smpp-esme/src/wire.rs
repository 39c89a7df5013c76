//! What goes over a connection, for those who watch.

use tracing::trace;

use super::options::Options;
use smpp_protocol::frame::Header;

/// The target of the lines about single PDUs, which are at `trace`.
pub const PDUS: &str = "smpp_esme::pdu";

/// The connection of one bind, and who watches it. Neither texts nor numbers are told to the log.
#[derive(Debug)]
pub(super) struct Wire {
    /// The bind's name.
    bind: String,
}

impl Wire {
    pub fn new(options: &Options) -> Self {
        Wire {
            bind: options.name.clone(),
        }
    }

    /// The bind's name.
    pub fn bind(&self) -> &str {
        &self.bind
    }

    /// A PDU was read.
    #[inline]
    pub fn received(&self, header: Header) {
        let Header {
            length,
            command,
            status,
            sequence,
        } = header;
        trace!(target: PDUS, bind = self.bind, %command, %status, sequence, length, "received");
    }

    /// A request was begun to be written, or another PDU is about to be.
    #[inline]
    pub fn sent(&self, pdu: &[u8]) {
        if let Some(header) = Header::decode(pdu) {
            let Header {
                length,
                command,
                status,
                sequence,
            } = header;
            trace!(target: PDUS, bind = self.bind, %command, %status, sequence, length, "sent");
        }
    }
}
