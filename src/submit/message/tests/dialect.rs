//! What is written for an SMSC that has its own ways.

use super::*;
use smpp_protocol::text::table::Table;

fn of_alphabet(encoding: Encoding) -> Defaults {
    Defaults {
        encoding,
        dialect: Arc::new(Alphabet::from(encoding).into()),
        ..Defaults::default()
    }
}

#[test]
fn text_in_the_smscs_own_alphabet_goes_with_data_coding_0() {
    let table = Table::parse("acme", "0x41 U+0041\n0x80 U+20AC\n0xC1 U+0391").unwrap();
    let table = Encoding::Table(Box::leak(Box::new(table)));
    for (encoding, fields, data_coding, octets) in [
        (Encoding::Latin1, r#""short_message":"é""#, 0, &b"\xE9"[..]),
        (Encoding::Latin1, r#""short_message":"Ж""#, 8, b"\x04\x16"),
        (
            Encoding::Latin1,
            r#""short_message":"é","data_coding":0"#,
            0,
            b"\xE9",
        ),
        (
            Encoding::Latin1,
            r#""short_message":"é","encoding":"latin1""#,
            0,
            b"\xE9",
        ),
        (
            Encoding::Latin1,
            r#""short_message":"é","encoding":"gsm","data_coding":0"#,
            0,
            b"\x05",
        ),
        (Encoding::Ascii, r#""short_message":"[]""#, 0, b"[]"),
        (Encoding::Ascii, r#""short_message":"é""#, 8, b"\0\xE9"),
        (table, r#""short_message":"A€Α""#, 0, b"A\x80\xC1"),
        (table, r#""short_message":"b""#, 8, b"\0b"),
        (
            table,
            r#""short_message":"€","encoding":"default","message_class":"flash""#,
            0xF0,
            b"\x80",
        ),
    ] {
        let record = format!(r#"{{"destination":"1",{fields}}}"#);
        let message = try_with(&record, &of_alphabet(encoding)).unwrap();
        let sm = sm(&message);
        assert_eq!(
            (sm.data_coding, sm.short_message),
            (data_coding, octets),
            "{fields}"
        );
    }
    let gsm = r#"{"destination":"1","short_message":"a","encoding":"gsm"}"#;
    let refused = try_with(gsm, &of_alphabet(Encoding::Latin1)).unwrap_err();
    assert_eq!(refused.kind, SendErrorKind::Encoding);
    assert!(refused.text.contains("latin1"), "{refused}");
}

#[test]
fn a_message_class_says_where_the_phone_puts_it() {
    for (fields, data_coding) in [
        (r#""short_message":"hi","message_class":"flash""#, 0xF0),
        (r#""short_message":"Ж","message_class":"flash""#, 0x18),
        (r#""short_message":"hi","message_class":"sim""#, 0xF2),
        (
            r#""short_message":{"hex":"00"},"message_class":"phone""#,
            0xF5,
        ),
        (r#""short_message":"Ж","message_class":"equipment""#, 0x1B),
    ] {
        assert_eq!(sm(&message(fields)).data_coding, data_coding, "{fields}");
    }
    for (fields, said) in [
        (
            r#""short_message":"hi","message_class":"flash","data_coding":0"#,
            "exclude each other",
        ),
        (
            r#""short_message":"hi","message_class":"flash","encoding":"latin1""#,
            "no data_coding says latin1",
        ),
    ] {
        let record = format!(r#"{{"destination":"1",{fields}}}"#);
        let refused = try_with(&record, &Defaults::default()).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("message_class"));
        assert!(refused.text.contains(said), "{refused}");
    }
}

#[test]
fn a_vendors_parameters_go_by_the_names_that_are_configured() {
    let mut dialect = Dialect::default();
    dialect.names.tags.push((Tag(0x1401), "operator_id".into()));
    let defaults = Defaults {
        dialect: dialect.into(),
        ..Defaults::default()
    };
    let record = r#"{"destination":"1","short_message":"a","tlvs":{"operator_id":"x1"}}"#;
    let message = try_with(record, &defaults).unwrap();
    assert_eq!(sm(&message).tlvs.get(Tag(0x1401)), Some(&b"x1"[..]));
    let refused = try_with(&record.replace("operator_id", "operatr_id"), &defaults).unwrap_err();
    assert!(
        refused.text.contains("did you mean \"operator_id\"?"),
        "{refused}"
    );
    assert!(refused.text.contains("vendor.tlvs"), "{refused}");
}
