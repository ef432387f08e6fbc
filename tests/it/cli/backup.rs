//! `mongotar backup`: what it reports, and what each option does.

use std::fs;

use bson::{DateTime, doc};
use serde_json::json;

use super::{Shell, archive, named, names, numbered, text};
use crate::{rig, support};

async fn shop() -> (Shell, String) {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    let db = client.database(&database);
    for command in [
        doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta"}},
        doc! {"create": "seen", "viewOn": "orders", "pipeline": []},
        doc! {"create": "empty"},
    ] {
        db.run_command(command).await.expect("created");
    }
    let reading = doc! {"_id": 1, "ts": DateTime::from_millis(1_700_000_000_000), "meta": {"station": 1}};
    support::insert(&client, &database, "readings", vec![reading]).await;
    (shell, database)
}

#[tokio::test]
async fn the_report_is_one_json_document_with_everything_that_is_promised() {
    let (shell, database) = shop().await;
    let bucket = support::bucket().await.to_string();
    let said = shell.run(&["backup", "--to", &bucket, "--json"]).expect(0);
    assert_eq!(said.err, "", "standard error is no terminal, so it shows no progress");
    let report = said.json();
    assert_eq!(report["status"], "complete");
    assert_eq!(report["database"], json!(database));
    assert_eq!(report["consistency"]["level"], "snapshot");
    assert_eq!(report["failed"], json!([]));
    assert_eq!(names(&report["collections"]), ["empty", "orders", "readings", "seen"]);
    for (name, kind, documents) in [
        ("empty", "collection", 0),
        ("orders", "collection", 3),
        ("readings", "timeseries", 1),
        ("seen", "view", 0),
    ] {
        let saved = named(&report["collections"], name);
        assert_eq!((&saved["kind"], &saved["documents"]), (&json!(kind), &json!(documents)));
        assert_eq!(saved["status"], "complete", "{saved}");
        assert_eq!(text(&saved["digest"]).len(), 32, "{saved}");
        assert_eq!(saved["bytes"] == 0, documents == 0, "{saved}");
    }
    assert_eq!(report["totals"]["documents"], 4);
    assert!(archive(&report).starts_with(&bucket), "{report}");
    assert_eq!(
        text(&report["manifest"]),
        archive(&report).replace(".tar.zst", ".manifest.json")
    );
    assert_eq!(shell.json(0, &["verify", &archive(&report)])["status"], "complete");
}

#[tokio::test]
async fn the_text_has_each_collection_and_the_archive_as_its_last_line() {
    let (shell, database) = shop().await;
    let said = shell.run(&["backup", "--to", "to"]).expect(0);
    for word in [
        "orders",
        "readings",
        "view",
        "complete: 4 documents",
        "consistency: snapshot",
    ] {
        assert!(said.out.contains(word), "{word} is missing: {}", said.out);
    }
    let last = said.out.lines().last().expect("lines");
    assert!(
        shell.path(last).is_file(),
        "{last} of {database} can be passed on as it is"
    );
    assert_eq!(said.err, "");
}

#[tokio::test]
async fn payload_compression_and_pretty_say_how_the_archive_is_written() {
    let (shell, _) = Shell::with_orders(numbered(0..2)).await;
    for (options, payload, compression, ending) in [
        (&[][..], "jsonl", "zstd", ".tar.zst"),
        (&["--compression", "gzip"], "jsonl", "gzip", ".tar.gz"),
        (&["--compression", "none", "--payload", "bson"], "bson", "none", ".tar"),
        (
            &["--compression", "zstd", "--payload", "jsonl"],
            "jsonl",
            "zstd",
            ".tar.zst",
        ),
    ] {
        let report = shell.backed_up(options);
        assert_eq!(
            (&report["payload"], &report["compression"]),
            (&json!(payload), &json!(compression))
        );
        assert!(archive(&report).ends_with(ending), "{report}");
        let magic: &[u8] = match compression {
            "zstd" => &[0x28, 0xb5, 0x2f, 0xfd],
            "gzip" => &[0x1f, 0x8b],
            _ => b"backup_",
        };
        let bytes = fs::read(shell.path(&archive(&report))).expect("an archive");
        assert!(bytes.starts_with(magic), "{compression}");
        let entry = format!("/orders.{payload}");
        assert!(
            compression != "none" || contains(&bytes, &entry),
            "{entry} is an entry of the tar"
        );
    }
    let [plain, pretty] = [&["--compression", "none"][..], &["--compression", "none", "--pretty"]].map(|options| {
        let report = shell.backed_up(options);
        fs::read(shell.path(&archive(&report))).expect("an archive")
    });
    assert!(contains(&plain, "{\"_id\":{\"$numberInt\":\"0\"},\"text\":\"x\"}\n"));
    assert!(contains(&pretty, "{\n") && !contains(&pretty, "{\"_id\":{\"$numberInt\":\"0\"}"));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn include_and_exclude_choose_and_can_be_repeated() {
    let (shell, _) = shop().await;
    for (options, expected) in [
        (
            &["--include", "or*", "--include", "empty"][..],
            &["empty", "orders"][..],
        ),
        (&["--exclude", "se?n", "--exclude", "empty"], &["orders", "readings"]),
        (&["--include", "*e*", "--exclude", "r*"], &["empty", "orders", "seen"]),
    ] {
        let report = shell.backed_up(options);
        assert_eq!(names(&report["collections"]), expected, "{options:?}");
    }
    let failure = shell.json(2, &["backup", "--to", "to", "--include", "ordres"]);
    let message = text(&failure["message"]);
    assert!(
        message.contains("ordres") && message.contains("orders"),
        "it says what there is: {message}"
    );
}

/// A server confirms the time of a read there, and shows what is there now.
#[tokio::test]
async fn what_is_in_local_is_of_no_moment() {
    let database = rig::fresh_database_name("own");
    let client = rig::shared_replica_set().client().await;
    // Not by a method: those can be retried, which local knows nothing of.
    let insert = doc! {"insert": &database, "documents": numbered(0..3)};
    client.database("local").run_command(insert).await.expect("inserted");
    let shell = Shell::new();
    let arguments = ["backup", "--mongo-db", "local", "--include", &database, "--to", "to"];
    let report = shell.json(0, &arguments);
    assert_eq!(report["consistency"]["level"], "none", "{report}");
    assert!(
        report["consistency"]["reason"].to_string().contains("not replicated"),
        "{report}"
    );
    let refused = shell.json(1, &[&arguments[..], &["--consistency", "require"]].concat());
    assert_eq!(refused["error_type"], "ConsistencyNotReached", "{refused}");
    let own = client.database("local").collection::<bson::Document>(&database);
    own.drop().await.expect("dropped");
}

#[tokio::test]
async fn consistency_require_refuses_what_auto_does_without() {
    let mongod = rig::Mongod::standalone();
    support::insert(&mongod.client().await, "shop", "orders", numbered(0..2)).await;
    let shell = Shell::new().set("MONGO_URI", &mongod.uri()).set("MONGO_DB", "shop");
    let report = shell.backed_up(&["--consistency", "auto"]);
    assert_eq!(report["consistency"]["level"], "none");
    let failure = shell.json(1, &["backup", "--to", "other", "--consistency", "require"]);
    assert_eq!(failure["error_type"], "ConsistencyNotReached", "{failure}");
    assert!(!shell.path("other").exists(), "and nothing was written");
}

#[tokio::test]
async fn a_partial_archive_ends_with_3_wherever_it_is_made_verified_or_restored() {
    let (uri, database) = support::half_readable().await;
    let shell = Shell::new().set("MONGO_URI", &uri).set("MONGO_DB", &database);
    let report = shell.json(3, &["backup", "--to", "to"]);
    assert_eq!(report["status"], "partial");
    assert_eq!(names(&report["failed"]), ["secret"]);
    assert!(text(&report["failed"][0]["error"]).contains("secret"), "{report}");
    assert_eq!(named(&report["collections"], "secret")["status"], "failed");
    assert_eq!(named(&report["collections"], "open")["status"], "complete");

    let said = shell.run(&["backup", "--to", "again"]).expect(3);
    assert!(
        said.out.contains("PARTIAL") && said.out.contains("! secret"),
        "{}",
        said.out
    );
    let archive = archive(&report);
    assert_eq!(shell.json(3, &["verify", &archive])["status"], "partial");
    let restored = Shell::new().set("MONGO_DB", &rig::fresh_database_name("cli"));
    let path = shell.path(&archive);
    let arguments = ["restore", path.to_str().expect("UTF-8"), "--yes"];
    assert_eq!(restored.json(3, &arguments)["status"], "partial");
}
