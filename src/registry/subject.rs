//! Which schemas a topic needs, and what their subjects are called.

use std::collections::HashSet;

use apache_avro::Schema;
use serde_json::{Map, Value};

use super::options::Subjects;
use crate::record::format::Format;
use crate::record::kind::Kind;

/// A topic whose records stand behind the number of their schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How its values are written.
    pub format: Format,
    /// What stands on it. The order is that of the branches where they share a schema: another
    /// kind is only ever added at the end.
    pub kinds: &'static [Kind],
}

/// A schema and what it is registered as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The subject's name.
    pub name: String,
    /// Avro or JSON Schema.
    pub format: Format,
    /// The kinds of records that it describes; several have an Avro union of theirs, or a
    /// JSON Schema with one alternative each.
    pub kinds: Vec<Kind>,
    /// The schema.
    pub text: String,
}

impl Topic {
    /// The schemas that its records need.
    ///
    /// Named after the topic alone, an outbound topic has the schema of a SubmitSm and no
    /// others: applications that register that one themselves must not find a union there.
    pub fn subjects(&self, naming: Subjects) -> Vec<Subject> {
        let topic = &self.name;
        let subject = |name: String, kinds: &[Kind]| Subject {
            name,
            format: self.format,
            kinds: kinds.to_vec(),
            text: text(self.format, kinds),
        };
        let each = |name: &dyn Fn(String) -> String| {
            let one = |kind: &Kind| subject(name(kind.full_name()), &[*kind]);
            self.kinds.iter().map(one).collect()
        };
        match naming {
            Subjects::TopicName => {
                let kinds = match self.kinds {
                    kinds if kinds == Kind::OUTBOUND => &[Kind::SubmitSm],
                    kinds => kinds,
                };
                vec![subject(format!("{topic}-value"), kinds)]
            }
            Subjects::RecordName => each(&|record| record),
            Subjects::TopicRecordName => each(&|record| format!("{topic}-{record}")),
        }
    }
}

impl Subject {
    /// The place of a kind in the schema, if that is a union.
    pub fn branch(&self, kind: Kind) -> Option<u8> {
        let place = self.kinds.iter().position(|one| *one == kind)?;
        let place = u8::try_from(place).ok()?;
        (self.format == Format::Avro && self.kinds.len() > 1).then_some(place)
    }

    /// Whether data written with the schema look like data written with `other`: they may
    /// stand behind the number of either.
    pub fn is_laid_out_like(&self, other: &str) -> bool {
        match self.format {
            Format::JsonSchema => {
                let bare = |text: &str| serde_json::from_str(text).ok().map(without_words);
                bare(other).is_some_and(|other| Some(other) == bare(&self.text))
            }
            _ => {
                let form = |text: &str| Schema::parse_str(text).ok().map(|s| s.canonical_form());
                form(other).is_some_and(|other| Some(other) == form(&self.text))
            }
        }
    }
}

/// A JSON Schema without what is only for people.
fn without_words(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let words = ["$id", "title", "description", "$comment", "examples"];
            let is_layout = |(key, value): &(String, Value)| {
                !(words.contains(&&**key) && (value.is_string() || value.is_array()))
            };
            let fields = fields.into_iter().filter(is_layout);
            let mut fields: Vec<_> = fields.map(|(key, v)| (key, without_words(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(without_words).collect(),
        other => other,
    }
}

/// The schema of some kinds, without line breaks.
fn text(format: Format, kinds: &[Kind]) -> String {
    let schemas = kinds.iter().map(|kind| {
        let text = match format {
            Format::JsonSchema => kind.json_schema_text(),
            _ => kind.schema_text(),
        };
        serde_json::from_str(text).unwrap_or_default()
    });
    let mut schemas: Vec<Value> = schemas.collect();
    if schemas.len() == 1 {
        return schemas.remove(0).to_string();
    }
    match format {
        Format::JsonSchema => alternatives(schemas).to_string(),
        _ => union(schemas).to_string(),
    }
}

/// An Avro union. A type that stands in several of the schemas is defined in the first.
fn union(mut schemas: Vec<Value>) -> Value {
    let mut defined = HashSet::new();
    schemas
        .iter_mut()
        .for_each(|schema| define_once(schema, &mut defined));
    Value::Array(schemas)
}

fn define_once(schema: &mut Value, defined: &mut HashSet<String>) {
    match schema {
        Value::Array(branches) => {
            branches
                .iter_mut()
                .for_each(|one| define_once(one, defined));
        }
        Value::Object(object) => {
            let named = matches!(object["type"].as_str(), Some("record" | "enum" | "fixed"));
            let name = object.get("name").and_then(Value::as_str).filter(|_| named);
            if let Some(name) = name.map(|name| format!("kafka_smpp.{name}"))
                && !defined.insert(name.clone())
            {
                *schema = Value::String(name);
                return;
            }
            let fields = object.get_mut("fields").and_then(Value::as_array_mut);
            for field in fields.into_iter().flatten() {
                if let Some(of) = field.get_mut("type") {
                    define_once(of, defined);
                }
            }
            for inner in ["items", "values"] {
                if let Some(inner) = object.get_mut(inner) {
                    define_once(inner, defined);
                }
            }
        }
        _ => {}
    }
}

/// A JSON Schema of which one alternative holds; their definitions are put together.
fn alternatives(schemas: Vec<Value>) -> Value {
    let mut definitions = Map::new();
    let mut alternatives = Vec::new();
    for mut schema in schemas {
        if let Some(fields) = schema.as_object_mut() {
            fields.shift_remove("$schema");
            if let Some(Value::Object(more)) = fields.shift_remove("definitions") {
                definitions.extend(more);
            }
        }
        alternatives.push(schema);
    }
    serde_json::json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "oneOf": alternatives,
        "definitions": definitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::avro;
    use crate::record::writers::WriterSchema;

    fn topic(name: &str, format: Format, kinds: &'static [Kind]) -> Topic {
        Topic {
            name: name.into(),
            format,
            kinds,
        }
    }

    fn names(topic: &Topic, naming: Subjects) -> Vec<String> {
        topic.subjects(naming).into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn subjects_are_named_as_other_clients_name_them() {
        let errors = topic("sms.errors", Format::Avro, &[Kind::SendError]);
        assert_eq!(names(&errors, Subjects::TopicName), ["sms.errors-value"]);
        assert_eq!(
            names(&errors, Subjects::RecordName),
            ["kafka_smpp.SendError"]
        );
        assert_eq!(
            names(&errors, Subjects::TopicRecordName),
            ["sms.errors-kafka_smpp.SendError"]
        );
        let outbound = topic("out", Format::Avro, Kind::OUTBOUND);
        assert_eq!(
            outbound.subjects(Subjects::TopicName)[0].kinds,
            [Kind::SubmitSm]
        );
        assert_eq!(outbound.subjects(Subjects::TopicRecordName).len(), 9);
    }

    #[test]
    fn the_kinds_of_a_topic_share_a_union_in_which_each_has_its_place() {
        let correlation = topic("c", Format::Avro, Kind::CORRELATION);
        let subject = correlation.subjects(Subjects::TopicName).remove(0);
        let Ok(WriterSchema::Union(branches)) = avro::writer(&subject.text, &[]) else {
            panic!("no union: {}", subject.text)
        };
        for (place, kind) in Kind::CORRELATION.iter().enumerate() {
            assert!(matches!(&branches[place], WriterSchema::Avro(found, _) if found == kind));
            assert_eq!(subject.branch(*kind).map(usize::from), Some(place));
        }
    }

    #[test]
    fn a_type_that_stands_in_several_schemas_is_the_same_in_all() {
        let mut forms = std::collections::HashMap::new();
        for kind in Kind::OUTBOUND.iter().chain(Kind::CORRELATION) {
            collect(
                &serde_json::from_str(kind.schema_text()).unwrap(),
                &mut forms,
            );
        }
    }

    fn collect(schema: &Value, forms: &mut std::collections::HashMap<String, String>) {
        match schema {
            Value::Array(branches) => branches.iter().for_each(|one| collect(one, forms)),
            Value::Object(object) => {
                if let (Some(name), true) = (object.get("name"), object.get("fields").is_some()) {
                    let parsed = Schema::parse_str(&schema.to_string());
                    // One that refers to a type defined before it is not whole by itself.
                    if let Ok(form) = parsed.map(|s| s.canonical_form().replace("kafka_smpp.", ""))
                    {
                        let before = forms.insert(name.to_string(), form.clone());
                        assert!(before.is_none_or(|before| before == form), "{name}");
                    }
                }
                object.values().for_each(|inner| collect(inner, forms));
            }
            _ => {}
        }
    }

    #[test]
    fn words_for_people_make_no_other_layout() {
        for (format, words) in [
            (Format::Avro, &["doc"][..]),
            (Format::JsonSchema, &["title", "description"]),
        ] {
            let owner = topic("o", format, &[Kind::Owner]).subjects(Subjects::TopicName);
            let mut other: Value = serde_json::from_str(&owner[0].text).unwrap();
            for word in words {
                other[word] = "other words".into();
            }
            assert!(owner[0].is_laid_out_like(&other.to_string()));
            let another = topic("o", format, &[Kind::Delivery]).subjects(Subjects::TopicName);
            assert!(!owner[0].is_laid_out_like(&another[0].text));
        }
    }
}
