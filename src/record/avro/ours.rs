//! Our own schemas, from `schemas/`: the newest of each kind.

use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::writer::datum::GenericDatumWriter;

use super::super::kind::Kind;

/// The octets before every datum in the single-object encoding (Avro 1.12).
pub const MARKER: [u8; 2] = [0xC3, 0x01];

/// A schema of ours, and what follows from it.
pub struct Ours {
    /// As it stands in `schemas/`.
    pub text: &'static str,
    /// Parsed.
    pub schema: &'static Schema,
    /// Its fingerprint: CRC-64-AVRO of its canonical form, as the single-object encoding has it.
    pub fingerprint: [u8; 8],
    pub(super) writer: GenericDatumWriter<'static>,
}

impl Kind {
    /// The newest schema, as JSON.
    pub const fn schema_text(self) -> &'static str {
        match self {
            Kind::SubmitSm => include_str!("../../../schemas/SubmitSm.avsc"),
            Kind::SubmitMulti => include_str!("../../../schemas/SubmitMulti.avsc"),
            Kind::DataSm => include_str!("../../../schemas/DataSm.avsc"),
            Kind::QuerySm => include_str!("../../../schemas/QuerySm.avsc"),
            Kind::CancelSm => include_str!("../../../schemas/CancelSm.avsc"),
            Kind::ReplaceSm => include_str!("../../../schemas/ReplaceSm.avsc"),
            Kind::BroadcastSm => include_str!("../../../schemas/BroadcastSm.avsc"),
            Kind::QueryBroadcastSm => include_str!("../../../schemas/QueryBroadcastSm.avsc"),
            Kind::CancelBroadcastSm => include_str!("../../../schemas/CancelBroadcastSm.avsc"),
            Kind::SubmitSmResp => include_str!("../../../schemas/SubmitSmResp.avsc"),
            Kind::SendError => include_str!("../../../schemas/SendError.avsc"),
            Kind::DeliveryReceipt => include_str!("../../../schemas/DeliveryReceipt.avsc"),
            Kind::InboundSms => include_str!("../../../schemas/InboundSms.avsc"),
            Kind::Notification => include_str!("../../../schemas/Notification.avsc"),
            Kind::Correlation => include_str!("../../../schemas/Correlation.avsc"),
            Kind::Parked => include_str!("../../../schemas/Parked.avsc"),
            Kind::Piece => include_str!("../../../schemas/Piece.avsc"),
            Kind::Owner => include_str!("../../../schemas/Owner.avsc"),
            Kind::Delivery => include_str!("../../../schemas/Delivery.avsc"),
        }
    }

    /// Its full name: how subjects by record name call it.
    pub fn full_name(self) -> String {
        format!("kafka_smpp.{}", self.name())
    }

    /// Its schema; `None` only if the file in `schemas/` were none, which a test excludes.
    pub fn ours(self) -> Option<&'static Ours> {
        static ALL: LazyLock<Vec<Option<Ours>>> =
            LazyLock::new(|| Kind::ALL.iter().map(|kind| parse(*kind)).collect());
        ALL.get(self as usize)?.as_ref()
    }
}

fn parse(kind: Kind) -> Option<Ours> {
    super::theirs::allow_any_namespace();
    let text = kind.schema_text();
    // Once for each kind in a process: they live as long as it does.
    let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(text).ok()?));
    let writer = GenericDatumWriter::builder(schema)
        .human_readable(false)
        .build();
    Some(Ours {
        text,
        schema,
        fingerprint: fingerprint(schema)?,
        writer: writer.ok()?,
    })
}

/// CRC-64-AVRO of a schema's canonical form, the least significant octet first.
///
/// apache-avro leaves `{"type": "long"}` of a logical type where the canonical form has `"long"`
/// (the \[PRIMITIVES\] rule), so that nobody else would know the schema. Without logical types it
/// is right, and they are no part of the canonical form.
pub fn fingerprint(schema: &Schema) -> Option<[u8; 8]> {
    let mut plain = serde_json::to_value(schema).ok()?;
    without_logical_types(&mut plain);
    let plain = Schema::parse(&plain).ok()?;
    plain.fingerprint::<Rabin>().bytes.try_into().ok()
}

fn without_logical_types(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| name != "logicalType");
            fields.values_mut().for_each(without_logical_types);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(without_logical_types),
        _ => {}
    }
}
