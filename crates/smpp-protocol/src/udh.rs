//! The user data header before a text (3GPP TS 23.040 §9.2.3.24): a count of octets, then
//! information elements.

use super::tlv::push_tlv;
use super::{EncodeError, Tag, Tlvs};

/// Concatenation with a reference of 8 bits (§9.2.3.24.1).
pub const CONCATENATION: u8 = 0x00;
/// Application ports of 8 bits (§9.2.3.24.3).
pub const PORTS_8: u8 = 0x04;
/// Application ports of 16 bits (§9.2.3.24.4).
pub const PORTS_16: u8 = 0x05;
/// Concatenation with a reference of 16 bits (§9.2.3.24.8).
pub const CONCATENATION_16: u8 = 0x08;
/// Single shift to a national language (§9.2.3.24.15).
pub const SINGLE_SHIFT: u8 = 0x24;
/// Locking shift to a national language (§9.2.3.24.16).
pub const LOCKING_SHIFT: u8 = 0x25;

/// A user data header, without its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Udh<'a>(&'a [u8]);

/// One information element: what it is, and its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// What it is.
    pub id: u8,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> Udh<'a> {
    /// Information elements one after another, without the count before them.
    pub const fn new(elements: &'a [u8]) -> Self {
        Udh(elements)
    }

    /// The header at the beginning of a text, and the text after it; `None` when the text is
    /// shorter than the header says.
    pub fn split(text: &'a [u8]) -> Option<(Udh<'a>, &'a [u8])> {
        let (count, rest) = text.split_first()?;
        let (elements, text) = rest.split_at_checked(usize::from(*count))?;
        Some((Udh(elements), text))
    }

    /// The octets of the elements, without the count before them.
    pub const fn octets(&self) -> &'a [u8] {
        self.0
    }

    /// The elements, up to the first that is damaged.
    pub fn elements(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (head, after) = rest.split_first_chunk::<2>()?;
            let (data, after) = after.split_at_checked(usize::from(head[1]))?;
            rest = after;
            Some(Element { id: head[0], data })
        })
    }

    /// Whether it consists of whole information elements.
    pub fn is_whole(&self) -> bool {
        let octets: usize = self.elements().map(|e| e.data.len() + 2).sum();
        octets == self.octets().len()
    }

    /// The data of the last element of this kind: of a repeated element the last one counts
    /// (§9.2.3.24).
    pub fn get(&self, id: u8) -> Option<&'a [u8]> {
        self.elements()
            .filter(|element| element.id == id)
            .last()
            .map(|element| element.data)
    }

    /// How the text belongs with others.
    pub fn concatenation(&self) -> Option<Concatenation> {
        let read = |element: Element<'_>| match (element.id, element.data) {
            (CONCATENATION, &[reference, total, part]) => Concatenation {
                reference: reference.into(),
                wide: false,
                total,
                part,
            }
            .checked(),
            (CONCATENATION_16, &[high, low, total, part]) => {
                let reference = u16::from_be_bytes([high, low]);
                Concatenation {
                    reference,
                    wide: true,
                    total,
                    part,
                }
                .checked()
            }
            _ => None,
        };
        self.elements().filter_map(read).last()
    }
}

/// Which part of which long message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Concatenation {
    /// The same in all parts of a message; of 8 bits unless `wide`.
    pub reference: u16,
    /// Whether the reference has 16 bits.
    pub wide: bool,
    /// How many parts, 1 to 255.
    pub total: u8,
    /// Which part, 1 to `total`.
    pub part: u8,
}

impl Concatenation {
    /// The sar_* TLVs (SMPP 3.4 §5.3.2.22 to §5.3.2.24).
    pub fn of_sar(tlvs: &Tlvs<'_>) -> Option<Concatenation> {
        let octet = |tag| tlvs.find(tag)?.number()?.try_into().ok();
        let reference = tlvs.find(Tag::SAR_MSG_REF_NUM)?.number()?.try_into().ok()?;
        let total = octet(Tag::SAR_TOTAL_SEGMENTS)?;
        let part = octet(Tag::SAR_SEGMENT_SEQNUM)?;
        Concatenation {
            reference,
            wide: true,
            total,
            part,
        }
        .checked()
    }

    /// Parts of nothing and parts beyond the last are to be ignored (§9.2.3.24.1).
    fn checked(self) -> Option<Self> {
        (1..=self.total).contains(&self.part).then_some(self)
    }

    /// Octets of its information element.
    pub const fn element_length(wide: bool) -> usize {
        if wide { 6 } else { 5 }
    }

    /// Appends its information element.
    pub fn push_element(&self, out: &mut Vec<u8>) {
        let [high, low] = self.reference.to_be_bytes();
        if self.wide {
            out.extend([CONCATENATION_16, 4, high, low, self.total, self.part]);
        } else {
            out.extend([CONCATENATION, 3, low, self.total, self.part]);
        }
    }

    /// Appends the sar_* TLVs.
    pub fn push_sar(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        push_tlv(out, Tag::SAR_MSG_REF_NUM, &self.reference.to_be_bytes())?;
        push_tlv(out, Tag::SAR_TOTAL_SEGMENTS, &[self.total])?;
        push_tlv(out, Tag::SAR_SEGMENT_SEQNUM, &[self.part])
    }
}

/// Appends a header of encoded elements: the count and the elements. A header has at most 139
/// octets; without elements there is none.
pub fn push(elements: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    const LIMIT: usize = 139;
    match u8::try_from(elements.len()) {
        Ok(0) => Ok(()),
        Ok(count) if elements.len() <= LIMIT => {
            out.push(count);
            out.extend_from_slice(elements);
            Ok(())
        }
        _ => {
            let (field, length) = ("user data header", elements.len());
            Err(EncodeError::TooLong {
                field,
                length,
                limit: LIMIT,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_tells_which_part_a_text_is() {
        let (udh, text) = Udh::split(b"\x05\x00\x03\x42\x03\x02text").unwrap();
        let second = Concatenation {
            reference: 0x42,
            wide: false,
            total: 3,
            part: 2,
        };
        assert_eq!((udh.concatenation(), text), (Some(second), &b"text"[..]));

        let (udh, _) = Udh::split(b"\x0C\x08\x04\x04\xD2\x02\x01\x05\x04\x0B\x84\x23\xF0").unwrap();
        let wide = Concatenation {
            reference: 1234,
            wide: true,
            total: 2,
            part: 1,
        };
        assert_eq!(udh.concatenation(), Some(wide));
        assert_eq!(udh.get(PORTS_16), Some(&[0x0B, 0x84, 0x23, 0xF0][..]));
    }

    #[test]
    fn parts_that_cannot_be_are_ignored() {
        for elements in [
            &b"\x00\x03\x42\x00\x00"[..],
            b"\x00\x03\x42\x02\x03",
            b"\x00\x03\x42\x02",
        ] {
            assert_eq!(Udh::new(elements).concatenation(), None);
        }
        assert_eq!(
            Udh::split(b"\x05\x00\x03"),
            None,
            "the text is shorter than its header"
        );
        assert_eq!(Udh::split(b""), None);
    }

    #[test]
    fn a_message_split_by_the_smsc_says_so_in_tlvs() {
        let first = Concatenation {
            reference: 7,
            wide: true,
            total: 2,
            part: 1,
        };
        let mut region = Vec::new();
        first.push_sar(&mut region).unwrap();
        assert_eq!(Concatenation::of_sar(&Tlvs::new(&region)), Some(first));
        assert_eq!(Concatenation::of_sar(&Tlvs::default()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(reference: u16, wide: bool, total in 1u8.., part in 1u8..) {
            let reference = if wide { reference } else { reference & 0xFF };
            let concatenation = Concatenation { reference, wide, total, part: part.min(total) };
            let (mut elements, mut text) = (Vec::new(), Vec::new());
            concatenation.push_element(&mut elements);
            prop_assert_eq!(elements.len(), Concatenation::element_length(wide));
            push(&elements, &mut text).unwrap();
            let (udh, rest) = Udh::split(&text).unwrap();
            prop_assert_eq!((udh.concatenation(), rest), (Some(concatenation), &b""[..]));
        }

        #[test]
        fn elements_come_back_and_of_repeated_ones_the_last_counts(
            elements in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..12)), 0..8)
        ) {
            let mut octets = Vec::new();
            for (id, data) in &elements {
                octets.extend([*id, data.len() as u8]);
                octets.extend_from_slice(data);
            }
            let mut text = Vec::new();
            push(&octets, &mut text).unwrap();
            text.extend_from_slice(b"text");
            let (udh, rest) = match octets.is_empty() {
                true => (Udh::default(), &text[..]),
                false => Udh::split(&text).unwrap(),
            };
            prop_assert_eq!((udh.octets(), rest), (&octets[..], &b"text"[..]));
            let read: Vec<_> = udh.elements().map(|e| (e.id, e.data.to_vec())).collect();
            prop_assert_eq!(&read, &elements);
            for (id, _) in &elements {
                let last = elements.iter().rfind(|(other, _)| other == id).map(|(_, d)| &d[..]);
                prop_assert_eq!(udh.get(*id), last);
            }
        }

        #[test]
        fn any_octets_have_elements(octets: Vec<u8>) {
            let length: usize = Udh::new(&octets).elements().map(|e| 2 + e.data.len()).sum();
            prop_assert!(length <= octets.len());
        }
    }
}
