//! Credentials show nowhere.

use std::process::{Command, Output};

use bson::doc;
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::store::Store;

use crate::rig::{Mongod, ScratchDir};
use crate::support::{insert, tools_for};

/// What stands between the user and the host.
fn password(uri: &str) -> String {
    let (userinfo, _) = uri.rsplit_once('@').expect("credentials");
    userinfo.rsplit_once(':').expect("a password").1.to_owned()
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

fn back_up(uri: &str, scratch: &ScratchDir) -> Output {
    Command::new(crate::rig::program(env!("CARGO_BIN_EXE_mongotar")))
        .args([
            "backup",
            "--json",
            "--mongo-db",
            "shop",
            "--compression",
            "none",
            "--to",
            "to",
        ])
        .env_clear()
        .env("MONGO_URI", uri)
        .env("MONGOTAR_LOG", "trace")
        .current_dir(scratch.path())
        .output()
        .expect("the program starts")
}

#[tokio::test]
async fn a_password_is_in_no_output_no_log_and_no_archive() {
    let mongod = Mongod::builder().authentication().start();
    insert(&mongod.client().await, "shop", "orders", vec![doc! {"_id": 1}]).await;
    let uri = mongod.create_user("clerk", vec![doc! {"role": "read", "db": "shop"}]);
    let secret = password(&uri);
    let scratch = ScratchDir::new("secrets");

    let output = back_up(&uri, &scratch);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(logged.contains("reading orders"), "there is a log to look at: {logged}");
    let mut seen = vec![output.stdout, output.stderr];
    let files = std::fs::read_dir(scratch.path().join("to")).expect("an archive");
    let files = files.map(|file| std::fs::read(file.expect("a file").path()).expect("readable"));
    seen.extend(files);
    assert_eq!(
        seen.len(),
        4,
        "what was said, what was logged, the archive and its manifest"
    );

    let tools = tools_for(&uri, Store::new()).await;
    seen.push(format!("{tools:?}").into_bytes());

    let wrong = uri.replace(&secret, "a-marker-of-its-own");
    let output = back_up(&wrong, &scratch);
    assert!(!output.status.success());
    seen.extend([output.stdout, output.stderr]);

    mongod.kill();
    for uri in [&uri, &wrong] {
        let soon = MongoUri::new(format!("{uri}&serverSelectionTimeoutMS=500"));
        let error = Mongo::connect(&soon).await.expect_err("nobody is there");
        assert!(error.to_string().contains("no server can be reached"), "{error}");
        seen.push(format!("{error} {error:?}").into_bytes());
    }
    let mistyped = MongoUri::new(uri.replace("?replicaSet", "?tls=perhaps&replicaSet"));
    let error = Mongo::connect(&mistyped).await.expect_err("no such option");
    seen.push(format!("{error} {error:?}").into_bytes());

    for bytes in &seen {
        for secret in [&secret, "a-marker-of-its-own"] {
            assert!(!holds(bytes, secret), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
