//! Wiring: configuration to running parts to a drained stop.
