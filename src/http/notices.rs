//! What is said of the listener: every line of this part at `info` and above.

use std::fmt;
use std::net::SocketAddr;

use crate::codes;

plain_telemetry::notices! {
    /// What is said of the listener.
    pub(crate) static NOTICES;

    /// The process can be looked at.
    info Listening "it can be looked at over HTTP: /live, /ready, /metrics, /status" {
        /// Where.
        display address: SocketAddr,
    }

    /// Another connection could not be taken; it is tried again. If it goes on, the process has too
    /// few file descriptors (ulimit -n).
    warn[codes::MACHINE] ConnectionNotTaken<'a> "an HTTP connection could not be taken; going on" {
        /// What the system says.
        display error: &'a dyn fmt::Display,
    }

    /// `http.certificate_file` or `http.key_file` has changed and cannot be used. What was read before is
    /// used on; when that runs out, nobody can connect. Write both files anew.
    warn[codes::HTTP_CERTIFICATE] CertificateNotRead<'a> "a changed certificate cannot be used; going on with the one before" {
        /// Which file, and why.
        display error: &'a dyn fmt::Display,
    }
}
