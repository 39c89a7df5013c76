//! What is varied.

use serde_json::json;

use crate::whole_way::{Layout, format_named};

/// Partitions of each topic, where these are not what is varied.
const PARTITIONS: i32 = 4;

/// Characters of a message, where these are not what is varied.
const LENGTH: usize = 160;

/// One thing that is varied.
pub struct Dimension {
    /// How it is chosen.
    pub name: &'static str,
    /// What its values are.
    pub heading: &'static str,
    /// Its values, each with its name.
    pub points: fn() -> Vec<(String, Point)>,
}

/// What is measured at once.
pub struct Point {
    /// What it runs on.
    pub layout: Layout,
    /// Characters of each message.
    pub length: usize,
    /// The parts that makes.
    pub parts: usize,
    /// How many connectors there are.
    pub processes: usize,
}

/// Nothing varied.
pub fn base() -> Point {
    Point {
        layout: Layout::new(PARTITIONS),
        length: LENGTH,
        parts: 1,
        processes: 1,
    }
}

/// All of them.
pub const DIMENSIONS: [Dimension; 8] = [
    Dimension {
        name: "window",
        heading: "window of each bind",
        points: || [10, 50, 100, 500].map(|n| point(n, window(n))).into(),
    },
    Dimension {
        name: "round_trip",
        heading: "window of each bind, answers after 50 ms",
        points: || [10, 50, 100, 500].map(|n| point(n, distant(n))).into(),
    },
    Dimension {
        name: "size",
        heading: "characters of a message",
        points: || {
            let parts = [(20, 1), (160, 1), (500, 4)];
            parts.map(|(n, parts)| point(n, text(n, parts))).into()
        },
    },
    Dimension {
        name: "parts",
        heading: "parts of a message",
        // 153 characters of GSM fit into a part, behind the header that ties them together.
        points: || {
            let lengths = [(1, 153), (2, 306), (4, 612)];
            lengths
                .map(|(parts, n)| point(parts, text(n, parts)))
                .into()
        },
    },
    Dimension {
        name: "binds",
        heading: "binds",
        points: || [1, 2, 4, 8, 16, 32, 64].map(|n| point(n, binds(n))).into(),
    },
    Dimension {
        name: "partitions",
        heading: "partitions of each topic",
        points: || {
            let partitions = [1, 2, 4, 8, 16, 32, 64, 128];
            partitions.map(|n| point(n, partitioned(n))).into()
        },
    },
    Dimension {
        name: "processes",
        heading: "processes",
        points: || [1, 2, 3, 4].map(|n| point(n, shared(n))).into(),
    },
    Dimension {
        name: "formats",
        heading: "format outside / inside (single: avro_single_object)",
        points: || {
            let formats = [
                ("json / cbor", "json", "cbor"),
                ("json / json", "json", "json"),
                ("avro / cbor", "avro", "cbor"),
                ("avro / avro", "avro", "avro"),
                (
                    "single / single",
                    "avro_single_object",
                    "avro_single_object",
                ),
            ];
            formats
                .map(|(name, outside, inside)| point(name, formatted(outside, inside)))
                .into()
        },
    },
];

fn point(value: impl ToString, point: Point) -> (String, Point) {
    (value.to_string(), point)
}

fn window(n: usize) -> Point {
    with(json!({ "window": n }), base())
}

/// An SMSC that is 50 ms away.
fn distant(n: usize) -> Point {
    let mut point = window(n);
    point.layout.smsc = vec!["--response-delay", "50ms"];
    point
}

fn text(length: usize, parts: usize) -> Point {
    Point {
        length,
        parts,
        ..base()
    }
}

/// So many binds, whatever the partitions.
fn binds(n: usize) -> Point {
    with(json!({ "binds": { "per_instance": n } }), base())
}

/// So many partitions of each topic; as many binds as elsewhere, because what a bind costs is another
/// question.
fn partitioned(n: i32) -> Point {
    let point = Point {
        layout: Layout::new(n),
        ..base()
    };
    with(json!({ "binds": { "per_instance": PARTITIONS } }), point)
}

fn shared(processes: usize) -> Point {
    Point {
        processes,
        ..base()
    }
}

fn formatted(outside: &str, inside: &str) -> Point {
    let mut point = base();
    point.layout.format = format_named(outside);
    point.layout.internal = Some(format_named(inside));
    point
}

fn with(esme: serde_json::Value, mut point: Point) -> Point {
    point.layout.esme = esme;
    point
}
