#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod octets;
mod time;

pub use octets::Octets;
pub use time::Time;
