//! The state machines with the real functions, a real database and a real S3.

use serde_json::{Value, json};

use crate::handlers::{BACKUP, RESTORE, Shop, shop, text};
use crate::rig::{self, Ended, Function, StateMachines, StepFunctions, Topic};
use crate::support;

/// A shop with both functions and the state machines around them.
struct Deployed {
    shop: Shop,
    engine: &'static StepFunctions,
    topic: Topic,
    machines: StateMachines,
    _functions: [Function; 2],
}

async fn deployed() -> Deployed {
    let (shop, engine) = (shop().await, rig::shared_step_functions());
    let backup = engine
        .function(&rig::unique_name("backup"), &rig::program(BACKUP), shop.env())
        .await;
    let restore = engine
        .function(&rig::unique_name("restore"), &rig::program(RESTORE), shop.env())
        .await;
    let topic = engine.topic(&rig::unique_name("mongotar")).await;
    let machines = engine
        .state_machines(&rig::unique_name("mongotar"), backup.arn(), restore.arn(), &topic)
        .await;
    Deployed {
        shop,
        engine,
        topic,
        machines,
        _functions: [backup, restore],
    }
}

impl Deployed {
    async fn run(&self, machine: &str, input: Value) -> Ended {
        self.engine.execute(machine, input).await.ended().await
    }
}

#[tokio::test]
async fn a_drill_proves_the_newest_archive_and_a_folder_without_one_fails_it() {
    let deployed = deployed().await;
    let folder = deployed.shop.folder.to_string();
    let input = json!({"archive": {"latest": folder}});
    let (error, cause) = deployed.run(&deployed.machines.drill, input.clone()).await.failed();
    assert_eq!(error, "DrillFailed");
    assert!(cause.contains("there is no archive in"), "{cause}");
    assert_eq!(deployed.topic.next().await.subject, "mongotar drill FAILED");

    let archive = deployed.shop.archive().await;
    let output = deployed.run(&deployed.machines.drill, input).await.succeeded();
    assert_eq!(
        (&output["verdict"], &output["archive"]),
        (&json!("passed"), &json!(archive))
    );
    let told = deployed.topic.next().await;
    assert_eq!(told.subject, "mongotar drill passed");
    assert!(told.message.contains("| orders | 3 | 3 |"), "{}", told.message);
}

#[tokio::test]
async fn an_approved_plan_is_restored_and_its_undo_event_is_an_input() {
    let deployed = deployed().await;
    let shop = &deployed.shop;
    let archive = shop.archive().await;
    shop.insert("orders", 7..9).await;
    shop.insert("extra", 0..1).await;
    let input = json!({"archive": archive, "replace_existing": true});
    let execution = deployed.engine.execute(&deployed.machines.restore, input).await;
    let question = deployed.topic.next().await;
    assert!(question.message.contains("It drops: extra\n"), "{}", question.message);
    assert_eq!(
        shop.count(&shop.database, "orders").await,
        5,
        "nothing has been changed"
    );
    deployed
        .engine
        .succeed(&question.token(), json!({"approved": true}))
        .await;
    let output = execution.ended().await.succeeded();
    assert_eq!(
        (&output["status"], &output["equal"]),
        (&json!("complete"), &json!(true))
    );
    assert_eq!(shop.collections().await, ["orders", "users"]);
    assert_eq!(shop.count(&shop.database, "orders").await, 3);
    deployed.topic.next().await;

    let mut undo = output["undo"].clone();
    undo["approved"] = json!(true);
    let output = deployed.run(&deployed.machines.approved, undo).await.succeeded();
    assert_eq!(output["status"], "complete");
    assert_eq!(shop.collections().await, ["extra", "orders", "users"]);
    assert_eq!(shop.count(&shop.database, "orders").await, 5);
}

#[tokio::test]
async fn what_changed_since_the_plan_was_shown_is_not_restored_over() {
    let deployed = deployed().await;
    let shop = &deployed.shop;
    let archive = shop.archive().await;
    let execution = deployed
        .engine
        .execute(&deployed.machines.restore, json!({"archive": archive}))
        .await;
    let question = deployed.topic.next().await;
    shop.insert("since", 0..1).await;
    deployed
        .engine
        .succeed(&question.token(), json!({"approved": true}))
        .await;
    assert_eq!(execution.ended().await.failed().0, "ConsentStale");
    assert_eq!(shop.collections().await, ["orders", "since", "users"]);
}

#[tokio::test]
async fn several_databases_are_backed_up_each_into_its_folder_and_an_event_that_comes_twice_makes_no_second_archive() {
    let (deployed, other) = (deployed().await, shop().await);
    let shop = &deployed.shop;
    let run = json!({"id": rig::unique_name("run"), "time": "2026-11-21T02:00:00Z"});
    let input = json!({"database": [shop.database, other.database], "run": run});
    let first = deployed.run(&deployed.machines.backup, input.clone()).await.succeeded();
    assert_eq!((&first["status"], &first["run"]), (&json!("complete"), &run));
    let mut archives = Vec::new();
    for (place, database) in [&shop.database, &other.database].into_iter().enumerate() {
        let found = &first["databases"][place];
        assert_eq!(
            (&found["database"], &found["status"], &found["documents"]),
            (&json!(database), &json!("complete"), &json!(5))
        );
        let archive = text(&found["archive"]);
        assert_eq!(
            archive,
            format!("{}{database}/backup_20261121_020000.tar.zst", shop.folder)
        );
        archives.push(archive);
    }
    let told = deployed.topic.next().await;
    assert_eq!(told.subject, "mongotar backup complete: 2 of 2 databases");

    let second = deployed.run(&deployed.machines.backup, input).await.succeeded();
    assert_eq!(second["databases"], first["databases"]);
    let store = support::tools().await.store;
    for archive in archives {
        let folder = archive
            .rsplit_once('/')
            .expect("a folder")
            .0
            .parse()
            .expect("a location");
        assert_eq!(
            support::visible(&store, &folder).await.len(),
            2,
            "the archive and its manifest"
        );
    }
    assert!(support::unfinished(&shop.folder).await.is_empty());
}

#[tokio::test]
async fn a_backup_in_lanes_and_a_restore_by_workers_are_a_backup_and_a_restore() {
    let deployed = deployed().await;
    let shop = &deployed.shop;
    let tools = support::tools().await;
    let before = support::raw_database(&shop.client, &tools, &shop.database).await;
    let output = deployed
        .run(&deployed.machines.backup, json!({"lanes": 2}))
        .await
        .succeeded();
    let archive = output["databases"][0]["archive"].clone();
    shop.insert("orders", 7..9).await;
    let input = json!({"archive": archive, "replace_existing": true, "workers": 2, "approved": true});
    let output = deployed.run(&deployed.machines.approved, input).await.succeeded();
    assert_eq!(
        (&output["status"], &output["equal"]),
        (&json!("complete"), &json!(true))
    );
    assert_eq!(
        support::raw_database(&shop.client, &tools, &shop.database).await,
        before
    );
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_of_in_the_words_of_the_function() {
    let deployed = deployed().await;
    let (error, cause) = deployed
        .run(&deployed.machines.backup, json!({"destinatoin": "s3://b/"}))
        .await
        .failed();
    assert_eq!(error, "BackupFailed");
    assert!(
        cause.contains("InvalidRequest") && cause.contains("destinatoin"),
        "{cause}"
    );
    assert_eq!(
        deployed.topic.next().await.subject,
        "mongotar backup FAILED: 0 of 0 databases"
    );
}
