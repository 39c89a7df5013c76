//! One session with an SMSC and its life.

pub mod options;
