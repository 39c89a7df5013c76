//! What a rejection says of a record, from all that may be known of it.

use rdkafka::message::{Header, OwnedHeaders};

use super::*;
use crate::submit::state::partition::tests::outgoing;

const REASON: &str = "expires_at has passed";

fn refused(kind: SendErrorKind) -> Rejection {
    Rejection::new(7, outgoing(7).context.clone(), kind, REASON.into())
}

/// Kind, attempt and flag of a rejection, and what became of each part.
fn said(rejection: &Rejection) -> String {
    let flag = if rejection.possible_duplicate {
        " possible_duplicate"
    } else {
        ""
    };
    let segments = rejection
        .segments
        .iter()
        .flat_map(|segment_outcomes| segment_outcomes.iter());
    let words = segments.map(|end| match end {
        SegmentOutcome::Taken(id) => format!(" {id}"),
        SegmentOutcome::Waiting => " -".into(),
        _ => " ?".into(),
    });
    format!(
        "{} {}{flag}{}",
        rejection.kind,
        rejection.attempt,
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
    let segments = ("kafka-smpp-parts", "0011aabb 2=42");
    let total = ("kafka-smpp-parts-total", "3");
    // Headers of the record, what its partition knows (doubts, suspected), and what is said.
    for (headers, partition, expected) in [
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
            &[attempts("1"), segments, total],
            (0, false),
            "EXPIRED 1 - B -",
        ),
        (&[attempts("1"), segments], (0, false), "EXPIRED 1 - B"),
        (
            &[segments, total],
            (1, true),
            "OUTCOME_UNKNOWN 1 possible_duplicate ? B ?",
        ),
        (
            &[segments, total, doubts("1")],
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
        let rejection = Rejection {
            segments: returned.segments(),
            ..refused(SendErrorKind::Expired)
        };
        let rejection = rejection
            .after(&History::of_headers(&returned))
            .after(&History::of_partition(partition));
        assert_eq!(said(&rejection), expected, "{headers:?} {partition:?}");
        assert_eq!(
            rejection.text.matches(REASON).count(),
            1,
            "{}",
            rejection.text
        );
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
        let sent = refused(kind).after(&History::of_partition((1, true)));
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
        let mut outgoing = outgoing(7);
        (outgoing.earlier, outgoing.retries, outgoing.doubts) = (earlier, retries, doubts);
        outgoing.possible_duplicate = flagged;
        assert_eq!(said(&outgoing.expired()), expected);
    }
}
