//! Dates in the text of a receipt (SMPP 3.4 Appendix B: YYMMDDhhmm) and their variations.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The years in which messages are sent, those that SMPP can write (SMPP 3.4 §7.1.1). Digits that
/// give another year are in an order that is not known here: no date is better than a wrong one.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2069;

/// Names of the zone whose offset is none.
pub(super) const UTC: [&str; 3] = ["Z", "UTC", "GMT"];

/// A date and time by the SMSC's clock, whose zone mostly stays unsaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// As the clock shows it.
    pub civil: DateTime,
    /// How far the clock is ahead of UTC, where the receipt says it.
    pub offset: Option<Offset>,
}

impl When {
    /// Reads `YYMMDDhhmm`, `YYMMDDhhmmss`, `YYYYMMDDhhmm`, `YYYYMMDDhhmmss` and SMPP absolute
    /// times; `Z`, `UTC`, `GMT`, `+hh`, `+hhmm` or `+hh:mm` may follow the digits, also after a
    /// space. With separators, `YYYY-MM-DD hh:mm:ss` and what is like it, and ISO 8601's
    /// `YYYYMMDDThhmmss`. Fractions of a second are left out. All zeros mean no date, and so does
    /// what would be a year before 1970 or after 2069.
    pub fn parse(raw: &str) -> Option<When> {
        Self::read(raw.trim()).filter(|when| YEARS.contains(&when.civil.year()))
    }

    fn read(raw: &str) -> Option<When> {
        if raw.len() == 16
            && let Ok(crate::time::Time::Absolute(zoned)) = crate::time::parse(raw)
        {
            return Some(When {
                civil: zoned.datetime(),
                offset: Some(zoned.offset()),
            });
        }
        let end = raw
            .bytes()
            .position(|octet| !octet.is_ascii_digit())
            .unwrap_or(raw.len());
        let (digits, zone) = raw.split_at(end);
        if digits.len() <= 4 && zone.starts_with(['-', '/', '.']) {
            return separated(raw);
        }
        if digits.len() == 8
            && let Some(time) = zone.strip_prefix('T')
        {
            let end = time.find(|c: char| !c.is_ascii_digit());
            let (time, zone) = time.split_at(end.unwrap_or(time.len()));
            let (year, day) = digits.split_at(4);
            let civil = datetime(year.parse().ok()?, &[day, time].concat());
            return civil
                .filter(|_| matches!(time.len(), 4 | 6))
                .map(|civil| When {
                    civil,
                    offset: offset(zone),
                });
        }
        let civil = match digits.len() {
            10 | 12 => short(digits).or_else(|| long(digits)),
            14 => long(digits),
            _ => None,
        }?;
        Some(When {
            civil,
            offset: offset(zone),
        })
    }
}

/// Year, month and day with separators between them, then the time with colons; seconds may be
/// missing. The day comes first where only the last of the three has four digits.
fn separated(raw: &str) -> Option<When> {
    let (date, time) = raw.split_once([' ', 'T'])?;
    let mut parts = date.split(['-', '/', '.']);
    let [first, month, last] = [parts.next()?, parts.next()?, parts.next()?];
    let (year, day) = match last.len() {
        4 => (last, first),
        _ => (first, last),
    };
    let year: i16 = match year.len() {
        2 => crate::time::century(year.parse().ok()?),
        4 => year.parse().ok()?,
        _ => return None,
    };
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':');
    let (time, zone) = time.split_at(end.unwrap_or(time.len()));
    let mut clock = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let day = day.parse().ok()?;
    let civil = DateTime::new(year, month.parse().ok()?, day, hour, minute, second, 0).ok()?;
    let ended = parts.next().is_none() && clock.next().is_none();
    ended.then(|| When {
        civil,
        offset: offset(zone),
    })
}

/// Two digits of the year first.
fn short(digits: &str) -> Option<DateTime> {
    let (year, rest) = digits.split_at_checked(2)?;
    let year: i16 = year.parse().ok()?;
    datetime(crate::time::century(year), rest)
}

/// Four digits of the year first; without ambiguity where [`short`] fails, from 2013 on, as no
/// month is 13.
fn long(digits: &str) -> Option<DateTime> {
    let (year, rest) = digits.split_at_checked(4)?;
    datetime(year.parse().ok()?, rest)
}

/// `MMDDhhmm` or `MMDDhhmmss`.
fn datetime(year: i16, rest: &str) -> Option<DateTime> {
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let second = if rest.len() > 8 { number(8)? } else { 0 };
    DateTime::new(
        year,
        number(0)?,
        number(2)?,
        number(4)?,
        number(6)?,
        second,
        0,
    )
    .ok()
}

/// What follows the seconds: perhaps a fraction of them, perhaps a zone.
fn offset(rest: &str) -> Option<Offset> {
    let fraction = rest.strip_prefix(['.', ',']);
    let zone = fraction.map_or(rest, |digits| {
        digits.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    let zone = zone.trim_start();
    if UTC.iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(Offset::UTC);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let number = |at: usize| zone.get(at..at + 2)?.parse::<i32>().ok();
    let minutes = match zone.len() {
        3 => 0,
        5 => number(3)?,
        6 => number(4)?,
        _ => return None,
    };
    Offset::from_seconds(sign * (number(1)? * 3600 + minutes * 60)).ok()
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            None => write!(f, "{}", self.civil),
            Some(offset) => {
                let minutes = offset.seconds() / 60;
                let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
                write!(
                    f,
                    "{}{sign}{:02}:{:02}",
                    self.civil,
                    minutes / 60,
                    minutes % 60
                )
            }
        }
    }
}
