//! What people and programs are told.

use clap::Parser;
use serde_json::{Value, from_str, to_value};

use super::*;
use crate::cli::lines::Line;
use smpp_protocol::text::Encoding;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(more: &[&str]) -> Args {
    let all = ["segments"].iter().chain(more);
    Cli::try_parse_from(all).unwrap().args
}

fn asked(text: &str) -> Asked {
    Asked {
        text: text.to_owned(),
        encodings: Policy::default().encodings.to_vec(),
        ..Asked::default()
    }
}

fn report(asked: &Asked, more: &[&str]) -> Value {
    to_value(Report::new(1, asked, &args(more))).unwrap()
}

#[test]
fn a_quote_that_costs_two_parts_is_pointed_at() {
    let text = format!("{}’{}", "x".repeat(16), "x".repeat(143));
    let asked = asked(&text);
    let told = Report::new(1, &asked, &args(&[]));
    assert_eq!(
        told.dear[0].to_string(),
        "the curly quote ’ (U+2019) in position 17 costs 2 parts: with \"'\" the text is gsm7, 160 units, 1 part"
    );
    let json = to_value(told).unwrap();
    assert_eq!(json["part_units"], from_str::<Value>("[67,67,26]").unwrap());
    assert_eq!(json["dear"][0]["saves_parts"], 2);
    assert_eq!(json["if_replaced"]["parts"], 1);
}

#[test]
fn parts_are_shown_as_they_would_be_sent() {
    let text = "@".repeat(161);
    let json = report(&asked(&text), &["--reference", "66"]);
    assert_eq!(
        (&json["single_limit"], &json["part_limit"]),
        (&160.into(), &153.into())
    );
    let part = json["parts_hex"][1].as_str().unwrap();
    assert_eq!(part, "0500034202020000000000000000");
    assert_eq!(json["text_hex"][1], "0000000000000000");
}

#[test]
fn a_line_can_say_what_differs() {
    let line = |octets: &'static str| Line {
        number: 1,
        octets: octets.as_bytes(),
        cut: false,
    };
    let usual = asked("");
    let with = usual.with(
        line(r#"{"text":"1234512345","encoding":"ucs2","single_limit":8,"part_limit":4}"#),
        true,
    );
    let json = report(&with.unwrap(), &[]);
    assert_eq!(json["part_units"], from_str::<Value>("[4,4,2]").unwrap());
    for wrong in [r#"{"text":"a","method":"udh9"}"#, "text"] {
        assert!(usual.with(line(wrong), true).is_err(), "{wrong}");
    }
    assert_eq!(usual.with(line("text"), false).unwrap().text, "text");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let mut asked = asked("aЖ");
    asked.encodings = vec![Encoding::Gsm];
    let json = report(&asked, &[]);
    assert_eq!(json["encodable"], false);
    assert_eq!(json["errors"][0]["offset"], 1);
    asked.handling = Handling::Transliterate;
    let json = report(&asked, &[]);
    assert_eq!(json["encodable"], true);
    assert_eq!(json["substituted"][0]["position"], 2);
}
