//! The drill: an archive is proven to restore, and nothing of the proof is left behind.

use bson::{Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::drill::{DrillReport, DrillRequest, DrillVerdict, drill};
use mongotar::failure::{Failure, FailureKind};
use serde_json::{Value, json};

use crate::cli::{Shell, archive, numbered};
use crate::{handlers, rig, support};

async fn run(tools: &Tools, event: Value) -> Result<DrillReport, Failure> {
    let job = DrillRequest::from_event(event)?.into_job(&Environment::default())?;
    drill(&job, tools).await
}

/// A database with a collection, a view, a time series, and a document that its validator refuses.
async fn shop(client: &mongodb::Client) -> String {
    let database = rig::fresh_database_name("shop");
    support::insert(client, &database, "orders", numbered(0..50)).await;
    support::insert(client, &database, "strict", numbered(0..3)).await;
    let commands: [Document; 3] = [
        doc! {"create": "recent", "viewOn": "orders", "pipeline": [{"$match": {"_id": {"$gt": 40}}}]},
        doc! {"create": "readings", "timeseries": {"timeField": "ts", "metaField": "meta"}},
        doc! {"collMod": "strict", "validator": {"never": true}},
    ];
    for command in commands {
        client
            .database(&database)
            .run_command(command)
            .await
            .expect("a command");
    }
    let reading = doc! {"ts": bson::DateTime::from_millis(1), "meta": {"a": 1}, "v": 1.5};
    support::insert(client, &database, "readings", vec![reading]).await;
    database
}

async fn exists(client: &mongodb::Client, database: &str) -> bool {
    let names = client.list_database_names().await.expect("names");
    names.iter().any(|name| name == database)
}

#[tokio::test]
async fn a_drill_restores_compares_and_leaves_nothing_behind() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (database, folder) = (shop(&client).await, support::folder());
    let backed_up = support::back_up(&tools, &database, &folder).await;
    let report = run(&tools, json!({"archive": {"latest": folder.to_string()}}))
        .await
        .expect("a drill");
    assert_eq!(
        (report.status, report.verdict),
        (RunStatus::Complete, DrillVerdict::Passed),
        "{report:?}"
    );
    assert_eq!(report.archive, Some(backed_up.archive.to_string()));
    assert!(report.archive_age_seconds.is_some_and(|age| (0..600).contains(&age)));
    assert!(report.dropped && report.problems.is_empty());
    assert!(!exists(&client, &report.scratch).await, "the scratch database is gone");
    let verification = report.verification.as_ref().expect("a verification");
    assert_eq!(verification.collections.len(), 4);
    for saved in &backed_up.collections {
        let found = verification
            .collections
            .iter()
            .find(|found| found.name == saved.name)
            .expect("restored");
        assert_eq!(
            (found.db_count, found.digest_database),
            (saved.documents, saved.digest),
            "{}",
            saved.name
        );
        assert!(
            report
                .markdown
                .contains(&format!("| {} | {} |", saved.name, saved.documents))
        );
    }
    assert_eq!(
        support::raw_documents(&client, &database, "orders").await.len(),
        50,
        "the source is as it was"
    );
}

#[tokio::test]
async fn a_database_that_the_drill_did_not_create_is_not_touched() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (database, folder) = (shop(&client).await, support::folder());
    let archive = support::back_up(&tools, &database, &folder).await.archive.to_string();
    for taken in [database.as_str(), "admin", "local", "config"] {
        let refused = run(&tools, json!({"archive": archive, "scratch": taken}))
            .await
            .expect_err(taken);
        assert_eq!(refused.kind, FailureKind::InvalidRequest, "{refused}");
    }
    assert_eq!(support::raw_documents(&client, &database, "orders").await.len(), 50);
    // One that has only a collection of the server's own was taken for none, and dropped.
    let functions = rig::fresh_database_name("functions");
    support::insert(&client, &functions, "system.js", vec![doc! {"_id": "f", "value": 1}]).await;
    let refused = run(&tools, json!({"archive": archive, "scratch": functions}))
        .await
        .expect_err("taken");
    assert_eq!(refused.kind, FailureKind::InvalidRequest, "{refused}");
    assert_eq!(support::raw_documents(&client, &functions, "system.js").await.len(), 1);
    // Nor can there be one whose name differs in case only.
    let capitals = database.to_uppercase();
    let refused = run(&tools, json!({"archive": archive, "scratch": capitals}))
        .await
        .expect_err("there is one in small letters");
    assert!(refused.message.contains("only in case"), "{refused}");
    assert_eq!(refused.kind, FailureKind::InvalidRequest, "{refused}");
    let mine = rig::fresh_database_name("drill");
    let report = run(&tools, json!({"archive": archive, "scratch": mine}))
        .await
        .expect("a drill");
    assert_eq!(
        (report.verdict, report.scratch.as_str()),
        (DrillVerdict::Passed, mine.as_str())
    );
    assert!(!exists(&client, &mine).await);
}

#[tokio::test]
async fn an_archive_that_does_not_restore_fails_the_drill_and_the_scratch_database_goes_all_the_same() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let database = shop(&client).await;
    let scratch = rig::ScratchDir::new("drill");
    let folder = mongotar::store::Location::Local(scratch.path().to_owned());
    let archive = support::back_up(&tools, &database, &folder).await.archive.to_string();
    let mut bytes = std::fs::read(&archive).expect("the archive");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).expect("damaged");
    let report = run(&tools, json!({"archive": archive}))
        .await
        .expect("a finding and no error");
    assert_eq!(report.verdict, DrillVerdict::Failed, "{report:?}");
    assert_ne!(report.status, RunStatus::Complete);
    assert!(!report.problems.is_empty() && report.markdown.contains("**Problem**"));
    assert!(report.dropped && !exists(&client, &report.scratch).await);

    let nothing = run(&tools, json!({"archive": {"latest": folder.join("empty").to_string()}}))
        .await
        .expect("a finding");
    assert_eq!((nothing.status, nothing.archive), (RunStatus::Failed, None));
    let none_chosen = run(&tools, json!({"archive": archive, "include": ["nothing_*"]}))
        .await
        .expect("a finding");
    assert_eq!(none_chosen.verdict, DrillVerdict::Failed, "{none_chosen:?}");
}

#[tokio::test]
async fn the_command_line_drills_with_the_newest_archive() {
    let (shell, database) = Shell::with_orders(numbered(0..20)).await;
    let report = shell.backed_up(&[]);
    let drilled = shell.json(0, &["drill", "--latest", "to"]);
    assert_eq!(
        (&drilled["verdict"], &drilled["status"]),
        (&json!("passed"), &json!("complete"))
    );
    assert!(
        drilled["archive"]
            .as_str()
            .is_some_and(|drilled| drilled.ends_with(&archive(&report))),
        "{drilled}"
    );
    let said = shell.run(&["drill", &archive(&report)]).expect(0);
    assert!(
        said.out.contains("# Restore drill of") && said.out.contains("| orders | 20 | 20 |"),
        "{}",
        said.out
    );
    shell.run(&["drill", "--latest", "elsewhere"]).expect(1);
    shell.run(&["drill"]).expect(2);
    shell
        .run(&["drill", &archive(&report), "--scratch", &database])
        .expect(2);
}

#[tokio::test]
async fn the_restore_function_drills_when_it_is_told_to() {
    let shop = handlers::shop().await;
    let archive = shop.archive().await;
    let function = shop.function(handlers::RESTORE, &[]);
    // Without an archive the newest one of MONGOTAR_TO is meant.
    let answer = handlers::answer(&function, json!({"action": "drill"})).await;
    assert_eq!(
        (&answer["verdict"], &answer["archive"]),
        (&json!("passed"), &json!(archive)),
        "{answer}"
    );
    assert!(
        answer["markdown"]
            .as_str()
            .is_some_and(|text| text.contains("| orders | 3 | 3 |"))
    );
    assert!(!exists(&shop.client, answer["scratch"].as_str().expect("a name")).await);
    for (event, named) in [
        (json!({"action": "dril"}), "dril"),
        (json!({"action": 1}), "action"),
        (json!({"action": "drill", "database": "x"}), "database"),
    ] {
        let refused = handlers::refusal(&function, event).await;
        assert_eq!(refused.error_type, "InvalidRequest");
        assert!(refused.error_message.contains(named), "{}", refused.error_message);
    }
}
