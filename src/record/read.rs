//! Reads a [`SubmitSm`] in one pass: strictly, and saying what was wrong where.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::extra;
use super::submit_sm::{SubmitSm, When};
use super::value::{Octet, Str, Time, Tlvs, WhenSeed, twice, unknown};

macro_rules! fields {
    ($($field:ident = $name:literal,)*) => {
        /// A field of the record.
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Field {
            $($field,)*
        }

        impl Field {
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn from_name(name: &str) -> Option<Field> {
                match name {
                    $($name => Some(Field::$field),)*
                    _ => None,
                }
            }

            const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

fields! {
    LogId = "log_id",
    ExtraData = "extra_data",
    ShortMessage = "short_message",
    MessagePayload = "message_payload",
    Source = "source",
    Destination = "destination",
    ServiceType = "service_type",
    EsmClass = "esm_class",
    ProtocolId = "protocol_id",
    PriorityFlag = "priority_flag",
    ScheduleDeliveryTime = "schedule_delivery_time",
    ValidityPeriod = "validity_period",
    RegisteredDelivery = "registered_delivery",
    ReplaceIfPresentFlag = "replace_if_present_flag",
    DataCoding = "data_coding",
    Encoding = "encoding",
    SmDefaultMsgId = "sm_default_msg_id",
    Tlvs = "tlvs",
    AutoMessagePayload = "auto_message_payload",
    Udh = "udh",
    Segmentation = "segmentation",
    ErrorHandling = "error_handling",
    InDoubt = "in_doubt",
    MaxResends = "max_resends",
    ExpiresAt = "expires_at",
    Type = "type",
    // aiosmpplib's own.
    Command = "__smpp_command__",
    OptionalParams = "optional_params",
    SequenceNum = "sequence_num",
    CommandStatus = "command_status",
    DefaultEncoding = "_default_encoding",
    CustomCodecs = "_custom_codecs",
    EncodedMessage = "_encoded_message",
}

/// Reads a record; `field` says afterwards, if that failed, which field was to blame.
pub(super) struct Reader<'r> {
    pub field: &'r RefCell<Option<String>>,
    /// Whether it reads Avro, where extra_data is text.
    pub avro: bool,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = SubmitSm<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<SubmitSm<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = SubmitSm<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.avro {
            true => "a record with the fields of a SubmitSm",
            false => "a JSON object with the fields of a SubmitSm",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SubmitSm<'de>, A::Error> {
        let mut reading = Reading {
            avro: self.avro,
            ..Reading::default()
        };
        while let Some(Str(name)) = map.next_key()? {
            let Some(field) = Field::from_name(&name) else {
                self.field.replace(Some(name.as_ref().to_owned()));
                return Err(A::Error::custom(unknown(&name, Field::NAMES)));
            };
            reading.take(field, &mut map).inspect_err(|_| {
                self.field.replace(Some(field.name().to_owned()));
            })?;
        }
        Ok(reading.record)
    }
}

#[derive(Default)]
struct Reading<'de> {
    record: SubmitSm<'de>,
    /// A bit for each field that was there.
    seen: u64,
    /// Whether aiosmpplib wrote it.
    aiosmpplib: bool,
    avro: bool,
}

impl<'de> Reading<'de> {
    fn take<A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        let bit = 1 << field as u64;
        if self.seen & bit != 0 {
            return Err(A::Error::custom(twice(field.name())));
        }
        self.seen |= bit;
        let record = &mut self.record;
        match field {
            Field::LogId => record.log_id = text(map)?.filter(|id| !id.is_empty()),
            Field::ExtraData if self.avro => {
                record.extra_data = text(map)?.map(|text| match text {
                    Cow::Borrowed(text) => extra::json(text),
                    Cow::Owned(text) => Cow::Owned(extra::json(&text).into_owned()),
                });
            }
            Field::ExtraData => {
                record.extra_data = map.next_value::<Option<&RawValue>>()?.map(Cow::Borrowed);
            }
            Field::ShortMessage => record.short_message = map.next_value()?,
            Field::MessagePayload => record.message_payload = map.next_value()?,
            Field::Source => record.source = map.next_value()?,
            Field::Destination => record.destination = map.next_value()?,
            Field::ServiceType => record.service_type = text(map)?,
            Field::EsmClass => record.esm_class = octet(map)?,
            Field::ProtocolId => record.protocol_id = octet(map)?,
            Field::PriorityFlag => record.priority_flag = octet(map)?,
            Field::ScheduleDeliveryTime => self.record.schedule_delivery_time = self.when(map)?,
            Field::ValidityPeriod => self.record.validity_period = self.when(map)?,
            Field::RegisteredDelivery => record.registered_delivery = octet(map)?,
            Field::ReplaceIfPresentFlag => record.replace_if_present_flag = octet(map)?,
            Field::DataCoding => record.data_coding = octet(map)?,
            Field::Encoding => record.encoding = text(map)?,
            Field::SmDefaultMsgId => record.sm_default_msg_id = octet(map)?,
            Field::Tlvs | Field::OptionalParams => {
                let tlvs = map.next_value::<Option<Tlvs<'_>>>()?;
                record.tlvs.extend(tlvs.into_iter().flat_map(|tlvs| tlvs.0));
            }
            Field::AutoMessagePayload => record.auto_message_payload = map.next_value()?,
            Field::Udh => record.udh = map.next_value()?,
            Field::Segmentation => {
                record.segmentation = map.next_value::<Option<_>>()?.unwrap_or_default();
            }
            Field::ErrorHandling => record.error_handling = map.next_value()?,
            Field::InDoubt => record.in_doubt = map.next_value()?,
            Field::MaxResends => record.max_resends = octet(map)?,
            Field::ExpiresAt => {
                record.expires_at = map.next_value::<Option<Time>>()?.map(|time| time.0);
            }
            Field::Type => exactly(map, "SubmitSm")?,
            Field::Command => {
                exactly(map, "SUBMIT_SM")?;
                self.aiosmpplib = true;
            }
            // They belong to aiosmpplib's own work with the message, not to the message.
            Field::SequenceNum
            | Field::CommandStatus
            | Field::DefaultEncoding
            | Field::CustomCodecs
            | Field::EncodedMessage => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    fn when<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Option<When>, A::Error> {
        map.next_value_seed(WhenSeed {
            utc_by_default: self.aiosmpplib,
        })
    }
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    Ok(map.next_value::<Option<Str<'de>>>()?.map(|text| text.0))
}

fn octet<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<u8>, A::Error> {
    Ok(map.next_value::<Option<Octet>>()?.map(|octet| octet.0))
}

fn exactly<'de, A: MapAccess<'de>>(map: &mut A, wanted: &str) -> Result<(), A::Error> {
    let Str(found) = map.next_value()?;
    if found == wanted {
        return Ok(());
    }
    Err(A::Error::custom(format_args!(
        "{found:?} is not what an outbound topic takes: write {wanted:?}"
    )))
}

#[cfg(test)]
impl Reader<'_> {
    /// Every name that a field may have.
    pub fn names() -> &'static [&'static str] {
        Field::NAMES
    }
}
