//! JSON Schemas of records, from `schemas/json/`. A test makes them from the Avro schemas, so
//! that they say the same, and holds what is written and read against them.

use super::kind::Kind;

#[cfg(test)]
mod from_avro;
#[cfg(test)]
pub(super) mod tests;

impl Kind {
    /// The JSON Schema (draft-07, which every registry knows) of its form in JSON.
    pub const fn json_schema_text(self) -> &'static str {
        match self {
            Kind::SubmitSm => include_str!("../../../schemas/json/SubmitSm.json"),
            Kind::SubmitMulti => include_str!("../../../schemas/json/SubmitMulti.json"),
            Kind::DataSm => include_str!("../../../schemas/json/DataSm.json"),
            Kind::QuerySm => include_str!("../../../schemas/json/QuerySm.json"),
            Kind::CancelSm => include_str!("../../../schemas/json/CancelSm.json"),
            Kind::ReplaceSm => include_str!("../../../schemas/json/ReplaceSm.json"),
            Kind::BroadcastSm => include_str!("../../../schemas/json/BroadcastSm.json"),
            Kind::QueryBroadcastSm => include_str!("../../../schemas/json/QueryBroadcastSm.json"),
            Kind::CancelBroadcastSm => include_str!("../../../schemas/json/CancelBroadcastSm.json"),
            Kind::SubmitSmResp => include_str!("../../../schemas/json/SubmitSmResp.json"),
            Kind::SendError => include_str!("../../../schemas/json/SendError.json"),
            Kind::DeliveryReceipt => include_str!("../../../schemas/json/DeliveryReceipt.json"),
            Kind::InboundSms => include_str!("../../../schemas/json/InboundSms.json"),
            Kind::Notification => include_str!("../../../schemas/json/Notification.json"),
            Kind::Correlation => include_str!("../../../schemas/json/Correlation.json"),
            Kind::Parked => include_str!("../../../schemas/json/Parked.json"),
            Kind::Piece => include_str!("../../../schemas/json/Piece.json"),
            Kind::Owner => include_str!("../../../schemas/json/Owner.json"),
            Kind::Delivery => include_str!("../../../schemas/json/Delivery.json"),
        }
    }
}
