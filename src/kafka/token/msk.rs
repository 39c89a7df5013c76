//! A token of AWS for a cluster of MSK: the address of its action `kafka-cluster:Connect`, signed with
//! the credentials of whoever connects (Signature Version 4, in the query), in base64.
//!
//! It is the same as what AWS's own signers make; `vectors` says so for keys and clocks that do not
//! change.

use std::fmt::Write as _;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use ring::{digest, hmac};

/// How long a token lives, as AWS's signers have it.
const SECONDS: i64 = 900;

const SERVICE: &str = "kafka-cluster";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a request is signed with.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub session_token: Option<&'a str>,
}

/// The token, and when it runs out, in Unix milliseconds.
pub(super) fn token(region: &str, keys: &Keys<'_>, now: Timestamp, agent: &str) -> (String, i64) {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = now.strftime("%Y%m%d").to_string();
    let host = format!("kafka.{region}.amazonaws.com");
    let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
    let credential = format!("{}/{scope}", keys.access_key_id);
    let seconds = SECONDS.to_string();
    let mut parameters = vec![
        ("Action", "kafka-cluster:Connect"),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", credential.as_str()),
        ("X-Amz-Date", time.as_str()),
        ("X-Amz-Expires", seconds.as_str()),
        ("X-Amz-SignedHeaders", "host"),
    ];
    if let Some(token) = keys.session_token {
        parameters.push(("X-Amz-Security-Token", token));
    }
    let address = query(&parameters);
    parameters.sort_unstable();
    let request = format!(
        "GET\n/\n{}\nhost:{host}\n\nhost\n{}",
        query(&parameters),
        hex_digest(b"")
    );
    let signed = format!(
        "{ALGORITHM}\n{time}\n{scope}\n{}",
        hex_digest(request.as_bytes())
    );
    let key = format!("AWS4{}", keys.secret_access_key);
    let key = [&*date, region, SERVICE, "aws4_request"]
        .iter()
        .fold(key.into_bytes(), |key, part| mac(&key, part));
    let signature = HEXLOWER.encode(&mac(&key, &signed));
    let agent = quoted(agent);
    let url = format!("https://{host}/?{address}&X-Amz-Signature={signature}&User-Agent={agent}");
    let expires = (now.as_second() + SECONDS) * 1000;
    (BASE64URL_NOPAD.encode(url.as_bytes()), expires)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex_digest(octets: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, octets).as_ref())
}

fn query(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    pairs.join("&")
}

/// As Signature Version 4 wants it: everything but what RFC 3986 calls unreserved.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            quoted.push(char::from(octet));
        } else {
            let _ = write!(quoted, "%{octet:02X}");
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn tokens_are_those_of_awss_own_signer() {
        let all: Value = serde_json::from_str(include_str!("vectors/msk_iam.json")).unwrap();
        let agent = all["user_agent"].as_str().unwrap();
        let cases = all["cases"].as_array().unwrap();
        assert!(cases.len() >= 7);
        for case in cases {
            let text = |key: &str| case[key].as_str();
            let keys = Keys {
                access_key_id: text("access_key_id").unwrap(),
                secret_access_key: text("secret_access_key").unwrap(),
                session_token: text("session_token"),
            };
            let now: Timestamp = text("clock").unwrap().parse().unwrap();
            let (token, expires) = super::token(text("region").unwrap(), &keys, now, agent);
            assert_eq!(token, text("token").unwrap(), "{case:#}");
            assert_eq!(expires, case["expires_ms"].as_i64().unwrap(), "{case:#}");
        }
    }
}
