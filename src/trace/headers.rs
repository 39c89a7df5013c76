//! Headers of records on the topic of the trace: the contract of `docs/headers.md`.

/// The ESME's name.
pub const ESME: &str = "kafka-smpp-esme";
/// The bind's name.
pub const BIND: &str = "kafka-smpp-bind";
/// [`SENT`] or [`RECEIVED`].
pub const DIRECTION: &str = "kafka-smpp-direction";
/// To the SMSC.
pub const SENT: &str = "sent";
/// From the SMSC.
pub const RECEIVED: &str = "received";
/// The address of the SMSC.
pub const PEER: &str = "kafka-smpp-peer";
/// When it was read or written.
pub const AT: &str = "kafka-smpp-at";
/// What was hidden: `texts`, `numbers`, or both with a comma between.
pub const MASKED: &str = "kafka-smpp-masked";
