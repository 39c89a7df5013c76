//! What others write: their schemas, and what they are read as.

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema};

use super::super::kind::Kind;
use super::super::writers::Writer;
use super::plan::Plan;

/// Text that is no schema, although a registry said that it is one.
#[derive(Debug, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct NoSchema(String);

/// How data of a schema are read; `references` are the schemas that it refers to.
///
/// A record is of the kind that its name says, whatever its namespace; one whose name is none
/// of ours is a message to be sent, because producers have names of their own. A union is the
/// schema of a topic with several kinds of records.
///
/// # Errors
///
/// When it is no schema.
pub fn writer(text: &str, references: &[String]) -> Result<Writer, NoSchema> {
    let parsed = Schema::parse_str_with_list(text, references);
    let (schema, others) = parsed.map_err(|error| NoSchema(error.to_string()))?;
    let root = match &schema {
        // A reference alone: what the topic holds is defined elsewhere.
        Schema::Ref { name } => named(name, &schema, &others).unwrap_or(&schema),
        schema => schema,
    };
    Ok(match root {
        Schema::Union(union) => {
            let one = |branch: &Schema| {
                let found = match branch {
                    Schema::Ref { name } => named(name, &schema, &others).unwrap_or(branch),
                    branch => branch,
                };
                let mut all = others.clone();
                all.push(schema.clone());
                record(found, &all)
            };
            Writer::Union(union.variants().iter().map(one).collect())
        }
        root => record(root, &others),
    })
}

fn record(schema: &Schema, others: &[Schema]) -> Writer {
    let Schema::Record(RecordSchema { name, .. }) = schema else {
        return Writer::Wrong("it is no record".into());
    };
    let kind = Kind::from_name(name.name()).unwrap_or(Kind::SubmitSm);
    let Some(ours) = kind.ours() else {
        return Writer::Wrong("there is no schema to compare it with".into());
    };
    match Plan::with_others(schema, others, ours.schema) {
        Ok(plan) => Writer::Avro(kind, Arc::new(plan)),
        Err(error) => Writer::Wrong(format!("as a {}: {error}", kind.name()).into()),
    }
}

/// The definition of a name.
fn named<'s>(name: &Name, schema: &'s Schema, others: &'s [Schema]) -> Option<&'s Schema> {
    let all = others.iter().chain([schema]);
    all.filter_map(|schema| defined(name, schema)).next()
}

fn defined<'s>(name: &Name, schema: &'s Schema) -> Option<&'s Schema> {
    match schema {
        Schema::Record(record) if record.name == *name => Some(schema),
        Schema::Union(union) => (union.variants().iter()).find_map(|one| defined(name, one)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(writer: &Writer) -> Vec<Result<Kind, String>> {
        match writer {
            Writer::Avro(kind, _) => vec![Ok(*kind)],
            Writer::Union(all) => all.iter().flat_map(kinds).collect(),
            Writer::Wrong(why) => vec![Err(why.to_string())],
            Writer::Json => Vec::new(),
        }
    }

    #[test]
    fn a_record_is_of_the_kind_its_name_says_else_a_message() {
        let query = r#"{"type":"record","name":"com.acme.QuerySm","fields":[{"name":"message_id","type":"string"}]}"#;
        assert_eq!(kinds(&writer(query, &[]).unwrap()), [Ok(Kind::QuerySm)]);
        let sms = r#"{"type":"record","name":"Sms","fields":[{"name":"destination","type":
            {"type":"record","name":"To","fields":[{"name":"number","type":"string"}]}}]}"#;
        assert_eq!(kinds(&writer(sms, &[]).unwrap()), [Ok(Kind::SubmitSm)]);
        let wrong = kinds(&writer(r#"{"type":"record","name":"Sms","fields":[]}"#, &[]).unwrap());
        assert_eq!(
            wrong,
            [Err("as a SubmitSm: field destination is missing".into())]
        );
        assert_eq!(
            kinds(&writer(r#""string""#, &[]).unwrap()),
            [Err("it is no record".into())]
        );
        assert!(writer("<html>", &[]).is_err());
    }

    #[test]
    fn a_topic_with_several_kinds_has_a_union_of_them() {
        let both = format!(
            "[{},{}]",
            Kind::QuerySm.schema_text(),
            r#"{"type":"record","name":"x.CancelSm","fields":[{"name":"source","type":["null","kafka_smpp.Address"],"default":null}]}"#
        );
        assert_eq!(
            kinds(&writer(&both, &[]).unwrap()),
            [Ok(Kind::QuerySm), Ok(Kind::CancelSm)]
        );
    }

    #[test]
    fn types_may_be_defined_in_schemas_that_are_referred_to() {
        let address = r#"{"type":"record","name":"com.acme.Number","fields":[{"name":"number","type":"string"}]}"#;
        let sms = r#"{"type":"record","name":"com.acme.Sms","fields":[{"name":"destination","type":"com.acme.Number"}]}"#;
        let known = [address.to_owned()];
        assert_eq!(kinds(&writer(sms, &known).unwrap()), [Ok(Kind::SubmitSm)]);
        assert!(writer(sms, &[]).is_err(), "the reference is missing");
        let both = [address.to_owned(), sms.to_owned()];
        for root in [r#""com.acme.Sms""#, r#"["com.acme.Sms"]"#] {
            assert_eq!(kinds(&writer(root, &both).unwrap()), [Ok(Kind::SubmitSm)]);
        }
    }
}
