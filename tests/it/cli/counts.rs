//! `--counts`: a row for each collection, as every CSV reader reads it.

use std::fs;

use bson::doc;
use serde_json::{Value, json};

use super::{Shell, archive, named, numbered, text};
use crate::{rig, support};

/// The rows as Python's `csv` reads them, which is strict here: header first, as a list of objects.
fn rows(csv: &[u8]) -> Vec<Value> {
    let script = r#"
import csv, io, json, sys
text = sys.stdin.buffer.read().decode()
assert text.endswith("\r\n"), repr(text[-10:])
print(json.dumps(list(csv.DictReader(io.StringIO(text, newline=""), strict=True))))
"#;
    let printed = rig::python().stdout(script, &[] as &[&str], csv);
    serde_json::from_slice(&printed).expect("JSON")
}

fn of<'a>(rows: &'a [Value], collection: &str) -> &'a Value {
    rows.iter()
        .find(|row| row["collection"] == collection)
        .unwrap_or_else(|| panic!("{collection:?} is not in {rows:?}"))
}

/// Names that a CSV must quote.
const ODD: [&str; 4] = ["a,b", "say \"x\"", "two\r\nlines", "größe\nü"];

async fn with_odd_names() -> (Shell, String) {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    for (name, count) in ODD.into_iter().zip(1..) {
        support::insert(&client, &database, name, numbered(0..count)).await;
    }
    let view = doc! {"create": "view", "viewOn": "orders", "pipeline": []};
    client.database(&database).run_command(view).await.expect("a view");
    (shell, database)
}

#[tokio::test]
async fn backup_verify_comparison_and_restore_write_what_their_reports_say() {
    let (shell, database) = with_odd_names().await;
    let read = || rows(&fs::read(shell.path("counts.csv")).expect("the counts"));
    let report = shell.backed_up(&["--counts", "counts.csv"]);
    let archive = archive(&report);
    let backed_up = read();
    assert_eq!(backed_up.len(), 6);
    for (name, count) in ODD.into_iter().zip(1..) {
        let row = of(&backed_up, name);
        let saved = named(&report["collections"], name);
        assert_eq!(row["archive_documents"], json!(format!("{count}")));
        assert_eq!(row["archive_digest"], saved["digest"]);
        assert_eq!(row["bytes"], json!(saved["bytes"].to_string()));
        assert_eq!((&row["database_documents"], &row["equal"]), (&json!(""), &json!("")));
        assert_eq!(row["kind"], "collection");
    }
    let view = of(&backed_up, "view");
    assert_eq!(
        (&view["kind"], &view["archive_documents"], &view["bytes"]),
        (&json!("view"), &json!(""), &json!(""))
    );

    shell.run(&["verify", &archive, "--counts", "counts.csv"]).expect(0);
    let verified = read();
    assert_eq!(
        of(&verified, "a,b")["archive_digest"],
        of(&backed_up, "a,b")["archive_digest"]
    );
    assert!(verified.iter().all(|row| row["equal"] == "true"), "{verified:?}");
    assert_eq!(of(&verified, "orders")["bytes"], of(&backed_up, "orders")["bytes"]);

    // The file of the last time is replaced.
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(10..11)).await;
    support::insert(&client, &database, "later", numbered(0..2)).await;
    shell.json(
        3,
        &["verify", &archive, "--against", &database, "--counts", "counts.csv"],
    );
    let compared = read();
    let counts = |row: &Value| ["archive_documents", "database_documents", "equal"].map(|field| text(&row[field]));
    assert_eq!(counts(of(&compared, "orders")), ["3", "4", "false"]);
    assert_eq!(counts(of(&compared, "later")), ["", "2", "false"]);
    let same = of(&compared, "say \"x\"");
    assert_eq!(counts(same), ["2", "2", "true"]);
    assert_eq!(same["archive_digest"], same["database_digest"]);

    shell.json(
        0,
        &[
            "restore",
            &archive,
            "--replace-existing",
            "--yes",
            "--counts",
            "counts.csv",
        ],
    );
    let restored = read();
    assert_eq!(counts(of(&restored, "orders")), ["3", "3", "true"]);
    assert_eq!(counts(of(&restored, "later")), ["", "", "true"], "it was dropped");
    assert_eq!(counts(of(&restored, "two\r\nlines")), ["3", "3", "true"]);
    assert_eq!(of(&restored, "orders")["bytes"], of(&backed_up, "orders")["bytes"]);
}

#[tokio::test]
async fn a_dash_gives_standard_output_to_the_counts() {
    let (shell, _) = with_odd_names().await;
    let archive = archive(&shell.backed_up(&[]));
    let said = shell.run(&["verify", &archive, "--counts", "-"]).expect(0);
    assert_eq!(rows(said.out.as_bytes()).len(), 6);
    assert!(said.err.contains("complete: "), "{}", said.err);
    let failure = shell.json(2, &["verify", &archive, "--counts", "-"]);
    assert!(text(&failure["message"]).contains("--counts"), "{failure}");
}

#[tokio::test]
async fn counts_that_cannot_be_written_are_refused_before_anything_is_done() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    fs::create_dir(shell.path("folder")).expect("a folder");
    for to in ["missing/counts.csv", "folder", "/dev/null"] {
        let failure = shell.json(2, &["backup", "--to", "to", "--counts", to]);
        assert!(text(&failure["message"]).contains(to), "{failure}");
        assert!(!shell.path("to").exists(), "{to}: nothing was backed up");
    }
}

#[tokio::test]
async fn where_there_is_no_result_there_are_no_counts() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&[]));
    fs::write(shell.path("counts.csv"), "of the last time").expect("written");
    shell.json(
        1,
        &["verify", "to/backup_20200101_000000.tar", "--counts", "counts.csv"],
    );
    shell.json(1, &["restore", &archive, "--counts", "counts.csv"]);
    let failure = shell.json(2, &["plan", &archive, "--counts", "counts.csv"]);
    assert!(text(&failure["message"]).contains("--counts"), "{failure}");
    assert_eq!(
        fs::read_to_string(shell.path("counts.csv")).expect("there"),
        "of the last time"
    );
    let left = fs::read_dir(shell.path(".")).expect("a folder").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("unfinished")),
        "{left:?}"
    );
}
