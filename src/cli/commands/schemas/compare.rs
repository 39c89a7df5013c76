//! The fields of a schema, and how those of two differ.

use std::fmt::Write;

use serde_json::Value;

use crate::record::format::Format;

/// A field as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// Its type.
    pub of: String,
    /// Its default, as JSON; empty if it must be there.
    pub default: String,
    /// What it is.
    pub doc: String,
}

/// All fields by their paths, in the order of the schema; of what is no schema, none.
pub(super) fn fields(format: Format, text: &str) -> Vec<(String, Field)> {
    let schema: Value = serde_json::from_str(text).unwrap_or_default();
    let mut fields = Vec::new();
    match format {
        Format::JsonSchema => properties(&schema, "", &schema, &mut fields),
        _ => {
            avro(&schema, "", &mut fields);
        }
    }
    fields
}

/// Notes the fields within a type, and says what it is.
fn avro(of: &Value, at: &str, fields: &mut Vec<(String, Field)>) -> String {
    match of {
        Value::String(name) => name.clone(),
        Value::Array(branches) => {
            let branches: Vec<_> = branches.iter().map(|one| avro(one, at, fields)).collect();
            branches.join(" or ")
        }
        Value::Object(object) => match (object["type"].as_str(), object.get("logicalType")) {
            (_, Some(logical)) => logical.as_str().unwrap_or_default().to_owned(),
            (Some("record"), None) => {
                for field in object["fields"].as_array().into_iter().flatten() {
                    let place = fields.len();
                    let path = join(at, &field["name"]);
                    let of = avro(&field["type"], &path, fields);
                    let default = field.get("default").map(Value::to_string);
                    let field = Field {
                        of,
                        default: default.unwrap_or_default(),
                        doc: field["doc"].as_str().unwrap_or_default().to_owned(),
                    };
                    fields.insert(place, (path, field));
                }
                object["name"].as_str().unwrap_or_default().to_owned()
            }
            (Some("enum"), None) => {
                let symbols = object["symbols"].as_array().into_iter().flatten();
                let symbols: Vec<_> = symbols.filter_map(Value::as_str).collect();
                format!("one of {}", symbols.join(", "))
            }
            (Some("array"), None) => format!("list of {}", avro(&object["items"], at, fields)),
            (Some("map"), None) => format!("map of {}", avro(&object["values"], at, fields)),
            (Some(other), None) => other.to_owned(),
            (None, None) => avro(&object["type"], at, fields),
        },
        _ => "?".to_owned(),
    }
}

fn properties(schema: &Value, at: &str, root: &Value, fields: &mut Vec<(String, Field)>) {
    // One record, or one of several.
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        let title = one["title"].as_str().unwrap_or_default();
        properties(one, &join(at, &title.into()), root, fields);
    }
    let required = schema["required"].as_array();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let needed = required.is_some_and(|all| all.iter().any(|one| one == name));
        let mut of = property.clone();
        let doc = of
            .as_object_mut()
            .and_then(|of| of.shift_remove("description"));
        let field = Field {
            of: of.to_string(),
            default: if needed {
                String::new()
            } else {
                "left out".into()
            },
            doc: doc
                .and_then(|doc| Some(doc.as_str()?.to_owned()))
                .unwrap_or_default(),
        };
        fields.push((join(at, &name.as_str().into()), field));
    }
    if at.is_empty() {
        for (name, definition) in root["definitions"].as_object().into_iter().flatten() {
            properties(definition, name, &Value::Null, fields);
        }
    }
}

fn join(at: &str, name: &Value) -> String {
    let name = name.as_str().unwrap_or("?");
    match at {
        "" => name.to_owned(),
        at => format!("{at}.{name}"),
    }
}

/// How the fields of a schema differ from those that the registry has: one line each, `+` what
/// only ours has, `-` what only theirs has, `~` what is another.
pub(super) fn difference(format: Format, theirs: &str, ours: &str) -> String {
    let (theirs, ours) = (fields(format, theirs), fields(format, ours));
    let find = |all: &[(String, Field)], name: &str| {
        let found = all.iter().find(|(one, _)| one == name);
        found.map(|(_, field)| field.clone())
    };
    let default_of = |field: &Field| match &*field.default {
        "" => field.of.clone(),
        default => format!("{}, default {default}", field.of),
    };
    let mut text = String::new();
    for (name, field) in &ours {
        let _ = match find(&theirs, name) {
            None => writeln!(text, "  + {name}: {}", default_of(field)),
            Some(other) if default_of(&other) != default_of(field) => {
                writeln!(
                    text,
                    "  ~ {name}: {} -> {}",
                    default_of(&other),
                    default_of(field)
                )
            }
            Some(_) => Ok(()),
        };
    }
    for (name, field) in &theirs {
        if find(&ours, name).is_none() {
            let _ = writeln!(text, "  - {name}: {}", default_of(field));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kind::Kind;

    #[test]
    fn a_difference_names_each_field() {
        let theirs = r#"{"type":"record","name":"A","fields":[
            {"name":"log_id","type":"string"},
            {"name":"part","type":"int"},
            {"name":"old","type":{"type":"array","items":"bytes"}}]}"#;
        let ours = r#"{"type":"record","name":"A","fields":[
            {"name":"log_id","type":"string"},
            {"name":"part","type":["null","int"],"default":null},
            {"name":"at","type":{"type":"record","name":"B","fields":[
                {"name":"time","type":{"type":"long","logicalType":"timestamp-micros"}}]}}]}"#;
        assert_eq!(
            difference(Format::Avro, theirs, ours),
            "  ~ part: int -> null or int, default null\n  + at: B\n  + at.time: timestamp-micros\n  - old: list of bytes\n"
        );
        assert_eq!(difference(Format::Avro, ours, ours), "");
    }

    #[test]
    fn the_fields_of_every_schema_are_found_in_both_languages() {
        for kind in Kind::ALL {
            let avro = fields(Format::Avro, kind.schema_text());
            let json = fields(Format::JsonSchema, kind.json_schema_text());
            assert!(!avro.is_empty() && json.len() >= avro.len() / 2, "{kind:?}");
        }
        let submit = fields(Format::Avro, Kind::SubmitSm.schema_text());
        let names: Vec<_> = submit.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.starts_with(&["log_id", "extra_data"]));
        let source = names.iter().position(|name| *name == "source").unwrap();
        assert_eq!(names[source + 1], "source.number");
    }
}
