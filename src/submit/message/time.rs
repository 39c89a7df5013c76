//! Times as SMPP writes them: `YYMMDDhhmmsstnnp` (SMPP 3.4, 7.1.1).

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::Refused;
use crate::record::submit_sm::When;

/// A time in SMPP's form, or none.
pub(super) struct SmppTime {
    octets: [u8; 16],
    length: usize,
}

impl SmppTime {
    /// Writes a point in time absolutely, in UTC, and a length of time relatively, in years of
    /// 365 and months of 30 days.
    pub fn new(field: &str, when: Option<When>) -> Result<Self, Refused> {
        let Some(when) = when else {
            return Ok(SmppTime {
                octets: [0; 16],
                length: 0,
            });
        };
        let (parts, end) = match when {
            When::At(at) => (absolute(at), b"000+"),
            When::After(time) => (relative(time), b"000R"),
        };
        let parts = parts.ok_or_else(|| {
            let text = format!("{field} must end before 2100, and last less than 100 years");
            Refused::invalid(field, text)
        })?;
        let mut octets = *b"000000000000000R";
        for (place, part) in octets.chunks_exact_mut(2).zip(parts) {
            place.copy_from_slice(&[b'0' + part / 10, b'0' + part % 10]);
        }
        octets[12..].copy_from_slice(end);
        Ok(SmppTime { octets, length: 16 })
    }

    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Year of the century, month, day, hour, minute, second.
fn absolute(at: jiff::Timestamp) -> Option<[u8; 6]> {
    let at = TimeZone::UTC.to_datetime(at);
    let year = u8::try_from(at.year() - 2000).ok().filter(|y| *y < 100)?;
    let [month, day, hour, minute, second] =
        [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(i8::unsigned_abs);
    Some([year, month, day, hour, minute, second])
}

/// Years, months, days, hours, minutes, seconds.
fn relative(time: SignedDuration) -> Option<[u8; 6]> {
    let seconds = time.as_secs();
    let days = seconds / 86_400;
    let years = u8::try_from(days / 365).ok().filter(|years| *years < 100)?;
    let (months, days) = (days % 365 / 30, days % 365 % 30);
    let part = |value: i64| u8::try_from(value).ok();
    Some([
        years,
        part(months)?,
        part(days)?,
        part(seconds / 3600 % 24)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(when: When) -> Result<String, Refused> {
        let time = SmppTime::new("validity_period", Some(when))?;
        Ok(String::from_utf8(time.octets().to_vec()).unwrap())
    }

    #[test]
    fn points_in_time_are_written_in_utc() {
        let at = "2026-03-01T09:05:07.9+01:00".parse().unwrap();
        assert_eq!(written(When::At(at)).unwrap(), "260301080507000+");
        let error = written(When::At("2100-01-01T00:00:00Z".parse().unwrap())).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("validity_period"));
        assert!(written(When::At("1999-12-31T00:00:00Z".parse().unwrap())).is_err());
    }

    #[test]
    fn lengths_of_time_are_relative() {
        let hours = |hours| written(When::After(SignedDuration::from_hours(hours)));
        assert_eq!(hours(0).unwrap(), "000000000000000R");
        assert_eq!(hours(36).unwrap(), "000001120000000R");
        assert_eq!(hours(24 * 364).unwrap(), "001204000000000R");
        assert_eq!(hours(24 * 365 * 99).unwrap(), "990000000000000R");
        assert!(hours(24 * 365 * 100).is_err());
    }

    #[test]
    fn none_is_empty() {
        assert!(SmppTime::new("x", None).unwrap().octets().is_empty());
    }
}
