//! The restore function: a plan, its token, a report with verification.

use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, names, refusal, shop, text};
use crate::{rig, support};

#[tokio::test]
async fn a_dry_run_then_its_confirm_restores_and_proves_it() {
    let shop = shop().await;
    let archive = shop.archive().await;
    shop.insert("orders", 7..9).await;
    shop.insert("extra", 0..1).await;
    let tools = support::tools().await;
    let before = support::raw_database(&shop.client, &tools, &shop.database).await;
    let function = shop.function(RESTORE, &[]);

    let plan = answer(
        &function,
        json!({"archive": archive, "replace_existing": true, "dry_run": true}),
    )
    .await;
    assert_eq!(plan["status"], "planned");
    assert_eq!(plan["plan"]["to_drop"], json!(["extra"]));
    assert_eq!(plan["plan"]["to_restore"], json!(["orders", "users"]));
    assert_eq!((&plan["verification"], &plan["snapshot"]), (&Value::Null, &Value::Null));
    assert_eq!(
        support::raw_database(&shop.client, &tools, &shop.database).await,
        before
    );
    assert_eq!(
        support::visible(&tools.store, &shop.folder).await.len(),
        2,
        "no snapshot either"
    );

    let event = json!({"archive": archive, "replace_existing": true, "confirm": plan["confirm"]});
    let report = answer(&function, event.clone()).await;
    assert_eq!(report["status"], "complete");
    assert_eq!(report["verification"]["equal"], true);
    assert!(
        text(&plan["summary"]).starts_with("planned, and nothing changed")
            && text(&report["summary"]).contains("is restored and proven equal"),
        "{} {}",
        plan["summary"],
        report["summary"]
    );
    for verified in report["verification"]["collections"].as_array().expect("a list") {
        assert_eq!(verified["equal"], true, "{verified}");
        assert_eq!(verified["file_count"], verified["db_count"]);
        assert_eq!(verified["digest_archive"], verified["digest_database"]);
    }
    assert_eq!(shop.collections().await, ["orders", "users"]);
    assert_eq!(shop.count(&shop.database, "orders").await, 3);

    // The event for the way back is ready-made; consent is still its reader's to give.
    let mut undo = report["snapshot"]["undo"].clone();
    assert_eq!(refusal(&function, undo.clone()).await.error_type, "ConsentMissing");
    undo["yes"] = json!(true);
    assert_eq!(answer(&function, undo).await["status"], "complete");
    assert_eq!(
        support::raw_database(&shop.client, &tools, &shop.database).await,
        before
    );
}

#[tokio::test]
async fn a_token_whose_target_has_changed_is_refused_and_nothing_changes() {
    let shop = shop().await;
    let archive = shop.archive().await;
    let function = shop.function(RESTORE, &[]);
    let plan = answer(&function, json!({"archive": archive, "dry_run": true})).await;
    shop.insert("since", 0..1).await;
    let error = refusal(&function, json!({"archive": archive, "confirm": plan["confirm"]})).await;
    assert_eq!(error.error_type, "ConsentStale");
    assert!(
        error.error_message.contains("nothing was changed")
            && error.error_message.contains("the target's collections have changed"),
        "{error}"
    );
    assert_eq!(shop.collections().await, ["orders", "since", "users"]);
}

#[tokio::test]
async fn an_event_says_which_archive_what_of_it_and_where_to() {
    let shop = shop().await;
    let older = shop.archive().await;
    shop.insert("orders", 3..4).await;
    let newer = shop.archive().await;
    let function = shop.function(RESTORE, &[]);
    let folder = shop.folder.to_string();
    for (archive, more, found, expected, orders) in [
        (json!(older), json!({"include": ["orders"]}), &older, &["orders"][..], 3),
        (
            json!({"latest": folder}),
            json!({"exclude": ["users"]}),
            &newer,
            &["orders"],
            4,
        ),
        (
            json!({"latest": folder}),
            json!({"rename": ["users=people"], "batch_size": 1, "verify_sample_size": 1}),
            &newer,
            &["orders", "people"],
            4,
        ),
    ] {
        let target = rig::fresh_database_name("handlers");
        let mut event = json!({"archive": archive, "database": target, "yes": true, "snapshot": false});
        for (field, value) in more.as_object().expect("fields") {
            event[field] = value.clone();
        }
        let report = answer(&function, event).await;
        assert_eq!(
            (&report["status"], &report["archive"]),
            (&json!("complete"), &json!(found))
        );
        assert_eq!(report["database"], json!(target));
        assert_eq!(shop.collections_of(&target).await, expected);
        assert_eq!(shop.count(&target, "orders").await, orders);
    }
}

#[tokio::test]
async fn a_restore_of_a_partial_archive_is_partial() {
    let (uri, database) = support::half_readable().await;
    let shop = shop().await;
    let function = shop.function(BACKUP, &[("MONGO_URI", &uri), ("MONGO_DB", &database)]);
    let archive = text(&answer(&function, json!({})).await["archive"]);
    let target = rig::fresh_database_name("handlers");
    let event = json!({"archive": archive, "database": target, "yes": true});
    let report = answer(&shop.function(RESTORE, &[]), event).await;
    assert_eq!(report["status"], "partial");
    assert_eq!(names(&report["verification"]["collections"]), ["open"]);
    assert_eq!(report["plan"]["status"], "partial", "the plan had said it");
}
