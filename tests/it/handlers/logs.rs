//! Logs: a JSON document a line, at every level, and never a secret.

use bson::doc;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, Shop, answer, refusal, scheduled_event, shop};
use crate::rig;
use crate::support;

/// Lines that are no JSON cannot be searched by field; CloudWatch takes them for text.
fn as_json(lines: &[String]) -> Vec<Value> {
    let parsed =
        |line: &String| -> Value { serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")) };
    lines
        .iter()
        .map(|line| (line, parsed(line)))
        // Metrics are lines of the same log, in a form of their own.
        .filter(|(_, parsed)| parsed.get("_aws").is_none())
        .map(|(line, parsed)| {
            for field in ["timestamp", "level", "fields", "target"] {
                assert!(parsed.get(field).is_some(), "{field}: {line}");
            }
            parsed
        })
        .collect()
}

/// A user of his own on a server that asks for passwords, and his database.
async fn guarded() -> (Shop, String, String) {
    let mongod = support::shared_authenticated();
    let shop = shop().await;
    support::insert(&mongod.client().await, &shop.database, "orders", vec![doc! {"_id": 1}]).await;
    let roles = vec![doc! {"role": "readWrite", "db": &shop.database}];
    let uri = mongod.create_user(&rig::unique_name("clerk"), roles);
    let password = support::password_of(&uri);
    (shop, uri, password)
}

#[tokio::test]
async fn by_default_the_log_says_what_began_and_what_came_of_it() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[]);
    answer(&function, json!({})).await;
    refusal(&function, json!({"database": "not_there"})).await;
    function.wait_for_log("\"failed\"").await;
    let lines = as_json(&function.logs());
    let find = |message: &str| {
        let found = lines.iter().find(|line| line["fields"]["message"] == message);
        found.unwrap_or_else(|| panic!("{message} is not in {lines:?}"))
    };
    assert_eq!(find("backup begins")["fields"]["database"], json!(shop.database));
    assert_eq!(find("backup ends")["fields"]["documents"], 5);
    let ended = &find("backup ends")["fields"];
    assert!(
        ended["archive"]
            .as_str()
            .is_some_and(|archive| archive.ends_with(".tar.zst")),
        "{ended}"
    );
    let failed = lines
        .iter()
        .find(|line| line["fields"]["error_type"] == "InvalidRequest");
    assert_eq!(failed.expect("the failure is logged")["level"], "ERROR");
    assert!(
        lines
            .iter()
            .all(|line| line["level"] != "DEBUG" && line["level"] != "TRACE")
    );
}

#[tokio::test]
async fn no_level_shows_a_password_a_key_or_a_token() {
    let (shop, uri, password) = guarded().await;
    let secret_key = rig::shared_s3().secret_key().to_owned();
    for level in ["debug", "trace"] {
        let more = [("MONGO_URI", uri.as_str()), ("MONGOTAR_LOG", level)];
        let backup = shop.function(BACKUP, &more);
        let restore = shop.function(RESTORE, &more);
        let report = answer(&backup, json!({})).await;
        let plan = answer(&restore, json!({"archive": report["archive"], "dry_run": true})).await;
        let event = json!({"archive": report["archive"], "confirm": plan["confirm"]});
        assert_eq!(answer(&restore, event).await["status"], "complete");
        refusal(&backup, json!({"database": "not.there"})).await;
        backup.wait_for_log("not.there").await;
        for function in [&backup, &restore] {
            let lines = function.logs();
            let parsed = as_json(&lines);
            let wanted = level.to_uppercase();
            assert!(
                parsed.iter().any(|line| line["level"] == json!(wanted)),
                "the level is in force"
            );
            for line in &lines {
                for secret in [&password, &secret_key] {
                    assert!(!line.contains(secret.as_str()), "{line}");
                }
            }
        }
    }
}

/// A function's role gives it a session token, which stands in a header of every request.
#[tokio::test]
async fn a_session_token_is_not_logged_with_the_requests_that_carry_it() {
    let shop = shop().await;
    let token = "FwoGZXIvYXdzEXAMPLEsessiontoken0123456789";
    let function = shop.function(BACKUP, &[("AWS_SESSION_TOKEN", token), ("MONGOTAR_LOG", "trace")]);
    // Whether the server takes the token or not: requests with it were made.
    let outcome = function.invoke(json!({}), super::TIMEOUT).await;
    let said = format!("{outcome:?} {}", function.logs().join("\n"));
    assert!(
        said.contains("x-amz-security-token"),
        "the requests are in the log, and carry a token"
    );
    assert!(!said.contains(token), "and its value is not");
}

/// A run that was continued is spread over the logs of several invocations, among those of others.
#[tokio::test]
async fn every_line_carries_its_run_and_its_request() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[]);
    answer(&function, scheduled_event(json!({}))).await;
    refusal(&function, scheduled_event(json!({"database": "not_there"}))).await;
    answer(&function, json!({})).await;
    let ended = || {
        function
            .logs()
            .iter()
            .filter(|line| line.contains("backup ends"))
            .count()
            == 2
    };
    support::eventually("both have ended", ended).await;
    let lines = as_json(&function.logs());
    assert!(lines.len() >= 5, "{lines:?}");
    let mut requests = std::collections::BTreeSet::new();
    for line in &lines {
        let run = super::text(&line["span"]["run"]);
        let request = super::text(&line["span"]["request_id"]);
        // Without a run of its own, an invocation is one.
        assert!(
            run == "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa" || run == request,
            "{line}"
        );
        requests.insert(request);
    }
    assert_eq!(requests.len(), 3, "{lines:?}");
}

/// Inserts are on tasks of their own, and what they had to say belonged to no invocation.
#[tokio::test]
async fn what_is_logged_beside_the_invocations_own_task_carries_the_run_too() {
    let shop = shop().await;
    let archive = shop.archive().await;
    let db = shop.client.database(&shop.database);
    db.run_command(doc! {"collMod": "orders", "validator": {"more": {"$exists": true}}})
        .await
        .expect("a validator");
    let orders = db.collection::<bson::Document>("orders");
    orders.delete_many(doc! {}).await.expect("gone");
    let function = shop.function(RESTORE, &[]);
    let report = answer(
        &function,
        json!({"archive": archive, "include": ["orders"], "yes": true}),
    )
    .await;
    assert_eq!(report["status"], "partial", "{report}");
    function.wait_for_log("restore ends").await;
    let lines = as_json(&function.logs());
    let refused: Vec<&Value> = lines
        .iter()
        .filter(|line| line["fields"]["message"] == "a document was refused")
        .collect();
    assert_eq!(refused.len(), 3, "{lines:?}");
    for line in &lines {
        let (run, request) = (&line["span"]["run"], &line["span"]["request_id"]);
        assert!(run.is_string() && run == request, "{line}");
    }
}
