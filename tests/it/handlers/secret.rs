//! The connection string out of Secrets Manager.

use bson::doc;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, Shop, answer, refusal, shop};
use crate::rig::{self, LambdaFunction, Secret};
use crate::support;

/// A shop on the server that asks for passwords, with the connection string of its clerk.
async fn guarded() -> (Shop, String, String) {
    let shop = shop().await;
    let mongod = support::shared_authenticated();
    support::insert(&mongod.client().await, &shop.database, "orders", vec![doc! {"_id": 1}]).await;
    let clerk = rig::unique_name("clerk");
    let uri = hire(&clerk, &shop.database);
    (shop, clerk, uri)
}

fn hire(clerk: &str, database: &str) -> String {
    let roles = vec![doc! {"role": "readWrite", "db": database}];
    support::shared_authenticated().create_user(clerk, roles)
}

/// A function that finds its connection string in a secret, and what else it is told.
fn function(shop: &Shop, binary: &str, secret: &str, more: &[(&str, &str)]) -> LambdaFunction {
    let (name, endpoint) = Secret::endpoint();
    let mut env = vec![
        ("MONGO_URI", ""),
        ("MONGO_URI_SECRET", secret),
        (name, endpoint.as_str()),
    ];
    env.extend(more);
    shop.function(binary, &env)
}

#[tokio::test]
async fn each_form_of_a_secret_opens_the_database_and_never_shows() {
    let (shop, clerk, uri) = guarded().await;
    let password = support::password_of(&uri);
    let port = support::shared_authenticated().port();
    // As DocumentDB keeps it, with the database named by the secret.
    let parts = json!({
        "engine": "mongo", "username": clerk, "password": password, "host": "127.0.0.1", "port": port, "ssl": false, "dbname": shop.database,
    });
    for (text, by_name) in [
        (uri.clone(), true),
        (json!({"uri": uri}).to_string(), false),
        (parts.to_string(), false),
    ] {
        let secret = Secret::new(&text).await;
        let id = if by_name { &secret.name } else { &secret.arn };
        // The database's name comes from the secret, where that has one.
        let database = if text.contains("dbname") {
            ""
        } else {
            shop.database.as_str()
        };
        let more = [("MONGO_DB", database), ("MONGOTAR_LOG", "trace")];
        let backup = function(&shop, BACKUP, id, &more);
        let report = answer(&backup, json!({})).await;
        assert_eq!(
            (&report["status"], &report["database"]),
            (&json!("complete"), &json!(shop.database))
        );
        let restore = function(&shop, RESTORE, id, &more);
        let plan = answer(&restore, json!({"archive": report["archive"], "dry_run": true})).await;
        assert_eq!(plan["status"], "planned");
        backup.wait_for_log("backup ends").await;
        for line in backup.logs().iter().chain(&restore.logs()) {
            assert!(!line.contains(&password), "{line}");
        }
    }
}

/// Rotation happens while a function is warm, and it went on with what it knew.
#[tokio::test]
async fn a_secret_that_was_rotated_is_read_again_by_the_warm_function() {
    let (shop, clerk, uri) = guarded().await;
    let secret = Secret::new(&uri).await;
    let function = function(&shop, BACKUP, &secret.arn, &[]);
    assert_eq!(answer(&function, json!({})).await["status"], "complete");
    let pid = function.warm_pid();
    for _ in 0..2 {
        let admin = support::shared_authenticated().client().await.database("admin");
        admin.run_command(doc! {"dropUser": &clerk}).await.expect("dropped");
        secret.change(&hire(&clerk, &shop.database)).await;
        assert_eq!(answer(&function, json!({})).await["status"], "complete");
    }
    // The user is there before the secret says so: what fails then must not last.
    let admin = support::shared_authenticated().client().await.database("admin");
    admin.run_command(doc! {"dropUser": &clerk}).await.expect("dropped");
    let uri = hire(&clerk, &shop.database);
    let error = refusal(&function, json!({})).await;
    assert_eq!(error.error_type, "Database", "{error}");
    assert!(error.error_message.contains("the credentials were refused"), "{error}");
    secret.change(&uri).await;
    assert_eq!(answer(&function, json!({})).await["status"], "complete");
    assert_eq!(function.warm_pid(), pid, "all of it in one process");
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_named_and_not_shown() {
    let shop = shop().await;
    let (plain, json) = (
        Secret::new("hunter2").await,
        Secret::new("{\"password\": \"hunter2\", \"host\": \"h\"}").await,
    );
    let broken = Secret::new("mongodb://clerk:hunter2@").await;
    let uri = rig::shared_replica_set().uri();
    for (secret, more, kind, word) in [
        ("not/there", ("A", ""), "ConfigurationMissing", "not/there"),
        (&plain.name, ("A", ""), "InvalidRequest", "neither a connection string"),
        (&json.name, ("A", ""), "InvalidRequest", "no username"),
        (&broken.name, ("A", ""), "InvalidRequest", "cannot be used"),
        (
            &plain.name,
            ("MONGO_URI", uri.as_str()),
            "InvalidRequest",
            "MONGO_URI and MONGO_URI_SECRET",
        ),
        // The function panicked, with the value in its log.
        (
            &plain.name,
            ("AWS_MAX_ATTEMPTS", "hunter2"),
            "InvalidRequest",
            "AWS_MAX_ATTEMPTS must be a whole number",
        ),
        (
            &plain.name,
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1"),
            "Database",
            "Secrets Manager does not answer",
        ),
    ] {
        let function = function(&shop, BACKUP, secret, &[more]);
        let error = refusal(&function, json!({})).await;
        assert_eq!(error.error_type, kind, "{secret}: {error}");
        assert!(error.error_message.contains(word), "{secret}: {error}");
        function.wait_for_log("\"failed\"").await;
        let said = format!("{} {}", error.raw, function.logs().join("\n"));
        assert!(!said.contains("hunter2"), "{said}");
    }
    let _: Value = answer(&shop.function(BACKUP, &[]), json!({})).await;
}

/// The library's own words had the whole answer, and with it the password.
#[tokio::test]
async fn of_an_answer_that_is_not_understood_nothing_is_shown() {
    let shop = shop().await;
    let content = r#"{\"username\":\"u\",\"password\":\"hunter2\",\"host\":\"h\"}"#;
    let whole = format!(r#"{{"Name":"x","SecretString":"{content}","CreatedDate":"2026-11-28T00:00:00Z"}}"#);
    let (page, cut) = ("<html>hunter2</html>".to_owned(), whole[..whole.len() - 20].to_owned());
    let invalid = r#"{"__type":"UnrecognizedClientException","message":"The security token is invalid"}"#.to_owned();
    for (status, body, word) in [
        (200, whole, "status 200"),
        (200, cut, "status 200"),
        (503, page.clone(), "status 503"),
        (404, page, "status 404"),
        (
            400,
            invalid,
            "UnrecognizedClientException: The security token is invalid (status 400",
        ),
    ] {
        let server = rig::HttpServer::start(move |_| {
            let body = body.clone();
            async move {
                let status = StatusCode::from_u16(status).expect("a status");
                Ok(rig::answer(status, "application/x-amz-json-1.1", body))
            }
        });
        let address = format!("http://{}", server.address());
        let function = function(&shop, BACKUP, "x", &[("AWS_ENDPOINT_URL_SECRETS_MANAGER", &address)]);
        let error = refusal(&function, json!({})).await;
        assert_eq!(error.error_type, "Database", "{error}");
        assert!(error.error_message.contains(word), "{error}");
        let said = format!("{} {}", error.raw, function.logs().join("\n"));
        assert!(!said.contains("hunter2") && !said.contains("SdkBody"), "{said}");
    }
}
