//! SMPP times: absolute `YYMMDDhhmmsstnnp` and relative `YYMMDDhhmmss000R` (SMPP 3.4 §7.1.1).

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp, Zoned};

/// A time as SMPP has it.
#[derive(Debug, Clone)]
pub enum Time {
    /// A point in time, in the zone in which it was written.
    Absolute(Zoned),
    /// From when the SMSC takes the message: years, months, days, hours, minutes, seconds.
    Relative(Span),
}

/// What is not an SMPP time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Cannot be read.
    #[error(
        "{0:?} is not an SMPP time: write YYMMDDhhmmsstnnp with p of +, - or R, such as \
         260131120000000+ or 000001000000000R for a day"
    )]
    Unreadable(String),
    /// The year does not fit into two digits.
    #[error("the year {0} cannot be written as an SMPP time: use 1970 to 2069")]
    Year(i16),
    /// A relative time must be positive and below 100 years.
    #[error("{0:?} cannot be written as a relative SMPP time: use 0 to 99 years")]
    Duration(SignedDuration),
}

/// The year of two digits: 70 to 99 lie in the last century.
pub(crate) const fn century(two_digits: i16) -> i16 {
    if two_digits >= 70 {
        1900 + two_digits
    } else {
        2000 + two_digits
    }
}

/// Reads an absolute or a relative time.
pub fn parse(text: &str) -> Result<Time, TimeError> {
    read(text).ok_or_else(|| TimeError::Unreadable(text.into()))
}

fn read(text: &str) -> Option<Time> {
    let octets: &[u8; 16] = text.as_bytes().try_into().ok()?;
    let (digits, sign) = (&octets[..15], octets[15]);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |at: usize| i16::from(digits[at] - b'0') * 10 + i16::from(digits[at + 1] - b'0');
    let tenths = i32::from(digits[12] - b'0');
    let quarters = i32::from(number(13));
    let [years, months, days, hours, minutes, seconds] = [
        number(0),
        number(2),
        number(4),
        number(6),
        number(8),
        number(10),
    ];
    if sign == b'R' {
        let span = Span::new().years(years).months(months).days(days);
        return Some(Time::Relative(
            span.hours(hours).minutes(minutes).seconds(seconds),
        ));
    }
    let ahead = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let nanoseconds = tenths * 100_000_000;
    let [month, day, hour, minute, second] =
        [months, days, hours, minutes, seconds].map(|part| part as i8);
    let civil = DateTime::new(
        century(years),
        month,
        day,
        hour,
        minute,
        second,
        nanoseconds,
    )
    .ok()?;
    let offset = Offset::from_seconds(ahead * quarters * 900)
        .ok()
        .filter(|_| quarters <= 48)?;
    civil
        .to_zoned(TimeZone::fixed(offset))
        .ok()
        .map(Time::Absolute)
}

/// An absolute time in its own zone, rounded down to tenths of a second. Offsets are carried in
/// quarters of an hour, at most 12 hours; other zones are written in UTC.
pub fn absolute(zoned: &Zoned) -> Result<String, TimeError> {
    let seconds = zoned.offset().seconds();
    if seconds % 900 != 0 || seconds.abs() > 48 * 900 {
        return absolute(&zoned.timestamp().to_zoned(TimeZone::UTC));
    }
    let civil = zoned.datetime();
    if !(1970..=2069).contains(&civil.year()) {
        return Err(TimeError::Year(civil.year()));
    }
    Ok(format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}{}{:02}{}",
        civil.year() % 100,
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.subsec_nanosecond() / 100_000_000,
        seconds.abs() / 900,
        if seconds < 0 { '-' } else { '+' },
    ))
}

/// An absolute time in UTC.
pub fn absolute_utc(timestamp: Timestamp) -> Result<String, TimeError> {
    absolute(&timestamp.to_zoned(TimeZone::UTC))
}

/// A relative time, rounded up to seconds: days, hours, minutes and seconds, and beyond 99 days
/// months of 30 and years of 365 days.
pub fn relative(duration: SignedDuration) -> Result<String, TimeError> {
    let error = TimeError::Duration(duration);
    let round_up = i64::from(duration.subsec_nanos() > 0);
    let seconds = duration.as_secs().saturating_add(round_up);
    if duration.is_negative() || seconds >= 100 * 365 * 86_400 {
        return Err(error);
    }
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let (mut years, mut months) = (0, 0);
    if days > 99 {
        (years, days) = (days / 365, days % 365);
        (months, days) = ((days / 30).min(12), days - 30 * (days / 30).min(12));
    }
    let (hours, minutes, seconds) = (clock / 3600, clock / 60 % 60, clock % 60);
    Ok(format!(
        "{years:02}{months:02}{days:02}{hours:02}{minutes:02}{seconds:02}000R"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> String {
        match parse(text).unwrap() {
            Time::Absolute(zoned) => zoned.timestamp().to_string(),
            Time::Relative(span) => span.to_string(),
        }
    }

    #[test]
    fn absolute_times_have_a_zone_in_quarters_of_an_hour() {
        assert_eq!(utc("260131120000000+"), "2026-01-31T12:00:00Z");
        assert_eq!(utc("260131120000008+"), "2026-01-31T10:00:00Z");
        assert_eq!(utc("260131120000520-"), "2026-01-31T17:00:00.5Z");
        assert_eq!(utc("991231235959948+"), "1999-12-31T11:59:59.9Z");
    }

    #[test]
    fn relative_times_are_spans() {
        assert_eq!(utc("020610233429000R"), "P2Y6M10DT23H34M29S");
        assert_eq!(
            relative(SignedDuration::from_hours(36)).unwrap(),
            "000001120000000R"
        );
        assert_eq!(
            relative(SignedDuration::from_millis(1)).unwrap(),
            "000000000001000R"
        );
        assert_eq!(
            relative(SignedDuration::from_hours(24 * 400)).unwrap(),
            "010105000000000R"
        );
        assert!(relative(SignedDuration::from_secs(-1)).is_err());
        assert!(relative(SignedDuration::from_hours(24 * 365 * 100)).is_err());
    }

    #[test]
    fn zones_that_smpp_cannot_write_go_out_in_utc() {
        let at = |text: &str| absolute(&text.parse().unwrap()).unwrap();
        assert_eq!(
            at("2026-01-31T12:00:00.95+05:45[+05:45]"),
            "260131120000923+"
        );
        assert_eq!(at("2026-01-31T12:00:00-03:30[-03:30]"), "260131120000014-");
        assert_eq!(at("2026-01-31T12:00:00+14:00[+14:00]"), "260130220000000+");
        let far = "2126-01-31T12:00:00Z[UTC]".parse().unwrap();
        assert_eq!(absolute(&far), Err(TimeError::Year(2126)));
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in [
            "",
            "00",
            "00R",
            "26013112000000+",
            "260131120000000x",
            "26013112000000a+",
            "261331120000000+",
            "260131120000049+",
            "2601311200000é+",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(
            parse("now")
                .unwrap_err()
                .to_string()
                .contains("260131120000000+")
        );
    }

    proptest! {
        #[test]
        fn instants_come_back_to_the_tenth(tenths in 0i64..31_000_000_000) {
            let timestamp = Timestamp::from_millisecond(tenths * 100).unwrap();
            let Time::Absolute(read) = parse(&absolute_utc(timestamp).unwrap()).unwrap() else {
                panic!("relative")
            };
            prop_assert_eq!(read.timestamp(), timestamp);
        }

        #[test]
        fn whatever_is_read_is_written_as_the_same_instant_in_the_same_zone(
            text in "[0-9]{2}(0[1-9]|1[0-2])([01][0-9]|2[0-8])([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9][0-9]([0-3][0-9]|4[0-9])[-+]"
        ) {
            if let Ok(Time::Absolute(read)) = parse(&text) {
                let written = absolute(&read).unwrap();
                // Only the sign of no offset is lost.
                prop_assert_eq!(&written[..15], &text[..15]);
                let Time::Absolute(again) = parse(&written).unwrap() else { panic!("relative") };
                prop_assert_eq!((again.timestamp(), again.offset()), (read.timestamp(), read.offset()));
            }
        }

        #[test]
        fn durations_up_to_99_days_come_back(seconds in 0i64..100 * 86_400) {
            let duration = SignedDuration::from_secs(seconds);
            let Time::Relative(span) = parse(&relative(duration).unwrap()).unwrap() else {
                panic!("absolute")
            };
            let clock = i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60;
            let read = i64::from(span.get_days()) * 86_400 + clock + span.get_seconds();
            prop_assert_eq!(read, seconds);
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,20}|[0-9]{15}[-+R]") {
            let _ = parse(&text);
        }
    }
}
