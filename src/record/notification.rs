//! What an SMSC says that is neither a message nor about one, and what is noticed about it, as it is
//! written to `sms.notifications`.

mod noticed;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::form::{hex_option, time};
use super::inbound::{Party, Tlv};
use super::inbound_message::Arrival;
use super::internal::Delivery;
use smpp_protocol::pdu::AlertNotification;
use smpp_protocol::{Dialect, Frame, Pdu, Tag};

pub use noticed::{
    BindChange, ProcessLife, ReceiptsGap, Steering, Takeover, Throttling, count, millis,
};

/// An alert_notification (SMPP 3.4, 4.12.1), an outbind (4.1.7), or what is noticed, on
/// `sms.notifications`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Notification<'a> {
    /// `AlertNotification`: a phone can be reached again, for which the ESME asked by set_dpf.
    /// `Outbind`: the SMSC has asked the ESME to bind. `MessageIdHint`: receipts have message ids in
    /// another form than responses have. The others: see the objects below.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The ESME; empty if it is about the process.
    pub esme: &'a str,
    /// The bind it came on, or is about; empty if it is about none.
    pub bind: &'a str,
    /// The process that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<&'a str>,
    /// Of an alert_notification: which phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Party<'a>>,
    /// Of an alert_notification: the address of the ESME that asked to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Party<'a>>,
    /// `available`, `denied` or `unavailable` (SMPP 3.4, 5.3.2.30), if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<&'static str>,
    /// Of an outbind: the SMSC's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_id: Option<Cow<'a, str>>,
    /// Of an outbind and of `Bound`: the address of the SMSC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Of a hint about message ids: what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageIdHint<'a>>,
    /// Of `Started`, `Stopping` and `Stopped`: the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<ProcessLife<'a>>,
    /// Of `Bound` and `Unbound`: the bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<BindChange<'a>>,
    /// Of `Throttled` and `ThrottledNoMore`: what the SMSC takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttling: Option<Throttling<'a>>,
    /// Of `Takeover`: the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover<'a>>,
    /// Of `ReceiptsStopped` and `ReceiptsAgain`: what is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptsGap>,
    /// Of `Paused` and `Resumed`: what, and by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Steering<'a>>,
    /// Optional parameters as they came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlvs: Vec<Tlv<'a>>,
    /// What is wrong with it, if it could not be read; `pdu_hex` has all there is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The whole PDU as it came, in hexadecimal, if it could not be read.
    #[serde(
        rename = "pdu_hex",
        serialize_with = "hex_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub pdu: Option<&'a [u8]>,
    /// When it came, or happened.
    #[serde(serialize_with = "time")]
    pub received_at: Timestamp,
}

/// Which `[esme.message_id]` would make receipts match exactly that were found by another form of
/// their message's id.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageIdHint<'a> {
    /// `esme.message_id.response`.
    pub response: &'a str,
    /// `esme.message_id.receipt`.
    pub receipt: &'a str,
    /// How many receipts match so,
    pub matched: u32,
    /// of so many that found their messages last.
    pub of: u32,
    /// The id of a message in its response,
    pub response_id: &'a str,
    /// and in its receipt.
    pub receipt_id: &'a str,
}

/// Takes events for the topic of notifications.
#[derive(Clone)]
pub struct Notify(Arc<dyn Fn(&Notification<'_>) + Send + Sync>);

impl Notify {
    /// Gives them to `take`, which must not block.
    pub fn new(take: impl Fn(&Notification<'_>) + Send + Sync + 'static) -> Self {
        Notify(Arc::new(take))
    }

    /// Hands one over. Not to be called under a lock: it is written, and handed to Kafka's client.
    pub fn send(&self, event: &Notification<'_>) {
        (self.0)(event);
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new(|_| ())
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notify")
    }
}

impl<'a> Notification<'a> {
    /// Something that is noticed now.
    pub fn now(kind: &'static str) -> Self {
        Notification {
            kind,
            received_at: Timestamp::now(),
            ..Notification::default()
        }
    }

    /// What its record is about, as the record's key: the phone, the ESME, or else the process.
    pub fn key(&self) -> &str {
        match &self.source {
            Some(phone) => &phone.number,
            None if self.esme.is_empty() => self.process.unwrap_or_default(),
            None => self.esme,
        }
    }

    /// Of a receipt, which was found by another form of its message's id.
    pub fn of_message_ids(receipt: &'a Delivery, hint: MessageIdHint<'a>) -> Self {
        Notification {
            kind: "MessageIdHint",
            esme: &receipt.esme,
            bind: &receipt.bind,
            message_id: Some(hint),
            received_at: receipt.received_at,
            ..Notification::default()
        }
    }

    /// Of an alert_notification, a whole PDU.
    pub fn alert(pdu: &'a [u8], dialect: &'a Dialect, arrival: &Arrival<'a>) -> Self {
        let nothing = Notification {
            kind: "AlertNotification",
            ..Notification::nothing(arrival)
        };
        let unread = |error: String| Notification {
            error: Some(error),
            pdu: Some(pdu),
            ..nothing.clone()
        };
        match Frame::decode(pdu).and_then(Pdu::read) {
            Ok(Pdu::AlertNotification(alert)) => Notification {
                source: Some(Party::of(&alert.source)),
                destination: Some(Party::of(&alert.esme)),
                availability: availability(&alert),
                tlvs: (alert.tlvs.iter())
                    .map(|tlv| Tlv::of(tlv, &dialect.names))
                    .collect(),
                ..nothing
            },
            Ok(other) => unread(format!("{} is no alert_notification", other.command())),
            Err(error) => unread(error.to_string()),
        }
    }

    /// Of an outbind.
    pub fn outbind(system_id: &'a [u8], peer: String, arrival: &Arrival<'a>) -> Self {
        Notification {
            kind: "Outbind",
            system_id: Some(String::from_utf8_lossy(system_id)),
            peer: Some(peer),
            ..Notification::nothing(arrival)
        }
    }

    fn nothing(arrival: &Arrival<'a>) -> Self {
        Notification {
            esme: arrival.esme,
            bind: arrival.bind,
            received_at: arrival.at,
            ..Notification::default()
        }
    }
}

/// ms_availability_status in words; left out it means available (SMPP 3.4, 5.3.2.30).
fn availability(alert: &AlertNotification<'_>) -> Option<&'static str> {
    match alert.tlvs.get(Tag::MS_AVAILABILITY_STATUS) {
        None | Some([0]) => Some("available"),
        Some([1]) => Some("denied"),
        Some([2]) => Some("unavailable"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::json as format;
    use super::*;
    use smpp_protocol::tlv::push_tlv;
    use smpp_protocol::{Address, Command, Npi, Status, Tlvs, Ton};

    fn told(event: &Notification<'_>) -> Value {
        serde_json::from_slice(&format::to_vec(event).unwrap()).unwrap()
    }

    fn arrival() -> Arrival<'static> {
        Arrival {
            esme: "acme",
            bind: "acme-0.0",
            at: Timestamp::UNIX_EPOCH,
            possible_duplicate: false,
        }
    }

    #[test]
    fn a_record_is_about_a_phone_an_esme_or_a_process() {
        let event = |source, esme| Notification {
            source,
            esme,
            process: Some("5f"),
            ..Notification::now("x")
        };
        let phone = Party {
            number: "4179".into(),
            ..Party::default()
        };
        for (source, esme, key) in [
            (Some(phone), "acme", "4179"),
            (None, "acme", "acme"),
            (None, "", "5f"),
        ] {
            assert_eq!(event(source, esme).key(), key);
        }
    }

    fn alert(status: &[u8]) -> Vec<u8> {
        let mut tlvs = Vec::new();
        push_tlv(&mut tlvs, Tag::MS_AVAILABILITY_STATUS, status).unwrap();
        let alert = AlertNotification {
            source: Address::parse("+41791234567"),
            esme: Address {
                ton: Ton(0),
                npi: Npi(0),
                number: b"acme",
            },
            tlvs: Tlvs::new(&tlvs),
        };
        let mut pdu = Vec::new();
        alert
            .encode(Command::ALERT_NOTIFICATION, Status::ROK, 3, &mut pdu)
            .unwrap();
        pdu
    }

    #[test]
    fn an_alert_says_which_phone_can_be_reached() {
        let (pdu, dialect) = (alert(&[0]), Dialect::default());
        assert_eq!(
            told(&Notification::alert(&pdu, &dialect, &arrival())),
            json!({
                "type": "AlertNotification", "esme": "acme", "bind": "acme-0.0",
                "source": {"number": "41791234567", "ton": 1, "npi": 1},
                "destination": {"number": "acme", "ton": 0, "npi": 0},
                "availability": "available",
                "tlvs": [{"tag": 0x0422, "name": "ms_availability_status", "hex": "00"}],
                "received_at": "1970-01-01T00:00:00.000000Z",
            })
        );
        for (status, word) in [
            (1, json!("denied")),
            (2, json!("unavailable")),
            (9, Value::Null),
        ] {
            let pdu = alert(&[status]);
            let event = told(&Notification::alert(&pdu, &dialect, &arrival()));
            assert_eq!(event["availability"], word);
        }
    }

    #[test]
    fn an_alert_that_cannot_be_read_is_kept_as_it_came() {
        let mut pdu = alert(&[0]);
        pdu.truncate(20);
        pdu[3] = 20;
        let dialect = Dialect::default();
        let event = told(&Notification::alert(&pdu, &dialect, &arrival()));
        assert!(
            event["error"].as_str().unwrap().contains("source_addr"),
            "{event}"
        );
        assert!(event["pdu_hex"].as_str().unwrap().starts_with("00000014"));
    }

    #[test]
    fn an_outbind_says_who_asked_and_from_where() {
        let event = Notification::outbind(b"SMSC1", "10.0.0.7:4000".into(), &arrival());
        let event = told(&event);
        assert_eq!(
            (&event["type"], &event["system_id"]),
            (&json!("Outbind"), &json!("SMSC1"))
        );
        assert_eq!(event["peer"], "10.0.0.7:4000");
    }
}
