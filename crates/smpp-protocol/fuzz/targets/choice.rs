//! Any text under any policy: its parts fit, and are read as the text that it was.

#![no_main]

use smpp_protocol::segment::{self, Method};
use smpp_protocol::text::national::Language;
use smpp_protocol::text::substitute::{Handling, composed};
use smpp_protocol::text::{self, Chosen, Encoding, Part, Policy, cost};
use smpp_protocol::{Concatenation, Udh};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u16, u8, &str)| {
    let (encodings, languages, rest, text) = input;
    let encodings = picked(Encoding::ALL, encodings);
    let languages = picked(&Language::ALL[1..], languages);
    let policy = Policy {
        encodings: if encodings.is_empty() {
            &[Encoding::Gsm]
        } else {
            &encodings
        },
        languages: &languages,
        method: [Method::Udh8, Method::Udh16, Method::Sar, Method::Payload][usize::from(rest & 3)],
        elements: 0,
        handling: [
            Handling::Strict,
            Handling::Ignore,
            Handling::Replace,
            Handling::Transliterate,
        ][usize::from(rest >> 2 & 3)],
        room: None,
    };
    let chosen = match text::choose(text, &policy) {
        Ok(chosen) => chosen,
        Err(error) => {
            assert_eq!(policy.handling, Handling::Strict);
            assert_eq!(text.chars().nth(error.index), Some(error.character));
            return;
        }
    };
    let room = policy.room(chosen.encoding, chosen.shift);
    let most = if chosen.count() == 1 {
        room.single
    } else {
        room.part
    };
    assert!(chosen.parts().all(|part| part.len() <= most));
    let read = read(&chosen, policy.method);
    if chosen.substituted.is_empty() && read.is_some() && !text.contains('\r') {
        // A letter and its marks may have become one character, which is the same text.
        assert_eq!(read.as_deref().map(one_form), Some(one_form(text)));
    }
    let _ = cost::culprits(text, &policy, &chosen);
});

fn one_form(text: &str) -> String {
    composed(text).unwrap_or_else(|| text.to_owned())
}

fn picked<T: Copy>(all: &[T], bits: u16) -> Vec<T> {
    let chosen = |(n, one): (usize, &T)| (bits >> n & 1 == 1).then_some(*one);
    all.iter().enumerate().filter_map(chosen).collect()
}

/// Writes the parts as PDUs carry them, and reads them as a recipient does; `None` of encodings
/// that a recipient has to be told of.
fn read(chosen: &Chosen, method: Method) -> Option<String> {
    if chosen.encoding == Encoding::Binary {
        return None;
    }
    let total = u8::try_from(chosen.count()).ok()?;
    let mut written = Vec::new();
    for (index, part) in (1..).zip(chosen.parts()) {
        let mut elements = Vec::new();
        if total > 1 && method.writes_header() {
            let wide = method == Method::Udh16;
            let message = Concatenation {
                reference: 7,
                wide,
                total,
                part: index,
            };
            message.push_element(&mut elements);
        }
        chosen.shift.push_elements(&mut elements);
        let mut user_data = Vec::new();
        segment::push_user_data(&elements, part, chosen.encoding, &mut user_data).ok()?;
        assert!(method == Method::Payload || user_data.len() <= 160);
        if !elements.is_empty() {
            let (udh, _) = Udh::split(&user_data)?;
            assert_eq!(udh.octets(), elements);
        }
        written.push((user_data, !elements.is_empty()));
    }
    let part = |(user_data, has_udh): &(Vec<u8>, bool)| {
        let part = Part {
            user_data,
            has_udh: *has_udh,
            data_coding: 0,
        };
        text::decode_parts(&[part], &chosen.encoding.into())
    };
    written.iter().map(part).collect()
}
