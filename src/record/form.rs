//! How values are written into records: times, octets, extra data. Formats for people get text,
//! others (Avro) numbers and octets.

use std::borrow::Borrow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use smpp_protocol::receipt::When;

use super::extra;

/// A time in RFC 3339, UTC, always with six decimals: `2026-01-02T03:04:05.000006Z`. Several of
/// them stand in each event, so they are written without jiff's general printer.
pub(super) fn time<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    if !to.is_human_readable() {
        return to.serialize_i64(at.as_microsecond());
    }
    let mut octets = *b"0000-00-00T00:00:00.000000Z";
    let micros = at.as_microsecond();
    let days = micros.div_euclid(86_400_000_000);
    let (Some((year, month, day)), Ok(rest)) = (
        civil(days),
        u64::try_from(micros.rem_euclid(86_400_000_000)),
    ) else {
        return to.collect_str(at);
    };
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    for (place, value) in [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, seconds / 3600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
        (20, micros / 10_000),
        (22, micros / 100 % 100),
        (24, micros % 100),
    ] {
        // Digits fit an octet.
        octets[place] = b'0' + (value / 10) as u8;
        octets[place + 1] = b'0' + (value % 10) as u8;
    }
    match std::str::from_utf8(&octets) {
        Ok(text) => to.serialize_str(text),
        Err(_) => to.collect_str(at),
    }
}

/// Like [`time`], for one that may be missing.
pub(super) fn time_option<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    // A struct of its own: Avro wants to know that there is one.
    at.as_ref().map(Time).serialize(to)
}

/// A date by an SMSC's clock, as text.
pub(super) fn date_option<S: Serializer>(when: &Option<When>, to: S) -> Result<S::Ok, S::Error> {
    when.map(Date).serialize(to)
}

struct Date(When);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

struct Time<'a>(&'a Timestamp);

impl Serialize for Time<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        time(self.0, to)
    }
}

/// A time on an internal topic: in JSON as jiff writes it.
pub(super) fn instant<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        at.serialize(to)
    } else {
        to.serialize_i64(at.as_microsecond())
    }
}

/// Like [`instant`], for one that may be missing.
pub(super) fn instant_option<S: Serializer>(
    at: &Option<Timestamp>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) if to.is_human_readable() => at.serialize(to),
        Some(at) => to.serialize_some(&Time(at)),
        None => to.serialize_none(),
    }
}

/// The name of a state, which Avro has an enum of.
pub(super) fn symbol<S: Serializer>(name: &&'static str, to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        to.serialize_str(name)
    } else {
        // The number is not known here; it is found by the name.
        to.serialize_unit_variant("", u32::MAX, name)
    }
}

/// extra_data in an event.
pub(super) fn extra<S: Serializer>(data: &Option<&RawValue>, to: S) -> Result<S::Ok, S::Error> {
    match data {
        Some(data) if to.is_human_readable() => data.serialize(to),
        Some(data) => to.serialize_some(&*extra::text(data)),
        None => to.serialize_none(),
    }
}

/// extra_data in an internal record: JSON, byte for byte.
pub(super) fn raw<S: Serializer, T: Borrow<RawValue>>(
    data: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match data.as_ref().map(Borrow::<RawValue>::borrow) {
        Some(data) if to.is_human_readable() => data.serialize(to),
        Some(data) => to.serialize_some(data.get()),
        None => to.serialize_none(),
    }
}

/// Year, month and day of a number of days since 1970 in the Gregorian calendar. Years are
/// counted from March, so that the leap day is a year's last. `None` outside years 0 to 9999.
fn civil(days: i64) -> Option<(u64, u64, u64)> {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    const MARCH_OF_YEAR_0: i64 = 719_468;
    let days = u64::try_from(days + MARCH_OF_YEAR_0).ok()?;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year <= 9999).then_some((year, month, day))
}

/// Octets as hexadecimal digits, two each. A text of a receipt and most others have room on the stack.
pub(super) fn hex<S: Serializer>(octets: &impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    let octets = octets.as_ref();
    if !to.is_human_readable() {
        return to.serialize_bytes(octets);
    }
    let mut room = [0; 512];
    match room.get_mut(..2 * octets.len()) {
        Some(digits) => to.serialize_str(HEXLOWER.encode_mut_str(octets, digits)),
        None => to.collect_str(&HEXLOWER.encode_display(octets)),
    }
}

/// Like [`hex`], for octets that may be missing.
pub(super) fn hex_option<S: Serializer>(
    octets: &Option<impl AsRef<[u8]>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match octets {
        Some(octets) if to.is_human_readable() => hex(octets, to),
        Some(octets) => to.serialize_some(&Octets(octets.as_ref())),
        None => to.serialize_none(),
    }
}

/// Octets that may be missing, for people in Base64.
pub(super) fn base64_option<S: Serializer>(
    octets: &Option<&[u8]>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match octets {
        Some(octets) if to.is_human_readable() => to.serialize_str(&STANDARD.encode(octets)),
        Some(octets) => to.serialize_some(&Octets(octets)),
        None => to.serialize_none(),
    }
}

/// Octets as octets.
pub(super) struct Octets<'a>(pub &'a [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// Whether a flag is unset, and so left out.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

/// Whether a count is zero, and so left out.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
pub(super) fn is_zero(value: &u8) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Serialize)]
    struct At(#[serde(serialize_with = "time")] Timestamp);

    fn written(micros: i64) -> String {
        serde_json::to_string(&At(Timestamp::from_microsecond(micros).unwrap())).unwrap()
    }

    #[test]
    fn times_have_six_decimals() {
        assert_eq!(written(0), r#""1970-01-01T00:00:00.000000Z""#);
        assert_eq!(written(-1), r#""1969-12-31T23:59:59.999999Z""#);
        for text in [
            "2000-02-29T12:00:00.000001Z",
            "2026-12-31T23:59:59.123456Z",
            "0001-01-01T00:00:00.000000Z",
            "9999-12-30T00:00:00.000000Z",
        ] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(written(at.as_microsecond()), format!("{text:?}"));
        }
    }

    proptest! {
        #[test]
        fn any_time_reads_back(micros in -377_705_000_000_000_000..253_402_000_000_000_000i64) {
            let text = written(micros);
            let at: Timestamp = text.trim_matches('"').parse().unwrap();
            prop_assert_eq!(at.as_microsecond(), micros, "{}", text);
        }
    }
}
