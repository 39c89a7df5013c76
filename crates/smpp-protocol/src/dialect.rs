//! What one SMSC makes of SMPP, where the specification leaves it open or the SMSC does not
//! follow it.

use std::borrow::Cow;

use super::message_id::Pairing;
use super::names::Names;
use super::pdu::Sm;
use super::receipt::{Receipt, Style};
use super::text::Alphabet;
use super::{MessageState, Tag};

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

    /// What a deliver_sm or data_sm says of a message that was submitted, if it is about one; else
    /// it is somebody's message.
    ///
    /// esm_class says which (SMPP 3.4 §5.2.12). Where it does not say that it is the SMSC's word on
    /// a message, there must be more to it than receipted_message_id, which some SMSCs put into a
    /// phone's message too:
    ///
    /// - an acknowledgement of a phone or its user belongs to the message that it names;
    /// - anything else must name a message and say what became of it: in TLVs, or in a text with an
    ///   id and a known state, where receipted_message_id stands beside it or the SMSC is
    ///   [known](Style::unmarked) for receipts that only their text marks. A text that has more of
    ///   the labels of SMPP 3.4 Appendix B than `stat:` and what names the message is a receipt in
    ///   whatever words it says the state: no person writes so, and as a message it would be lost
    ///   to whoever waits for the receipt.
    pub fn report<'a>(&self, sm: &Sm<'a>) -> Option<Receipt<'a>> {
        let kind = sm.message_type();
        if kind.reports_on_a_message() {
            return Some(self.receipt(sm));
        }
        let beside = sm.tlvs.get(Tag::RECEIPTED_MESSAGE_ID).is_some();
        if !(beside || kind.is_acknowledgement() || self.receipts.unmarked) {
            return None;
        }
        let receipt = self.receipt(sm);
        let is_some = |id: &Option<Cow<'_, str>>| {
            let id = id.as_deref().unwrap_or_default();
            !id.trim_matches([' ', '\0']).is_empty()
        };
        let state_beside = sm.tlvs.get(Tag::MESSAGE_STATE);
        let says_state = match state_beside.and_then(MessageState::from_octets) {
            Some(_) => beside || self.receipts.unmarked,
            None => {
                let names_it = self.receipts.unmarked || is_some(&receipt.text_id);
                names_it && receipt.text_state.is_some() || is_labelled(&receipt, beside)
            }
        };
        let is_about_one = kind.is_acknowledgement() || says_state;
        (is_some(&receipt.id) && is_about_one).then_some(receipt)
    }

    /// The same, of which only the ids count: as [`Receipt::ids_of`] reads it.
    pub fn report_ids<'a>(&self, sm: &Sm<'a>) -> Option<Receipt<'a>> {
        if sm.message_type().reports_on_a_message() {
            return Some(Receipt::ids_of(sm, &self.receipts));
        }
        self.report(sm)
    }

    /// Reads the receipt in a deliver_sm or data_sm that is one.
    pub fn receipt<'a>(&self, sm: &Sm<'a>) -> Receipt<'a> {
        Receipt::of(sm, &self.receipts)
    }
}

/// Whether a text has the labels of a receipt: `stat:` and one more, which may be `id:` only where
/// a TLV names the message too.
fn is_labelled(receipt: &Receipt<'_>, beside: bool) -> bool {
    let id = receipt.text_id.as_ref().filter(|_| beside);
    let others = [
        id,
        receipt.sub.as_ref(),
        receipt.dlvrd.as_ref(),
        receipt.submit_date.as_ref(),
        receipt.done_date.as_ref(),
        receipt.err.as_ref(),
    ];
    receipt.stat.is_some() && others.iter().any(Option::is_some)
}

impl From<Alphabet> for Dialect {
    fn from(alphabet: Alphabet) -> Self {
        Dialect {
            receipts: alphabet.into(),
            ..Dialect::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::UDH_INDICATOR;
    use crate::tlv::push_tlv;
    use crate::{MessageState, Tlvs};

    /// The id that it is about, or that it is a message.
    fn about(esm_class: u8, text: &[u8], tlvs: &[(Tag, &[u8])], dialect: &Dialect) -> String {
        let mut region = Vec::new();
        for (tag, value) in tlvs {
            push_tlv(&mut region, *tag, value).unwrap();
        }
        let sm = Sm {
            esm_class,
            short_message: text,
            tlvs: Tlvs::new(&region),
            ..Sm::default()
        };
        let report = dialect.report(&sm);
        report.map_or("a message".into(), |receipt| {
            receipt.id.unwrap_or("nothing".into()).into_owned()
        })
    }

    #[test]
    fn esm_class_says_what_is_a_receipt() {
        let about = |esm_class, text| about(esm_class, text, &[], &Dialect::default());
        assert_eq!(about(0x04, b"id:7F stat:DELIVRD"), "7F");
        assert_eq!(about(0x04, b"all is well"), "nothing");
        assert_eq!(about(0x20 | UDH_INDICATOR, b"id:7F"), "7F");
        assert_eq!(about(0x00, b"id:7F stat:DELIVRD"), "a message");
        assert_eq!(about(0x08, b"id:7F"), "7F", "the recipient's device speaks");
        assert_eq!(about(0x10, b"yes, I have it"), "a message");
    }

    #[test]
    fn a_message_is_not_a_receipt_because_it_names_one() {
        const ID: (Tag, &[u8]) = (Tag::RECEIPTED_MESSAGE_ID, b"7F\0");
        const NONE: (Tag, &[u8]) = (Tag::RECEIPTED_MESSAGE_ID, b"\0");
        const STATE: (Tag, &[u8]) = (Tag::MESSAGE_STATE, &[2]);
        const ODD: (Tag, &[u8]) = (Tag::MESSAGE_STATE, &[77]);
        let usual = Dialect::default();
        let part = b"\x05\0\x03\x09\x02\x01yes, ";
        for (esm_class, text, tlvs, id) in [
            (0x00, &b"Yes please"[..], &[ID][..], "a message"),
            (0x00, b"7", &[ID], "a message"),
            (0x00, b"", &[ID], "a message"),
            (0x00, b"Yes please", &[NONE], "a message"),
            (0x00, b"Yes please", &[NONE, STATE], "a message"),
            (0x00, b"Yes please", &[ID, ODD], "a message"),
            (0x00, b"my stat:DELIVRD", &[ID], "a message"),
            (UDH_INDICATOR, part, &[ID], "a message"),
            (0x18, b"bye", &[ID], "a message"),
            (0x0C, b"reserved", &[ID], "a message"),
            (0x00, b"", &[STATE], "a message"),
            (0x00, b"", &[ID, STATE], "7F"),
            (0x00, b"id:127 stat:UNDELIV", &[ID], "7F"),
            // Whatever the word, and whether or not the text names the message too.
            (0x00, b"id:127 stat:DELIVERY_PENDING", &[ID], "7F"),
            (0x00, b"stat:DELIVRD err:000", &[ID], "7F"),
            (
                0x00,
                b"sub:001 dlvrd:000 stat:5 err:12 text:hi",
                &[ID],
                "7F",
            ),
            (0x00, b"submit date:2601010000 stat:GONE", &[ID], "7F"),
            (0x00, b"err:000 sub:001", &[ID], "a message"),
            (0x00, b"stat:DELIVRD text:hi", &[ID], "a message"),
            (0x00, b"id:127 err:000", &[ID], "a message"),
            (0x00, b"stat:GONE err:000", &[NONE], "a message"),
            (0x00, b"id:127 stat:GONE err:000", &[], "a message"),
            (0x08, b"", &[ID], "7F"),
            (0x04, b"Yes please", &[ID], "7F"),
        ] {
            let said = about(esm_class, text, tlvs, &usual);
            assert_eq!(said, id, "{esm_class:02X} {text:?} {tlvs:?}");
        }
    }

    #[test]
    fn an_smsc_can_be_known_for_receipts_that_only_their_text_marks() {
        let mut dialect = Dialect::default();
        dialect.receipts.unmarked = true;
        let about = |text, tlvs: &[_]| about(0, text, tlvs, &dialect);
        assert_eq!(about(b"id:7F stat:DELIVRD err:000", &[]), "7F");
        assert_eq!(about(b"id:7F stat:WEIRD err:000", &[]), "7F");
        assert_eq!(about(b"id:7F stat:WEIRD", &[]), "a message");
        assert_eq!(about(b"my id: 7F", &[]), "a message");
        assert_eq!(about(b"stat:DELIVRD", &[]), "a message");
        assert_eq!(about(b"hello", &[]), "a message");
        let id = (Tag::RECEIPTED_MESSAGE_ID, &b"7F\0"[..]);
        assert_eq!(about(b"hello", &[id]), "a message");
        assert_eq!(about(b"id:7F", &[(Tag::MESSAGE_STATE, &[2])]), "7F");
        dialect.receipts.states = vec![("GONE".into(), MessageState::Expired)];
        let sm = Sm {
            short_message: b"id:7F stat:gone",
            ..Sm::default()
        };
        let state = dialect.report(&sm).and_then(|receipt| receipt.state);
        assert_eq!(state, Some(MessageState::Expired));
    }
}
