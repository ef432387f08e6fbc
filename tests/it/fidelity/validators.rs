//! FIELD 3, case 12: documents that are older than the validator they would fail today.

use bson::{Bson, doc};
use serde_json::json;

use super::harness::{FORMS, assert_same, back_up_as, held, of, restore_whole, restore_with, run};
use crate::{rig, support};
use mongotar::backup::RunStatus;

/// Collections whose validators came after some of their documents.
pub async fn build(client: &mongodb::Client, database: &str) {
    let documents: Vec<Bson> = (1..=30)
        .map(|n| match n % 10 {
            0 => doc! {"_id": n, "qty": "many"}.into(),
            _ => doc! {"_id": n, "qty": n}.into(),
        })
        .collect();
    let schema = doc! {"$jsonSchema": {"bsonType": "object", "required": ["qty"], "properties": {"qty": {"bsonType": "int", "minimum": 1}}}};
    for (collection, settings) in [
        ("strict", doc! {"validator": &schema}),
        (
            "moderate",
            doc! {"validator": &schema, "validationLevel": "moderate", "validationAction": "error"},
        ),
        ("warned", doc! {"validator": &schema, "validationAction": "warn"}),
        ("off", doc! {"validator": &schema, "validationLevel": "off"}),
        (
            "by expression",
            doc! {"validator": {"$expr": {"$eq": [{"$type": "$qty"}, "int"]}, "_id": {"$gt": 0.5}}},
        ),
    ] {
        run(
            client,
            database,
            doc! {"insert": collection, "documents": documents.clone()},
        )
        .await;
        let mut modify = doc! {"collMod": collection};
        modify.extend(settings);
        run(client, database, modify).await;
    }
}

const ALL: [&str; 5] = ["strict", "moderate", "warned", "off", "by expression"];

#[tokio::test(flavor = "multi_thread")]
async fn force_puts_old_documents_past_the_validator_and_counts_them() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &source).await;
    let before = held(&client, &tools, &source).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    for replace in [false, false, true] {
        // The second is a merge, in which it is the target's validator that counts.
        let report = restore_whole(
            &tools,
            &archive,
            &target,
            json!({"force": true, "replace_existing": replace}),
        )
        .await;
        for name in ALL {
            let collection = of(&report, name);
            assert_eq!(
                (collection.rejected, collection.validator_violations),
                (0, Some(3)),
                "{name}"
            );
        }
        assert_same(&before, &held(&client, &tools, &target).await, "forced");
    }
    // The validator is on again.
    let refused = run(&client, &target, doc! {"insert": "strict", "documents": [{"_id": 99}]}).await;
    assert!(refused.contains_key("writeErrors"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_force_the_validator_rules_and_every_refused_document_is_named() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &source).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    let report = restore_with(&tools, &archive, &target, json!({})).await;
    assert_eq!(report.status, RunStatus::Partial);
    for name in ["strict", "moderate", "by expression"] {
        let collection = of(&report, name);
        assert!(!collection.equal, "{name}");
        assert_eq!(
            (collection.inserted, collection.rejected, collection.db_count),
            (27, 3, 27),
            "{name}"
        );
        let mut named: Vec<_> = collection
            .rejections
            .iter()
            .map(|refused| (refused.id.as_str(), refused.code))
            .collect();
        named.sort_unstable();
        let id = |n: &str| format!(r#"{{"_id":{{"$numberInt":"{n}"}}}}"#);
        let expected = [id("10"), id("20"), id("30")];
        assert_eq!(named, expected.each_ref().map(|id| (id.as_str(), 121)), "{name}");
    }
    for name in ["warned", "off"] {
        let collection = of(&report, name);
        assert!(collection.equal, "{name}: {:?}", collection.error);
        assert_eq!(collection.validator_violations, Some(3), "{name}");
    }
}

/// What the validator refuses must not cost what was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_the_validator_cuts_short_leaves_the_old_collection_whole() {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    build(&client, &source).await;
    run(
        &client,
        &target,
        doc! {"insert": "strict", "documents": [{"_id": "old"}]},
    )
    .await;
    let before = held(&client, &tools, &target).await;
    let archive = back_up_as(&tools, &source, &support::folder(), FORMS[2]).await;
    let report = restore_with(
        &tools,
        &archive,
        &target,
        json!({"replace_existing": true, "include": ["strict"]}),
    )
    .await;
    assert_ne!(report.status, RunStatus::Complete);
    assert_eq!(of(&report, "strict").rejected, 3);
    assert_same(&before, &held(&client, &tools, &target).await, "kept");
}
