//! Logging, panics, names: what the parts have in common as parts of one process.

pub mod core_dumps;
pub mod flight_recorder;
pub mod logging;
pub mod mask;
pub(crate) mod notices;
pub mod panics;
pub mod problems;
pub mod random;
