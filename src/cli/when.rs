//! Times as people name them on a command line.

use std::str::FromStr;

use jiff::Timestamp;

use crate::settings::Time;

/// A point in time, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When(pub Timestamp);

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(When(at));
        }
        let ago: Time = text.parse().map_err(|_| {
            "write a time such as 2026-01-02T03:04:05Z, or how long ago, such as 2h".to_owned()
        })?;
        let at = Timestamp::now().checked_sub(ago.get());
        at.map(When).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_named_or_so_long_ago() {
        let at: When = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(at.0.to_string(), "2026-01-02T03:04:05Z");
        let ago: When = "2h".parse().unwrap();
        let seconds = Timestamp::now().duration_since(ago.0).as_secs();
        assert!((7199..7205).contains(&seconds), "{seconds}");
        assert!("yesterday".parse::<When>().is_err());
    }
}
