//! The published JSON Schemas against real events and real answers.

use jsonschema::Validator;
use mongotar::run::Memory;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, shop, text};
use crate::support;

/// A schema of `infra/schemas`, in which an object of a result has no fields but the documented ones: readers may meet
/// more, but not from this version.
fn published(name: &str) -> Validator {
    let file = format!(
        "{}/infra/schemas/{name}.schema.json",
        concat!(env!("CARGO_MANIFEST_DIR"), "/..")
    );
    let schema = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut schema: Value = serde_json::from_str(&schema).expect("JSON");
    forbid_more(&mut schema);
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn forbid_more(schema: &mut Value) {
    if schema["properties"].is_object() {
        schema["additionalProperties"] = json!(false);
    }
    let definitions = schema.get_mut("$defs").and_then(Value::as_object_mut);
    for (_, definition) in definitions.into_iter().flatten() {
        forbid_more(definition);
    }
}

pub fn check(name: &str, value: &Value) {
    let errors: Vec<String> = published(name)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?} in {value:#}");
}

#[tokio::test]
async fn real_answers_are_what_their_schemas_say() {
    let shop = shop().await;
    let backup = shop.function(BACKUP, &[]);
    let report = answer(&backup, json!({"retention": "auto"})).await;
    check("backup-report", &report);

    shop.insert("orders", 7..9).await;
    shop.insert("extra", 0..1).await;
    let restore = shop.function(RESTORE, &[]);
    let archive = &report["archive"];
    let plan = answer(
        &restore,
        json!({"archive": archive, "replace_existing": true, "dry_run": true}),
    )
    .await;
    check("restore-report", &plan);
    let event = json!({"archive": archive, "replace_existing": true, "confirm": plan["confirm"]});
    let restored = answer(&restore, event).await;
    assert!(restored["snapshot"].is_object(), "{restored}");
    check("restore-report", &restored);
    check("restore-request", &restored["snapshot"]["undo"]);
    let merged = answer(&restore, json!({"archive": archive, "yes": true, "snapshot": false})).await;
    check("restore-report", &merged);

    let drilled = answer(&restore, json!({"action": "drill", "archive": archive})).await;
    check("drill-report", &drilled);
    let tools = support::tools().await;
    let location = text(archive).parse().expect("a location");
    let verified = mongotar::verify::verify(&tools.store, &location, Memory::default(), &tools.progress).await;
    check(
        "verify-report",
        &serde_json::to_value(verified.expect("a report")).expect("JSON"),
    );
}

/// Reports of what went wrong have fields that others do not.
#[tokio::test]
async fn answers_that_are_not_complete_are_what_their_schemas_say_too() {
    let (uri, database) = support::half_readable().await;
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGO_URI", &uri), ("MONGO_DB", &database)]);
    let report = answer(&function, json!({})).await;
    assert_eq!(report["status"], "partial");
    check("backup-report", &report);
    let restore = shop.function(RESTORE, &[]);
    let drilled = answer(&restore, json!({"action": "drill", "archive": report["archive"]})).await;
    assert_eq!(drilled["verdict"], "failed");
    check("drill-report", &drilled);
    let nothing = answer(
        &restore,
        json!({"action": "drill", "archive": {"latest": "s3://not-there/"}}),
    )
    .await;
    assert_eq!(nothing["status"], "failed");
    check("drill-report", &nothing);

    let archive = shop.archive().await;
    let db = shop.client.database(&shop.database);
    let validator = bson::doc! {"collMod": "orders", "validator": {"more": {"$exists": true}}};
    db.run_command(validator).await.expect("a validator");
    db.collection::<bson::Document>("orders")
        .delete_many(bson::doc! {})
        .await
        .expect("gone");
    let refused = answer(&restore, json!({"archive": archive, "yes": true, "snapshot": false})).await;
    assert_eq!(refused["status"], "partial");
    check("restore-report", &refused);
}

#[test]
fn the_documented_events_are_what_their_schemas_say() {
    let readme = include_str!("../../../README.md");
    let mut seen = Vec::new();
    for block in readme.split("```json").skip(1) {
        let block = block.split("```").next().expect("a fence ends");
        let event: Value = serde_json::from_str(block).expect("JSON");
        let name = match (event["action"].as_str(), event.get("archive")) {
            (Some("drill"), _) => "drill-request",
            (_, Some(_)) => "restore-request",
            _ => "backup-request",
        };
        check(name, &event);
        seen.push(name);
    }
    for name in ["backup-request", "restore-request", "drill-request"] {
        assert!(seen.contains(&name), "the README shows one: {seen:?}");
    }
}

/// A schema that takes everything would pass every test above.
#[test]
fn what_the_functions_refuse_the_schemas_refuse() {
    for (name, event) in [
        ("backup-request", json!({"destinatoin": "s3://b/"})),
        ("backup-request", json!({"compression": "lzma"})),
        ("backup-request", json!({"include": "orders"})),
        ("backup-request", json!({"retention": "hourly"})),
        ("restore-request", json!({"archive": 5})),
        (
            "restore-request",
            json!({"archive": {"latest": "s3://b/", "before": "2026"}}),
        ),
        ("restore-request", json!({"dry_run": "yes"})),
        ("drill-request", json!({"archive": "x.tar"})),
        ("drill-request", json!({"action": "drill", "yes": true})),
        ("backup-report", json!({"status": "complete"})),
        ("verify-report", json!({"status": "fine"})),
    ] {
        assert!(!published(name).is_valid(&event), "{name} takes {event}");
    }
}
