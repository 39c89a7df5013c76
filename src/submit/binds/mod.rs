//! Binds, and the tasks that feed them.

pub mod account;
pub(super) mod doubts;
pub mod group;
pub mod open;
pub mod wanted;
