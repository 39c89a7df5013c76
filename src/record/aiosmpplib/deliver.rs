//! Receipts and messages from phones as aiosmpplib's `DeliverSm`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::value::hex;
use super::{Head, cut};
use smpp_protocol::address::recipient;
use smpp_protocol::{Address, MessageState, Npi, Ton};

/// esm_class of a receipt (SMPP 3.4, 5.2.12).
const RECEIPT: u8 = 0x04;

/// The members that `DeliverSm` is made of, besides those of [`Head`]. All must be there.
#[derive(Serialize)]
pub(super) struct DeliverSm<'a> {
    short_message: Cow<'a, str>,
    source: PhoneNumber<'a>,
    destination: PhoneNumber<'a>,
    service_type: Cow<'a, str>,
    esm_class: u8,
    protocol_id: u8,
    priority_flag: u8,
    schedule_delivery_time: Option<()>,
    validity_period: Option<()>,
    registered_delivery: u8,
    replace_if_present_flag: u8,
    encoding: Option<&'static str>,
    sm_default_msg_id: u8,
    message_payload: &'static str,
    optional_params: Vec<Param>,
    auto_message_payload: bool,
    error_handling: &'static str,
}

#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    sm: DeliverSm<'a>,
    event: &'a RawValue,
}

#[derive(Serialize)]
struct PhoneNumber<'a> {
    number: Cow<'a, str>,
    ton: u8,
    npi: u8,
}

#[derive(Debug, PartialEq, Serialize)]
struct Param {
    tag: u16,
    value: Value,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Flag(bool),
    Text(String),
}

/// What is read from an `InboundSms`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Inbound<'a> {
    source: Party<'a>,
    destination: Party<'a>,
    text: Option<Cow<'a, str>>,
    octets_hex: Cow<'a, str>,
    data_coding: u8,
    esm_class: u8,
    protocol_id: u8,
    priority_flag: u8,
    service_type: Cow<'a, str>,
    tlvs: Vec<Tlv<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Party<'a> {
    number: Cow<'a, str>,
    ton: u8,
    npi: u8,
}

#[derive(Deserialize)]
struct Tlv<'a> {
    tag: u16,
    hex: Cow<'a, str>,
}

/// What is read from a `DeliveryReceipt`.
#[derive(Deserialize)]
struct Receipt<'a> {
    message_id: Cow<'a, str>,
    state: Cow<'a, str>,
    #[serde(default)]
    stat: Option<Cow<'a, str>>,
    #[serde(default)]
    err: Option<Cow<'a, str>>,
    #[serde(default)]
    submit_date: Option<Cow<'a, str>>,
    #[serde(default)]
    done_date: Option<Cow<'a, str>>,
    #[serde(default)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    source: Option<Cow<'a, str>>,
    #[serde(default)]
    destination: Option<Cow<'a, str>>,
    #[serde(default)]
    receipt_source: Option<Cow<'a, str>>,
    #[serde(default)]
    receipt_destination: Option<Cow<'a, str>>,
    #[serde(default)]
    short_message_hex: Option<Cow<'a, str>>,
    #[serde(default)]
    tlvs: Vec<Tlv<'a>>,
}

impl<'a> DeliverSm<'a> {
    /// What stands in an event, of which `name` is the type.
    pub(super) fn of(name: &str, event: &'a [u8]) -> Result<Self, serde_json::Error> {
        Ok(match name {
            "InboundSms" => Self::inbound(serde_json::from_slice(event)?),
            _ => Self::receipt(serde_json::from_slice(event)?),
        })
    }

    /// Together with what else belongs into the object.
    pub(super) fn with(self, head: Head<'a>, event: &'a RawValue) -> Whole<'a> {
        let sm = self;
        Whole { head, sm, event }
    }

    fn inbound(event: Inbound<'a>) -> Self {
        // What is no text has a character for each octet.
        let text = (event.text).unwrap_or_else(|| latin1(&unhex(&event.octets_hex)).into());
        DeliverSm {
            source: event.source.into(),
            destination: event.destination.into(),
            service_type: cut(&event.service_type, 5).to_owned().into(),
            esm_class: event.esm_class,
            protocol_id: event.protocol_id,
            priority_flag: event.priority_flag,
            encoding: encoding(event.data_coding),
            optional_params: event.tlvs.iter().filter_map(Param::of).collect(),
            ..DeliverSm::new(text)
        }
    }

    fn receipt(event: Receipt<'a>) -> Self {
        let came = event.short_message_hex.as_deref().unwrap_or_default();
        let came = latin1(&unhex(came));
        let text = if event.is_readable(&came) {
            came
        } else {
            event.rewritten()
        };
        DeliverSm {
            // The receipt comes from where the message went, unless it says another number.
            source: PhoneNumber::parse(
                (event.receipt_source.or(event.destination)).unwrap_or_default(),
            ),
            destination: PhoneNumber::parse(
                (event.receipt_destination.or(event.source)).unwrap_or_default(),
            ),
            esm_class: RECEIPT,
            optional_params: event.tlvs.iter().filter_map(Param::of).collect(),
            ..DeliverSm::new(text.into())
        }
    }

    fn new(text: Cow<'a, str>) -> Self {
        DeliverSm {
            // One without text cannot be made.
            short_message: if text.is_empty() { " ".into() } else { text },
            source: Party::default().into(),
            destination: Party::default().into(),
            service_type: "".into(),
            esm_class: 0,
            protocol_id: 0,
            priority_flag: 0,
            schedule_delivery_time: None,
            validity_period: None,
            registered_delivery: 0,
            replace_if_present_flag: 0,
            encoding: None,
            sm_default_msg_id: 0,
            message_payload: "",
            optional_params: Vec::new(),
            auto_message_payload: true,
            error_handling: "strict",
        }
    }
}

impl Receipt<'_> {
    /// Whether `parse_receipt` reads what we read from a receipt's text. It fails on numbers
    /// that are none and on dates with seconds, and knows nothing of what stands in parameters.
    fn is_readable(&self, text: &str) -> bool {
        let mut rest = text;
        let (mut id, mut stat) = (None, None);
        while let Some((name, after)) = rest.split_once(':') {
            let name = name.to_lowercase();
            let (value, next) = match name.as_str() {
                "text" => (after, ""),
                _ => after.split_once(' ').unwrap_or((after, "")),
            };
            let good = match name.as_str() {
                "sub" | "dlvrd" | "err" => is_number(value),
                "submit date" | "done date" => is_date(value),
                _ => true,
            };
            if !good {
                return false;
            }
            match name.as_str() {
                "id" => id = Some(value),
                "stat" => stat = Some(value),
                _ => {}
            }
            rest = next;
        }
        id == Some(&*self.message_id) && stat.is_some() && stat == self.stat.as_deref()
    }

    /// The receipt in the words that `parse_receipt` reads; what is not known is left out.
    fn rewritten(&self) -> String {
        let state = MessageState::from_stat(&self.state);
        // One that did not come in time says nothing of the message.
        let stat = state.map_or(MessageState::Unknown.stat(), MessageState::stat);
        let stat = self.stat.as_deref().unwrap_or(stat);
        let delivered = u8::from(state == Some(MessageState::Delivered));
        let mut text = format!("id:{} sub:001 dlvrd:{delivered:03}", self.message_id);
        for (name, date) in [("submit", &self.submit_date), ("done", &self.done_date)] {
            if let Some(date) = date.as_deref().and_then(minutes) {
                text += &format!(" {name} date:{date}");
            }
        }
        text += &format!(" stat:{stat}");
        if let Some(err) = self.err.as_deref().filter(|err| is_number(err)) {
            text += &format!(" err:{err}");
        }
        text + &format!(" text:{}", self.text.as_deref().unwrap_or_default())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Whether it is a date with ten digits, `YYMMDDhhmm`.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && is_number(text)
        && jiff::civil::DateTime::strptime("%y%m%d%H%M", text).is_ok()
}

/// A date of an event, `2026-01-02T03:04:00`, in ten digits.
fn minutes(date: &str) -> Option<String> {
    let ten: String = date
        .get(2..16)?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    is_date(&ten).then_some(ten)
}

impl<'a> PhoneNumber<'a> {
    /// A number without TON and NPI, which follow from how it looks; as people write it, if it is
    /// the message's own.
    fn parse(number: Cow<'a, str>) -> Self {
        if let Ok(written) = recipient(&number) {
            return Party {
                number: written.number.to_string().into(),
                ton: written.ton.0,
                npi: written.npi.0,
            }
            .into();
        }
        let Address { ton, npi, number } = Address::parse(&number);
        let number = String::from_utf8_lossy(number).into_owned();
        Party {
            number: number.into(),
            ton: ton.0,
            npi: npi.0,
        }
        .into()
    }
}

impl<'a> From<Party<'a>> for PhoneNumber<'a> {
    fn from(party: Party<'a>) -> Self {
        PhoneNumber {
            number: cut(&party.number, 20).to_owned().into(),
            // The values that its enums have are those of the specification.
            ton: Ton(party.ton).name().map_or(0, |_| party.ton),
            npi: Npi(party.npi).name().map_or(0, |_| party.npi),
        }
    }
}

impl Param {
    /// A parameter, if version 0.6.4 has its tag. Its value has the type that the tag has there.
    fn of(tlv: &Tlv<'_>) -> Option<Param> {
        let octets = unhex(&tlv.hex);
        let value = match tlv.tag {
            0x0005..=0x0008
            | 0x000D..=0x0010
            | 0x0017
            | 0x0019
            | 0x0030
            | 0x0201
            | 0x0204
            | 0x0205
            | 0x020A..=0x0210
            | 0x0302
            | 0x0304
            | 0x0420..=0x0422
            | 0x0425..=0x0427
            | 0x1201
            | 0x1203
            | 0x1204
            | 0x1380 => {
                let octets = octets.get(..8).unwrap_or(&octets);
                let number = octets.iter().fold(0, |n, octet| n << 8 | u64::from(*octet));
                Value::Number(number)
            }
            0x130C => Value::Flag(true),
            0x001D | 0x001E | 0x0202 | 0x0203 | 0x0303 | 0x0381 | 0x0423 | 0x0501 | 0x1383 => {
                let octets = octets.strip_suffix(&[0]).unwrap_or(&octets);
                Value::Text(latin1(octets))
            }
            _ => return None,
        };
        Some(Param {
            tag: tlv.tag,
            value,
        })
    }
}

/// The name that data_coding has there; none if it is the SMSC's default, or has no name.
fn encoding(data_coding: u8) -> Option<&'static str> {
    Some(match data_coding {
        1 => "ascii",
        2 => "octet_unspecified_I",
        3 => "latin_1",
        4 => "octet_unspecified_II",
        5 => "iso2022_jp",
        6 => "iso8859_5",
        7 => "iso8859_8",
        8 => "ucs2",
        9 => "shift_jis",
        10 => "iso2022jp",
        14 => "euc_kr",
        _ => return None,
    })
}

/// The octets of what an event of ours has in hexadecimal.
fn unhex(digits: &str) -> Vec<u8> {
    hex(digits).unwrap_or_default()
}

/// A character for each octet.
fn latin1(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}
