#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod code;
mod counters;
mod histogram;
mod notices;

pub use code::ErrorCode;
pub use counters::{Count, Counter};
pub use histogram::{Histogram, Observed};
pub use notices::{Field, Notice, Row, is_coded};

/// What the macros use.
#[doc(hidden)]
pub use tracing;
