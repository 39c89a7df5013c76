//! What a refusal says of a record, from all that may be known of it.

use rdkafka::message::{Header, OwnedHeaders};

use super::*;
use crate::submit::state::partition::tests::job;

const REASON: &str = "expires_at has passed";

fn refused(kind: SendErrorKind) -> Refusal {
    Refusal::new(7, job(7).letter.clone(), kind, REASON.into())
}

/// Kind, attempt and flag of a refusal, and what became of each part.
fn said(refusal: &Refusal) -> String {
    let flag = if refusal.possible_duplicate {
        " possible_duplicate"
    } else {
        ""
    };
    let parts = refusal.parts.iter().flat_map(|ends| ends.iter());
    let words = parts.map(|end| match end {
        End::Taken(id) => format!(" {id}"),
        End::Waiting => " -".into(),
        _ => " ?".into(),
    });
    format!(
        "{} {}{flag}{}",
        refusal.kind,
        refusal.attempt,
        words.collect::<String>()
    )
}

fn put_back(headers: &[(&str, &str)]) -> Returned {
    let all = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header {
                key,
                value: Some(*value),
            })
        });
    Returned::read(Some(all.as_borrowed())).unwrap().0
}

#[test]
fn a_refusal_says_what_may_have_happened_before_it() {
    let doubts = |n| ("kafka-smpp-doubts", n);
    let attempts = |n| ("kafka-smpp-attempts", n);
    let parts = ("kafka-smpp-parts", "0011aabb 2=42");
    let total = ("kafka-smpp-parts-total", "3");
    // Headers of the record, what its lane knows (doubts, suspected), and what is said.
    for (headers, lane, expected) in [
        (&[][..], (0, false), "EXPIRED 0"),
        (&[], (1, true), "OUTCOME_UNKNOWN 1 possible_duplicate"),
        (&[], (3, true), "OUTCOME_UNKNOWN 3 possible_duplicate"),
        (&[], (0, true), "EXPIRED 0 possible_duplicate"),
        (&[attempts("2")], (0, false), "EXPIRED 2"),
        (
            &[attempts("2")],
            (1, true),
            "OUTCOME_UNKNOWN 3 possible_duplicate",
        ),
        (
            &[attempts("2"), doubts("1")],
            (0, false),
            "OUTCOME_UNKNOWN 3 possible_duplicate",
        ),
        (
            &[doubts("1")],
            (2, true),
            "OUTCOME_UNKNOWN 3 possible_duplicate",
        ),
        (
            &[doubts("999")],
            (1, true),
            "OUTCOME_UNKNOWN 256 possible_duplicate",
        ),
        (
            &[doubts("many")],
            (0, false),
            "EXPIRED 0 possible_duplicate",
        ),
        (
            &[("kafka-smpp-possible-duplicate", "1")],
            (0, false),
            "EXPIRED 0 possible_duplicate",
        ),
        (
            &[("kafka-smpp-version", "2")],
            (0, false),
            "EXPIRED 0 possible_duplicate",
        ),
        (
            &[attempts("1"), parts, total],
            (0, false),
            "EXPIRED 1 - B -",
        ),
        (&[attempts("1"), parts], (0, false), "EXPIRED 1 - B"),
        (
            &[parts, total],
            (1, true),
            "OUTCOME_UNKNOWN 1 possible_duplicate ? B ?",
        ),
        (
            &[parts, total, doubts("1")],
            (0, false),
            "OUTCOME_UNKNOWN 1 possible_duplicate ? B ?",
        ),
        (
            &[("kafka-smpp-parts", "?")],
            (0, false),
            "EXPIRED 0 possible_duplicate",
        ),
    ] {
        let returned = put_back(headers);
        let refusal = Refusal {
            parts: returned.parts(),
            ..refused(SendErrorKind::Expired)
        };
        let refusal = refusal
            .after(&History::of_headers(&returned))
            .after(&History::of_lane(lane));
        assert_eq!(said(&refusal), expected, "{headers:?} {lane:?}");
        assert_eq!(refusal.text.matches(REASON).count(), 1, "{}", refusal.text);
    }
}

#[test]
fn every_kind_of_refusal_gives_way_to_doubt_and_is_named() {
    for kind in [
        SendErrorKind::InvalidRecord,
        SendErrorKind::Encoding,
        SendErrorKind::Expired,
        SendErrorKind::RejectedLocally,
    ] {
        let sent = refused(kind).after(&History::of_lane((1, true)));
        assert_eq!(sent.kind, SendErrorKind::OutcomeUnknown);
        assert!(
            sent.text.ends_with(&format!("{kind}: {REASON}")),
            "{}",
            sent.text
        );
        let new = refused(kind).after(&History::default());
        assert_eq!((new.kind, &*new.text), (kind, REASON));
    }
}

#[test]
fn a_job_is_refused_with_what_is_known_of_it() {
    for (earlier, retries, doubts, flagged, expected) in [
        (0, 0, 0, false, "EXPIRED 0"),
        (0, 0, 0, true, "EXPIRED 0 possible_duplicate"),
        (2, 1, 0, false, "EXPIRED 3"),
        (2, 1, 1, true, "OUTCOME_UNKNOWN 4 possible_duplicate"),
    ] {
        let mut job = job(7);
        (job.earlier, job.retries, job.doubts) = (earlier, retries, doubts);
        job.possible_duplicate = flagged;
        assert_eq!(said(&job.expired()), expected);
    }
}
