#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod export;
mod place;

pub use export::{Error, Exporter, Kind, Lost, Options, Span, Value};
pub use place::Place;
