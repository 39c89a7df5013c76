//! A JSON Schema from an Avro schema: what the two forms of a record have in common is said
//! once, and here is what they have not.

use serde_json::{Map, Value, json};

use super::super::kind::Kind;

/// The JSON Schema of a kind.
pub(super) fn json_schema(kind: Kind) -> Value {
    let avro: Value = serde_json::from_str(kind.schema_text()).unwrap();
    let mut maker = Maker {
        input: kind.operation().is_some(),
        definitions: Map::new(),
    };
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.full_name(),
        "description": avro["doc"],
    });
    let mut object = maker.object(&avro);
    if maker.input {
        let said = json!({ "const": kind.name(), "description": "What the record asks for." });
        object["properties"]["type"] = said;
        if kind != Kind::SubmitSm {
            object["required"]
                .as_array_mut()
                .unwrap()
                .push("type".into());
        }
    }
    schema
        .as_object_mut()
        .unwrap()
        .extend(object.as_object().unwrap().clone());
    if !maker.definitions.is_empty() {
        schema["definitions"] = maker.definitions.into();
    }
    schema
}

struct Maker {
    /// Whether applications write it: then null is as good as nothing, and several values have
    /// a short form beside the long one.
    input: bool,
    definitions: Map<String, Value>,
}

impl Maker {
    fn object(&mut self, record: &Value) -> Value {
        let mut properties = Map::new();
        let mut required: Vec<Value> = Vec::new();
        for field in record["fields"].as_array().unwrap() {
            let name = json_name(field);
            let mut schema = self.field(field);
            if let Some(schema) = schema.as_object_mut() {
                let doc = match (name, self.input) {
                    ("extra_data", true) => {
                        "Any JSON value, returned byte for byte in every event about it.".into()
                    }
                    ("extra_data", false) => "The message's own extra data, byte for byte.".into(),
                    _ => field["doc"].clone(),
                };
                schema.insert("description".into(), doc);
            }
            if field.get("default").is_none() {
                required.push(name.into());
            }
            properties.insert(name.to_owned(), schema);
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    fn field(&mut self, field: &Value) -> Value {
        let doc = field["doc"].as_str().unwrap();
        match field["name"].as_str().unwrap() {
            // Any JSON.
            "extra_data" => return json!({}),
            "tlvs" if self.input => return self.parameters(&field["type"]),
            _ => {}
        }
        let hex = json_name(field) != field["name"] || field["name"] == "udh";
        let (nullable, of) = match field["type"].as_array() {
            Some(union) if union[0] == "null" => match &union[1..] {
                [one] => (true, one.clone()),
                several => (true, several.into()),
            },
            _ => (false, field["type"].clone()),
        };
        let mut schema = self.value(&of, hex);
        for least in [0, 1] {
            if doc.contains(&format!("{least} to 255")) && schema["type"] == "integer" {
                schema["minimum"] = least.into();
                schema["maximum"] = 255.into();
            }
        }
        if nullable && self.input {
            json!({ "anyOf": [schema, { "type": "null" }] })
        } else {
            schema
        }
    }

    fn value(&mut self, of: &Value, hex: bool) -> Value {
        match of {
            Value::String(name) => self.named(name, hex),
            Value::Array(branches) if *branches == ["string", "bytes"] => json!({
                "anyOf": [{ "type": "string" }, self.octets()],
            }),
            // A time, or a duration: in ISO 8601, or in seconds.
            Value::Array(branches) if branches.iter().any(|b| b["logicalType"].is_string()) => {
                json!({ "anyOf": [{ "type": "string" }, { "type": "number", "minimum": 0 }] })
            }
            Value::Array(branches) => {
                let branches: Vec<_> = branches.iter().map(|b| self.value(b, hex)).collect();
                json!({ "anyOf": branches })
            }
            Value::Object(object) => match object["type"].as_str().unwrap() {
                "long" => json!({ "type": "string", "format": "date-time" }),
                "array" => json!({ "type": "array", "items": self.value(&object["items"], hex) }),
                "enum" => json!({ "type": "string", "enum": object["symbols"] }),
                "record" => self.define(of),
                other => panic!("no form in JSON for {other}"),
            },
            other => panic!("no form in JSON for {other}"),
        }
    }

    fn named(&mut self, name: &str, hex: bool) -> Value {
        match name {
            "boolean" => json!({ "type": "boolean" }),
            "int" | "long" => json!({ "type": "integer" }),
            "double" => json!({ "type": "number" }),
            "string" => json!({ "type": "string" }),
            "bytes" if self.input => self.octets(),
            "bytes" if hex => json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }),
            "bytes" => json!({ "type": "string", "contentEncoding": "base64" }),
            defined => json!({ "$ref": format!("#/definitions/{defined}") }),
        }
    }

    fn define(&mut self, record: &Value) -> Value {
        let name = record["name"].as_str().unwrap();
        let object = self.object(record);
        let mut schema = match name {
            "Address" => json!({ "anyOf": [{ "type": "string" }, object] }),
            "Segmentation" => {
                let mut method = object["properties"]["method"].clone();
                method.as_object_mut().unwrap().shift_remove("description");
                json!({ "anyOf": [method["anyOf"][0], object] })
            }
            _ => object,
        };
        schema["description"] = record["doc"].clone();
        self.definitions.insert(name.to_owned(), schema);
        self.named(name, false)
    }

    /// Octets as applications write them.
    fn octets(&mut self) -> Value {
        let digits = json!({ "type": "string", "pattern": "^([0-9a-fA-F]{2})*$" });
        let one = |name: &str, text: Value| json!({ "type": "object", "properties": { name: text }, "required": [name], "additionalProperties": false });
        let base64 = json!({ "type": "string", "contentEncoding": "base64" });
        let schema = json!({
            "description": "Octets, in hexadecimal or in Base64.",
            "anyOf": [one("hex", digits), one("base64", base64)],
        });
        self.definitions.insert("Octets".into(), schema);
        self.named("Octets", false)
    }

    /// Optional parameters as applications write them.
    fn parameters(&mut self, list: &Value) -> Value {
        let octets = self.octets();
        let value = json!({ "anyOf": [
            { "type": "boolean" }, { "type": "integer", "minimum": 0 }, { "type": "string" }, octets,
        ] });
        self.definitions.insert("ParameterValue".into(), value);
        let value = self.named("ParameterValue", false);
        let doc = &list["items"]["doc"];
        let parameter = json!({
            "description": doc,
            "type": "object",
            "properties": {
                "tag": { "anyOf": [
                    { "type": "integer", "minimum": 0, "maximum": 65535 }, { "type": "string" },
                ] },
                "value": value,
            },
            "required": ["tag", "value"],
            "additionalProperties": false,
        });
        self.definitions.insert("Parameter".into(), parameter);
        json!({ "anyOf": [
            { "type": "object", "additionalProperties": value },
            { "type": "array", "items": self.named("Parameter", false) },
            { "type": "null" },
        ] })
    }
}

/// What a field is called in JSON: octets say there how they are written.
fn json_name(field: &Value) -> &str {
    let aliases = field["aliases"].as_array();
    let hex = aliases.and_then(|aliases| aliases[0].as_str());
    hex.unwrap_or_else(|| field["name"].as_str().unwrap())
}
