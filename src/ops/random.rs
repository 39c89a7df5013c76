//! Names that nothing else may bear.
//!
//! Two processes under one `transactional.id` would fence each other for ever, and each would
//! take the other's commits for its own. So such a name comes from the operating system's
//! random numbers, which do not repeat when two containers start in the same moment from the
//! same image. What only has to be spread out (the jitter of a pause) may come from elsewhere.

use std::fmt;

/// The operating system gave no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the operating system gives no random numbers, from which this process would name itself: {0}"
)]
pub struct NoRandom(#[from] getrandom::Error);

/// A name of 64 random bits, written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u64);

impl Name {
    /// A name that nothing else bears.
    ///
    /// # Errors
    ///
    /// When the operating system has no source of random numbers (a sandbox that forbids it).
    pub fn new() -> Result<Self, NoRandom> {
        Ok(Name(getrandom::u64()?))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_sixteen_digits_whatever_the_number() {
        assert_eq!(Name(0xab).to_string(), "00000000000000ab");
        assert_eq!(Name(u64::MAX).to_string().len(), 16);
    }

    #[test]
    fn names_do_not_repeat_with_the_seed_of_other_random_numbers() {
        let named = || {
            fastrand::seed(7);
            Name::new().unwrap().to_string()
        };
        let names: BTreeSet<String> = (0..1000).map(|_| named()).collect();
        assert_eq!(names.len(), 1000);
    }
}
