//! An SMSC for demos, tests and benchmarks.
