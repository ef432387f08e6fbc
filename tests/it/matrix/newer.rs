//! What servers newer than those of the matrix refuse or say, by relays before the rig's own; each with its source.

use bson::doc;
use mongotar::backup::{RunStatus, Tools};
use mongotar::failure::FailureKind;
use mongotar::run::Deadline;
use mongotar::store::Store;
use serde_json::json;
use std::time::Duration;

use super::pieces;
use crate::rig::{self, Passage, Wire, WireCommand};
use crate::support;

fn refused(code: i32, message: &str) -> Passage {
    Passage::Answered(doc! {"ok": 0.0, "code": code, "errmsg": message})
}

async fn through(decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static) -> (Wire, Tools) {
    let wire = Wire::start(rig::shared_replica_set().port(), decide);
    let store = Store::with_client(rig::shared_s3().client().await);
    let tools = support::tools_for(&wire.uri(), store).await;
    (wire, tools)
}

/// Since 9.0 a server may refuse to read whole collections (`maxEstimatedScanBytes`; by the server's own tests of it:
/// whatever has neither an index, nor a limit, nor the hint `$natural`, by code 291).
fn scans_only_when_told(command: &WireCommand) -> Passage {
    let has = |field: &str| command.body.contains_key(field);
    let of_one = |stage: &bson::Bson| {
        let stage = stage.as_document();
        stage.is_some_and(|stage| stage.contains_key("$limit") || stage.contains_key("$changeStream"))
    };
    let is_scan = match command.name.as_str() {
        "find" => !has("limit") && !format!("{:?}", command.body.get("filter")).contains("_id"),
        "aggregate" => !command
            .body
            .get_array("pipeline")
            .is_ok_and(|stages| stages.iter().any(of_one)),
        _ => false,
    };
    match is_scan && !has("hint") && !["admin", "config", "local"].contains(&command.database.as_str()) {
        true => refused(
            291,
            "the query needs an unbounded collection scan, which exceeds maxEstimatedScanBytes",
        ),
        false => Passage::Through,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_to_scan_is_told_to() {
    let client = rig::shared_replica_set().client().await;
    let name = rig::fresh_database_name("scans");
    let database = client.database(&name);
    let validator = doc! {"a": {"$exists": true}};
    for create in [
        doc! {"create": "capped", "capped": true, "size": 1 << 20},
        doc! {"create": "series", "timeseries": {"timeField": "t"}},
        doc! {"create": "validated", "validator": validator, "validationLevel": "moderate"},
    ] {
        database.run_command(create).await.expect("created");
    }
    let some = || {
        (0..20)
            .map(|n| doc! {"_id": n, "a": n, "t": bson::DateTime::from_millis(i64::from(n))})
            .collect()
    };
    for collection in ["capped", "series", "validated", "plain"] {
        support::insert(&client, &name, collection, some()).await;
    }
    support::insert_mebibytes(&client, &name, "large", 34).await;

    let (_wire, tools) = through(scans_only_when_told).await;
    let job = support::job(&name, &support::folder());
    let hurried = Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..tools.clone()
    };
    let divided = pieces::divided_backup(&job, &tools, &hurried).await;
    assert_eq!(
        (divided.status, divided.totals.documents),
        (RunStatus::Complete, 114),
        "{:?}",
        divided.failed
    );
    let saved = support::back_up(&tools, &name, &support::bucket().await).await;
    assert_eq!(
        (saved.status, saved.totals.documents),
        (RunStatus::Complete, 114),
        "{:?}",
        saved.failed
    );
    let target = rig::fresh_database_name("scans");
    for replace in [false, false, true] {
        let event = json!({"archive": saved.archive, "database": target, "replace_existing": replace, "force": true});
        let restored = support::restore(&tools, event).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
    }
    let compared = support::against(&tools, &saved.archive.to_string(), &target).await;
    assert_eq!(compared.status, RunStatus::Complete, "{compared:#?}");
}

/// Release notes of 8.3: `wildcardProjection` is checked more strictly (also 8.2.4, 8.0.18, 7.0.29), so an index that
/// lives may not be made again; and 2dsphere indexes are of version 4, which older servers do not build.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_made_again_is_named_before_the_first_change() {
    let client = rig::shared_replica_set().client().await;
    let name = rig::fresh_database_name("indexes");
    support::insert(&client, &name, "places", vec![doc! {"_id": 1, "a": 1}]).await;
    let indexes = vec![
        doc! {"key": {"$**": 1}, "name": "wild", "wildcardProjection": {"a": 0}},
        doc! {"key": {"at": "2dsphere"}, "name": "sphere"},
    ];
    let build = doc! {"createIndexes": "places", "indexes": indexes};
    client.database(&name).run_command(build).await.expect("built");
    let newest = |command: &WireCommand| {
        let text = format!("{:?}", command.body);
        match command.name.as_str() {
            "listIndexes" => Passage::InsteadAnd(
                command.body.clone(),
                Box::new(|reply| {
                    let cursor = reply.get_document_mut("cursor").ok();
                    let indexes = cursor.and_then(|cursor| cursor.get_array_mut("firstBatch").ok());
                    for index in indexes.into_iter().flatten().filter_map(bson::Bson::as_document_mut) {
                        if let Some(version) = index.get_mut("2dsphereIndexVersion") {
                            *version = 4.into();
                        }
                    }
                }),
            ),
            "createIndexes" if text.contains("wildcardProjection") => {
                refused(67, "the wildcardProjection does not meet the rules")
            }
            _ => Passage::Through,
        }
    };
    let (_wire, tools) = through(newest).await;
    let saved = support::back_up(&tools, &name, &support::bucket().await).await;
    let target = rig::fresh_database_name("indexes");
    for (excluded, told) in [
        (
            vec!["places.sphere"],
            ["\"wild\"", "the wildcardProjection does not meet the rules"],
        ),
        (vec!["places.wild"], ["\"sphere\"", "2dsphereIndexVersion"]),
    ] {
        let event = json!({"archive": saved.archive, "database": target, "exclude_indexes": excluded});
        let refused = support::restore(&tools, event).await.expect_err("it cannot be built");
        assert_eq!(refused.kind, FailureKind::PlanConflicts, "{refused}");
        assert!(told.iter().all(|told| refused.message.contains(told)), "{refused}");
        let there = client.database(&target).list_collection_names().await.expect("names");
        assert_eq!(there, Vec::<String>::new(), "nothing was done");
    }
    let event = json!({"archive": saved.archive, "database": target, "exclude_indexes": ["places.*"]});
    let restored = support::restore(&tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
}
