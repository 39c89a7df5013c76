//! Delivery receipts as most SMSCs write them (SMPP 3.4 appendix B).

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::options::{Parties, Receipts};
use smpp_protocol::pdu::Sm;
use smpp_protocol::tlv::push_tlv;
use smpp_protocol::{Address, Command, EncodeError, MessageState, Npi, Status, Tag, Tlvs, Ton};

/// esm_class of a deliver_sm that carries a delivery receipt (SMPP 3.4 §5.2.12).
const RECEIPT: u8 = 0x04;

/// Octets of the message that a receipt repeats.
pub(super) const EXCERPT: usize = 20;

/// Whether registered_delivery asks for a receipt of this outcome (SMPP 3.4 §5.2.17: 1 of any,
/// 2 of failures; SMPP 5.0 §4.7.21: 3 of successes).
pub(super) fn wanted(state: MessageState, registered_delivery: u8) -> bool {
    match registered_delivery & 0x03 {
        0 => false,
        1 => true,
        2 => state != MessageState::Delivered,
        _ => state == MessageState::Delivered,
    }
}

/// What a receipt says.
pub(super) struct Receipt<'a> {
    pub id: &'a str,
    pub message: &'a Sm<'a>,
    /// The message's octets, wherever they stood.
    pub octets: &'a [u8],
    pub state: MessageState,
    pub submitted: Timestamp,
    pub done: Timestamp,
    /// Without any TLV, as SMPP 3.3 has it.
    pub plain: bool,
}

impl Receipt<'_> {
    /// The deliver_sm of it, with sequence_number 0.
    pub(super) fn encode(&self, as_told: &Receipts) -> Result<Vec<u8>, EncodeError> {
        let text = if as_told.text || self.plain {
            self.text()
        } else {
            Vec::new()
        };
        let mut tlvs = Vec::new();
        if as_told.tlvs && !self.plain {
            push_tlv(
                &mut tlvs,
                Tag::RECEIPTED_MESSAGE_ID,
                &[self.id.as_bytes(), b"\0"].concat(),
            )?;
            push_tlv(&mut tlvs, Tag::MESSAGE_STATE, &[self.state.value()])?;
        }
        let reference = self.message.tlvs.get(Tag::USER_MESSAGE_REFERENCE);
        if let Some(reference) = reference.filter(|_| !self.plain) {
            push_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, reference)?;
        }
        let (sender, recipient) = (self.message.source, self.message.destination);
        let number = altered(recipient.number, as_told.numbers);
        let recipient = match as_told.numbers {
            Parties::National => Address {
                ton: Ton::NATIONAL,
                number: &number,
                ..recipient
            },
            Parties::Alphanumeric => Address {
                ton: Ton::ALPHANUMERIC,
                npi: Npi::UNKNOWN,
                number: &number,
            },
            _ => Address {
                number: &number,
                ..recipient
            },
        };
        let (source, destination) = match as_told.numbers {
            Parties::Swapped => (sender, recipient),
            Parties::Missing => Default::default(),
            _ => (recipient, sender),
        };
        let deliver = Sm {
            source,
            destination,
            esm_class: RECEIPT,
            short_message: &text,
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        let mut pdu = Vec::with_capacity(64 + text.len() + tlvs.len());
        deliver.encode(Command::DELIVER_SM, Status::ROK, 0, &mut pdu)?;
        Ok(pdu)
    }

    fn text(&self) -> Vec<u8> {
        let delivered = u8::from(self.state == MessageState::Delivered);
        let mut text = String::with_capacity(160);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "id:{} sub:001 dlvrd:{delivered:03} submit date:{} done date:{} stat:{} err:{:03} text:",
            self.id,
            minute(self.submitted),
            minute(self.done),
            self.state.stat(),
            1 - delivered,
        );
        let mut text = text.into_bytes();
        text.extend_from_slice(&self.octets[..self.octets.len().min(EXCERPT)]);
        text
    }
}

/// A recipient's number as receipts show it.
fn altered(number: &[u8], numbers: Parties) -> Cow<'_, [u8]> {
    let without = |count: usize| number.get(count..).unwrap_or_default();
    let before = |count: usize| &number[..number.len().saturating_sub(count)];
    match numbers {
        Parties::National => [b"0", without(2)].concat().into(),
        Parties::Cut => without(number.len().saturating_sub(7)).into(),
        Parties::Masked => [before(4), b"****"].concat().into(),
        Parties::Alphanumeric => b"SMSC".into(),
        Parties::Standard | Parties::Swapped | Parties::Missing => number.into(),
    }
}

/// A time as `YYMMDDhhmm`, UTC.
fn minute(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    format!(
        "{:02}{:02}{:02}{:02}{:02}",
        at.year() % 100,
        at.month(),
        at.day(),
        at.hour(),
        at.minute()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use smpp_protocol::{Address, Pdu, frame};

    fn receipt_of(as_told: &Receipts, state: MessageState) -> Vec<u8> {
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0, 7]).unwrap();
        let message = Sm {
            source: Address::parse("ACME"),
            destination: Address::parse("+4915112345678"),
            short_message: b"Twenty octets of this one",
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        Receipt {
            id: "beef",
            message: &message,
            octets: message.short_message,
            state,
            submitted: "2026-11-23T20:59:59Z".parse().unwrap(),
            done: "2026-11-23T21:00:00Z".parse().unwrap(),
            plain: false,
        }
        .encode(as_told)
        .unwrap()
    }

    fn read(pdu: &[u8]) -> Sm<'_> {
        let frame = frame::split(pdu, 1000).unwrap().unwrap();
        let Ok(Pdu::DeliverSm(sm)) = Pdu::read(frame) else {
            panic!("{frame:?}")
        };
        sm
    }

    #[test]
    fn a_receipt_reads_as_in_appendix_b_and_goes_back_to_the_sender() {
        let pdu = receipt_of(&Receipts::default(), MessageState::Delivered);
        let sm = read(&pdu);
        assert_eq!(
            String::from_utf8_lossy(sm.short_message),
            "id:beef sub:001 dlvrd:001 submit date:2611232059 done date:2611232100 \
             stat:DELIVRD err:000 text:Twenty octets of thi"
        );
        assert_eq!(sm.esm_class, 0x04);
        assert_eq!(
            (sm.source.number, sm.destination.number),
            (&b"4915112345678"[..], &b"ACME"[..])
        );
        assert_eq!(sm.tlvs.get(Tag::RECEIPTED_MESSAGE_ID), Some(&b"beef\0"[..]));
        assert_eq!(sm.tlvs.get(Tag::MESSAGE_STATE), Some(&[2][..]));
        assert_eq!(sm.tlvs.get(Tag::USER_MESSAGE_REFERENCE), Some(&[0, 7][..]));
    }

    #[test]
    fn text_and_tlvs_can_each_be_left_out() {
        let bare = Receipts {
            text: false,
            ..Receipts::default()
        };
        let pdu = receipt_of(&bare, MessageState::Expired);
        assert_eq!(read(&pdu).short_message, b"");
        assert_eq!(read(&pdu).tlvs.get(Tag::MESSAGE_STATE), Some(&[3][..]));
        let old = Receipts {
            tlvs: false,
            ..Receipts::default()
        };
        let pdu = receipt_of(&old, MessageState::Expired);
        let text = String::from_utf8_lossy(read(&pdu).short_message).into_owned();
        assert!(
            text.contains("dlvrd:000") && text.contains("stat:EXPIRED err:001"),
            "{text}"
        );
        assert_eq!(read(&pdu).tlvs.get(Tag::RECEIPTED_MESSAGE_ID), None);
    }

    #[test]
    fn numbers_in_receipts_are_as_smscs_have_them() {
        let of = |numbers| {
            let told = Receipts {
                numbers,
                ..Receipts::default()
            };
            let pdu = receipt_of(&told, MessageState::Delivered);
            let sm = read(&pdu);
            let text = |address: Address<'_>| {
                let number = String::from_utf8_lossy(address.number);
                format!("{}:{number}", address.ton.0)
            };
            (text(sm.source), text(sm.destination))
        };
        for (numbers, source, destination) in [
            (Parties::Standard, "1:4915112345678", "5:ACME"),
            (Parties::Swapped, "5:ACME", "1:4915112345678"),
            (Parties::National, "2:015112345678", "5:ACME"),
            (Parties::Cut, "1:2345678", "5:ACME"),
            (Parties::Masked, "1:491511234****", "5:ACME"),
            (Parties::Alphanumeric, "5:SMSC", "5:ACME"),
            (Parties::Missing, "0:", "0:"),
        ] {
            assert_eq!(of(numbers), (source.into(), destination.into()));
        }
    }

    #[test]
    fn registered_delivery_decides_which_outcomes_are_told() {
        let told = |registered| {
            [MessageState::Delivered, MessageState::Undeliverable]
                .map(|state| wanted(state, registered))
        };
        assert_eq!(told(0), [false, false]);
        assert_eq!(told(1), [true, true]);
        assert_eq!(told(2), [false, true]);
        assert_eq!(told(3), [true, false]);
        assert_eq!(told(0x10), [false, false]);
    }
}
