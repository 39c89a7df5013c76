//! What is known: of partitions, of what is in flight, of what is to be published. Pure: no I/O.

pub(super) mod effects;
pub mod groups;
#[cfg(test)]
mod histories;
pub mod history;
pub mod kept;
pub mod late;
pub mod lost;
pub mod outcome;
pub mod partition;
pub mod pending;
pub mod pipeline;
pub mod retry;
pub(super) mod segmented;
pub mod segments;
pub(super) mod transaction;
