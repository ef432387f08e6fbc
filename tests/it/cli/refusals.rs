//! What is refused: with which exit code, as text and as JSON, with a message that says what to do, and without
//! credentials.

use std::fs;

use super::{Shell, archive, numbered, text};
use crate::support;

/// Each command line with the exit code, the stable name of the error and words that help.
const REFUSED: &[(&[&str], i32, &str, &[&str])] = &[
    // What the command line itself says is wrong.
    (
        &["backup", "--to", "to", "--compression", "lzma"],
        2,
        "InvalidRequest",
        &["lzma", "none, gzip or zstd"],
    ),
    (
        &["backup", "--to", "to", "--payload", "csv"],
        2,
        "InvalidRequest",
        &["csv", "jsonl or bson"],
    ),
    (
        &["backup", "--to", "to", "--consistency", "maybe"],
        2,
        "InvalidRequest",
        &["maybe", "auto or require"],
    ),
    (
        &["backup", "--to", "s3://b/", "--retention", "hourly"],
        2,
        "InvalidRequest",
        &["hourly", "daily, weekly"],
    ),
    // It would have been kept for ever, and nobody told.
    (
        &["backup", "--to", "to", "--retention", "daily"],
        2,
        "InvalidRequest",
        &["--retention", "local folder"],
    ),
    (
        &["backup", "--destination", "to"],
        2,
        "InvalidRequest",
        &["--destination"],
    ),
    (
        &["backup", "--to", "to", "--payload", "bson", "--pretty"],
        2,
        "InvalidRequest",
        &["pretty", "jsonl"],
    ),
    (&["restore"], 2, "InvalidRequest", &["<ARCHIVE>"]),
    (
        &["restore", "x.tar", "--at", "2026-01-01T00:00:00Z"],
        2,
        "InvalidRequest",
        &["--at"],
    ),
    (
        &["backup", "--to", "to", "--mongo-db", "clerk:secret@host"],
        2,
        "InvalidRequest",
        &["--mongo-uri"],
    ),
    (
        &["restore", "x.tar", "--latest", "to"],
        2,
        "InvalidRequest",
        &["--latest"],
    ),
    (
        &["restore", "x.tar", "--batch-size", "many"],
        2,
        "InvalidRequest",
        &["many", "--batch-size"],
    ),
    (&["nonsense"], 2, "InvalidRequest", &["nonsense"]),
    (&["cat", "x.tar", "orders"], 2, "InvalidRequest", &["--json"]),
    // Values that mean nothing.
    (
        &["backup", "--to", "gs://bucket/x"],
        2,
        "InvalidRequest",
        &["gs://bucket/x", "s3://bucket/prefix/"],
    ),
    (
        &["backup", "--to", "s3:///x"],
        2,
        "InvalidRequest",
        &["s3://bucket/prefix/"],
    ),
    (
        &["backup", "--to", "to", "--mongo-db", "a.b"],
        2,
        "InvalidRequest",
        &["a.b", "database name"],
    ),
    (
        &["backup", "--to", "to", "--mongo-db", "not_there"],
        2,
        "InvalidRequest",
        &["not_there", "correct the name"],
    ),
    // Their backup was complete, of the oplog and the sessions of a server.
    (
        &["backup", "--to", "to", "--mongo-db", "local"],
        2,
        "InvalidRequest",
        &[
            "\"local\" holds the server's own data",
            "not backed up",
            "name a database of yours",
        ],
    ),
    (
        &["backup", "--to", "to", "--mongo-db", "config"],
        2,
        "InvalidRequest",
        &[
            "\"config\" holds the server's own data",
            "nothing of it is backed up",
            "name a database of yours",
        ],
    ),
    (
        &["backup", "--to", "to", "--mongo-uri", "localhost:27017"],
        2,
        "InvalidRequest",
        &["MONGO_URI", "mongodb://"],
    ),
    (
        &["backup", "--to", "to", "--mongo-uri", "mongodb://h:port/"],
        2,
        "InvalidRequest",
        &["port"],
    ),
    // Things that are not there.
    (&["show", "x.tar"], 1, "ArchiveNotFound", &["x.tar"]),
    (&["verify", "x.tar"], 1, "ArchiveNotFound", &["x.tar"]),
    (&["plan", "x.tar"], 1, "ArchiveNotFound", &["x.tar"]),
    (
        &["show", "s3://no-such-bucket/x.tar"],
        1,
        "ArchiveNotFound",
        &["s3://no-such-bucket/x.tar"],
    ),
    (
        &[
            "backup",
            "--to",
            "to",
            "--mongo-uri",
            "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300",
        ],
        1,
        "Database",
        &["no server can be reached", "127.0.0.1:1"],
    ),
];

#[tokio::test]
async fn bad_input_is_refused_with_a_name_a_code_and_what_to_do() {
    let (shell, _) = Shell::with_orders(numbered(0..1)).await;
    for (arguments, code, kind, words) in REFUSED {
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let said = shell.run(&with_json).expect(*code);
        let failure = said.json();
        assert_eq!(failure["status"], "failed", "{arguments:?}");
        assert_eq!(failure["error_type"], *kind, "{arguments:?}: {failure}");
        for word in *words {
            assert!(
                text(&failure["message"]).contains(word),
                "{arguments:?}: {word}: {failure}"
            );
        }
        assert!(!said.err.is_empty(), "people read standard error: {arguments:?}");
        if words.contains(&"--json") {
            continue;
        }
        let said = shell.run(arguments).expect(*code);
        assert_eq!(said.out, "", "{arguments:?}: nothing but results is on standard output");
        for word in *words {
            assert!(said.err.contains(word), "{arguments:?}: {word}: {}", said.err);
        }
    }
    assert!(!shell.path("to").exists(), "nothing was written");
}

#[tokio::test]
async fn a_collection_that_the_archive_has_not_is_named_with_those_that_it_has() {
    let (shell, _) = Shell::with_orders(numbered(0..1)).await;
    let archive = archive(&shell.backed_up(&[]));
    let said = shell.run(&["cat", &archive, "ordres"]).expect(2);
    assert!(
        said.err.contains("ordres") && said.err.contains("it has: orders"),
        "{}",
        said.err
    );
    let failure = shell.json(2, &["show", &archive, "--source-database", "other"]);
    assert!(text(&failure["message"]).contains("other"), "{failure}");
    let failure = shell.json(1, &["plan", &archive, "--include", "ordres"]);
    assert!(text(&failure["message"]).contains("ordres"), "{failure}");
}

#[tokio::test]
async fn what_is_no_archive_or_is_cut_off_is_refused_by_name() {
    let (shell, _) = Shell::with_orders(numbered(0..100)).await;
    let whole = archive(&shell.backed_up(&[]));
    let bytes = fs::read(shell.path(&whole)).expect("an archive");
    fs::write(shell.path("cut.tar.zst"), &bytes[..bytes.len() / 2]).expect("written");
    fs::write(shell.path("text.tar"), "no tar at all").expect("written");
    for name in ["cut.tar.zst", "text.tar"] {
        for command in ["show", "verify", "plan"] {
            let failure = shell.json(1, &[command, name]);
            let kind = text(&failure["error_type"]);
            assert!(kind.starts_with("Archive"), "{command} {name}: {failure}");
            assert!(text(&failure["message"]).contains(name), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_said() {
    let (shell, _) = Shell::with_orders(numbered(0..1)).await;
    fs::write(shell.path("file"), "").expect("written");
    let failure = shell.json(1, &["backup", "--to", "file/below"]);
    assert!(text(&failure["message"]).contains("file/below"), "{failure}");
    let denied = Shell::with_orders(numbered(0..1))
        .await
        .0
        .set("AWS_SECRET_ACCESS_KEY", "hush-hush");
    let bucket = support::bucket().await.to_string();
    let said = denied.run(&["backup", "--to", &bucket, "--json"]).expect(1);
    assert_eq!(said.json()["error_type"], "StoreDenied");
    assert!(!said.out.contains("hush-hush") && !said.err.contains("hush-hush"));
}
