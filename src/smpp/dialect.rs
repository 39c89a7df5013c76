//! What one SMSC makes of SMPP, where the specification leaves it open or the SMSC does not
//! follow it.

use super::message_id::Pairing;
use super::names::Names;
use super::pdu::Sm;
use super::receipt::{Receipt, Style};
use super::text::Alphabet;

/// All that must be known of an SMSC to read what it sends, and to write what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialect {
    /// How it writes receipts, and its default alphabet.
    pub receipts: Style,
    /// How it writes message ids.
    pub ids: Pairing,
    /// What its vendor calls things.
    pub names: Names,
}

impl Dialect {
    /// What data_coding 0 means to it.
    pub const fn alphabet(&self) -> Alphabet {
        self.receipts.alphabet
    }

    /// Reads the receipt in a deliver_sm or data_sm.
    pub fn receipt<'a>(&self, sm: &Sm<'a>) -> Receipt<'a> {
        Receipt::of(sm, &self.receipts)
    }
}

impl From<Alphabet> for Dialect {
    fn from(alphabet: Alphabet) -> Self {
        Dialect {
            receipts: alphabet.into(),
            ..Dialect::default()
        }
    }
}
