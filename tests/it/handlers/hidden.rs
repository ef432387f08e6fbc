//! A connection string in the place of whatever else an event or the environment has: nothing of it is answered, logged
//! or stored.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{BACKUP, RESTORE, refusal, scheduled_event, shop};
use crate::connection_strings::{NASTY, assert_hidden};
use crate::support;

/// Every field that the events of a function have, by their schemas.
fn fields(schemas: &[&str]) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/schemas");
    let mut fields = BTreeSet::from(["action".to_owned(), "notAField".to_owned()]);
    for name in schemas {
        let text = std::fs::read(folder.join(name)).expect("a schema");
        let schema: Value = serde_json::from_slice(&text).expect("JSON");
        let properties = schema["properties"].as_object().expect("properties");
        fields.extend(properties.keys().cloned());
    }
    fields
}

#[tokio::test]
async fn no_field_of_an_event_shows_a_piece_of_a_connection_string() {
    let shop = shop().await;
    for (binary, schemas) in [
        (BACKUP, &["backup-request.schema.json"][..]),
        (
            RESTORE,
            &[
                "restore-request.schema.json",
                "drill-request.schema.json",
                "verify-request.schema.json",
            ],
        ),
    ] {
        let function = shop.function(binary, &[("MONGOTAR_LOG", "trace")]);
        let mut events = Vec::new();
        for (at, field) in fields(schemas).iter().enumerate() {
            for (number, nasty) in NASTY.iter().enumerate().skip(at % 3).step_by(3) {
                let value = match number % 4 {
                    0 => json!(nasty),
                    1 => json!([nasty]),
                    2 => json!({"latest": nasty}),
                    _ => json!({"id": nasty, "time": nasty}),
                };
                events.push((field.clone(), json!({field.as_str(): value})));
            }
        }
        for nasty in NASTY {
            events.push(("the event".to_owned(), json!(nasty)));
            events.push(("name".to_owned(), json!({*nasty: true})));
            events.push(("include".to_owned(), scheduled_event(json!({"include": [nasty]}))));
            let mut bridged = scheduled_event(json!({}));
            bridged["id"] = json!(nasty);
            events.push(("id".to_owned(), bridged));
        }
        for (field, event) in events {
            let shown = event.to_string();
            let error = refusal(&function, event).await;
            assert_eq!(error.error_type, "InvalidRequest", "{shown}: {error}");
            assert!(
                error.error_message.contains(&field) && error.error_message.contains("MONGO_URI"),
                "{shown}: {error}"
            );
            assert_hidden(&error.raw.to_string(), &shown);
        }
        function.wait_for_log("\"failed\"").await;
        assert_hidden(&function.logs().join("\n"), binary);
    }
    let tools = support::tools().await;
    assert!(support::visible(&tools.store, &shop.folder).await.is_empty());
}

#[tokio::test]
async fn no_variable_of_a_function_shows_a_piece_of_a_connection_string() {
    let shop = shop().await;
    let variables = [
        "MONGO_URI",
        "MONGO_DB",
        "MONGO_URI_SECRET",
        "MONGOTAR_TO",
        "MONGOTAR_RETENTION",
        "MONGOTAR_MEMORY",
        "MONGOTAR_DEADLINE_MARGIN",
        "MONGOTAR_LOG",
        "MONGOTAR_MOUNT",
        "MONGOTAR_STACK",
        "AWS_ENDPOINT_URL",
    ];
    for (at, variable) in variables.into_iter().enumerate() {
        for nasty in NASTY.iter().skip(at % 4).step_by(4) {
            let without = match variable {
                "MONGO_URI_SECRET" => ("MONGO_URI", ""),
                _ => ("AWS_MAX_ATTEMPTS", "1"),
            };
            for (binary, event) in [
                (BACKUP, json!({})),
                (RESTORE, json!({"archive": {"latest": "s3://none-such/"}})),
            ] {
                let function = shop.function(binary, &[("MONGOTAR_LOG", "debug"), without, (variable, nasty)]);
                let answered = function.invoke(event, super::TIMEOUT).await;
                let by = format!("{binary} {variable}={nasty}");
                assert_hidden(&format!("{answered:?}"), &by);
                assert_hidden(&function.logs().join("\n"), &by);
            }
        }
    }
}
