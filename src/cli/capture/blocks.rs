//! The blocks of pcapng as they go by: pcap-parser 0.17 subtracts the 12 octets around what a block
//! holds from its length, which may be less, before it looks.

/// A section begins (pcapng §4.1).
const SECTION: [u8; 4] = *b"\x0a\x0d\x0d\x0a";
/// Kind, length, and what follows: the least that a block has, with the length at its end.
const LEAST: usize = 12;

/// Follows blocks without keeping them.
#[derive(Default)]
pub(super) struct Blocks {
    /// Whether this is pcapng, once that is known.
    are: Option<bool>,
    /// The first octets of a block, as far as they have come.
    head: Vec<u8>,
    /// Octets until the next block.
    left: u64,
    big_endian: bool,
}

impl Blocks {
    /// Looks at the octets that come next, and says how many of them can be read: fewer than there
    /// are where a block begins that is shorter than its own lengths.
    pub fn follow(&mut self, all: &[u8]) -> usize {
        let mut octets = all;
        while !octets.is_empty() && self.are != Some(false) {
            let passed = octets.len().min(self.left.try_into().unwrap_or(usize::MAX));
            self.left -= passed as u64;
            octets = octets.get(passed..).unwrap_or_default();
            // The order of octets, which the length of a section needs, is behind its length.
            let wanted = match self.head.get(..4) {
                None => 4,
                Some(kind) if kind == SECTION => LEAST,
                Some(_) => 8,
            };
            let (head, rest) = octets.split_at(octets.len().min(wanted - self.head.len()));
            self.head.extend_from_slice(head);
            octets = rest;
            if self.head.len() == wanted && wanted > 4 {
                let head = std::mem::take(&mut self.head);
                if !self.begin(&head) {
                    return (all.len() - octets.len()).saturating_sub(head.len());
                }
            }
        }
        all.len()
    }

    /// Whether a block that begins so can be read.
    fn begin(&mut self, head: &[u8]) -> bool {
        let word = |at: usize| head.get(at..).and_then(|rest| rest.first_chunk::<4>());
        let is_section = word(0) == Some(&SECTION);
        if !*self.are.get_or_insert(is_section) {
            return true;
        }
        if is_section {
            self.big_endian = word(8) == Some(&0x1A2B_3C4D_u32.to_be_bytes());
        }
        let length = word(4).copied().unwrap_or_default();
        let length = if self.big_endian {
            u32::from_be_bytes(length) as usize
        } else {
            u32::from_le_bytes(length) as usize
        };
        let Some(left) = length.checked_sub(head.len()).filter(|_| length >= LEAST) else {
            return false;
        };
        self.left = left as u64;
        true
    }
}
