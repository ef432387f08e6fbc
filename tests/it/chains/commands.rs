//! Chains by hand: `backup --incremental`, `watch`, `coverage`, and a moment that is asked for.

use std::process::Stdio;

use bson::doc;
use serde_json::Value;

use crate::cli::Shell;
use crate::rig;
use crate::support::{eventually, insert};

/// A cluster time as it is asked for.
fn asked(report: &Value) -> String {
    let time = &report["consistency"]["cluster_time"];
    format!("{}.{}", time["t"], time["i"])
}

fn backed_up(shell: &Shell) -> Value {
    shell.json(0, &["backup", "--to", "backups", "--incremental"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_found_among_the_increments() {
    let (shell, database) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    let client = rig::shared_replica_set().client().await;
    let mut reports = vec![backed_up(&shell)];
    for id in 1..4 {
        insert(&client, &database, "orders", vec![doc! {"_id": id}]).await;
        reports.push(backed_up(&shell));
    }
    assert_eq!(reports[0]["kind"], "full");
    for pair in reports.windows(2) {
        assert_eq!(
            (&pair[1]["kind"], &pair[1]["parent"]),
            (&"increment".into(), &pair[0]["name"])
        );
        assert_eq!(pair[1]["from"], pair[0]["consistency"]["cluster_time"]);
        assert_eq!(pair[1]["to"], pair[1]["consistency"]["cluster_time"]);
        assert_eq!(
            (
                &pair[1]["collections"][0]["changed"],
                &pair[1]["collections"][0]["removed"]
            ),
            (&1.into(), &0.into())
        );
    }
    let plan = |at: &str, code| {
        let target = rig::fresh_database_name("cli");
        let arguments = ["plan", "--latest", "backups", "--at", at, "--mongo-db", &target];
        let planned = shell.json(code, &arguments);
        planned.get("plan").cloned().unwrap_or(planned)
    };
    for report in &reports {
        let plan = plan(&asked(report), 0);
        assert_eq!(plan["archive"]["location"], report["archive"]);
        assert!(!plan["warnings"].to_string().contains("earlier"), "{plan}");
    }
    // Long after: the last one, and how far that is away.
    let late = plan("2099-01-01T00:00:00Z", 0);
    assert_eq!(late["archive"]["location"], reports[3]["archive"]);
    assert!(late["warnings"].to_string().contains("seconds earlier"), "{late}");
    // Before everything, and nonsense.
    let early = plan("2001-01-01T00:00:00Z", 1);
    assert_eq!(early["error_type"], "ArchiveNotFound", "{early}");
    assert!(early["message"].to_string().contains("the earliest moment"), "{early}");
    assert_eq!(plan("yesterday", 2)["error_type"], "InvalidRequest");
    // An increment says what it is.
    let last = reports[3]["archive"].as_str().expect("a path");
    let shown = shell.run(&["show", last]);
    assert!(
        shown
            .out
            .contains("an increment: 1 documents changed and 0 are gone since"),
        "{}",
        shown.out
    );

    let coverage = shell.json(0, &["coverage", "backups"]);
    assert_eq!(coverage["chains"].as_array().expect("chains").len(), 1);
    assert_eq!(coverage["chains"][0]["boundaries"], 4);
    assert_eq!(coverage["chains"][0]["last"], reports[3]["archive"]);
    assert_eq!(coverage["holes"], Value::Array(Vec::new()));
    assert_eq!(coverage.get("apart"), None);
    insert(&client, &database, "orders", vec![doc! {"_id": 4}]).await;
    // Another chain begins later: in between nothing can be restored. A full one that is old enough is not continued.
    let second = shell.json(0, &["backup", "--to", "backups", "--incremental", "--full-every", "1s"]);
    assert_eq!(second["kind"], "full");
    assert!(second["warnings"].to_string().contains("is to be"), "{second}");
    let text = shell.run(&["coverage", "backups"]);
    assert_eq!(text.code, 3);
    assert!(text.out.contains("a hole: nothing of"), "{}", text.out);
    let refused = shell.json(2, &["backup", "--to", "backups", "--full-every", "7d"]);
    assert!(refused["message"].to_string().contains("--incremental"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_goes_on_until_it_is_told_to_end() {
    let (shell, database) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    let client = rig::shared_replica_set().client().await;
    let once = shell.json(0, &["watch", "--once", "--to", "backups"]);
    assert_eq!(once["kind"], "full");
    insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    let mut command = shell.command(&["watch", "--every", "1s", "--to", "backups", "--json"]);
    let mut watching = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let boundaries = || shell.json(0, &["coverage", "backups"])["chains"][0]["boundaries"].as_u64();
    eventually("three increments", || boundaries() >= Some(4)).await;
    let ended = std::process::Command::new("kill")
        .arg(watching.id().to_string())
        .status();
    assert!(ended.expect("kill runs").success());
    let status = watching.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut watching.stdout.take().expect("piped"), &mut said).expect("text");
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("a report a line"))
        .collect();
    assert!(lines.len() >= 3, "{said}");
    assert!(
        lines
            .iter()
            .all(|report| report["kind"] == "increment" && report["status"] == "complete")
    );
    assert_eq!(lines[0]["collections"][0]["changed"], 1);
    let refused = shell.json(2, &["watch", "--every", "soon", "--to", "backups"]);
    assert_eq!(refused["error_type"], "InvalidRequest");
}

/// A watch makes full archives of its chains, and goes on from them; so does the command by itself.
#[tokio::test(flavor = "multi_thread")]
async fn chains_are_compacted_by_hand_and_within_a_watch() {
    let (shell, database) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    let client = rig::shared_replica_set().client().await;
    backed_up(&shell);
    let alone = shell.json(1, &["compact", "backups"]);
    assert_eq!(alone["error_type"], "NoChain");
    insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    let last = backed_up(&shell);
    let made = shell.json(0, &["compact", "backups"]);
    assert_eq!((&made["kind"], &made["name"]), (&"full".into(), &last["name"]));
    assert_eq!(made["totals"]["documents"], 2);
    let arguments = ["watch", "--every", "1s", "--compact-every", "2s", "--to", "backups"];
    let mut watching = shell
        .command(&arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let fulls = || {
        let report = shell.json(0, &["coverage", "backups"]);
        report["chains"].as_array().map_or(0, Vec::len)
    };
    eventually("two more full archives", || fulls() >= 4).await;
    let ended = std::process::Command::new("kill")
        .arg(watching.id().to_string())
        .status();
    assert!(ended.expect("kill runs").success());
    assert_eq!(watching.wait().expect("it ends").code(), Some(0));
    let target = rig::fresh_database_name("cli");
    let arguments = ["restore", "--latest", "backups", "--mongo-db", &target, "--yes"];
    assert_eq!(shell.json(0, &arguments)["status"], "complete");
}

/// `list` shows chains, and which of their increments can be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_cannot_be_restored() {
    let (shell, database) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    let client = rig::shared_replica_set().client().await;
    let full = backed_up(&shell);
    let mut reports = Vec::new();
    for id in 1..4 {
        insert(&client, &database, "orders", vec![doc! {"_id": id}]).await;
        reports.push(backed_up(&shell));
    }
    let listed = |folder: &str| {
        let listed = shell.json(0, &["list", folder]);
        let listed = listed.as_array().expect("a list").clone();
        listed
            .into_iter()
            .map(|one| (one["summary"]["kind"].clone(), one["status"].clone(), one))
            .collect::<Vec<_>>()
    };
    let all = listed("backups");
    let kinds: Vec<_> = all
        .iter()
        .map(|(kind, status, _)| (kind.as_str(), status.as_str()))
        .collect();
    let (full_one, increment) = ((Some("full"), Some("complete")), (Some("increment"), Some("complete")));
    assert_eq!(kinds, [full_one, increment, increment, increment]);
    let last = &all[3].2["summary"];
    assert_eq!((&last["base"], &last["parent"]), (&full["name"], &reports[1]["name"]));
    assert_eq!(
        last["changes"],
        serde_json::json!({"changed": 1, "removed": 0, "whole": 0})
    );
    let said = shell.run(&["list", "backups"]);
    assert!(
        said.out.contains("1 documents changed and 0 are gone since"),
        "{}",
        said.out
    );
    let shown = shell.run(&["show", reports[2]["archive"].as_str().expect("a path")]);
    assert!(
        shown.out.contains("orders: 1 documents changed, 0 are gone"),
        "{}",
        shown.out
    );

    // Without the one in the middle.
    let middle = reports[1]["archive"].as_str().expect("a path");
    let beside = reports[1]["manifest"].as_str().expect("a path");
    std::fs::remove_file(shell.path(middle)).expect("removed");
    std::fs::remove_file(shell.path(beside)).expect("removed");
    let chain = format!("backups/{}.chain", full["name"].as_str().expect("a name"));
    for folder in ["backups", &chain] {
        let all = listed(folder);
        let (_, status, last) = all.last().expect("one");
        assert_eq!(status, "damaged", "{last}");
        assert!(last["reason"].to_string().contains("is missing"), "{last}");
        assert_eq!(all[all.len() - 2].1, "complete");
    }
    // Without the full one.
    std::fs::remove_file(shell.path(full["archive"].as_str().expect("a path"))).expect("removed");
    let all = listed("backups");
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|(_, status, _)| status == "damaged"), "{all:?}");
    let coverage = shell.json(3, &["coverage", "backups"]);
    assert!(
        coverage["apart"].to_string().contains("increments without the archive"),
        "{coverage}"
    );
}

/// A folder that cannot be written mends itself for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_on_what_does_not_pass() {
    let (shell, _) = Shell::with_orders(vec![doc! {"_id": 0}]).await;
    std::fs::write(shell.path("file"), "no folder").expect("written");
    let failed = shell.json(1, &["watch", "--every", "1h", "--to", "file/below"]);
    assert!(failed["message"].to_string().contains("file"), "{failed}");
    let help = shell.run(&["watch", "--help"]);
    assert!(help.out.contains("5 times in a row"), "{}", help.out);

    // Later it is tried some times.
    let mut watching = shell
        .command(&["watch", "--every", "1s", "--to", "backups"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let boundaries = || shell.json(0, &["coverage", "backups"])["chains"][0]["boundaries"].as_u64();
    std::fs::create_dir_all(shell.path("backups")).expect("a folder");
    eventually("an increment", || boundaries() >= Some(2)).await;
    std::fs::rename(shell.path("backups"), shell.path("moved")).expect("moved");
    std::fs::write(shell.path("backups"), "no folder").expect("written");
    let status = watching.wait().expect("it ends");
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut watching.stderr.take().expect("piped"), &mut said).expect("text");
    let told = said.lines().filter(|line| line.contains("failures in a row")).count();
    assert_eq!(told, 4, "{said}");
}
