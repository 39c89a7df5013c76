//! Reads an [`Outbound`] record in one pass: strictly, and saying what was wrong where.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::extra;
use super::outbound::{Operation, Outbound};
use super::submit_sm::{SubmitSm, When};
use super::value::{ClassName, Octet, Str, Time, Tlvs, WhenSeed, twice, unknown};
use crate::settings::SegmentMethod;
use smpp_protocol::pdu::UDH_INDICATOR;

macro_rules! fields {
    ($($field:ident = $name:literal in $of:expr,)*) => {
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

            /// The operations that have it, as bits.
            const fn operations(self) -> u16 {
                match self {
                    $(Field::$field => $of,)*
                }
            }
        }
    };
}

impl Field {
    const fn is_of(self, operation: Operation) -> bool {
        self.operations() & operation.bit() != 0
    }

    fn names_of(operation: Operation) -> Vec<&'static str> {
        let names = Self::NAMES.iter().copied();
        let of = |name: &&str| Field::from_name(name).is_some_and(|f| f.is_of(operation));
        names.filter(of).collect()
    }
}

// Sets of operations.
const SUBMIT: u16 = Operation::SubmitSm.bit();
const MULTI: u16 = Operation::SubmitMulti.bit();
const DATA: u16 = Operation::DataSm.bit();
const REPLACE: u16 = Operation::ReplaceSm.bit();
const BROADCAST: u16 = Operation::BroadcastSm.bit();
const CANCEL: u16 = Operation::CancelSm.bit();
const QUERY: u16 = Operation::QuerySm.bit();
const OF_BROADCASTS: u16 = Operation::QueryBroadcastSm.bit() | Operation::CancelBroadcastSm.bit();
/// Those with a text.
const TEXT: u16 = SUBMIT | MULTI | DATA | REPLACE | BROADCAST;
const ALL: u16 = TEXT | CANCEL | QUERY | OF_BROADCASTS;

fields! {
    LogId = "log_id" in ALL,
    ExtraData = "extra_data" in ALL,
    ShortMessage = "short_message" in TEXT,
    MessagePayload = "message_payload" in TEXT,
    Source = "source" in ALL,
    Destinations = "destinations" in MULTI,
    MessageId = "message_id" in ALL & !(SUBMIT | MULTI | DATA),
    Destination = "destination" in SUBMIT | DATA | CANCEL,
    ServiceType = "service_type" in ALL & !(QUERY | REPLACE | Operation::QueryBroadcastSm.bit()),
    EsmClass = "esm_class" in SUBMIT | MULTI | DATA,
    ProtocolId = "protocol_id" in SUBMIT | MULTI,
    PriorityFlag = "priority_flag" in SUBMIT | MULTI | BROADCAST,
    ScheduleDeliveryTime = "schedule_delivery_time" in TEXT & !DATA,
    ValidityPeriod = "validity_period" in TEXT & !DATA,
    RegisteredDelivery = "registered_delivery" in TEXT & !BROADCAST,
    ReplaceIfPresentFlag = "replace_if_present_flag" in SUBMIT | MULTI | BROADCAST,
    DataCoding = "data_coding" in TEXT & !REPLACE,
    MessageClass = "message_class" in SUBMIT | MULTI | DATA,
    Encoding = "encoding" in TEXT,
    SmDefaultMsgId = "sm_default_msg_id" in TEXT & !DATA,
    Tlvs = "tlvs" in TEXT | OF_BROADCASTS,
    AutoMessagePayload = "auto_message_payload" in SUBMIT,
    Udh = "udh" in SUBMIT | MULTI | DATA,
    Segmentation = "segmentation" in SUBMIT,
    ErrorHandling = "error_handling" in TEXT,
    InDoubt = "in_doubt" in ALL,
    MaxResends = "max_resends" in ALL,
    ExpiresAt = "expires_at" in ALL,
    Type = "type" in ALL,
    // aiosmpplib's own.
    Command = "__smpp_command__" in SUBMIT,
    OptionalParams = "optional_params" in SUBMIT,
    SequenceNum = "sequence_num" in SUBMIT,
    CommandStatus = "command_status" in SUBMIT,
    DefaultEncoding = "_default_encoding" in SUBMIT,
    CustomCodecs = "_custom_codecs" in SUBMIT,
    EncodedMessage = "_encoded_message" in SUBMIT,
}

/// Reads a record; `field` says afterwards, if that failed, which field was to blame.
pub(super) struct Reader<'r> {
    pub operation: Operation,
    pub field: &'r RefCell<Option<String>>,
    /// Whether it reads Avro, where extra_data is text.
    pub avro: bool,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Outbound<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Outbound<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Outbound<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.avro { "record" } else { "JSON object" };
        write!(f, "a {what} with the fields of a {}", self.operation.name())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outbound<'de>, A::Error> {
        let operation = self.operation;
        let mut reading = Reading {
            avro: self.avro,
            ..Reading::default()
        };
        reading.record.operation = operation;
        while let Some(Str(name)) = map.next_key()? {
            let known = Field::from_name(&name);
            let Some(field) = known.filter(|field| field.is_of(operation)) else {
                self.field.replace(Some(name.as_ref().to_owned()));
                let text = match known {
                    Some(_) => format!("`{name}` is no field of a {}: remove it", operation.name()),
                    None => unknown(&name, &Field::names_of(operation)),
                };
                return Err(A::Error::custom(text));
            };
            reading.take(field, &mut map).inspect_err(|_| {
                self.field.replace(Some(field.name().to_owned()));
            })?;
        }
        if reading.aiosmpplib {
            let sm = &mut reading.record.sm;
            let named = sm.encoding.as_deref().and_then(aiosmpplib_data_coding);
            sm.data_coding = sm.data_coding.or(named);
            aiosmpplib_segments(sm);
        }
        Ok(reading.record)
    }
}

/// Without automatic message_payload, aiosmpplib makes parts: with user data headers if esm_class
/// asks for them, else with sar_* parameters. The bit is set in PDUs that have a header.
fn aiosmpplib_segments(sm: &mut SubmitSm<'_>) {
    if sm.auto_message_payload != Some(false) || sm.segmentation.method.is_some() {
        return;
    }
    let esm_class = sm.esm_class.unwrap_or_default();
    sm.segmentation.method = Some(match esm_class & UDH_INDICATOR {
        0 => SegmentMethod::Sar,
        _ => SegmentMethod::Udh8,
    });
    sm.esm_class = sm.esm_class.map(|class| class & !UDH_INDICATOR);
}

/// The data_coding of aiosmpplib's `SmppDataCoding` where it is not the encoding's own with us.
fn aiosmpplib_data_coding(encoding: &str) -> Option<u8> {
    Some(match encoding {
        "octet_unspecified_I" => 2,
        "iso2022_jp" => 5,
        "shift_jis" => 9,
        _ => return None,
    })
}

#[derive(Default)]
struct Reading<'de> {
    record: Outbound<'de>,
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
        let operation = self.record.operation;
        let record = &mut self.record.sm;
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
            Field::Destination => {
                record.destination = map.next_value::<Option<_>>()?.unwrap_or_default();
            }
            Field::ServiceType => record.service_type = text(map)?,
            Field::EsmClass => record.esm_class = octet(map)?,
            Field::ProtocolId => record.protocol_id = octet(map)?,
            Field::PriorityFlag => record.priority_flag = octet(map)?,
            Field::ScheduleDeliveryTime => {
                self.record.sm.schedule_delivery_time = self.when(map)?
            }
            Field::ValidityPeriod => self.record.sm.validity_period = self.when(map)?,
            Field::RegisteredDelivery => record.registered_delivery = octet(map)?,
            Field::ReplaceIfPresentFlag => record.replace_if_present_flag = octet(map)?,
            Field::DataCoding => record.data_coding = octet(map)?,
            Field::MessageClass => {
                record.message_class = map.next_value::<Option<ClassName>>()?.map(|name| name.0);
            }
            Field::Encoding => record.encoding = text(map)?.filter(|name| !name.is_empty()),
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
            Field::MessageId => self.record.message_id = text(map)?,
            Field::Destinations => {
                self.record.destinations = map.next_value::<Option<_>>()?.unwrap_or_default();
            }
            Field::Type => of_type(map, operation)?,
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

fn of_type<'de, A: MapAccess<'de>>(map: &mut A, wanted: Operation) -> Result<(), A::Error> {
    let Str(found) = map.next_value()?;
    if found == wanted.name() {
        return Ok(());
    }
    let names: Vec<&str> = Operation::ALL.iter().map(|o| o.name()).collect();
    Err(A::Error::custom(format_args!(
        "{found:?} is not what an outbound topic takes: write one of {}",
        names.join(", ")
    )))
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
    /// Every name that a field of such a record may have.
    pub fn names(operation: Operation) -> Vec<&'static str> {
        Field::names_of(operation)
    }

    /// Every name that a field of any record may have.
    pub fn all_names() -> &'static [&'static str] {
        Field::NAMES
    }
}
