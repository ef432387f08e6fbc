//! A database of everything goes out and comes back: created, merged, replaced; and is compared with its archive.

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{BackupJob, BackupReport, ConsistencyDemand, RunStatus, backup};
use mongotar::failure::FailureKind;
use mongotar::plan::Action;
use mongotar::run::Memory;
use mongotar::verify::verify;
use serde_json::json;

use super::{Knows, shop};
use crate::fidelity::harness::{FORMS, assert_same, back_up_as, held, restore_whole, run, verified};
use crate::restore::Place;
use crate::rig::fresh_database_name;
use crate::support;

pub async fn comes_back_is_merged_and_replaced(place: &Place, knows: Knows) {
    shop::fill(place, knows).await;
    let (tools, client) = (&place.tools, &place.client);
    assert_eq!(tools.mongo.keeps_empty_timestamps(), knows.empty_timestamps);
    let before = held(client, tools, &place.database).await;
    let saved = support::back_up(tools, &place.database, &place.to).await;
    says_of_what_moment_it_is(&saved, knows);
    let demanding = BackupJob {
        consistency: ConsistencyDemand::Require,
        ..support::job(&place.database, &place.to)
    };
    // One collection is capped, and cannot be read at a snapshot anywhere.
    if knows.capped || !knows.snapshots {
        let refused = backup(&demanding, tools).await.expect_err("not all of one moment");
        assert_eq!(refused.kind, FailureKind::ConsistencyNotReached, "{refused}");
    }
    is_sound(place, &saved).await;

    let target = fresh_database_name("matrix");
    restore_whole(tools, &saved.archive, &target, json!({"force": true})).await;
    assert_same(&before, &held(client, tools, &target).await, "created");
    let compared = support::against(tools, &saved.archive.to_string(), &target).await;
    assert_eq!(compared.status, RunStatus::Complete, "{compared:#?}");

    for change in [
        doc! {"delete": "every type", "deletes": [{"q": {"_id": {"$lt": 3}}, "limit": 0}]},
        doc! {"update": "every type", "updates": [{"q": {"_id": 5}, "u": {"$set": {"changed": true}}}]},
        doc! {"dropIndexes": "indexed", "index": "compound"},
    ] {
        run(client, &target, change).await;
    }
    let report = restore_whole(tools, &saved.archive, &target, json!({"force": true})).await;
    let merged = verified(&report)
        .iter()
        .find(|collection| collection.name == "every type");
    assert_eq!(merged.map(|merged| merged.action), Some(Action::Merge));
    assert_same(&before, &held(client, tools, &target).await, "merged");

    for change in [
        doc! {"insert": "every type", "documents": [{"_id": "added"}]},
        doc! {"insert": "too many", "documents": [{"_id": 1}]},
        doc! {"drop": "plain"},
        doc! {"drop": "timestamps"},
    ] {
        run(client, &target, change).await;
    }
    if knows.views {
        run(
            client,
            &target,
            doc! {"create": "timestamps", "viewOn": "every type", "pipeline": []},
        )
        .await;
    }
    let archive = back_up_as(tools, &place.database, &place.to, FORMS[3]).await;
    let replaced = json!({"force": true, "replace_existing": true, "snapshot": true});
    let report = restore_whole(tools, &archive, &target, replaced).await;
    assert!(report.snapshot.is_some());
    assert_same(&before, &held(client, tools, &target).await, "replaced");
}

/// What cannot be read at a snapshot is named; where nothing can be, that is said.
fn says_of_what_moment_it_is(saved: &BackupReport, knows: Knows) {
    assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
    let consistency = &saved.consistency;
    match knows.snapshots {
        true => {
            let exceptions: Vec<&str> = consistency
                .exceptions
                .iter()
                .map(|one| one.collection.as_str())
                .collect();
            assert_eq!(
                (consistency.level, exceptions),
                (ConsistencyLevel::Mixed, vec!["capped"])
            );
            assert_eq!(consistency.unproven, None, "documents were inserted a moment ago");
        }
        false => {
            assert_eq!(
                (consistency.level, consistency.cluster_time),
                (ConsistencyLevel::None, None)
            );
            let reason = serde_json::to_string(consistency).expect("JSON");
            let known = ["snapshot reads need MongoDB 5.0, this is 4.4", "has no snapshot reads"];
            assert!(known.iter().any(|known| reason.contains(known)), "{reason}");
        }
    }
}

async fn is_sound(place: &Place, saved: &BackupReport) {
    let checked = verify(
        &place.tools.store,
        &saved.archive,
        Memory::default(),
        &place.tools.progress,
    )
    .await;
    let checked = checked.expect("it can be verified");
    assert_eq!(checked.status, RunStatus::Complete, "{:?}", checked.damaged);
}
