//! What the responses of the several operations say besides status and message_id.

use std::borrow::Cow;

use crate::record::event::{Address, Details, Unsuccess};
use crate::record::inbound::Tlv;
use crate::record::internal::{Likeness, compare, number};
use crate::record::outbound::Operation;
use smpp_esme::Answer;
use smpp_protocol::pdu::{QuerySmResp, SubmitMultiResp};
use smpp_protocol::time::{self, Time};
use smpp_protocol::{Command, MessageState, Names, Status, Tag, Tlvs};

/// A response, put together from its answer.
pub(in crate::submit) struct Response<'a> {
    operation: Operation,
    answer: &'a Answer,
    names: &'a Names,
    /// The whole body, where more of it is to be read than message_id and parameters.
    body: Vec<u8>,
}

impl<'a> Response<'a> {
    /// The response to a request for `operation`.
    pub fn of(operation: Operation, answer: &'a Answer, names: &'a Names) -> Self {
        let structured = matches!(operation, Operation::QuerySm | Operation::SubmitMulti);
        let mut body = Vec::new();
        if structured && answer.command != Command::GENERIC_NACK {
            body.extend_from_slice(&answer.message_id);
            body.push(0);
            body.extend_from_slice(&answer.tlvs);
        }
        Response {
            operation,
            answer,
            names,
            body,
        }
    }

    /// What it says. What cannot be read is left out: the answer stands all the same.
    pub fn details(&self) -> Details<'_> {
        match self.operation {
            _ if self.answer.tlvs.is_empty() => Ok(Details::default()),
            // An error says nothing of the message.
            Operation::QuerySm if self.answer.status != Status::ROK => Ok(Details::default()),
            Operation::QuerySm => {
                QuerySmResp::decode(&self.body).map(|response| query(response, self.names))
            }
            Operation::SubmitMulti => {
                SubmitMultiResp::decode(&self.body).map(|response| multi(response, self.names))
            }
            _ => Ok(other(Tlvs::new(&self.answer.tlvs), self.names)),
        }
        .unwrap_or_default()
    }
}

/// How many of these recipients of a SubmitMulti do not get it, as its answer says. Some SMSCs list
/// all of them, with ESME_ROK for those who do, or one twice.
pub(in crate::submit) fn refused(answer: &Answer, recipients: &[i64]) -> usize {
    let names = Names::default();
    let response = Response::of(Operation::SubmitMulti, answer, &names);
    let Ok(response) = SubmitMultiResp::decode(&response.body) else {
        return 0;
    };
    let refused = (response.unsuccess.iter()).filter(|one| one.status != Status::ROK);
    let refused: Vec<i64> = refused
        .filter_map(|one| number(one.address.number))
        .collect();
    let same = |one: i64, to: i64| compare(Some(one), Some(to)) == Likeness::Same;
    let named = |to: &&i64| refused.iter().any(|one| same(*one, **to));
    recipients.iter().filter(named).count()
}

fn query<'a>(response: QuerySmResp<'a>, names: &'a Names) -> Details<'a> {
    Details {
        state: Some(state(response.message_state)),
        final_date: final_date(response.final_date),
        error_code: Some(response.error_code),
        tlvs: tlvs(response.tlvs, names),
        ..Details::default()
    }
}

fn multi<'a>(response: SubmitMultiResp<'a>, names: &'a Names) -> Details<'a> {
    let unsuccess = response.unsuccess.iter().map(|one| Unsuccess {
        destination: Address {
            number: String::from_utf8_lossy(one.address.number),
            ton: one.address.ton.0,
            npi: one.address.npi.0,
        },
        command_status: one.status.0,
        command_status_name: names.status(one.status).into_owned(),
    });
    Details {
        unsuccess: unsuccess.collect(),
        tlvs: tlvs(response.tlvs, names),
        ..Details::default()
    }
}

/// A query_broadcast_sm_resp has its state among the parameters (SMPP 5.0, 4.6.2).
fn other<'a>(parameters: Tlvs<'a>, names: &'a Names) -> Details<'a> {
    let told = parameters.find(Tag::MESSAGE_STATE);
    let told = told.and_then(|tlv| tlv.number()?.try_into().ok());
    Details {
        state: told.map(state),
        tlvs: tlvs(parameters, names),
        ..Details::default()
    }
}

fn state(value: u8) -> Cow<'static, str> {
    match MessageState::from_value(value) {
        Some(state) => state.name().into(),
        None => value.to_string().into(),
    }
}

fn final_date(octets: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(octets);
    match time::parse(&text) {
        _ if text.is_empty() => None,
        Ok(Time::Absolute(at)) => Some(at.timestamp().to_string()),
        _ => Some(text.into_owned()),
    }
}

fn tlvs<'a>(parameters: Tlvs<'a>, names: &'a Names) -> Vec<Tlv<'a>> {
    parameters.iter().map(|tlv| Tlv::of(tlv, names)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn answer(status: Status, body: &'static [u8]) -> Answer {
        let end = body.iter().position(|o| *o == 0).unwrap_or(body.len());
        Answer {
            command: Command::QUERY_SM_RESP,
            status,
            message_id: body[..end].to_vec(),
            tlvs: bytes::Bytes::from_static(body.get(end + 1..).unwrap_or_default()),
            received: SystemTime::UNIX_EPOCH,
        }
    }

    fn said(operation: Operation, answer: &Answer) -> serde_json::Value {
        let names = Names::default();
        let response = Response::of(operation, answer, &names);
        serde_json::to_value(response.details()).unwrap()
    }

    #[test]
    fn a_query_is_answered_with_state_date_and_error() {
        let body = b"7F\x00260102030405000+\0\x02\x05";
        assert_eq!(
            said(Operation::QuerySm, &answer(Status::ROK, body)),
            serde_json::json!({
                "state": "DELIVERED", "final_date": "2026-01-02T03:04:05Z", "error_code": 5,
            })
        );
        let refused = answer(Status::RQUERYFAIL, b"\0\0\0\0");
        assert_eq!(said(Operation::QuerySm, &refused), serde_json::json!({}));
        let body = b"7F\0soon\0\x63\0";
        let strange = said(Operation::QuerySm, &answer(Status::ROK, body));
        assert_eq!(
            (&strange["state"], &strange["final_date"]),
            (&"99".into(), &"soon".into())
        );
    }

    #[test]
    fn who_does_not_get_a_multi_is_named() {
        let body = b"7F\0\x01\x01\x01123\0\0\0\0\x0B";
        let said = said(Operation::SubmitMulti, &answer(Status::ROK, body));
        assert_eq!(
            said["unsuccess"],
            serde_json::json!([{
                "destination": { "number": "123", "ton": 1, "npi": 1 },
                "command_status": 11, "command_status_name": "ESME_RINVDSTADR",
            }])
        );
        let to = ["123", "124"].map(|to| number(to.as_bytes()).unwrap());
        assert_eq!(refused(&answer(Status::ROK, body), &to), 1);
        for none in [&b"7F\0\0"[..], b"7F\0", b"7F\0\x02\x01\x01123\0\0\0\0\x0B"] {
            assert_eq!(refused(&answer(Status::ROK, none), &to), 0);
        }
    }

    #[test]
    fn who_is_refused_is_counted_once_and_only_among_those_it_went_to() {
        let to = ["+41791234567", "+41791234568", "ACME"];
        let to = to.map(|to| number(to.as_bytes()).unwrap());
        for (body, count) in [
            (
                &b"7F\0\x02\x01\x0141791234567\0\0\0\0\0\x01\x0141791234568\0\0\0\0\x0B"[..],
                1,
            ),
            (
                b"7F\0\x02\x01\x0141791234567\0\0\0\0\x0B\0\x010791234567\0\0\0\0\x0B",
                1,
            ),
            (
                b"7F\0\x02\x01\x0141791234569\0\0\0\0\x0B\x05\0ACME\0\0\0\0\x0B",
                1,
            ),
            (b"7F\0\x01\x01\x014567\0\0\0\0\x0B", 0),
        ] {
            assert_eq!(refused(&answer(Status::ROK, body), &to), count, "{body:?}");
        }
    }

    #[test]
    fn parameters_of_any_response_are_told_and_damage_is_survived() {
        let body = b"7F\0\x04\x27\0\x01\x02\x04";
        let said_of = said(Operation::QueryBroadcastSm, &answer(Status::ROK, body));
        assert_eq!(said_of["state"], "DELIVERED");
        assert_eq!(said_of["tlvs"][0]["name"], "message_state");
        for operation in Operation::ALL {
            for end in 0..=18 {
                let body = &b"7F\0\xFF\x01\x01123\0\0\0\0\x0B\x04\x27\0\x01"[..end];
                said(*operation, &answer(Status::ROK, body));
            }
        }
    }
}
