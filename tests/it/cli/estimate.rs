//! `estimate`: what a backup would take, told before, beside what it took.

use bson::doc;

use super::{Shell, named, numbered};
use crate::rig;
use crate::support;

#[tokio::test]
async fn an_estimate_is_what_the_backup_then_is_and_changes_nothing() {
    let (shell, database) = Shell::with_orders(numbered(0..3_000)).await;
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "users", numbered(0..5)).await;
    let view = doc! {"create": "view", "viewOn": "orders", "pipeline": []};
    client.database(&database).run_command(view).await.expect("a view");
    let estimate = shell.json(0, &["estimate"]);
    let report = shell.backed_up(&[]);
    assert_eq!(estimate["totals"]["documents"], report["totals"]["documents"]);
    assert_eq!(estimate["totals"]["bytes"], report["totals"]["bytes"]);
    assert_eq!(estimate["totals"], estimate["read"], "small ones are read to their end");
    let (told, came) = (estimate["archive_bytes"].as_u64(), report["archive_bytes"].as_u64());
    let (told, came) = (told.expect("a number"), came.expect("a number"));
    // What is around the documents is not counted.
    assert!(told < came && came < told + 20_000, "{told} and {came}");
    assert_eq!(named(&estimate["collections"], "orders")["documents"], 3_000);
    assert!(
        estimate["collections"].as_array().is_some_and(|all| all.len() == 2),
        "a view has no documents"
    );
    for field in ["gb_seconds", "cost", "requests"] {
        assert!(
            estimate["backup"][field].as_f64().is_some_and(|cost| cost > 0.0),
            "{field}: {estimate}"
        );
    }
    let text = shell
        .run(&["estimate", "--include", "orders", "--function-memory", "3538"])
        .expect(0);
    assert!(
        text.out.contains("3538 MB") && text.out.contains("us-east-1") && !text.out.contains("users"),
        "{}",
        text.out
    );
}

#[tokio::test]
async fn prices_can_be_replaced_and_wrong_ones_are_named() {
    let (shell, _) = Shell::with_orders(numbered(0..1)).await;
    let own = include_str!("../../../infra/prices.json");
    std::fs::write(shell.path("prices.json"), own.replace("us-east-1", "eu-central-1")).expect("written");
    let estimate = shell.json(0, &["estimate", "--prices", "prices.json"]);
    assert!(estimate["prices"].to_string().contains("eu-central-1"), "{estimate}");
    for (content, word) in [(Some("{}"), "as_of"), (None, "prices.json")] {
        match content {
            Some(content) => std::fs::write(shell.path("prices.json"), content).expect("written"),
            None => std::fs::remove_file(shell.path("prices.json")).expect("removed"),
        }
        let refused = shell.json(2, &["estimate", "--prices", "prices.json"]);
        assert!(refused["message"].to_string().contains(word), "{refused}");
    }
    let refused = shell.json(2, &["estimate", "--mongo-db", "nothing_there"]);
    assert!(refused["message"].to_string().contains("does not exist"), "{refused}");
    let refused = shell.json(2, &["estimate", "--mongo-db", "*"]);
    assert_eq!(refused["error_type"], "InvalidRequest");
}
