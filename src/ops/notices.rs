//! What is said of the process: every line of this part at `info` and above.

use std::fmt;

use crate::codes;

plain_telemetry::notices! {
    /// What is said of the process.
    pub(crate) static NOTICES;

    /// The process met a bug and ends with the exit code 70. What restarts it takes over what it had;
    /// please report `info`.
    error[codes::BUG] Panicked<'a> "a part of the connector panicked, which is a bug; the process ends" {
        /// Where, and what was wrong.
        display info: &'a dyn fmt::Display,
    }

    /// The system does not let the process forbid core dumps: one that is written when it crashes has
    /// passwords and messages in it. Forbid them from outside (`ulimit -c 0`), or set `core_dumps` to
    /// true, if they are wanted.
    warn[codes::MACHINE] CoreDumpsPossible<'a> "core dumps cannot be forbidden" {
        /// What the system says.
        display error: &'a dyn fmt::Display,
    }
}
