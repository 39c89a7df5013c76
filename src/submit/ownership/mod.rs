//! Which partitions are ours, and what happens when they come and go.

pub(super) mod assignment;
pub(super) mod lost;
pub mod surroundings;
pub mod takeover;
