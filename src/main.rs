//! The `kafka-smpp` command.

#![forbid(unsafe_code)]

fn main() {}
