//! What an error is looked up by.

use std::fmt;

/// The code of an error, such as `KS-1204`: a short name that never changes its meaning, by which
/// people find what it says about it and what is to be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(&'static str);

impl ErrorCode {
    /// The code that is written so.
    pub const fn new(text: &'static str) -> Self {
        ErrorCode(text)
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
