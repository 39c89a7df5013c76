//! The schemas themselves: documented, with defaults, and each version fit for the others.

use std::path::Path;

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value;

use super::super::super::internal::{Barrier, CorrelationEntry, Delivery, Parked, SegmentEntry};
use super::super::super::kind::Rule;
use super::super::*;

/// Calls `look` with every type and every field in a schema, and where it stands.
fn walk(at: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(at, schema);
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| walk(at, branch, look)),
        Value::Object(object) => {
            for inner in ["type", "items", "values"] {
                if let Some(inner @ (Value::Object(_) | Value::Array(_))) = object.get(inner) {
                    walk(at, inner, look);
                }
            }
            for field in object
                .get("fields")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                walk(
                    &format!("{at}.{}", field["name"].as_str().unwrap()),
                    field,
                    look,
                );
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_is_documented_and_what_is_optional_has_a_default() {
    for kind in Kind::ALL {
        let schema: Value = serde_json::from_str(kind.schema_text()).unwrap();
        assert_eq!(schema["name"], kind.name());
        assert_eq!(schema["namespace"], "kafka_smpp");
        walk(kind.name(), &schema, &mut |at, schema| {
            let of = |key: &str| &schema[key];
            let is_type = |name: &str| *of("type") == *name;
            if is_type("record") || !of("fields").is_null() {
                assert!(of("doc").is_string(), "{at}: a record without doc");
            }
            if is_type("enum") {
                let symbols = of("symbols").as_array().unwrap();
                assert!(
                    symbols.contains(of("default")),
                    "{at}: an enum without a default"
                );
            }
            let is_field = schema.is_object() && of("fields").is_null() && of("symbols").is_null();
            if is_field && of("name").is_string() {
                assert!(of("doc").is_string(), "{at}: a field without doc");
                let optional = of("type")
                    .as_array()
                    .is_some_and(|union| union[0] == "null");
                if optional {
                    let default = schema.get("default");
                    assert_eq!(default, Some(&Value::Null), "{at}: null is no default");
                }
                if of("type")["type"] == "array"
                    && !["destinations"].contains(&at.rsplit('.').next().unwrap())
                {
                    assert_eq!(
                        *of("default"),
                        serde_json::json!([]),
                        "{at}: a list without a default"
                    );
                }
                let is_time = at.ends_with("_at")
                    || at.ends_with(".at")
                    || at.ends_with("_time")
                    || at.ends_with("validity_period");
                let types = match of("type") {
                    Value::Array(union) => &union[..],
                    one => std::slice::from_ref(one),
                };
                assert_eq!(
                    is_time,
                    types.iter().any(|t| t["logicalType"] == "timestamp-micros"),
                    "{at}: times, and only times, have their logical type"
                );
            }
        });
    }
}

#[test]
fn the_newest_version_in_the_history_is_the_schema_and_every_file_is_in_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/history");
    let mut changed = Vec::new();
    for kind in Kind::ALL {
        let newest = kind.versions().next_back().unwrap();
        if newest.text != kind.schema_text() {
            let (name, next) = (kind.name(), newest.number + 1);
            if std::env::var_os("MAKE_SCHEMAS").is_some() {
                let file = folder.join(name).join(format!("{next}.avsc"));
                std::fs::write(file, kind.schema_text()).unwrap();
            }
            changed.push(format!("published!({name}, {next})"));
        }
    }
    assert!(
        changed.is_empty(),
        "schemas changed: MAKE_SCHEMAS=1 writes their new versions, and HISTORY needs {changed:?}"
    );
    for kind in Kind::ALL {
        let numbers: Vec<u32> = kind.versions().map(|v| v.number).collect();
        let files = std::fs::read_dir(folder.join(kind.name())).unwrap();
        let files = files.map(|f| f.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<u32> = files
            .map(|f| f.strip_suffix(".avsc").unwrap().parse().unwrap())
            .collect();
        files.sort_unstable();
        assert_eq!(numbers, files, "{}: HISTORY and the files", kind.name());
        let count = u32::try_from(numbers.len()).unwrap();
        assert!(numbers.into_iter().eq(1..=count), "{}", kind.name());
    }
}

#[test]
fn every_published_schema_is_read_and_every_kind_has_one() {
    let published = published();
    assert_eq!(published.len(), HISTORY.len());
    for kind in Kind::ALL {
        let print = kind.ours().unwrap().fingerprint;
        assert!(
            published
                .iter()
                .any(|p| (p.kind, p.fingerprint) == (*kind, print))
        );
    }
}

#[test]
fn every_version_fits_the_others_as_its_rule_says() {
    for kind in Kind::ALL {
        let parsed = |v: &Version| (v.number, Schema::parse_str(v.text).unwrap());
        let versions: Vec<_> = kind.versions().map(parsed).collect();
        for (index, (earlier, writer)) in versions.iter().enumerate() {
            for (later, reader) in &versions[index..] {
                let fits = |writer, reader| SchemaCompatibility::can_read(writer, reader);
                let what = format!("{} {earlier} and {later}", kind.name());
                fits(writer, reader).unwrap_or_else(|e| panic!("{what}, backward: {e}"));
                if kind.rule() == Rule::Full {
                    fits(reader, writer).unwrap_or_else(|e| panic!("{what}, forward: {e}"));
                }
            }
        }
    }
}

/// A value of a schema: the least there can be, or the most.
fn specimen(schema: &Schema, root: &Schema, most: bool) -> Avro {
    match schema {
        Schema::Null => Avro::Null,
        Schema::Boolean => Avro::Boolean(most),
        Schema::Int => Avro::Int(i32::from(most)),
        Schema::Long => Avro::Long(i64::from(most)),
        Schema::Double => Avro::Double(if most { 0.5 } else { 0.0 }),
        Schema::TimestampMicros => Avro::TimestampMicros(1_700_000_000_000_000),
        Schema::Bytes => Avro::Bytes(if most { b"\x01a".to_vec() } else { Vec::new() }),
        // A duration, where one is wanted.
        Schema::String => Avro::String(if most { "PT1S".into() } else { "1".into() }),
        Schema::Enum(one) => {
            let index = if most { one.symbols.len() - 1 } else { 0 };
            Avro::Enum(u32::try_from(index).unwrap(), one.symbols[index].clone())
        }
        Schema::Array(array) => {
            let items = (0..if most { 2 } else { 0 }).map(|_| specimen(&array.items, root, most));
            Avro::Array(items.collect())
        }
        Schema::Union(union) => {
            let last = union.variants().len() - 1;
            let index = if most { last } else { 0 };
            let value = specimen(&union.variants()[index], root, most);
            Avro::Union(u32::try_from(index).unwrap(), Box::new(value))
        }
        Schema::Record(record) => {
            let field = |f: &apache_avro::schema::RecordField| {
                let value = match (&*f.name, most) {
                    // JSON, where that is wanted.
                    ("extra_data", true) => Avro::Union(1, Box::new(Avro::String("17".into()))),
                    _ => specimen(&f.schema, root, most),
                };
                (f.name.clone(), value)
            };
            Avro::Record(record.fields.iter().map(field).collect())
        }
        Schema::Ref { name } => specimen(find(name, root).unwrap(), root, most),
        other => panic!("no value for {other:?}"),
    }
}

fn find<'s>(name: &apache_avro::schema::Name, schema: &'s Schema) -> Option<&'s Schema> {
    match schema {
        Schema::Record(record) if record.name == *name => Some(schema),
        Schema::Enum(one) if one.name == *name => Some(schema),
        Schema::Record(record) => record.fields.iter().find_map(|f| find(name, &f.schema)),
        Schema::Union(union) => union.variants().iter().find_map(|one| find(name, one)),
        Schema::Array(array) => find(name, &array.items),
        _ => None,
    }
}

#[test]
fn what_any_version_wrote_is_read() {
    for version in HISTORY {
        let schema = Schema::parse_str(version.text).unwrap();
        let print = fingerprint(&schema).unwrap();
        let plan = &published()
            .iter()
            .find(|p| p.fingerprint == print)
            .unwrap()
            .plan;
        for most in [false, true] {
            let value = specimen(&schema, &schema, most);
            let writer = GenericDatumWriter::builder(&schema).build().unwrap();
            let datum = writer.write_value_to_vec(value).unwrap();
            let what = format!("{} {}", version.kind.name(), version.number);
            let shown = shown(plan, &datum).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(shown.is_object(), "{what}");
            let read = match version.kind {
                Kind::Correlation => record::<CorrelationEntry>(plan, &datum).map(drop),
                Kind::Parked => record::<Parked>(plan, &datum).map(drop),
                Kind::Piece => record::<SegmentEntry>(plan, &datum).map(drop),
                Kind::Owner => record::<Barrier>(plan, &datum).map(drop),
                Kind::Delivery => record::<Delivery>(plan, &datum).map(drop),
                kind => match kind.operation() {
                    Some(operation) => {
                        outbound(operation, plan, &datum).unwrap_or_else(|e| panic!("{what}: {e}"));
                        Ok(())
                    }
                    None => Ok(()),
                },
            };
            read.unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }
}
