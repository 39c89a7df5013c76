//! Texts and what they become.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::text::decode_as;
use crate::text::table::Table;

fn default(text: &str) -> Chosen {
    choose(text, &Policy::default()).unwrap()
}

/// What a reader makes of the parts, one by one.
fn read(chosen: &Chosen) -> String {
    let septets = |part: &[u8]| national::decode(part, chosen.shift);
    let text = |part| match chosen.encoding.is_gsm() {
        true => septets(part),
        false => decode_as(part, chosen.encoding),
    };
    chosen.parts().map(text).collect()
}

fn table() -> &'static Table {
    Box::leak(Box::new(
        Table::parse("ours", "0x41 U+0041\n0x1B42 U+0416\n0x43 U+00E9").unwrap(),
    ))
}

#[test]
fn the_first_of_the_cheapest_wins() {
    assert_eq!(default("").count(), 1);
    assert_eq!(default("Grüße für 5 € [@home]").encoding, Encoding::Gsm);
    assert_eq!(default("привет").encoding, Encoding::Ucs2);
    let all = [Encoding::Ucs2, Encoding::Gsm, Encoding::Cyrillic];
    let policy = Policy {
        encodings: &all,
        ..Policy::default()
    };
    let chosen = |text: &str| choose(text, &policy).unwrap();
    assert_eq!(
        chosen("hello").encoding,
        Encoding::Ucs2,
        "one part either way"
    );
    assert_eq!(chosen(&"hello".repeat(20)).encoding, Encoding::Gsm);
    assert_eq!(chosen(&"привет".repeat(20)).encoding, Encoding::Cyrillic);
}

#[test]
fn national_tables_are_used_when_they_save_parts() {
    let languages = [Language::Turkish, Language::Hindi];
    let policy = Policy {
        languages: &languages,
        ..Policy::default()
    };
    let chosen = |text: &str| choose(text, &policy).unwrap();
    assert_eq!(
        chosen("şeker").encoding,
        Encoding::Ucs2,
        "one part either way"
    );
    let turkish = chosen(&"şişman ".repeat(15));
    assert_eq!(turkish.encoding, Encoding::Gsm);
    assert_eq!(turkish.shift.locking, Language::Turkish);
    assert_eq!(turkish.shift.single, Language::Default);
    let hindi = chosen(&"नमस्ते A ".repeat(15));
    assert_eq!(hindi.shift.locking, Language::Hindi);
    assert_eq!(
        hindi.shift.single,
        Language::Hindi,
        "for the capital letter"
    );
    assert_eq!(chosen(&"привет ".repeat(15)).encoding, Encoding::Ucs2);
}

#[test]
fn what_no_encoding_has_is_handled_as_asked() {
    let with = |handling| Policy {
        encodings: &[Encoding::Gsm],
        handling,
        ..Policy::default()
    };
    let error = choose("it’s", &with(Handling::Strict)).unwrap_err();
    assert_eq!((error.character, error.index), ('’', 2));
    let octets = |handling| choose("it’s", &with(handling)).unwrap().octets;
    assert_eq!(octets(Handling::Ignore), b"its");
    assert_eq!(octets(Handling::Replace), b"it?s");
    assert_eq!(octets(Handling::Transliterate), b"it's");
}

#[test]
fn letters_and_their_marks_are_one_character_where_the_encoding_has_only_that() {
    let decomposed = "u\u{308}".repeat(80);
    let cheap = choose(&decomposed, &Policy::default()).unwrap();
    assert_eq!((cheap.encoding, cheap.units()), (Encoding::Gsm, 80));
    assert_eq!(cheap.substituted, [], "it is the same text");
    let gsm = Policy {
        encodings: &[Encoding::Gsm],
        ..Policy::default()
    };
    assert_eq!(choose("u\u{308}", &gsm).unwrap().octets, b"\x7E");
    assert_eq!(choose("x\u{308}", &gsm).unwrap_err().index, 1);
    // What has all characters writes them as they are.
    let ucs2 = Policy {
        encodings: &[Encoding::Ucs2],
        ..Policy::default()
    };
    assert_eq!(choose(&decomposed, &ucs2).unwrap().units(), 160);
}

#[test]
fn a_curly_quote_is_replaced_where_it_costs_a_part() {
    let policy = Policy {
        handling: Handling::Transliterate,
        ..Policy::default()
    };
    let short = choose("it’s", &policy).unwrap();
    assert_eq!(short.encoding, Encoding::Ucs2);
    assert_eq!(short.substituted, []);
    let long = format!("it’s {}", "x".repeat(80));
    let chosen = choose(&long, &policy).unwrap();
    assert_eq!((chosen.encoding, chosen.count()), (Encoding::Gsm, 1));
    assert_eq!(chosen.substituted[0].by, "'");
    let russian = "привет’".repeat(20);
    assert_eq!(choose(&russian, &policy).unwrap().substituted, []);
}

#[test]
fn every_part_of_a_shifting_text_can_be_read_alone() {
    let policy = Policy {
        encodings: &[Encoding::Iso2022Jp],
        ..Policy::default()
    };
    let chosen = choose(&"日本 go".repeat(20), &policy).unwrap();
    assert!(chosen.count() > 1);
    for part in chosen.parts() {
        assert!(part.len() <= 134);
        let back = part.windows(3).rposition(|w| w == b"\x1B(B");
        let there = part.windows(3).rposition(|w| w == b"\x1B$B");
        assert!(back > there, "it ends in ASCII");
    }
    assert_eq!(read(&chosen), "日本 go".repeat(20));
}

/// Texts of the characters that make a difference.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z€{}’é]{0,400}",
        "[a-zşığ€A-C]{0,300}",
        "[अ-हa-cA-C€।]{0,200}",
        "[あ-んa-c日本ｱ]{0,200}",
        "[가-깋a-c]{0,200}",
        "[а-яa-c]{0,200}",
        "\\PC{0,150}",
        "[😀-😎a]{0,100}",
        "[AЖé]{0,300}",
    ]
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Udh8),
        Just(Method::Udh16),
        Just(Method::Sar),
        Just(Method::Payload)
    ]
}

fn languages() -> impl Strategy<Value = Vec<Language>> {
    subsequence(Language::ALL[1..].to_vec(), 0..4)
}

fn encodings() -> impl Strategy<Value = Vec<Encoding>> {
    let mut all = Encoding::ALL.to_vec();
    all.push(Encoding::Table(table()));
    subsequence(all, 1..5).prop_shuffle()
}

/// How many parts the greediest reader would make, cutting before any character.
fn brute_force(text: &str, encoding: Encoding, shift: Shift, policy: &Policy<'_>) -> Option<usize> {
    let room = policy.room(encoding, shift);
    let length = |piece: &str| {
        let mut octets = Vec::new();
        match encoding.is_gsm() {
            true => national::encode(piece, shift, &mut octets).ok()?,
            false => encode(piece, encoding, &mut octets).ok()?,
        }
        Some(octets.len())
    };
    if length(text)? <= room.single {
        return Some(1);
    }
    let (mut count, mut piece) = (1, String::new());
    for character in text.chars() {
        piece.push(character);
        if length(&piece)? > room.part && piece.chars().count() > 1 {
            count += 1;
            piece = character.to_string();
        }
    }
    Some(count)
}

proptest! {
    #[test]
    fn no_other_choice_makes_fewer_parts(
        text in texts(), encodings in encodings(), languages in languages(), method in methods(), elements in 0usize..20,
    ) {
        let policy = Policy {
            encodings: &encodings, languages: &languages, method, elements, ..Policy::default()
        };
        let pairs = [Language::Default].iter().chain(&languages).flat_map(|locking| {
            let single = [Language::Default].into_iter().chain(languages.iter().copied());
            single.map(move |single| Shift { locking: *locking, single })
        });
        let pairs: Vec<_> = pairs.filter(|s| s.locking != Language::Spanish).collect();
        let all = encodings.iter().flat_map(|encoding| {
            let shifts = if encoding.is_gsm() { &pairs[..] } else { &pairs[..1] };
            shifts.iter().map(move |shift| (*encoding, *shift))
        });
        let fewest = all.filter_map(|(e, s)| brute_force(&text, e, s, &policy)).min();
        prop_assert_eq!(choose(&text, &policy).ok().map(|chosen| chosen.count()), fewest);
    }

    #[test]
    fn every_part_fits_and_is_whole(
        text in texts(), encodings in encodings(), languages in languages(), method in methods(),
    ) {
        let policy = Policy {
            encodings: &encodings, languages: &languages, method, ..Policy::default()
        };
        if let Ok(chosen) = choose(&text, &policy) {
            let room = policy.room(chosen.encoding, chosen.shift);
            let most = if chosen.count() == 1 { room.single } else { room.part };
            prop_assert!(chosen.parts().all(|part| part.len() <= most));
            prop_assert_eq!(chosen.parts().len(), chosen.count());
            prop_assert_eq!(read(&chosen), text);
        }
    }

    #[test]
    fn substitutes_always_make_a_text(text in texts(), encodings in encodings()) {
        for handling in [Handling::Ignore, Handling::Replace, Handling::Transliterate] {
            let policy = Policy { encodings: &encodings, handling, ..Policy::default() };
            let chosen = choose(&text, &policy);
            prop_assert!(chosen.is_ok(), "{:?}", chosen);
        }
    }
}
