//! The subject of a certificate, as Kafka calls who shows it.
//!
//! Brokers name a client by its certificate's subject in the form of RFC 2253, the last part first:
//! `CN=kafka-smpp,OU=sms,O=Example`. Here is just enough of DER to read that. A subject with
//! anything unusual in it is not guessed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The subject of the first certificate in a text in PEM; `None` if it cannot be read.
pub fn of_pem(pem: &str) -> Option<String> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    of_der(&STANDARD.decode(body).ok()?)
}

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Attributes and their object identifiers.
const NAMES: [(&[u8], &str); 8] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
];

fn of_der(der: &[u8]) -> Option<String> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (mut rest, _) = take(certificate, SEQUENCE)?;
    if let Some((_, after)) = take(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        (_, rest) = any(rest).map(|(_, _, after)| ((), after))?;
    }
    let (mut subject, _) = take(rest, SEQUENCE)?;
    let mut parts = Vec::new();
    while !subject.is_empty() {
        let (set, after) = take(subject, SET)?;
        subject = after;
        let (attribute, more) = take(set, SEQUENCE)?;
        let (oid, value) = take(attribute, OID)?;
        let (_, name) = NAMES.iter().find(|(known, _)| *known == oid)?;
        let (tag, text, _) = any(value)?;
        if !TEXTS.contains(&tag) || !more.is_empty() {
            return None;
        }
        parts.push(format!(
            "{name}={}",
            escaped(std::str::from_utf8(text).ok()?)
        ));
    }
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The content of the first element, and what is behind it.
fn any(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = octets.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            let length = digits.iter().fold(0, |n, d| n << 8 | usize::from(*d));
            (length, rest)
        }
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((*tag, content, after))
}

fn take(octets: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, after) = any(octets)?;
    (tag == wanted).then_some((content, after))
}

/// RFC 2253, section 2.4.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (place, c) in text.chars().enumerate() {
        let blank = c == ' ' && (place == 0 || place == last);
        let hash = c == '#' && place == 0;
        if blank || hash || ",+\"\\<>;".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn pem(name: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in name {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_subject_is_written_as_kafka_writes_it() {
        let pem = pem(&[
            (DnType::CountryName, "CH"),
            (DnType::OrganizationName, "Example, Ltd"),
            (DnType::CommonName, "kafka-smpp"),
        ]);
        assert_eq!(
            of_pem(&pem).as_deref(),
            Some("CN=kafka-smpp,O=Example\\, Ltd,C=CH")
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed() {
        let odd = pem(&[(DnType::CustomDnType(vec![1, 2, 3]), "x")]);
        assert_eq!(of_pem(&odd), None);
        assert_eq!(of_pem("no certificate"), None);
        let whole = pem(&[(DnType::CommonName, "a")]);
        let (_, body) = whole.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        let (body, _) = body.split_once("-----END").unwrap();
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).unwrap();
        for cut in 0..60 {
            assert_eq!(of_der(&der[..cut]), None);
        }
    }
}
