//! What `kafka-smpp run` says of its process: every line of this part at `info` and above.

use crate::codes;

plain_telemetry::notices! {
    /// What `kafka-smpp run` says of its process.
    pub(crate) static NOTICES;

    /// How much memory one part takes at most.
    info MemoryBounded<'a> "memory is bounded" {
        /// Which part, and the settings that bound it.
        value what: &'a str,
        /// How many octets.
        value octets: &'a str,
        /// The same as a person says it.
        value rounded: &'a str,
    }

    /// A signal asks the process to end.
    info AskedToStop "asked to stop: draining; SIGTERM or SIGINT once more ends at once" {}

    /// A second signal asks the process to end: it does not wait for what is out, which will be in
    /// doubt.
    warn[codes::NOT_DRAINED] EndingAtOnce "asked to stop again: ending at once" {}

    /// The process ends although not everything is written, which will be in doubt. Raise
    /// `shutdown_timeout`, and the grace period of whatever ends the process with it.
    warn[codes::NOT_DRAINED] DrainingTakesTooLong "draining takes longer than shutdown_timeout: ending" {}
}
