//! The commands of the README and of the runbook are run as they stand there, in a shell, one after another.

use bson::{doc, oid::ObjectId};
use serde_json::json;

use super::{Shell, archive, numbered};
use crate::{rig, support};

const README: &str = include_str!("../../../README.md");
const RUNBOOK: &str = include_str!("../../../docs/RUNBOOK.md");
const LOCALSTACK: &str = include_str!("../../../infra/localstack/README.md");

/// The `mongotar` lines of a text, without the comments behind them.
fn tour(text: &str) -> Vec<String> {
    let commands = text.lines().filter(|line| line.starts_with("mongotar "));
    commands
        .map(|line| line.split(" #").next().unwrap_or(line).trim_end().to_owned())
        .collect()
}

#[tokio::test]
async fn every_documented_command_works() {
    let mut documents = numbered(0..20);
    let found = ObjectId::parse_str("650000000000000000000001").expect("an id");
    documents.push(doc! {"_id": found});
    let (shell, database) = Shell::with_orders(documents).await;
    let folder = support::bucket().await.to_string();
    let scratch = rig::fresh_database_name("scratch");
    let billing = rig::fresh_database_name("billing");
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &billing, "invoices", vec![doc! {"_id": 1}]).await;
    let report = shell.json(0, &["backup", "--to", &folder]);
    let name = archive(&report).rsplit('/').next().expect("a name").to_owned();
    let mut seen = Vec::new();
    for line in tour(README).into_iter().chain(tour(RUNBOOK)) {
        let mut command = line
            .replace("s3://backups/nightly/", &folder)
            .replace("s3://backups/all/", &format!("{folder}all/"))
            .replace(",billing", &format!(",{billing}"))
            .replace("backup_20261121_020000.tar.zst", &name)
            .replace("--mongo-db scratch", &format!("--mongo-db {scratch}"))
            .replace("--against shop", &format!("--against {database}"))
            .replace("--mongo-db shop", &format!("--mongo-db {database}"));
        // Nobody is at a terminal here to answer.
        if line.starts_with("mongotar restore") && !line.contains("--yes") {
            command.push_str(" --yes");
        }
        let said = shell.shell(&command).expect(0);
        assert!(!said.out.is_empty(), "{line} says something");
        seen.push(line.split(' ').nth(1).expect("a subcommand").to_owned());
    }
    for subcommand in ["backup", "restore", "plan", "verify", "drill", "list", "show", "cat"] {
        assert!(seen.iter().any(|seen| seen == subcommand), "{subcommand} is shown");
    }
    for database in [database, scratch] {
        assert_eq!(support::raw_documents(&client, &database, "orders").await.len(), 21);
    }
    assert_eq!(report["status"], json!("complete"));
}

#[tokio::test]
async fn the_commands_for_localstack_work_by_any_s3() {
    let (shell, database) = Shell::with_orders(numbered(0..20)).await;
    let folder = support::bucket().await.to_string();
    let again = rig::fresh_database_name("again");
    let lines = tour(LOCALSTACK);
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        let command = line
            .replace("s3://backups/nightly/", &folder)
            .replace("--mongo-db shop_again", &format!("--mongo-db {again}"))
            .replace("--mongo-db shop ", &format!("--mongo-db {database} "));
        shell.shell(&command).expect(0);
    }
    let client = rig::shared_replica_set().client().await;
    assert_eq!(support::raw_documents(&client, &again, "orders").await.len(), 20);
}
