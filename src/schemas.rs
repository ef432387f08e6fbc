//! JSON Schemas of the events and results, for those who write or read them: `infra/schemas/`.
//!
//! They are generated from the types, with doc comments as descriptions, and checked in. `MONGOTAR_WRITE_FIXTURES=1
//! cargo test --lib schemas` rewrites them. The program has none of this.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::backup::{BackupReport, BackupRequest, EstimateReport};
use crate::catalog::Definition;
use crate::drill::{DrillReport, DrillRequest};
use crate::inspect::{CoverageReport, ListedArchive};
use crate::restore::{RestoreReport, RestoreRequest};
use crate::run::Unfinished;
use crate::store::Location;
use crate::verify::{VerifyReport, VerifyRequest};

impl JsonSchema for Location {
    fn schema_name() -> Cow<'static, str> {
        "Location".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "Where something lies: `s3://bucket/key` or a path."})
    }
}

impl JsonSchema for Definition {
    fn schema_name() -> Cow<'static, str> {
        "Definition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "description": "Options or an index as the server has them, in canonical Extended JSON."})
    }
}

/// Whether a schema is of what is sent or of what comes back.
#[derive(Clone, Copy)]
enum Of {
    Event,
    Result,
}

/// Of what the command line says, which is as large as it is.
fn said<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn schema<T: JsonSchema>(of: Of) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = match of {
        Of::Event => settings.for_deserialize(),
        Of::Result => settings.for_serialize(),
    };
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let properties = &mut schema["properties"];
    if let Of::Event = of {
        properties["memory"] = json!({
            "const": "half",
            "description": "This invocation has half the memory budget: for a run whose last one was killed.",
        });
    }
    if let Of::Result = of {
        properties["report"] = json!({
            "type": ["string", "null"],
            "description": "Where the whole result is, where this one was too large to be answered with: its long lists are then empty. Absent otherwise.",
        });
        properties["report_error"] = json!({
            "type": "string",
            "description": "Why the whole result could not be stored, where `report` is null.",
        });
    }
    schema
}

/// Of an event of a function that does several things.
fn with_action(mut schema: Value, action: &str, description: &str) -> Value {
    schema["properties"]["action"] = json!({"const": action, "description": description});
    schema
}

/// A description is text, wherever the lines of the comment end that it comes from.
fn unwrapped(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                *value = match value.take() {
                    Value::String(text) if name == "description" => {
                        let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
                        paragraphs.collect::<Vec<_>>().join("\n\n").into()
                    }
                    other => unwrapped(other),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = unwrapped(item.take())),
        _ => {}
    }
    schema
}

/// Every schema with the name of its file.
fn all() -> Vec<(&'static str, Value)> {
    let restore = with_action(
        schema::<RestoreRequest>(Of::Event),
        "restore",
        "What is to be done; can be left out.",
    );
    let mut drill = with_action(schema::<DrillRequest>(Of::Event), "drill", "What is to be done.");
    drill["required"] = json!(["action"]);
    let mut verify = with_action(schema::<VerifyRequest>(Of::Event), "verify", "What is to be done.");
    verify["required"] = json!(["action"]);
    [
        ("backup-request", schema::<BackupRequest>(Of::Event)),
        ("backup-report", schema::<BackupReport>(Of::Result)),
        ("restore-request", restore),
        ("restore-report", schema::<RestoreReport>(Of::Result)),
        ("drill-request", drill),
        ("drill-report", schema::<DrillReport>(Of::Result)),
        ("verify-request", verify),
        ("verify-report", schema::<VerifyReport>(Of::Result)),
        ("list", said::<Vec<ListedArchive>>()),
        ("coverage-report", said::<CoverageReport>()),
        ("estimate-report", said::<EstimateReport>()),
        ("unfinished", schema::<Unfinished>(Of::Result)),
    ]
    .map(|(name, schema)| (name, unwrapped(schema)))
    .into()
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("infra/schemas");
    for (name, schema) in all() {
        let file = folder.join(format!("{name}.schema.json"));
        let text = format!("{schema:#}\n");
        if std::env::var_os("MONGOTAR_WRITE_FIXTURES").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&file, &text).expect("written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == text,
            "{} is not what the types say: MONGOTAR_WRITE_FIXTURES=1 cargo test --lib schemas",
            file.display()
        );
    }
}

#[test]
fn every_field_of_every_schema_says_what_it_is() {
    for (name, schema) in all() {
        let mut undescribed = Vec::new();
        look(&schema, name, &mut undescribed);
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }
}

fn look(schema: &Value, place: &str, undescribed: &mut Vec<String>) {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let named = schema["$defs"].as_object().into_iter().flatten();
    for (name, field) in fields {
        if field["description"].as_str().is_none_or(str::is_empty) {
            undescribed.push(format!("{place}.{name}"));
        }
    }
    for (name, definition) in named {
        look(definition, &format!("{place}: {name}"), undescribed);
    }
}
