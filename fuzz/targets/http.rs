//! A connection to the listener: it ends, what it answers is HTTP, and no fault of ours; nobody
//! steers without the token.

#![no_main]

use kafka_smpp::fuzzing::{TOKEN, answers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let answer = answers(octets);
    let whole = answer.is_empty() || answer.starts_with(b"HTTP/1.");
    assert!(whole, "{}", String::from_utf8_lossy(&answer));
    let has = |what: &[u8], of: &[u8]| of.windows(what.len()).any(|part| part == what);
    assert!(!has(b"this is a fault of kafka-smpp", &answer));
    let steers = has(b"the body is no order", &answer) || has(b"Kafka does not take it", &answer);
    assert!(!steers || has(TOKEN.as_bytes(), octets));
});
