//! The codes of errors that keep a bind from being up, by what a person has to do.
//!
//! They are those of kafka-smpp, which has a page for each (`docs/errors`).

use plain_telemetry::ErrorCode;

/// The SMSC refuses the bind until somebody changes something.
pub(super) const REFUSED: ErrorCode = ErrorCode::new("KS-2001");
/// It refuses it for now.
pub(super) const REFUSED_FOR_NOW: ErrorCode = ErrorCode::new("KS-2002");
/// Nobody is there, or the address is wrong.
pub(super) const NO_CONNECTION: ErrorCode = ErrorCode::new("KS-2007");
/// TLS cannot be agreed on.
pub(super) const TLS: ErrorCode = ErrorCode::new("KS-2008");
/// The connection stands, and the bind has no answer.
pub(super) const NO_ANSWER: ErrorCode = ErrorCode::new("KS-2009");
/// The account has too many binds.
pub(super) const BOUND_ELSEWHERE: ErrorCode = ErrorCode::new("KS-2012");
/// Who is there does not speak SMPP.
pub(super) const NOT_SMPP: ErrorCode = ErrorCode::new("KS-2013");
/// The port for outbind is not ours.
pub(super) const CANNOT_LISTEN: ErrorCode = ErrorCode::new("KS-2014");
/// The SMSC, or the network, ended a session.
pub(super) const SESSION_LOST: ErrorCode = ErrorCode::new("KS-2015");
/// A session showed no sign of life.
pub(super) const SILENT: ErrorCode = ErrorCode::new("KS-2016");
/// The link stands, and no message is answered.
pub(super) const DEAF: ErrorCode = ErrorCode::new("KS-2017");

/// The address to connect from is not this machine's, or does not fit the host.
pub(super) const LOCAL_ADDRESS: ErrorCode = ErrorCode::new("KS-2018");

/// Those that a bind that is not up may have.
pub static ERROR_CODES: &[ErrorCode] = &[
    REFUSED,
    REFUSED_FOR_NOW,
    NO_CONNECTION,
    TLS,
    NO_ANSWER,
    BOUND_ELSEWHERE,
    NOT_SMPP,
    CANNOT_LISTEN,
    SESSION_LOST,
    SILENT,
    DEAF,
    LOCAL_ADDRESS,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::time::Duration;

    use smpp_protocol::{ImpossibleLength, Status};

    use super::*;
    use crate::connect::Failure;
    use crate::session::End;

    #[test]
    fn every_code_of_the_list_is_one_of_a_failure_or_an_end() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let host = String::new;
        let failures = [
            Failure::Connect {
                host: host(),
                from: String::new(),
                source: broken(),
            },
            Failure::Connect {
                host: host(),
                from: String::new(),
                source: io::Error::other(rustls::Error::DecryptError),
            },
            Failure::LocalAddress {
                address: host(),
                source: broken(),
            },
            Failure::Listen {
                listen: host(),
                source: broken(),
            },
            Failure::Broken(broken()),
            Failure::NoAnswer(Duration::ZERO),
            Failure::Refused(Status::RINVPASWD),
            Failure::Refused(Status::RALYBND),
            Failure::Refused(Status::RSYSERR),
        ];
        let ends = [
            End::Impossible(ImpossibleLength { length: 1, max: 0 }),
            End::PeerClosed,
            End::Silent,
            End::Deaf(Duration::ZERO),
        ];
        let codes = failures.iter().map(Failure::code);
        let codes: BTreeSet<_> = codes.chain(ends.iter().map(End::code)).collect();
        assert_eq!(codes, ERROR_CODES.iter().copied().collect());
    }
}
