//! Values in a record: what may be written, and what is said if something else was.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::outbound::Destination;
use super::submit_sm::{
    Address, Content, ErrorHandling, Segmentation, TagName, Tlv, TlvValue, When,
};
use crate::settings::{OnTooLong, SegmentMethod};
use smpp_protocol::text::Class;

/// What a name should have been: the nearest of the names allowed, or all of them.
pub(super) fn unknown(name: &str, allowed: &[&str]) -> String {
    let near = allowed
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
    match near {
        Some((_, known)) => format!("unknown field `{name}`, did you mean `{known}`?"),
        None if allowed.len() > 5 => format!(
            "unknown field `{name}`: remove it; what is only to come back in events belongs into extra_data"
        ),
        None => format!("unknown field `{name}`: allowed are {}", allowed.join(", ")),
    }
}

/// That a field was written twice.
pub(super) fn twice(name: &str) -> String {
    format!("`{name}` stands twice: remove one of them")
}

/// Visitors that turn one form of JSON value into another type of value.
macro_rules! visitor {
    ($type:ty, $de:lifetime, $expected:literal, { $($body:tt)* }) => {
        impl<$de> Deserialize<$de> for $type {
            fn deserialize<D: Deserializer<$de>>(from: D) -> Result<Self, D::Error> {
                struct V<'de>(PhantomData<&'de ()>);

                impl<$de> Visitor<$de> for V<$de> {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    $($body)*
                }

                from.deserialize_any(V(PhantomData))
            }
        }
    };
}

/// Text, borrowed if no character of it is escaped.
pub(super) struct Str<'a>(pub Cow<'a, str>);

visitor!(Str<'de>, 'de, "a string", {
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Str<'de>, E> {
        Ok(Str(Cow::Owned(text.to_owned())))
    }
});

/// A message class, by its name.
pub(super) struct ClassName(pub Class);

visitor!(ClassName, 'de, "\"flash\", \"phone\", \"sim\" or \"equipment\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<ClassName, E> {
        Class::from_name(text)
            .map(ClassName)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
});

/// A number that fits one octet.
pub(super) struct Octet(pub u8);

visitor!(Octet, 'de, "a whole number from 0 to 255", {
    fn visit_u64<E: Error>(self, number: u64) -> Result<Octet, E> {
        u8::try_from(number)
            .map(Octet)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Octet, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }
});

visitor!(Content<'de>, 'de, "a string, {\"hex\": \"...\"} or {\"base64\": \"...\"}", {
    fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<Content<'de>, E> {
        Ok(Content::Octets(octets.to_vec()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content<'de>, A::Error> {
        let Some(Str(name)) = map.next_key()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let octets = match &*name {
            "hex" => {
                let Str(text) = map.next_value()?;
                hex(&text).map_err(A::Error::custom)?
            }
            "base64" => {
                let Str(text) = map.next_value()?;
                STANDARD
                    .decode(text.as_bytes())
                    .map_err(|e| A::Error::custom(format_args!("not Base64 (RFC 4648): {e}")))?
            }
            other => return Err(A::Error::custom(unknown(other, &["hex", "base64"]))),
        };
        match map.next_key()? {
            None => Ok(Content::Octets(octets)),
            Some(Str(_)) => Err(A::Error::custom("one of `hex` and `base64` is enough")),
        }
    }
});

/// The octets of hexadecimal digits.
pub(super) fn hex(text: &str) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err(format!(
            "{} hexadecimal digits are no whole octets: write two for each",
            text.len()
        ));
    }
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| format!("{text:?} is not hexadecimal: write 0 to 9 and a to f only"))
}

visitor!(Address<'de>, 'de, "a string such as \"+41791234567\", or an object of number, ton and npi", {
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Address<'de>, E> {
        let number = Cow::Borrowed(text);
        Ok(Address { number, ton: None, npi: None })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Address<'de>, E> {
        let number = Cow::Owned(text.to_owned());
        Ok(Address { number, ton: None, npi: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Address<'de>, A::Error> {
        address(&mut map, None)
    }
});

/// Reads the fields of an address; `first` is a name that was read already.
fn address<'de, A: MapAccess<'de>>(
    map: &mut A,
    first: Option<Cow<'de, str>>,
) -> Result<Address<'de>, A::Error> {
    const NAMES: [&str; 3] = ["number", "ton", "npi"];
    let (mut number, mut ton, mut npi) = (None, None::<Option<Octet>>, None::<Option<Octet>>);
    let mut next = first;
    while let Some(name) = match next.take() {
        Some(name) => Some(name),
        None => map.next_key::<Str<'de>>()?.map(|name| name.0),
    } {
        let again = match &*name {
            "number" => number.replace(map.next_value::<Str<'_>>()?.0).is_some(),
            "ton" => ton.replace(map.next_value()?).is_some(),
            "npi" => npi.replace(map.next_value()?).is_some(),
            other => return Err(A::Error::custom(unknown(other, &NAMES))),
        };
        if again {
            return Err(A::Error::custom(twice(&name)));
        }
    }
    let number = number.ok_or_else(|| A::Error::custom("`number` is missing"))?;
    let octet = |field: Option<Option<Octet>>| field.flatten().map(|octet| octet.0);
    Ok(Address {
        number,
        ton: octet(ton),
        npi: octet(npi),
    })
}

visitor!(Destination<'de>, 'de, "a number such as \"+41791234567\", an object of number, ton and npi, or {\"list\": \"name\"}", {
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Destination<'de>, E> {
        let number = Cow::Borrowed(text);
        Ok(Destination::Number(Address { number, ton: None, npi: None }))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Destination<'de>, E> {
        let number = Cow::Owned(text.to_owned());
        Ok(Destination::Number(Address { number, ton: None, npi: None }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Destination<'de>, A::Error> {
        let first = map.next_key::<Str<'de>>()?.map(|name| name.0);
        if first.as_deref() != Some("list") {
            return address(&mut map, first).map(Destination::Number);
        }
        let Str(list) = map.next_value()?;
        match map.next_key::<Str<'de>>()? {
            None => Ok(Destination::List(list)),
            Some(Str(name)) => Err(A::Error::custom(unknown(&name, &["list"]))),
        }
    }
});

/// A time in RFC 3339.
pub(super) struct Time(pub Timestamp);

const A_TIME: &str = "an RFC 3339 time with its offset, such as \"2026-03-01T09:00:00Z\"";

visitor!(Time, 'de, "an RFC 3339 time with its offset, such as \"2026-03-01T09:00:00Z\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        text.parse()
            .map(Time)
            .map_err(|_| E::custom(format_args!("{text:?} is not {A_TIME}")))
    }
});

/// Reads a [`When`]. aiosmpplib writes times without an offset and means UTC; from anybody
/// else that is refused, because it could as well be local time.
pub(super) struct WhenSeed {
    pub utc_by_default: bool,
}

impl<'de> DeserializeSeed<'de> for WhenSeed {
    type Value = Option<When>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for WhenSeed {
    type Value = Option<When>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{A_TIME}, or an ISO 8601 duration such as \"PT1H30M\"")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let when = match text.strip_prefix(['P', 'p']) {
            Some(_) => duration(text).map(When::After),
            None => text.parse().ok().or_else(|| self.utc(text)).map(When::At),
        };
        let wrong = || {
            E::custom(format_args!(
                "{text:?} is neither {A_TIME}, nor an ISO 8601 duration such as \"PT1H30M\""
            ))
        };
        when.map(Some).ok_or_else(wrong)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Self::Value, E> {
        match i64::try_from(seconds) {
            Ok(seconds) => Ok(Some(When::After(SignedDuration::from_secs(seconds)))),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(seconds), &self)),
        }
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Self::Value, E> {
        Err(E::invalid_value(Unexpected::Signed(seconds), &self))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Self::Value, E> {
        match SignedDuration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_negative() => Ok(Some(When::After(time))),
            _ => Err(E::invalid_value(Unexpected::Float(seconds), &self)),
        }
    }
}

impl WhenSeed {
    fn utc(&self, text: &str) -> Option<Timestamp> {
        let naive: DateTime = self.utc_by_default.then(|| text.parse().ok())??;
        Some(naive.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

/// The length of an ISO 8601 duration whose years have 365 and whose months have 30 days.
fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let days = i64::from(span.get_years()) * 365
        + i64::from(span.get_months()) * 30
        + i64::from(span.get_weeks()) * 7
        + i64::from(span.get_days());
    let rest = SignedDuration::try_from(span.years(0).months(0).weeks(0).days(0)).ok()?;
    SignedDuration::from_hours(days * 24).checked_add(rest)
}

visitor!(ErrorHandling, 'de, "\"strict\", \"ignore\", \"replace\" or \"transliterate\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<ErrorHandling, E> {
        match text {
            "strict" => Ok(ErrorHandling::Strict),
            "ignore" => Ok(ErrorHandling::Ignore),
            "replace" => Ok(ErrorHandling::Replace),
            "transliterate" => Ok(ErrorHandling::Transliterate),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
});

visitor!(Segmentation, 'de, "\"auto\", \"udh8\", \"udh16\", \"sar\" or \"payload\", or an object of method, max_parts and on_too_long", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Segmentation, E> {
        let method = SegmentMethod::from_name(text);
        let method = Some(method.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?);
        Ok(Segmentation { method, ..Segmentation::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Segmentation, A::Error> {
        const NAMES: [&str; 3] = ["method", "max_parts", "on_too_long"];
        let (mut method, mut most, mut too_long) = (None, None, None);
        while let Some(Str(name)) = map.next_key()? {
            let again = match &*name {
                "method" => method.replace(map.next_value::<Option<SegmentMethod>>()?).is_some(),
                "max_parts" => most.replace(map.next_value::<Option<Octet>>()?).is_some(),
                "on_too_long" => too_long.replace(map.next_value::<Option<OnTooLong>>()?).is_some(),
                other => return Err(A::Error::custom(unknown(other, &NAMES))),
            };
            if again {
                return Err(A::Error::custom(twice(&name)));
            }
        }
        let max_parts = most.flatten().map(|octet| octet.0);
        if max_parts == Some(0) {
            return Err(A::Error::custom("max_parts is 0: write 1 to 255"));
        }
        Ok(Segmentation { method: method.flatten(), max_parts, on_too_long: too_long.flatten() })
    }
});

/// Optional parameters: an object by name or number, or a list of `{"tag": .., "value": ..}`.
pub(super) struct Tlvs<'a>(pub Vec<Tlv<'a>>);

visitor!(Tlvs<'de>, 'de, "an object such as {\"source_port\": 5000}, or a list of {\"tag\": .., \"value\": ..}", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tlvs<'de>, A::Error> {
        let mut tlvs: Vec<Tlv<'de>> = Vec::new();
        while let Some(Str(name)) = map.next_key()? {
            let tag = tag(name).map_err(A::Error::custom)?;
            if tlvs.iter().any(|tlv| tlv.tag == tag) {
                return Err(A::Error::custom(format_args!(
                    "tag {tag} stands twice: to send it twice, write a list of {{\"tag\": .., \"value\": ..}}"
                )));
            }
            let value = map.next_value()?;
            tlvs.push(Tlv { tag, value });
        }
        Ok(Tlvs(tlvs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tlvs<'de>, A::Error> {
        let mut tlvs = Vec::new();
        while let Some(tlv) = list.next_element()? {
            tlvs.push(tlv);
        }
        Ok(Tlvs(tlvs))
    }
});

visitor!(Tlv<'de>, 'de, "an object of tag and value", {
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tlv<'de>, A::Error> {
        let (mut tag, mut value) = (None, None);
        while let Some(Str(name)) = map.next_key()? {
            let again = match &*name {
                "tag" => tag.replace(map.next_value()?).is_some(),
                "value" => value.replace(map.next_value()?).is_some(),
                other => return Err(A::Error::custom(unknown(other, &["tag", "value"]))),
            };
            if again {
                return Err(A::Error::custom(twice(&name)));
            }
        }
        let missing = |name| A::Error::custom(format_args!("`{name}` is missing"));
        Ok(Tlv {
            tag: tag.ok_or_else(|| missing("tag"))?,
            value: value.ok_or_else(|| missing("value"))?,
        })
    }
});

visitor!(TagName<'de>, 'de, "a tag: its number from 0 to 65535, or its name such as \"source_port\"", {
    fn visit_u64<E: Error>(self, number: u64) -> Result<TagName<'de>, E> {
        u16::try_from(number)
            .map(TagName::Number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<TagName<'de>, E> {
        tag(Cow::Borrowed(text)).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TagName<'de>, E> {
        tag(Cow::Owned(text.to_owned())).map_err(E::custom)
    }
});

fn tag(name: Cow<'_, str>) -> Result<TagName<'_>, String> {
    if !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(TagName::Name(name));
    }
    let number = match name.strip_prefix("0x").or_else(|| name.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => name.parse(),
    };
    number.map(TagName::Number).map_err(|_| {
        format!("{name:?} is not a tag: write a number such as 0x020B, at most 0xFFFF, or a name")
    })
}

impl fmt::Display for TagName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TagName::Number(number) => write!(f, "0x{number:04X}"),
            TagName::Name(name) => f.write_str(name),
        }
    }
}

visitor!(TlvValue<'de>, 'de, "a number, a string, true, {\"hex\": \"...\"} or {\"base64\": \"...\"}", {
    fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<TlvValue<'de>, E> {
        Ok(TlvValue::Content(Content::Octets(octets.to_vec())))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<TlvValue<'de>, E> {
        Ok(TlvValue::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<TlvValue<'de>, E> {
        Ok(TlvValue::Number(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<TlvValue<'de>, E> {
        Ok(TlvValue::Content(Content::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TlvValue<'de>, E> {
        Ok(TlvValue::Content(Content::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TlvValue<'de>, A::Error> {
        let octets = serde::de::value::MapAccessDeserializer::new(map);
        Content::deserialize(octets).map(TlvValue::Content)
    }
});
