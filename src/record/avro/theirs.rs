//! What others write: their schemas, and what they are read as.

use std::sync::{Arc, Once};

use apache_avro::error::Details;
use apache_avro::schema::{Name, RecordSchema};
use apache_avro::validator::{
    SchemaNameValidator, SchemaNamespaceValidator, set_schema_name_validator,
    set_schema_namespace_validator,
};
use apache_avro::{AvroResult, Schema};

use super::super::kind::Kind;
use super::super::writers::WriterSchema;
use super::plan::Plan;

/// Text that is no schema, although a registry said that it is one.
#[derive(Debug, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct NoSchema(String);

/// The namespace of our records.
const OURS: &str = "kafka_smpp";

/// How many kinds of records a topic may have: as many as an octet can count.
const BRANCHES: usize = 64;

/// The longest schema, with those that it refers to, in octets.
const LONGEST: usize = 4 << 20;

/// How deeply a schema and those that it refers to may be nested, taken together: the parser
/// follows them all, each on the stack of the one before.
const NESTED: usize = 1000;

/// The stack that the parser has for that, in octets.
const STACK: usize = 64 << 20;

/// What Java, where most schemas come from, takes for names: any letters, and any namespace.
struct AnyNamespace;

impl SchemaNameValidator for AnyNamespace {
    fn validate(&self, name: &str) -> AvroResult<usize> {
        let start = name.rfind('.').map_or(0, |dot| dot + 1);
        let mut own = name.get(start..).unwrap_or_default().chars();
        let begins = own.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        if begins && own.all(|c| c.is_alphanumeric() || c == '_') {
            Ok(start)
        } else {
            Err(Details::InvalidSchemaName(name.to_owned(), "letters and digits").into())
        }
    }
}

impl SchemaNamespaceValidator for AnyNamespace {
    fn validate(&self, _: &str) -> AvroResult<()> {
        Ok(())
    }
}

/// Lets schemas have any namespace; before the first one is parsed.
pub(super) fn allow_any_namespace() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails if another was set, which is then somebody's wish.
        let _ = set_schema_namespace_validator(Box::new(AnyNamespace));
        let _ = set_schema_name_validator(Box::new(AnyNamespace));
    });
}

/// As [`writer`], on a stack on which no schema of others can overflow. It takes a while.
///
/// # Errors
///
/// When it is no schema, or there is no thread to be had.
pub fn writer_apart(text: String, references: Vec<String>) -> Result<WriterSchema, NoSchema> {
    let octets = text.len() + references.iter().map(String::len).sum::<usize>();
    let levels = nesting(&text) + references.iter().map(|text| nesting(text)).sum::<usize>();
    if octets > LONGEST || levels > NESTED {
        return Err(NoSchema(format!(
            "{octets} octets, nested {levels} levels deep, are more than {LONGEST} and {NESTED}"
        )));
    }
    let thread = std::thread::Builder::new()
        .name("schema".into())
        .stack_size(STACK)
        .spawn(move || writer(&text, &references));
    let ended = thread.map(std::thread::JoinHandle::join);
    match ended {
        Ok(Ok(writer)) => writer,
        Ok(Err(_)) => Err(NoSchema("reading it failed".into())),
        Err(error) => Err(NoSchema(error.to_string())),
    }
}

/// How deep the brackets of a text are at most; those inside strings count too.
fn nesting(text: &str) -> usize {
    let mut depth = (0_usize, 0_usize);
    for octet in text.bytes() {
        match octet {
            b'{' | b'[' => depth = (depth.0 + 1, depth.1.max(depth.0 + 1)),
            b'}' | b']' => depth.0 = depth.0.saturating_sub(1),
            _ => {}
        }
    }
    depth.1
}

/// How data of a schema are read; `references` are the schemas that it refers to.
///
/// A record is of the kind that its name says, an operation in any namespace, anything else in
/// ours; one with another name is a message to be sent, because producers have names of their own. A union is the
/// schema of a topic with several kinds of records.
///
/// # Errors
///
/// When it is no schema.
pub fn writer(text: &str, references: &[String]) -> Result<WriterSchema, NoSchema> {
    allow_any_namespace();
    let parsed = Schema::parse_str_with_list(text, references);
    let (schema, others) = parsed.map_err(|error| NoSchema(error.to_string()))?;
    let root = match &schema {
        // A reference alone: what the topic holds is defined elsewhere.
        Schema::Ref { name } => named(name, &schema, &others).unwrap_or(&schema),
        schema => schema,
    };
    Ok(match root {
        Schema::Union(union) if union.variants().len() > BRANCHES => {
            let count = union.variants().len();
            let why = format!("it is a union of {count} types; {BRANCHES} are read at most");
            WriterSchema::Wrong(why.into())
        }
        Schema::Union(union) => {
            let mut all = others.clone();
            all.push(schema.clone());
            let one = |branch: &Schema| {
                let found = match branch {
                    Schema::Ref { name } => named(name, &schema, &others).unwrap_or(branch),
                    branch => branch,
                };
                record(found, &all)
            };
            WriterSchema::Union(union.variants().iter().map(one).collect())
        }
        root => record(root, &others),
    })
}

fn record(schema: &Schema, others: &[Schema]) -> WriterSchema {
    let Schema::Record(RecordSchema { name, .. }) = schema else {
        return WriterSchema::Wrong("it is no record".into());
    };
    // Only what is to be sent goes by its bare name: others have receipts of their own.
    let ours = name.namespace() == Some(OURS);
    let kind = Kind::from_name(name.name())
        .filter(|kind| ours || kind.operation().is_some())
        .unwrap_or(Kind::SubmitSm);
    let Some(ours) = kind.ours() else {
        return WriterSchema::Wrong("there is no schema to compare it with".into());
    };
    match Plan::with_others(schema, others, ours.schema) {
        Ok(plan) => WriterSchema::Avro(kind, Arc::new(plan)),
        Err(error) => WriterSchema::Wrong(format!("as a {}: {error}", kind.name()).into()),
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

    fn kinds(writer: &WriterSchema) -> Vec<Result<Kind, String>> {
        match writer {
            WriterSchema::Avro(kind, _) => vec![Ok(*kind)],
            WriterSchema::Union(all) => all.iter().flat_map(kinds).collect(),
            WriterSchema::Wrong(why) => vec![Err(why.to_string())],
            WriterSchema::Json => Vec::new(),
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
    fn a_namespace_may_be_anything_and_says_whose_events_they_are() {
        let named = |name: &str| {
            let text = format!(
                r#"{{"type":"record","name":"{name}","fields":[{{"name":"destination","type":
                {{"type":"record","name":"To","fields":[{{"name":"number","type":"string"}}]}}}}]}}"#
            );
            kinds(&writer(&text, &[]).unwrap())
        };
        for name in [
            "com.acme-corp.Sms",
            "com.acme.Outer$.Sms",
            "com.bank.DeliveryReceipt",
        ] {
            assert_eq!(named(name), [Ok(Kind::SubmitSm)], "{name}");
        }
        let ours = writer(Kind::DeliveryReceipt.schema_text(), &[]).unwrap();
        assert_eq!(kinds(&ours), [Ok(Kind::DeliveryReceipt)]);
    }

    /// Records, each of which has the one before as its field.
    fn chain(records: usize) -> String {
        let one = |n: usize| {
            let fields = match n {
                0 => String::new(),
                n => format!(r#"{{"name":"x","type":"A{}"}}"#, n - 1),
            };
            format!(r#"{{"type":"record","name":"A{n}","fields":[{fields}]}}"#)
        };
        let all: Vec<_> = (0..records).map(one).collect();
        format!("[{}]", all.join(","))
    }

    #[test]
    fn no_schema_exhausts_the_stack() {
        let told = |text: &str, references: &[String]| match writer_apart(
            text.to_owned(),
            references.to_vec(),
        ) {
            Ok(writer) => kinds(&writer).pop().unwrap().unwrap_err(),
            Err(error) => error.to_string(),
        };
        assert!(told(&chain(6000), &[]).contains("union of 6000 types"));
        let deep = chain(6000);
        let deep = deep
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let wrapped = format!(
            r#"{{"type":"record","name":"Sms","fields":[{{"name":"destination","type":[{}]}}]}}"#,
            deep.unwrap()
        );
        assert!(told(&wrapped, &[]).starts_with("as a SubmitSm: destination: "));
        // Each refers to the one before, far inside.
        let nested = |n: usize| {
            let (open, close) = (r#"{"type":"array","items":"#.repeat(100), "}".repeat(100));
            format!(
                r#"{{"type":"record","name":"R{n}","fields":[{{"name":"x","type":{open}"R{}"{close}}}]}}"#,
                n.saturating_sub(1)
            )
        };
        let chain = |records: usize| (0..records).map(nested).collect::<Vec<_>>();
        assert!(told(&nested(49), &chain(49)).contains("levels deep"));
        let said = told(&nested(8), &chain(8));
        assert!(said.contains("nested more than 64 levels"), "{said}");
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
