//! Where a span stands: its ids, and whether it is sampled.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher128};
use std::hash::Hasher;

/// Where a span stands. Whoever knows the same knows the same place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its own ids.
    pub(crate) context: SpanContext,
    /// Its parent, if it has one.
    pub(crate) parent: Option<SpanId>,
}

/// The headers of W3C's trace context.
struct Headers<'a> {
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent,
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

impl Place {
    /// The place of the span that `seed` names, below the producer's span if there is one that can be
    /// read, and else in a trace of its own.
    pub fn of(traceparent: Option<&str>, tracestate: Option<&str>, seed: &[u8]) -> Place {
        let headers = Headers {
            traceparent,
            tracestate,
        };
        let propagator = TraceContextPropagator::new();
        let extracted = propagator.extract_with_context(&Context::new(), &headers);
        let span = extracted.span();
        let parent = span.span_context();
        let own = SpanId::from(hash(seed).max(1));
        if !parent.is_valid() {
            return Place::alone(own, seed);
        }
        let context = SpanContext::new(
            parent.trace_id(),
            own,
            parent.trace_flags(),
            false,
            parent.trace_state().clone(),
        );
        Place {
            context,
            parent: Some(parent.span_id()),
        }
    }

    fn alone(own: SpanId, seed: &[u8]) -> Place {
        let mut hasher = SipHasher128::new();
        hasher.write(seed);
        let trace = TraceId::from(hasher.finish128().as_u128().max(1));
        let context =
            SpanContext::new(trace, own, TraceFlags::default(), false, Default::default());
        Place {
            context,
            parent: None,
        }
    }

    /// Whether the span is sampled: as its producer has decided, and else in so large a share of the
    /// traces, from 0.0 to 1.0.
    pub fn is_sampled(&self, share: f64) -> bool {
        if self.parent.is_some() {
            return self.context.is_sampled();
        }
        let low = u128::from_be_bytes(self.context.trace_id().to_bytes()) as u32;
        u64::from(low) < (share.clamp(0.0, 1.0) * 2_f64.powi(32)) as u64
    }

    /// The id of its trace, as `traceparent` has it.
    pub fn trace_id(&self) -> String {
        self.context.trace_id().to_string()
    }
}

fn hash(seed: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(seed);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_place_follows_from_what_is_known() {
        let place = Place::of(None, None, b"topic:0:17");
        // Other versions of this program find the same.
        assert_eq!(place.trace_id(), "815377fbe92ecccc374f08aa55fe008b");
        assert_eq!(place.context.span_id().to_string(), "48586b6a1917bb3a");
        assert_eq!(place.parent, None);
        let other = Place::of(None, None, b"topic:0:18");
        assert_ne!(place.context.trace_id(), other.context.trace_id());
        assert_ne!(place.context.span_id(), other.context.span_id());
    }

    #[test]
    fn below_a_producers_span_it_continues_its_trace_and_its_decision() {
        let place = Place::of(Some(SAMPLED), Some("vendor=1"), b"seed");
        assert_eq!(place.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(place.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!(place.context.trace_state().header(), "vendor=1");
        assert!(place.is_sampled(0.0));
        assert!(!Place::of(Some(NOT_SAMPLED), None, b"seed").is_sampled(1.0));
        for unreadable in [
            "",
            "00-0-0-01",
            &SAMPLED.replace("4bf9", "zzzz"),
            &"0".repeat(55),
        ] {
            let place = Place::of(Some(unreadable), None, b"seed");
            assert_eq!(place, Place::of(None, None, b"seed"), "{unreadable}");
        }
    }

    #[test]
    fn a_share_of_the_traces_is_sampled() {
        let sampled = |share: f64| {
            let places =
                (0..10_000).map(|n| Place::of(None, None, format!("topic:0:{n}").as_bytes()));
            places.filter(|place| place.is_sampled(share)).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((900..1100).contains(&sampled(0.1)));
    }
}
