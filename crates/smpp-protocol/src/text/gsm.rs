//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1), one septet an
//! octet.

use super::Stopped;

/// Announces a character of the extension table.
pub const ESCAPE: u8 = 0x1B;

/// The default alphabet (§6.2.1), by septet. At [`ESCAPE`] stands what a device shows that knows
/// no extension table: a space.
pub(super) const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The default extension table (§6.2.1.1).
pub(super) const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Not a septet.
const NONE: u8 = 0xFF;

/// The septets of the characters up to U+00FF, the others being few: with bit 7 set, from the
/// extension table.
const LATIN: [u8; 256] = {
    let mut latin = [NONE; 256];
    let mut septet = 0;
    while septet < DEFAULT.len() {
        let character = DEFAULT[septet] as usize;
        if character < 256 && septet != ESCAPE as usize {
            latin[character] = septet as u8;
        }
        septet += 1;
    }
    let mut entry = 0;
    while entry < EXTENSION.len() {
        let (septet, character) = EXTENSION[entry];
        if (character as usize) < 256 {
            latin[character as usize] = septet | 0x80;
        }
        entry += 1;
    }
    latin
};

/// A character's septet, with bit 7 set when [`ESCAPE`] must precede it.
fn septet(character: char) -> Option<u8> {
    if let Ok(octet) = u8::try_from(character) {
        let septet = LATIN[usize::from(octet)];
        return (septet != NONE).then_some(septet);
    }
    let extended = || {
        EXTENSION
            .iter()
            .find(|(_, c)| *c == character)
            .map(|(s, _)| s | 0x80)
    };
    DEFAULT
        .iter()
        .position(|c| *c == character)
        .map(|s| s as u8)
        .or_else(extended)
}

/// How many septets the character takes, 1 or 2; `None` when the alphabet lacks it.
pub fn units(character: char) -> Option<usize> {
    septet(character).map(|septet| if septet & 0x80 == 0 { 1 } else { 2 })
}

/// Appends the septets of a text; fails at the first character the alphabet lacks.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) -> Result<(), Stopped> {
    // Most texts are, or begin with, ASCII that takes one septet a character.
    let plain = |octet: &u8| octet.is_ascii() && LATIN[usize::from(*octet)] < 0x80;
    let octets = text.as_bytes();
    let run = octets.iter().position(|octet| !plain(octet));
    let (ascii, rest) = text.split_at(run.unwrap_or(octets.len()));
    out.reserve(text.len());
    out.extend(ascii.bytes().map(|octet| LATIN[usize::from(octet)]));
    for (index, character) in rest.chars().enumerate() {
        let septet = septet(character).ok_or((ascii.len() + index, character))?;
        if septet & 0x80 != 0 {
            out.push(ESCAPE);
        }
        out.push(septet & 0x7F);
    }
    Ok(())
}

/// Septets as text. An escaped septet that the extension table lacks is read from the default
/// alphabet, as §6.2.1.1 asks; an octet above 0x7F is no septet and becomes U+FFFD.
pub(super) fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut septets = septets.iter().copied();
    while let Some(septet) = septets.next() {
        text.push(match septet {
            ESCAPE => septets.next().map_or(' ', extended),
            _ => plain(septet),
        });
    }
    text
}

fn plain(septet: u8) -> char {
    DEFAULT
        .get(usize::from(septet))
        .copied()
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn extended(septet: u8) -> char {
    let found = EXTENSION.iter().find(|(code, _)| *code == septet);
    found.map_or_else(|| plain(septet), |(_, character)| *character)
}
