//! Delivery receipts: from TLVs (SMPP 3.4 §5.3.2.12, §5.3.2.35, §5.3.2.31) and from text, in the
//! form of SMPP 3.4 Appendix B and in what the field has made of it.

mod flaws;
mod pattern;
mod scan;
mod when;

use std::borrow::Cow;

pub use flaws::{Flaw, FlawKind};
pub use pattern::{BadPattern, GROUPS, Pattern};
pub use when::When;

use super::message_id::Pairing;
use super::pdu::Sm;
use super::state::MessageState;
use super::text::{self, Alphabet, Encoding};
use super::{Tag, Tlv, Tlvs};

/// What a receipt tells. Every part may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt<'a> {
    /// The message's message_id: receipted_message_id, or else `id:` of the text.
    pub id: Option<Cow<'a, str>>,
    /// receipted_message_id, if it says anything.
    pub tlv_id: Option<Cow<'a, str>>,
    /// `id:` of the text, which may be another spelling of the same number.
    pub text_id: Option<Cow<'a, str>>,
    /// `sub:` as written, the number of messages submitted.
    pub sub: Option<Cow<'a, str>>,
    /// `dlvrd:` as written, the number of messages delivered.
    pub dlvrd: Option<Cow<'a, str>>,
    /// `submit date:` as written; see [`Receipt::submitted`].
    pub submit_date: Option<Cow<'a, str>>,
    /// `done date:` as written; see [`Receipt::done`].
    pub done_date: Option<Cow<'a, str>>,
    /// `stat:` as written.
    pub stat: Option<Cow<'a, str>>,
    /// What `stat:` means, to this SMSC or to everybody.
    pub text_state: Option<MessageState>,
    /// The message's state: message_state, or else what `stat:` means.
    pub state: Option<MessageState>,
    /// `err:` as written; not always a number.
    pub err: Option<Cow<'a, str>>,
    /// `text:` as written, up to the end: often the beginning of the message.
    pub text: Option<Cow<'a, str>>,
    /// network_error_code, if there was one of the right length.
    pub network_error: Option<NetworkError>,
}

/// network_error_code (SMPP 3.4 §5.3.2.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkError {
    /// Kind of network: 1 ANSI-136, 2 IS-95, 3 GSM; others in SMPP 5.0.
    pub network: u8,
    /// The network's own code.
    pub code: u16,
}

/// How an SMSC writes its receipts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Style {
    /// Its default alphabet, data_coding 0.
    pub alphabet: Alphabet,
    /// The form of its texts, if that is none of Appendix B; texts that it does not fit are read
    /// as usual.
    pub pattern: Option<Pattern>,
    /// What its words for states mean, in upper case, beside the usual ones.
    pub states: Vec<(Box<str>, MessageState)>,
    /// Whether a text that reads as a receipt is one although esm_class does not say so.
    pub unmarked: bool,
}

impl From<Alphabet> for Style {
    fn from(alphabet: Alphabet) -> Self {
        Style {
            alphabet,
            ..Style::default()
        }
    }
}

impl Style {
    fn state(&self, stat: &str) -> Option<MessageState> {
        let mut own = self.states.iter();
        own.find(|(word, _)| word.eq_ignore_ascii_case(stat))
            .map(|(_, state)| *state)
    }
}

impl<'a> Receipt<'a> {
    /// Reads a deliver_sm or data_sm.
    pub fn of(sm: &Sm<'a>, style: &Style) -> Self {
        Self::read(sm.text_octets_without_udh(), sm.data_coding, sm.tlvs, style)
    }

    /// Reads of a deliver_sm or data_sm only which message it is about: its [`id`](Self::id),
    /// [`tlv_id`](Self::tlv_id) and [`text_id`](Self::text_id). All else may be missing, whatever it says.
    ///
    /// ```
    /// use smpp_protocol::pdu::Sm;
    /// use smpp_protocol::receipt::{Receipt, Style};
    ///
    /// let sm = Sm { short_message: b"id:7F stat:DELIVRD err:000", ..Sm::default() };
    /// assert_eq!(Receipt::ids_of(&sm, &Style::default()).id.as_deref(), Some("7F"));
    /// ```
    pub fn ids_of(sm: &Sm<'a>, style: &Style) -> Self {
        let text = ascii(sm.text_octets_without_udh()).filter(|_| style.pattern.is_none());
        let Some(id) = text.and_then(scan::id) else {
            return Self::of(sm, style);
        };
        let ids = Receipt {
            id: Some(id.clone()),
            text_id: Some(id),
            ..Receipt::default()
        };
        ids.with_tlvs(sm.tlvs)
    }

    /// Reads the parts of a PDU that tell of a message's fate.
    pub fn read(text: &'a [u8], data_coding: u8, tlvs: Tlvs<'a>, style: &Style) -> Self {
        let announced = Encoding::of(data_coding, style.alphabet);
        let own = style.pattern.as_ref();
        let own = own.and_then(|pattern| Self::of_own(text, announced, pattern));
        own.unwrap_or_else(|| Self::of_octets(text, announced))
            .with_states(style)
            .with_tlvs(tlvs)
    }

    /// Reads the text of a receipt that an SMSC of this style wrote.
    pub fn parse_in(text: &'a str, style: &Style) -> Self {
        let own = style.pattern.as_ref();
        let own = own.and_then(|pattern| pattern.read(text));
        own.unwrap_or_else(|| Self::parse(text)).with_states(style)
    }

    /// Reads the text of a receipt. A text that is none gives a receipt without any part.
    pub fn parse(text: &'a str) -> Self {
        scan::scan(text)
    }

    /// The same with what TLVs say, which goes before what the text says.
    pub fn with_tlvs(mut self, tlvs: Tlvs<'a>) -> Self {
        self.take_tlvs(tlvs);
        self
    }

    /// When the message was submitted, by the SMSC's clock.
    pub fn submitted(&self) -> Option<When> {
        self.submit_date.as_deref().and_then(When::parse)
    }

    /// When the message reached its state, by the SMSC's clock.
    pub fn done(&self) -> Option<When> {
        self.done_date.as_deref().and_then(When::parse)
    }

    /// Whether it tells of a message's fate at all.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.state.is_none() && self.stat.is_none()
    }

    /// What is odd about it, `text` being what it was read from and `ids` how the SMSC writes ids.
    pub fn flaws<'r>(&'r self, text: &'r str, ids: &Pairing) -> Vec<Flaw<'r>> {
        flaws::flaws(self, text, ids)
    }

    /// The characters in which the labels of a receipt are found, which need not be those that
    /// data_coding announces.
    pub fn characters(octets: &[u8], announced: Encoding) -> String {
        let ascii = ascii(octets)
            .filter(|text| announced != Encoding::Ucs2 || !Receipt::parse(text).is_empty());
        if let Some(text) = ascii {
            return text.to_owned();
        }
        let mut decoded = [announced, Encoding::Ucs2, Encoding::Utf16Le]
            .into_iter()
            .map(|encoding| text::decode_as(octets, encoding));
        decoded
            .find(|text| !Receipt::parse(text).is_empty())
            .unwrap_or_else(|| text::decode_as(octets, announced))
    }

    /// The same, independent of the octets it was read from.
    pub fn into_owned(self) -> Receipt<'static> {
        let own = |part: Option<Cow<'a, str>>| part.map(|part| Cow::Owned(part.into_owned()));
        Receipt {
            id: own(self.id),
            tlv_id: own(self.tlv_id),
            text_id: own(self.text_id),
            sub: own(self.sub),
            dlvrd: own(self.dlvrd),
            submit_date: own(self.submit_date),
            done_date: own(self.done_date),
            stat: own(self.stat),
            text_state: self.text_state,
            state: self.state,
            err: own(self.err),
            text: own(self.text),
            network_error: self.network_error,
        }
    }

    /// What its words for states mean: the SMSC's own go before those that all know.
    fn with_states(mut self, style: &Style) -> Self {
        let own = self.stat.as_deref().and_then(|stat| style.state(stat));
        self.text_state = own.or(self.text_state);
        self.state = self.text_state;
        self
    }

    /// A text in the form that the pattern describes, as ASCII, as announced, or in UCS-2.
    fn of_own(octets: &'a [u8], announced: Encoding, pattern: &Pattern) -> Option<Self> {
        if octets.is_ascii()
            && let Some(found) = str::from_utf8(octets).ok().and_then(|t| pattern.read(t))
        {
            return Some(found);
        }
        let mut encodings = [announced, Encoding::Ucs2].into_iter();
        encodings.find_map(|encoding| {
            let text = text::decode_as(octets, encoding);
            pattern.read(&text).map(Receipt::into_owned)
        })
    }

    /// Receipts are written by programs, whose labels and values are ASCII whatever data_coding
    /// says. It holds for the part after `text:`, and for a receipt in which no label is found.
    fn of_octets(octets: &'a [u8], announced: Encoding) -> Self {
        if let Some(text) = ascii(octets) {
            let receipt = Self::parse(text);
            if announced != Encoding::Ucs2 || !receipt.is_empty() {
                return receipt;
            }
        }
        let receipt = Self::of_mixed_octets(octets, announced);
        let decoded = |encoding| {
            let text = text::decode_as(octets, encoding);
            Receipt::parse(&text).into_owned()
        };
        let mut otherwise = [announced, Encoding::Ucs2, Encoding::Utf16Le]
            .into_iter()
            .map(decoded);
        match receipt.is_empty() {
            true => otherwise
                .find(|receipt| !receipt.is_empty())
                .unwrap_or_default(),
            false => receipt,
        }
    }

    /// One octet a character up to `text:`, then as announced.
    fn of_mixed_octets(octets: &[u8], announced: Encoding) -> Receipt<'static> {
        let gsm = announced == Encoding::Gsm;
        let character = |octet: &u8| match octet {
            0x11 if gsm => '_',
            octet => char::from(*octet),
        };
        let view: String = octets.iter().map(character).collect();
        let mut receipt = Receipt::parse(&view).into_owned();
        if let Some(text) = &receipt.text {
            let start = octets.len().saturating_sub(text.chars().count());
            let text = text::decode_as(octets.get(start..).unwrap_or_default(), announced);
            receipt.text = Some(Cow::Owned(text));
        }
        receipt
    }

    /// What TLVs say goes before what the text says.
    fn take_tlvs(&mut self, tlvs: Tlvs<'a>) {
        let id = tlvs
            .find(Tag::RECEIPTED_MESSAGE_ID)
            .map(|tlv| tlv.text().trim_ascii());
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            self.tlv_id = Some(String::from_utf8_lossy(id));
            self.id.clone_from(&self.tlv_id);
        }
        if let Some(value) = tlvs.get(Tag::MESSAGE_STATE) {
            self.state = MessageState::from_octets(value).or(self.state);
        }
        if let Some(Tlv {
            value: [network, high, low],
            ..
        }) = tlvs.find(Tag::NETWORK_ERROR_CODE)
        {
            let code = u16::from_be_bytes([*high, *low]);
            self.network_error = Some(NetworkError {
                network: *network,
                code,
            });
        }
    }
}

/// Octets that are printable ASCII but for NULs at their end.
fn ascii(octets: &[u8]) -> Option<&str> {
    let end = octets
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    let printable = |octet: &u8| matches!(octet, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let octets = octets.get(..end)?;
    let is_printable = octets.iter().all(printable);
    str::from_utf8(octets).ok().filter(|_| is_printable)
}

#[cfg(test)]
mod tests;
