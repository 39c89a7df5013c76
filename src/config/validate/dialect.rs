//! What the account says to its SMSC, and what the SMSC does in its own way.

use std::collections::{BTreeMap, HashMap};

use secrecy::ExposeSecret;

use super::Check;
use crate::codes;
use crate::config::Esme;
use crate::config::esme::BindMode;
use crate::config::esme::InterfaceVersion;
use crate::settings::{Number, SegmentMethod};
use crate::submit::message;
use smpp_protocol::pdu::{LONG_PASSWORD, PASSWORD};
use smpp_protocol::receipt::Pattern;
use smpp_protocol::text::Encoding;
use smpp_protocol::text::national::Language;
use smpp_protocol::{MessageState, Status, Tag};

pub(super) fn identity(check: &mut Check<'_>, esme: &Esme) {
    if esme.system_id.is_empty() {
        check.missing(
            codes::SETTING_MISSING,
            "system_id",
            "the account's name with the SMSC is missing",
        )
    } else {
        check.octets("system_id", &esme.system_id, 15)
    }
    let password = esme.password.expose_secret();
    let (most, longer) = if esme.long_password {
        (LONG_PASSWORD, "")
    } else {
        (
            PASSWORD,
            ". If the SMSC takes longer ones, set long_password = true",
        )
    };
    check.password(
        "password",
        esme.password_file.is_some(),
        password,
        most,
        longer,
    );
    check.octets("system_type", &esme.system_type, 12);
    check.octets("address_range", &esme.address_range, 40);
    check.octets("service_type", &esme.service_type, 5);
}

pub(super) fn outbind(check: &mut Check<'_>, esme: &Esme) {
    let outbind = &esme.outbind;
    let Some(listen) = &outbind.listen else {
        let unused = !outbind.system_id.is_empty()
            || !outbind.password.expose_secret().is_empty()
            || outbind.password_file.is_some()
            || !outbind.from.is_empty()
            || outbind.certificate_file.is_some()
            || outbind.key_file.is_some()
            || outbind.client_ca_file.is_some();
        if unused {
            check.missing(
                codes::NEEDS_ANOTHER,
                "outbind.listen",
                "name the address to listen on, such as \"0.0.0.0:2776\"",
            );
        }
        return;
    };
    check.host("outbind.listen", listen);
    let from: Vec<String> = outbind.from.iter().map(ToString::to_string).collect();
    check.twice("outbind.from", from.iter().map(String::as_str));
    if !esme.hosts.is_empty() {
        let text = "either we connect to hosts, or the SMSC to outbind.listen: remove one of them, or make two ESMEs";
        check.must(
            codes::EXCLUDES,
            false,
            "hosts",
            format_args!("{:?}", esme.hosts),
            text,
        );
    }
    if !matches!(esme.bind, BindMode::Receiver | BindMode::Transceiver) {
        let bind = format!("{:?}", esme.bind).to_lowercase();
        let text = "an outbind is answered by a receiver or a transceiver (SMPP 3.4 §2.2.1)";
        check.must(
            codes::EXCLUDES,
            false,
            "bind",
            format_args!("{bind:?}"),
            text,
        );
    }
    if esme.tls.enabled {
        let text = "TLS of connections that the SMSC opens is outbind.certificate_file and outbind.key_file";
        check.must(codes::EXCLUDES, false, "tls.enabled", true, text);
    }
    check.octets("outbind.system_id", &outbind.system_id, 15);
    let password = outbind.password.expose_secret();
    let file = outbind.password_file.is_some();
    check.password("outbind.password", file, password, PASSWORD, "");
    if outbind.certificate_file.is_some() != outbind.key_file.is_some() {
        check.missing(
            codes::NEEDS_ANOTHER,
            "outbind.key_file",
            "a certificate and its key are set together",
        );
    }
    for (key, file) in [
        ("outbind.certificate_file", &outbind.certificate_file),
        ("outbind.key_file", &outbind.key_file),
        ("outbind.client_ca_file", &outbind.client_ca_file),
    ] {
        check.file(key, file);
    }
    if outbind.client_ca_file.is_some() && outbind.certificate_file.is_none() {
        let text = "connections are not encrypted: set outbind.certificate_file and outbind.key_file too, or leave it out";
        check.missing(codes::NEEDS_ANOTHER, "outbind.client_ca_file", text);
    }
}

pub(super) fn texts(check: &mut Check<'_>, esme: &Esme) {
    if let Some(alphabet) = &esme.alphabet {
        match Encoding::from_name(alphabet) {
            Some(Encoding::Binary | Encoding::Ucs2 | Encoding::Utf16Le) | None => {
                let names = [
                    "gsm7",
                    "gsm7_packed",
                    "ascii",
                    "latin1",
                    "latin9",
                    "cyrillic",
                    "hebrew",
                    "utf8",
                ];
                let text = format!(
                    "not an alphabet of data_coding 0: write one of {}, or a table's alphabet_file",
                    names.join(", ")
                );
                check.must(
                    codes::UNKNOWN_VALUE,
                    false,
                    "alphabet",
                    format_args!("{alphabet:?}"),
                    &text,
                );
            }
            Some(_) => {}
        }
        if esme.alphabet_file.is_some() {
            check.missing(
                codes::EXCLUDES,
                "alphabet_file",
                "set alphabet or alphabet_file, not both",
            );
        }
    }
    if let Some(encoding) = &esme.encoding
        && let Err(text) = message::encoding(encoding)
    {
        check.must(
            codes::UNKNOWN_VALUE,
            false,
            "encoding",
            format_args!("{encoding:?}"),
            &text,
        );
    }
    for language in &esme.languages {
        let good = Language::from_name(language).is_some();
        let text = "a language with tables in 3GPP TS 23.038, such as \"turkish\"";
        check.must(
            codes::UNKNOWN_VALUE,
            good,
            "languages",
            format_args!("{language:?}"),
            text,
        );
    }
    check.twice("languages", esme.languages.iter().map(String::as_str));
    check.number("segmentation.max_parts", esme.segmentation.max_parts);
    if esme.interface_version == InterfaceVersion::V33 {
        let good = !matches!(
            esme.segmentation.method,
            SegmentMethod::Sar | SegmentMethod::Payload
        );
        let text = "SMPP 3.3 has no optional parameters: use \"auto\", \"udh8\" or \"udh16\"";
        let method = format!("{:?}", esme.segmentation.method).to_lowercase();
        check.must(
            codes::EXCLUDES,
            good,
            "segmentation.method",
            format_args!("{method:?}"),
            text,
        );
    }
}

pub(super) fn dialect(check: &mut Check<'_>, esme: &Esme) {
    if let Some(pattern) = &esme.receipt.pattern
        && let Err(error) = Pattern::new(pattern)
    {
        let text = error.to_string();
        check.must(
            codes::UNKNOWN_VALUE,
            false,
            "receipt.pattern",
            format_args!("{pattern:?}"),
            &text,
        );
    }
    for (word, state) in &esme.receipt.states {
        let text = "write the SMSC's word before the =";
        check.must(
            codes::UNKNOWN_VALUE,
            !word.trim().is_empty(),
            "receipt.states",
            "\"\"",
            text,
        );
        let good = MessageState::from_name(state).is_some();
        let names = MessageState::ALL.map(MessageState::name).join(", ");
        let text = format!("no state of a message: write one of {names}");
        let key = format!("receipt.states.{word}");
        check.must(
            codes::UNKNOWN_VALUE,
            good,
            &key,
            format_args!("{state:?}"),
            &text,
        );
    }
    for prefix in &esme.message_id.prefixes {
        let text = "an empty prefix changes nothing: leave it out";
        check.must(
            codes::UNKNOWN_VALUE,
            !prefix.is_empty(),
            "message_id.prefixes",
            "\"\"",
            text,
        );
    }
    let prefixes = esme.message_id.prefixes.iter().map(String::as_str);
    check.twice("message_id.prefixes", prefixes);
    if esme.message_id.until.as_deref() == Some("") {
        check.must(
            codes::UNKNOWN_VALUE,
            false,
            "message_id.until",
            "\"\"",
            "write the text before which ids end, or leave it out",
        );
    }
    let vendor = &esme.vendor;
    names(check, "vendor.tlvs", &vendor.tlvs, |name, number| {
        let tag = u16::try_from(number.0).ok().map(Tag);
        match tag {
            None => Some("a tag has two octets: write a number up to 0xFFFF".into()),
            Some(tag) if tag.name().is_some() => Some(format!("SMPP calls this tag {tag}")),
            Some(_) => Tag::from_name(name).map(|tag| format!("SMPP calls 0x{:04X} so", tag.0)),
        }
    });
    names(
        check,
        "vendor.command_status",
        &vendor.command_status,
        |name, number| {
            let status = Status(number.0);
            match Status::from_name(name) {
                Some(known) => Some(format!("SMPP calls 0x{:04X} so", known.0)),
                None => status
                    .name()
                    .map(|name| format!("SMPP calls this code {name}")),
            }
        },
    );
}

/// Names that a vendor gives: each like an identifier, for one number, and none of SMPP's.
fn names(
    check: &mut Check<'_>,
    table: &str,
    names: &BTreeMap<String, Number>,
    taken: impl Fn(&str, Number) -> Option<String>,
) {
    let mut seen = HashMap::new();
    for (name, number) in names {
        let key = format!("{table}.{name}");
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let good = plain && name.starts_with(starts) && name.len() <= 64;
        let text = "a name is 1 to 64 letters, digits and '_', and does not begin with a digit";
        check.must(codes::VENDOR_NAME, good, &key, number, text);
        if let Some(text) = taken(name, *number) {
            check.must(codes::VENDOR_NAME, false, &key, number, &text);
        }
        if let Some(other) = seen.insert(number.0, name) {
            let text = format!("{other} has the same number: one name is enough");
            check.must(codes::VENDOR_NAME, false, &key, number, &text);
        }
    }
}
