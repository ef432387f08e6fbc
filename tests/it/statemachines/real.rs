//! The state machines with the real functions, a real database and a real S3.

use std::path::Path;

use serde_json::{Value, json};

use crate::handlers::{BACKUP, RESTORE, Shop, shop};
use crate::rig::{self, Ended, Function, StateMachines, StepFunctions, Topic};

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
    let backup = engine.function(Path::new(BACKUP), shop.env()).await;
    let restore = engine.function(Path::new(RESTORE), shop.env()).await;
    let topic = engine.topic("mongotar").await;
    let machines = engine.state_machines(backup.arn(), restore.arn(), &topic).await;
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
    let output = deployed.run(&deployed.machines.restore, undo).await.succeeded();
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
