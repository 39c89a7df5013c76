//! Every table, there and back.

use proptest::prelude::*;

use super::*;

fn shifts() -> impl Iterator<Item = Shift> {
    let pairs = |locking| {
        Language::ALL
            .into_iter()
            .map(move |single| Shift { locking, single })
    };
    Language::ALL
        .into_iter()
        .filter(|l| *l != Language::Spanish)
        .flat_map(pairs)
}

#[test]
fn every_septet_of_every_table_comes_back() {
    for shift in shifts() {
        for septet in (0..128).filter(|septet| *septet != ESCAPE) {
            let codes = [vec![septet], vec![ESCAPE, septet]];
            let known = [
                shift.plain(septet).is_some(),
                shift.extended(septet).is_some(),
            ];
            for (code, _) in codes.iter().zip(known).filter(|(_, known)| *known) {
                let text = decode(code, shift);
                let mut again = Vec::new();
                encode(&text, shift, &mut again).unwrap();
                assert_eq!(decode(&again, shift), text, "{shift:?} {code:02X?}");
                assert!(again.len() <= code.len(), "the shortest way is taken");
            }
        }
    }
}

#[test]
fn no_table_holds_a_character_twice_or_lies_outside_the_septets() {
    for language in Language::ALL {
        for (name, runs) in [
            ("locking", language.locking()),
            ("single", language.single()),
        ] {
            let mut seen = Vec::new();
            for (first, text) in runs {
                assert!(usize::from(*first) + text.chars().count() <= 128);
                let septets = *first..*first + text.chars().count() as u8;
                assert!(
                    !septets.contains(&ESCAPE),
                    "{language:?} {name} {septets:?}"
                );
                seen.extend(septets);
            }
            assert!(
                seen.windows(2).all(|pair| pair[0] < pair[1]),
                "{language:?} {name}"
            );
        }
    }
}

#[test]
fn known_places_in_the_tables() {
    let octets = |text: &str, locking, single| {
        let mut out = Vec::new();
        encode(text, Shift { locking, single }, &mut out).map(|()| out)
    };
    let (none, turkish) = (Language::Default, Language::Turkish);
    assert_eq!(octets("Teşt", none, turkish).unwrap(), b"Te\x1B\x73t");
    assert_eq!(octets("Teşt", turkish, none).unwrap(), b"Te\x1Dt");
    assert_eq!(
        octets("ñÁ", none, Language::Spanish).unwrap(),
        b"\x7D\x1B\x41"
    );
    assert_eq!(octets("हिन्दी, 5", Language::Hindi, none).unwrap().len(), 9);
    assert_eq!(octets("ಡ,", Language::Kannada, none).unwrap(), b"\x24,");
    assert_eq!(
        octets("5 €", none, Language::Telugu).unwrap(),
        b"5 \x1B\x65"
    );
    assert_eq!(octets("ąę", turkish, turkish).unwrap_err().character, 'ą');
    assert!(
        octets("@", Language::Hindi, none).is_err(),
        "only the single shift has it"
    );
    assert_eq!(
        octets("@", Language::Hindi, Language::Hindi).unwrap(),
        b"\x1B\0"
    );
}

#[test]
fn the_header_names_the_tables() {
    let shift = Shift {
        locking: Language::Turkish,
        single: Language::Urdu,
    };
    let mut elements = Vec::new();
    shift.push_elements(&mut elements);
    assert_eq!(elements, [0x25, 1, 1, 0x24, 1, 13]);
    assert_eq!(elements.len(), shift.elements_length());
    assert_eq!(Shift::of(&Udh::new(&elements)), shift);
    assert_eq!(Shift::of(&Udh::new(&[0x25, 1, 99])), Shift::default());
}

proptest! {
    #[test]
    fn any_octets_are_some_text(octets: Vec<u8>, locking in 0u8..14, single in 0u8..14) {
        let language = |id| Language::from_id(id).unwrap();
        let shift = Shift { locking: language(locking), single: language(single) };
        prop_assert!(decode(&octets, shift).chars().count() <= octets.len());
    }
}
