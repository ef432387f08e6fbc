//! Who else learns what came of a command: `MONGOTAR_NOTIFY`, and `--metrics` for Prometheus.

use std::fs;
use std::process::Stdio;

use bson::doc;
use serde_json::Value;

use super::{Shell, numbered};
use crate::rig::{self, Listener};
use crate::support::{eventually, insert};

/// What was heard at a path.
fn at(listener: &Listener, path: &str) -> Vec<Value> {
    let heard = listener.heard().into_iter();
    heard
        .filter(|heard| heard.request.ends_with(path))
        .map(|heard| heard.body)
        .collect()
}

#[tokio::test]
async fn each_address_is_told_what_it_wants_and_a_plan_is_told_to_nobody() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let listener = Listener::start(&[]);
    let kinds = [
        ("slack", "/slack"),
        ("teams", "/teams"),
        ("webhook", "/hook"),
        ("ping", "/ping/{database}"),
    ];
    let addresses: Vec<String> = kinds.iter().map(|(kind, path)| listener.address(kind, path)).collect();
    let shell = shell.set("MONGOTAR_NOTIFY", &addresses.join(" \n"));
    let report = shell.json(0, &["backup", "--to", "to", "--incremental"]);
    let ping = format!("/ping/{database}");
    assert_eq!(at(&listener, &ping), [Value::Null]);
    let told = at(&listener, "/hook").remove(0);
    assert_eq!(told["archive"], report["archive"]);
    assert_eq!(
        (&told["operation"], &told["outcome"], &told["kind"], &told["database"]),
        (
            &"backup".into(),
            &"complete".into(),
            &"full".into(),
            &database.as_str().into()
        )
    );
    assert_eq!(told["text"], report["summary"]);
    let slack = at(&listener, "/slack").remove(0);
    assert!(
        slack["text"]
            .to_string()
            .contains(&format!("mongotar backup of {database}: complete")),
        "{slack}"
    );
    let card = at(&listener, "/teams").remove(0);
    assert_eq!(
        card["attachments"][0]["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );

    // Nobody wants to read of an increment each minute.
    shell.json(0, &["watch", "--once", "--to", "to"]);
    assert_eq!(
        at(&listener, "/hook").last().map(|told| told["kind"].clone()),
        Some("increment".into())
    );
    assert_eq!((at(&listener, "/slack").len(), at(&listener, &ping).len()), (1, 2));

    // Neither a plan nor a question that is declined is an outcome.
    let before = listener.heard().len();
    shell.json(0, &["plan", "--latest", "to", "--mongo-db", "elsewhere"]);
    shell.json(1, &["restore", "--latest", "to", "--mongo-db", "elsewhere"]);
    shell.json(0, &["list", "to"]);
    assert_eq!(listener.heard().len(), before);

    // A failure is one, and gives no sign of life.
    let failed = shell.json(2, &["backup", "--to", "to", "--mongo-db", "nothing_there"]);
    let told = at(&listener, "/hook").pop().expect("a notice");
    assert_eq!(told["outcome"], "failed");
    assert!(
        told["text"]
            .as_str()
            .is_some_and(|text| text.contains(failed["message"].as_str().unwrap_or("?"))),
        "{told}"
    );
    assert_eq!(at(&listener, "/slack").len(), 2);
    assert!(at(&listener, "/ping/nothing_there").is_empty());
    let target = rig::fresh_database_name("cli");
    shell.json(0, &["restore", "--latest", "to", "--mongo-db", &target, "--yes"]);
    shell.json(0, &["verify", report["archive"].as_str().unwrap_or_default()]);
    shell.json(0, &["drill", "--latest", "to"]);
    let operations: Vec<Value> = at(&listener, "/hook")
        .iter()
        .map(|told| told["operation"].clone())
        .collect();
    assert_eq!(operations[3..], ["restore", "verify", "drill"]);
}

#[tokio::test]
async fn who_cannot_be_told_changes_no_exit_code_and_no_address_is_shown() {
    let (shell, _) = Shell::with_orders(numbered(0..1)).await;
    let (gone, passing) = (Listener::start(&[404]), Listener::start(&[500, 429]));
    let addresses = [gone.address("slack", "/hush"), passing.address("webhook", "/hush")];
    let told = shell.copy().set("MONGOTAR_NOTIFY", &addresses.join(" "));
    let said = told.run(&["backup", "--to", "to"]).expect(0);
    assert!(
        said.err.contains("127.0.0.1 could not be told") && said.err.contains("404"),
        "{}",
        said.err
    );
    assert!(!format!("{}{}", said.err, said.out).contains("hush"));
    assert_eq!((gone.heard().len(), passing.heard().len()), (1, 3));

    for wrong in [
        "https://ok.example/ hooks.example/hush",
        "mail+https://example.org/hush",
    ] {
        let refused = shell
            .copy()
            .set("MONGOTAR_NOTIFY", wrong)
            .json(2, &["backup", "--to", "to"]);
        let message = refused["message"].to_string();
        assert!(
            message.contains("MONGOTAR_NOTIFY: address") && !message.contains("hush"),
            "{message}"
        );
    }
    assert!(!shell.path("to").exists(), "nothing was done before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_that_it_fails_and_that_it_goes_on_once_each() {
    let (shell, database) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    let client = rig::shared_replica_set().client().await;
    let listener = Listener::start(&[]);
    let shell = shell.set("MONGOTAR_NOTIFY", &listener.address("slack", "/slack"));
    let mut watching = shell
        .command(&["watch", "--every", "1s", "--to", "to", "--metrics", "watch.prom"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let metrics = || fs::read_to_string(shell.path("watch.prom")).unwrap_or_default();
    let value = |name: &str| {
        let line = format!("{name}{{operation=\"backup\",database=\"{database}\"}} ");
        metrics()
            .lines()
            .find_map(|text| text.strip_prefix(&line)?.parse::<u64>().ok())
    };
    eventually("the first one is told", || {
        at(&listener, "/slack").len() == 1 && value("mongotar_complete") == Some(1)
    })
    .await;
    // What cannot be written does not pass by itself, but is tried some times.
    fs::rename(shell.path("to"), shell.path("moved")).expect("moved");
    fs::write(shell.path("to"), "no folder").expect("written");
    eventually("the failure is told", || value("mongotar_complete") == Some(0)).await;
    assert!(
        value("mongotar_last_complete_timestamp_seconds").is_some(),
        "{}",
        metrics()
    );
    fs::remove_file(shell.path("to")).expect("removed");
    fs::rename(shell.path("moved"), shell.path("to")).expect("back");
    insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    eventually("that it goes on is told", || at(&listener, "/slack").len() == 3).await;
    let _ = watching.kill();
    let _ = watching.wait();
    let said: Vec<String> = at(&listener, "/slack")
        .iter()
        .map(|told| told["text"].to_string())
        .collect();
    assert!(
        said[1].contains("FAILED") && said[2].contains("goes on after failures"),
        "{said:?}"
    );
}

#[tokio::test]
async fn metrics_are_a_file_that_a_collector_reads() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let read = |name: &str| fs::read_to_string(shell.path(name)).expect("metrics");
    let report = shell.json(0, &["backup", "--to", "to", "--metrics", "backup.prom"]);
    let labels = format!("{{operation=\"backup\",database=\"{database}\"}}");
    let first = read("backup.prom");
    for line in [
        format!("mongotar_complete{labels} 1\n"),
        format!("mongotar_documents{labels} 3\n"),
        format!("mongotar_archive_bytes{labels} {}\n", report["archive_bytes"]),
    ] {
        assert!(first.contains(&line), "{line} is not in {first}");
    }
    shell.json(
        2,
        &[
            "backup",
            "--to",
            "to",
            "--metrics",
            "backup.prom",
            "--mongo-db",
            "nothing_there",
        ],
    );
    assert!(read("backup.prom").contains("database=\"nothing_there\"} 0\n"));
    let archive = report["archive"].as_str().expect("an archive");
    shell.json(0, &["verify", archive, "--metrics", "verify.prom"]);
    assert!(read("verify.prom").contains("mongotar_complete{operation=\"verify\"} 1\n"));
    let refused = shell.json(2, &["backup", "--to", "to", "--metrics", "no/folder.prom"]);
    assert!(
        refused["message"].to_string().contains("the metrics cannot be written"),
        "{refused}"
    );
    let refused = shell.json(2, &["plan", archive, "--metrics", "plan.prom"]);
    assert!(refused["message"].to_string().contains("no run"), "{refused}");
}

/// A database that the connection string alone names has the same labels when a backup of it fails.
#[tokio::test]
async fn a_failure_keeps_when_the_last_complete_one_was_whatever_names_the_database() {
    let (shell, database) = Shell::with_orders(numbered(0..1)).await;
    let uri = rig::shared_replica_set().uri();
    let (hosts, options) = uri.split_once("/?").unwrap_or((uri.trim_end_matches('/'), ""));
    let named = format!("{hosts}/{database}?{options}");
    let shell = shell.unset("MONGO_DB").set("MONGO_URI", &named);
    shell.json(0, &["backup", "--to", "to", "--metrics", "backup.prom"]);
    shell.json(
        2,
        &[
            "backup",
            "--to",
            "to",
            "--metrics",
            "backup.prom",
            "--include",
            "nothing",
        ],
    );
    let page = fs::read_to_string(shell.path("backup.prom")).expect("metrics");
    let labels = format!("{{operation=\"backup\",database=\"{database}\"}}");
    assert!(page.contains(&format!("mongotar_complete{labels} 0\n")), "{page}");
    assert!(
        page.contains(&format!("mongotar_last_complete_timestamp_seconds{labels} ")),
        "{page}"
    );
}
