//! Receipts as the field sends them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::message_id::{Form, Pairing};
use crate::tlv::push_tlv;

const USUAL: &str = "id:4F2A01 sub:001 dlvrd:001 submit date:2601311200 done date:2601311203 \
                     stat:DELIVRD err:000 text:Hello there";

fn parts<'r>(receipt: &'r Receipt<'_>) -> [Option<&'r str>; 8] {
    [
        receipt.text_id.as_deref(),
        receipt.sub.as_deref(),
        receipt.dlvrd.as_deref(),
        receipt.submit_date.as_deref(),
        receipt.done_date.as_deref(),
        receipt.stat.as_deref(),
        receipt.err.as_deref(),
        receipt.text.as_deref(),
    ]
}

#[test]
fn the_form_of_appendix_b() {
    let receipt = Receipt::parse(USUAL);
    let expected = [
        "4F2A01",
        "001",
        "001",
        "2601311200",
        "2601311203",
        "DELIVRD",
        "000",
        "Hello there",
    ];
    assert_eq!(parts(&receipt), expected.map(Some));
    assert_eq!(receipt.id.as_deref(), Some("4F2A01"));
    assert_eq!(receipt.state, Some(MessageState::Delivered));
    assert_eq!(receipt.done().unwrap().to_string(), "2026-01-31T12:03:00");
}

#[test]
fn case_order_separators_and_quotes_do_not_matter() {
    for variant in [
        "STAT:DELIVRD\tERR:000\tID:4F2A01\tDone Date:2601311203\tSUB:001\tdlvrd:001\tSubmit \
         date:2601311200\tText:Hello there",
        "id:\"4F2A01\" sub:\"001\" dlvrd:\"001\" submit_date:\"2601311200\" \
         done_date:\"2601311203\" stat:\"DELIVRD\" err:\"000\" text:Hello there",
        "id: 4F2A01, sub: 001, dlvrd: 001, submit date: 2601311200, done date: 2601311203, \
         stat: DELIVRD, err: 000, text:Hello there",
        "id:4F2A01;sub:001;dlvrd:001;submitdate:2601311200;donedate:2601311203;stat:DELIVRD;\
         err:000;text:Hello there",
    ] {
        assert_eq!(
            parts(&Receipt::parse(variant)),
            parts(&Receipt::parse(USUAL)),
            "{variant}"
        );
    }
}

#[test]
fn parts_may_be_missing_or_empty() {
    let receipt = Receipt::parse("id:abc sub: stat:UNDELIV");
    assert_eq!(parts(&receipt)[..3], [Some("abc"), Some(""), None]);
    assert_eq!(receipt.state, Some(MessageState::Undeliverable));
    let receipt = Receipt::parse("id:7 submit date: done date:0000000000 stat:EXPIRED err:E_NET");
    assert_eq!(
        (receipt.submit_date.as_deref(), receipt.submitted()),
        (Some(""), None)
    );
    assert_eq!(
        (receipt.done(), receipt.err.as_deref()),
        (None, Some("E_NET"))
    );
    for text in [
        "",
        "Hello, this is a text",
        "rapid:1 restat:2",
        "id",
        "valid: 1",
    ] {
        assert!(Receipt::parse(text).is_empty(), "{text}");
    }
}

#[test]
fn the_message_text_may_contain_labels() {
    let receipt = Receipt::parse("id:1 stat:DELIVRD text:my id:2 stat:EXPIRED err:5");
    assert_eq!(
        (receipt.id.as_deref(), receipt.err.as_deref()),
        (Some("1"), None)
    );
    assert_eq!(receipt.text.as_deref(), Some("my id:2 stat:EXPIRED err:5"));
    let receipt = Receipt::parse("id:1 text: stat:DELIVRD");
    assert_eq!(
        receipt.state,
        Some(MessageState::Delivered),
        "text is not last"
    );
}

#[test]
fn ids_may_contain_colons_and_dashes() {
    let id = |text| Receipt::parse(text).id.map(Cow::into_owned);
    assert_eq!(id("id:ns:12345 stat:DELIVRD").as_deref(), Some("ns:12345"));
    assert_eq!(id("id:0195-ab.7@x sub:1").as_deref(), Some("0195-ab.7@x"));
}

#[test]
fn labels_may_stand_right_behind_what_an_operator_puts_before_them() {
    const REST: &str = "sub:001 dlvrd:001 submit date:2601311200 done date:2601311203 \
                        stat:DELIVRD err:000 text:id:9";
    for before in [
        "GW7=",
        "4366012345^",
        "[",
        "(",
        "<DLR>",
        "{",
        "#",
        "*",
        "/",
        "DLR>",
        "status!",
        "a+",
        "~",
        // Signs of ids and digits, as there is no other `id:`.
        "4366012345",
        "DLR.",
        "smsc-",
        "smsc_",
        "DLR:",
        "a@",
    ] {
        let text = format!("{before}id:52 {REST}");
        let receipt = Receipt::parse(&text);
        assert_eq!(receipt.id.as_deref(), Some("52"), "{text}");
        assert_eq!(receipt.sub.as_deref(), Some("001"), "{text}");
        assert_eq!(receipt.text.as_deref(), Some("id:9"), "{text}");
    }
    let id = |text| Receipt::parse(text).id.map(Cow::into_owned);
    assert_eq!(id("smsc-id:5 id:7 stat:DELIVRD").as_deref(), Some("7"));
    assert_eq!(id("^id:7^sub:1^stat:DELIVRD").as_deref(), Some("7"));
    assert_eq!(id("valid:5 stat:DELIVRD"), None);
    assert_eq!(id("stat:DELIVRD text:my-id:5"), None);
    assert_eq!(id("my-id:5"), None, "nothing says that it is a receipt");
}

#[test]
fn dates_come_in_many_lengths() {
    let when = |raw| When::parse(raw).map(|when| when.to_string());
    for (raw, expected) in [
        ("2601311203", "2026-01-31T12:03:00"),
        ("260131120345", "2026-01-31T12:03:45"),
        ("202601311203", "2026-01-31T12:03:00"),
        ("20260131120345", "2026-01-31T12:03:45"),
        ("20260131120345+0200", "2026-01-31T12:03:45+02:00"),
        ("2601311203Z", "2026-01-31T12:03:00+00:00"),
        ("260131120345012-", "2026-01-31T12:03:45-03:00"),
        ("2601311203 +0200", "2026-01-31T12:03:00+02:00"),
        ("2026-01-31 12:03:45", "2026-01-31T12:03:45"),
        ("2026-01-31T12:03:45+02:00", "2026-01-31T12:03:45+02:00"),
        ("26/01/31 12:03", "2026-01-31T12:03:00"),
        ("31.01.2026 12:03", "2026-01-31T12:03:00"),
        ("2601311203 UTC", "2026-01-31T12:03:00+00:00"),
        ("2601311203gmt", "2026-01-31T12:03:00+00:00"),
        ("20260131T120345Z", "2026-01-31T12:03:45+00:00"),
        ("20260131T1203", "2026-01-31T12:03:00"),
        ("2026-01-31T12:03:45.678+02:00", "2026-01-31T12:03:45+02:00"),
        ("2026-01-31 12:03:45,6 -03", "2026-01-31T12:03:45-03:00"),
    ] {
        assert_eq!(when(raw).as_deref(), Some(expected), "{raw}");
    }
    for raw in [
        "",
        "0000000000",
        "000000000000",
        "26013112",
        "2613311203",
        "null",
        "2026-01-31",
        "20260131T12",
        "20260131Z120345",
        "2026-01-31 12",
        "2026-01-31 12:03:04:05",
        "26-1-31-7 12:03",
        // Digits in another order are no date of a year in which nobody sends messages.
        "261401102000",
        "310120261203",
        "181305091530",
        "26141205091530",
        "29991231235959",
        "2612-01-05 09:15",
        "26120105T0915",
        "2601é",
    ] {
        assert_eq!(when(raw), None, "{raw}");
    }
}

#[test]
fn a_date_may_be_written_in_two_words_or_run_into_the_next_label() {
    for (text, submitted, done, stat) in [
        (
            "id:1 submit date:2026-01-31 12:03:45 done date:2026-01-31 12:04:00 stat:DELIVRD",
            Some("2026-01-31 12:03:45"),
            Some("2026-01-31 12:04:00"),
            "DELIVRD",
        ),
        (
            "id:1 submitdate:2601311203donedate:2601311204 stat:DELIVRD",
            Some("2601311203"),
            Some("2601311204"),
            "DELIVRD",
        ),
        (
            "id:1 submit date:2601311203 +0200 done date:2601311204 +0200 stat:DELIVRD",
            Some("2601311203 +0200"),
            Some("2601311204 +0200"),
            "DELIVRD",
        ),
        (
            "id:1 submit date:\"2601311203\" done date:'2601311204' stat:DELIVRD",
            Some("2601311203"),
            Some("2601311204"),
            "DELIVRD",
        ),
        (
            "id:1 submit date: done date:never stat:DELIVRD",
            Some(""),
            Some("never"),
            "DELIVRD",
        ),
        (
            "id:1 done date:2601311204 12:30 stat:DELIVRD",
            None,
            Some("2601311204"),
            "DELIVRD",
        ),
    ] {
        let receipt = Receipt::parse(text);
        assert_eq!(receipt.submit_date.as_deref(), submitted, "{text}");
        assert_eq!(receipt.done_date.as_deref(), done, "{text}");
        assert_eq!(receipt.stat.as_deref(), Some(stat), "{text}");
    }
}

fn deliver(octets: &[u8], data_coding: u8, region: &[u8]) -> Receipt<'static> {
    let tlvs = Tlvs::new(region);
    let sm = Sm {
        short_message: octets,
        data_coding,
        tlvs,
        esm_class: 4,
        ..Sm::default()
    };
    Receipt::of(&sm, &Style::default()).into_owned()
}

#[test]
fn tlvs_go_before_the_text() {
    let mut region = Vec::new();
    push_tlv(&mut region, Tag::RECEIPTED_MESSAGE_ID, b"1d305b4c\0").unwrap();
    push_tlv(&mut region, Tag::MESSAGE_STATE, &[3]).unwrap();
    push_tlv(&mut region, Tag::NETWORK_ERROR_CODE, &[3, 0, 9]).unwrap();
    let receipt = deliver(b"id:0489708364 stat:DELIVRD", 0, &region);
    assert_eq!(receipt.id.as_deref(), Some("1d305b4c"));
    assert_eq!(receipt.text_id.as_deref(), Some("0489708364"));
    assert_eq!(receipt.state, Some(MessageState::Expired));
    assert_eq!(
        receipt.network_error,
        Some(NetworkError {
            network: 3,
            code: 9
        })
    );
    assert_eq!(deliver(b"", 0, &region).state, Some(MessageState::Expired));
}

#[test]
fn tlvs_that_say_nothing_leave_the_text_alone() {
    let mut region = Vec::new();
    push_tlv(&mut region, Tag::RECEIPTED_MESSAGE_ID, b"\0").unwrap();
    push_tlv(&mut region, Tag::MESSAGE_STATE, &[77]).unwrap();
    push_tlv(&mut region, Tag::NETWORK_ERROR_CODE, &[0]).unwrap();
    let receipt = deliver(b"id:5 stat:DELIVRD", 0, &region);
    assert_eq!(receipt.id.as_deref(), Some("5"));
    assert_eq!(
        (receipt.state, receipt.network_error),
        (Some(MessageState::Delivered), None)
    );
}

#[test]
fn text_is_read_whatever_data_coding_says() {
    let mut wide = Vec::new();
    text::encode(USUAL, Encoding::Ucs2, &mut wide).unwrap();
    let mut little = Vec::new();
    text::encode(USUAL, Encoding::Utf16Le, &mut little).unwrap();
    for (octets, data_coding) in [
        (&wide[..], 8),
        (&wide, 0),
        (USUAL.as_bytes(), 8),
        (USUAL.as_bytes(), 3),
        (&[b"\xFE\xFF", &wide[..]].concat(), 8),
        (&little, 8),
    ] {
        assert_eq!(
            parts(&deliver(octets, data_coding, b"")),
            parts(&Receipt::parse(USUAL))
        );
    }
}

#[test]
fn values_are_ascii_whatever_follows() {
    let mixed = deliver(b"id:my_1 stat:DELIVRD text:\x04\x1F\x04\x40", 8, b"");
    assert_eq!(
        (mixed.id.as_deref(), mixed.text.as_deref()),
        (Some("my_1"), Some("Пр"))
    );
    let gsm = deliver(b"id:my\x111 stat:DELIVRD text:\x00\x1B\x65", 0, b"");
    assert_eq!(
        (gsm.id.as_deref(), gsm.text.as_deref()),
        (Some("my_1"), Some("@€"))
    );
    let mut wide = Vec::new();
    text::encode("id:1 stat:DELIVRD text:Р", Encoding::Ucs2, &mut wide).unwrap();
    assert_eq!(
        deliver(&wide, 8, b"").text.as_deref(),
        Some("Р"),
        "whose last octet is a space"
    );
    let padded = deliver(b"id:my_1 stat:DELIVRD text:hi\0\0", 0, b"");
    assert_eq!(
        (padded.id.as_deref(), padded.text.as_deref()),
        (Some("my_1"), Some("hi"))
    );
}

#[test]
fn a_form_of_ones_own_is_read_and_what_it_does_not_fit_is_read_as_usual() {
    let style = Style {
        pattern: Some(
            Pattern::new(r"^Message (?<id>\S+) (?<stat>\w+)( \((?<err>.*)\))?$").unwrap(),
        ),
        states: vec![("OK".into(), MessageState::Delivered)],
        ..Style::default()
    };
    let read = |octets: &[u8], data_coding| {
        Receipt::read(octets, data_coding, Tlvs::new(b""), &style).into_owned()
    };
    let own = read(b"Message A-7 ok", 0);
    assert_eq!(own.id.as_deref(), Some("A-7"));
    assert_eq!(
        (own.stat.as_deref(), own.state),
        (Some("ok"), Some(MessageState::Delivered))
    );
    let mut wide = Vec::new();
    text::encode("Message 7 FAILED (é)", Encoding::Ucs2, &mut wide).unwrap();
    let wide = read(&wide, 8);
    assert_eq!(
        (wide.err.as_deref(), wide.state),
        (Some("é"), Some(MessageState::Undeliverable))
    );
    assert_eq!(
        parts(&read(USUAL.as_bytes(), 0)),
        parts(&Receipt::parse(USUAL))
    );
    assert_eq!(
        read(b"id:1 stat:OK", 0).state,
        Some(MessageState::Delivered)
    );
    assert_eq!(
        Receipt::parse_in("Message 7 ok", &style).id.as_deref(),
        Some("7")
    );
}

/// What receipts are made of, and what is like it.
const WORDS: [&str; 20] = [
    "id:",
    "ID :",
    "id=",
    "id",
    "xid:",
    "a-id:",
    "stat:",
    "DELIVRD",
    "text:",
    "submit date:",
    "sub:",
    " ",
    ", ",
    "\"",
    "7F",
    "123",
    "2601311200",
    "é",
    "\0",
    "\n",
];

proptest! {
    #[test]
    fn any_octets_are_some_receipt(octets in vec(any::<u8>(), 0..200), data_coding: u8) {
        deliver(&octets, data_coding, &octets);
    }

    #[test]
    fn which_message_it_is_about_is_known_before_all_is_read(
        words in vec(prop::sample::select(&WORDS[..]), 0..12),
        other in vec(any::<u8>(), 0..3),
        data_coding in prop::sample::select(&[0u8, 3, 8][..]),
        named in any::<bool>(),
    ) {
        let text = [words.concat().as_bytes(), &other].concat();
        let mut tlvs = Vec::new();
        if named {
            push_tlv(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"7F\0").unwrap();
        }
        let sm = Sm { short_message: &text, data_coding, tlvs: Tlvs::new(&tlvs), ..Sm::default() };
        let own = Style { pattern: Some(Pattern::new("(?<id>[0-9]+) (?<stat>.+)").unwrap()), ..Style::default() };
        for style in [Style::default(), own] {
            let (ids, all) = (Receipt::ids_of(&sm, &style), Receipt::of(&sm, &style));
            prop_assert_eq!((ids.id, ids.text_id, ids.tlv_id), (all.id, all.text_id, all.tlv_id));
        }
    }

    #[test]
    fn what_an_smsc_writes_is_read(
        // An id that ends like a label ("ID:") is one: nobody could tell.
        id in "[A-Za-z0-9]([A-Za-z0-9:.@-]{0,39}[A-Za-z0-9.@-])?",
        text in "\\PC{0,20}",
        state in prop::sample::select(&MessageState::ALL[..]),
    ) {
        let written = format!("id:{id} sub:001 dlvrd:001 stat:{} err:000 text:{text}", state.stat());
        let receipt = Receipt::parse(&written);
        prop_assert_eq!(receipt.id.as_deref(), Some(&*id));
        prop_assert_eq!(receipt.state, Some(state));
        prop_assert_eq!(receipt.text.as_deref(), Some(&*text));
    }
}

fn kinds(text: &str) -> Vec<FlawKind> {
    let receipt = Receipt::parse(text);
    receipt
        .flaws(text, &Pairing::default())
        .iter()
        .map(|flaw| flaw.kind)
        .collect()
}

#[test]
fn what_is_odd_about_a_receipt_is_said() {
    assert_eq!(kinds(USUAL), []);
    for (text, kind) in [
        ("Hello there", FlawKind::NotAReceipt),
        ("i:7 stat:DELIVRD err:000", FlawKind::MisspeltLabel),
        ("id:7 of the list", FlawKind::MissingStat),
        ("id:7 stat: err:000", FlawKind::MissingState),
        ("stat:DELIVRD err:000", FlawKind::MissingId),
        (
            "id:7 submit date:2601311203 stat:DELIVRD",
            FlawKind::MissingDoneDate,
        ),
        (
            "id:7 done date:later stat:DELIVRD",
            FlawKind::UnreadableDate,
        ),
        ("id:7 stat:BADSTAT", FlawKind::UnknownStat),
    ] {
        assert!(kinds(text).contains(&kind), "{text}: {:?}", kinds(text));
    }
}

#[test]
fn labels_that_are_almost_right_are_pointed_at() {
    let found = |text: &str| {
        let receipt = Receipt::parse(text);
        let flaws = receipt.flaws(text, &Pairing::default()).into_iter();
        let misspelt = flaws.filter(|flaw| flaw.kind == FlawKind::MisspeltLabel);
        let found: Vec<String> = misspelt
            .map(|flaw| format!("{} {}", flaw.offset.unwrap(), flaw.what))
            .collect();
        found.join(",")
    };
    for (text, label) in [
        ("id:7 sbu:1 stat:DELIVRD", "5 sbu"),
        ("id:7 delivrd:001 stat:DELIVRD", "5 delivrd"),
        ("id:7 status:DELIVRD error:0", "5 status,20 error"),
        (
            "id:7 sub:1 submti date:2601311203 done date:2601311203 stat:DELIVRD",
            "11 submti date",
        ),
        (
            "id:7 sub:1 sub date:2601311203 done date:2601311203 stat:DELIVRD",
            "11 sub date",
        ),
        (
            "id:7 submit dat:2601311203 done date:2601311203 stat:DELIVRD",
            "5 submit dat",
        ),
        (
            "id:7 submit date:2601311203 done:2601311203 stat:DELIVRD",
            "28 done",
        ),
        ("id:7 stat:DELIVRD err:000 text:sbu:1", ""),
        ("id:7 date:2601311203 stat:DELIVRD", ""),
    ] {
        assert_eq!(found(text), label, "{text}");
    }
}

#[test]
fn what_is_only_unusual_is_no_error() {
    for text in [
        "id:7",
        "id:7 sub:001 submit date:0000000000 done date:0000000000 stat:DELIVRD",
        "id:7 stat:UNDELIV err:1 IMSI: MSC: MCCMNC:26201",
        "id:7 stat:DELIVRD err:1 text:i:5 dlvr:1",
    ] {
        let receipt = Receipt::parse(text);
        assert!(
            receipt
                .flaws(text, &Pairing::default())
                .iter()
                .all(|flaw| !flaw.kind.is_error()),
            "{text}"
        );
    }
}

#[test]
fn tlvs_that_disagree_with_the_text_are_noticed() {
    let mut region = Vec::new();
    push_tlv(&mut region, Tag::MESSAGE_STATE, &[2]).unwrap();
    let text = "id:7 stat:UNDELIV";
    let receipt = Receipt::parse(text).with_tlvs(Tlvs::new(&region));
    let flaws = receipt.flaws(text, &Pairing::default());
    assert_eq!(
        (flaws[0].kind, flaws[0].offset),
        (FlawKind::StateDisagrees, Some(10))
    );
}

#[test]
fn ids_that_disagree_are_noticed_unless_they_are_known_to_be_one() {
    let mut region = Vec::new();
    push_tlv(&mut region, Tag::RECEIPTED_MESSAGE_ID, b"2F\0").unwrap();
    let text = "id:47 stat:DELIVRD";
    let receipt = Receipt::parse(text).with_tlvs(Tlvs::new(&region));
    let told = |ids: &Pairing| -> Vec<_> {
        let flaws = receipt.flaws(text, ids).into_iter();
        flaws.map(|flaw| (flaw.kind, flaw.offset)).collect()
    };
    assert_eq!(
        told(&Pairing::default()),
        [(FlawKind::IdDisagrees, Some(3))]
    );
    let known = Pairing {
        response: Form::Hex.into(),
        receipt: Form::Decimal.into(),
        receipted_message_id: None,
    };
    assert_eq!(told(&known), []);
}

#[test]
fn a_state_that_the_smsc_is_known_for_is_not_odd() {
    let style = Style {
        states: vec![("GONE".into(), MessageState::Delivered)],
        ..Style::default()
    };
    let text = "id:7 stat:Gone";
    let receipt = Receipt::parse_in(text, &style);
    assert_eq!(receipt.state, Some(MessageState::Delivered));
    assert_eq!(receipt.flaws(text, &Pairing::default()), []);
    assert!(kinds(text).contains(&FlawKind::UnknownStat));
    // It is held against message_state as any other.
    let mut region = Vec::new();
    push_tlv(&mut region, Tag::MESSAGE_STATE, &[5]).unwrap();
    let receipt = receipt.with_tlvs(Tlvs::new(&region));
    let flaws = receipt.flaws(text, &Pairing::default());
    assert_eq!(flaws[0].kind, FlawKind::StateDisagrees);
}

#[test]
fn the_characters_of_a_receipt_are_those_in_which_it_is_read() {
    let mut wide = Vec::new();
    text::encode(USUAL, Encoding::Ucs2, &mut wide).unwrap();
    for (octets, announced) in [
        (USUAL.as_bytes(), Encoding::Ucs2),
        (USUAL.as_bytes(), Encoding::Gsm),
        (&wide, Encoding::Ucs2),
        (&wide, Encoding::Gsm),
    ] {
        assert_eq!(Receipt::characters(octets, announced), USUAL);
    }
    assert_eq!(Receipt::characters(b"hi", Encoding::Ucs2), "\u{6869}");
}

#[test]
fn dates_that_stand_together_are_read_once() {
    let text =
        "submitdate:2601010000donedate:2601010001done date:7".repeat(20_000) + "stat:DELIVRD";
    let receipt = Receipt::parse(&text);
    assert_eq!(receipt.submit_date.as_deref(), Some("2601010000"));
    assert_eq!(receipt.done_date.as_deref(), Some("2601010001"));
    assert_eq!(receipt.state, Some(MessageState::Delivered));
}
