//! What travels on topics.

pub mod internal;
pub mod keys;
