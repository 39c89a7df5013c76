//! Eight septets in seven octets (3GPP TS 23.038 §6.1.2).

/// Fills the seven bits that remain when 8n-1 septets are packed (§6.1.2.3.1), where a reader who
/// knows only the number of octets would see one more character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Seven zeros: for readers who know the number of septets, as TP-UDL gives it.
    Zero,
    /// A carriage return, as in USSD.
    CarriageReturn,
}

/// Appends septets, packed. `pad_bits` zeros (0 to 6) come first: they align the septets after a
/// user data header.
pub fn pack(septets: &[u8], pad_bits: u32, fill: Fill, out: &mut Vec<u8>) {
    let mut buffer = 0u32;
    let mut bits = pad_bits;
    for septet in septets {
        buffer |= u32::from(septet & 0x7F) << bits;
        bits += 7;
        if bits >= 8 {
            out.push(buffer as u8);
            buffer >>= 8;
            bits -= 8;
        }
    }
    if bits == 1 && fill == Fill::CarriageReturn {
        buffer |= u32::from(b'\r') << 1;
    }
    if bits > 0 {
        out.push(buffer as u8);
    }
}

/// Appends at most `count` septets that follow `pad_bits` bits (0 to 6), fewer when the octets end.
pub fn unpack(octets: &[u8], pad_bits: u32, count: usize, out: &mut Vec<u8>) {
    let mut buffer = 0u32;
    let mut bits = 0;
    let mut skip = pad_bits;
    let mut left = count;
    for octet in octets {
        buffer |= u32::from(*octet) << bits;
        bits += 8 - skip;
        buffer >>= skip;
        skip = 0;
        while bits >= 7 && left > 0 {
            out.push((buffer & 0x7F) as u8);
            buffer >>= 7;
            bits -= 7;
            left -= 1;
        }
    }
}

/// How many septets octets hold behind so many bits of padding, when nothing else tells: a carriage
/// return in a last septet that could be fill is fill.
pub fn count(octets: &[u8], pad_bits: u32) -> usize {
    let bits = (octets.len() * 8).saturating_sub(pad_bits as usize);
    let all = bits / 7;
    match octets {
        [.., last] if bits.is_multiple_of(7) && last >> 1 == b'\r' => all - 1,
        _ => all,
    }
}
