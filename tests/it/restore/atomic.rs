//! A failure at any command whatsoever: before the commit it leaves the target as it was to the byte, in the commit the
//! report says exactly what was changed.

use bson::{DateTime, doc};
use mongotar::backup::RunStatus;
use mongotar::failure::{Failure, FailureKind};
use mongotar::restore::{Changed, RestoreReport, carry_out, prepare};
use serde_json::json;

use super::failpoints::Failing;
use super::{State, data, job_of, numbered, of};
use crate::{rig, support};

/// OperationFailed: an answer that is no reason to try again.
const REFUSED: i32 = 96;
/// How many collections the rehearsal creates: one for those that are defined alike and replaced, one for the same but
/// new, the time series, the view.
const REHEARSED: i32 = 4;
/// How many of them get indexes.
const REHEARSED_INDEXES: i32 = 2;

/// A server with a target that an archive would change in every way, and the archive.
pub async fn prepared() -> (Failing, String) {
    let failing = Failing::start().await;
    let place = &failing.place;
    let index = |name: &str| doc! {"createIndexes": name, "indexes": [{"key": {"text": 1}, "name": "by_text"}]};
    for name in ["a", "b", "gone"] {
        place
            .run(doc! {"create": name, "validator": {"text": "archived"}})
            .await;
        place.insert(name, numbered(0..5, "archived")).await;
        place.run(index(name)).await;
    }
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts"}})
        .await;
    let measured = |n: i64| vec![doc! {"_id": n, "ts": DateTime::from_millis(n)}];
    place.insert("series", measured(1000)).await;
    place
        .run(doc! {"create": "view", "viewOn": "a", "pipeline": [{"$match": {"_id": 1}}]})
        .await;
    let archive = place.archive().await;
    fill_target(&failing).await;
    (failing, archive)
}

/// Makes the target what it is to be before each restore.
pub async fn fill_target(failing: &Failing) {
    let place = &failing.place;
    place.db().drop().await.expect("dropped");
    for name in ["a", "b", "extra"] {
        place.insert(name, numbered(3..9, "newer")).await;
    }
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts"}})
        .await;
    place
        .insert("series", vec![doc! {"_id": 9, "ts": DateTime::from_millis(9000)}])
        .await;
    place
        .run(doc! {"create": "view", "viewOn": "b", "pipeline": [{"$match": {"_id": 3}}]})
        .await;
}

async fn restore(failing: &Failing, archive: &str) -> Result<RestoreReport, Failure> {
    // A folder for each, since two archives of one folder are at least a second apart.
    let folder = failing.place.to.join(&rig::unique_name("undo")).to_string();
    let job = job_of(
        json!({"archive": archive, "database": failing.place.database, "replace_existing": true, "snapshot_to": folder}),
    );
    let prepared = prepare(&job, &failing.tools).await?;
    carry_out(prepared, &job, &failing.tools).await
}

/// What a target would be without any failure.
async fn wanted(failing: &Failing, archive: &str) -> State {
    let report = restore(failing, archive).await.expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert!(failing.place.internals().await.is_empty());
    let wanted = failing.place.state().await;
    fill_target(failing).await;
    wanted
}

fn has_changed(name: &str, (before, defined_before): &State, (now, defined_now): &State) -> bool {
    let definition = |all: &[String]| all.iter().find(|one| one.starts_with(&format!("{name} "))).cloned();
    // What a view shows is in other collections.
    let shows_others = name == "view";
    (!shows_others && before.get(name) != now.get(name)) || definition(defined_before) != definition(defined_now)
}

/// Fails every single command of a restore in turn, from the first survey to the last look.
#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_command_fails_the_target_is_what_it_was_or_the_report_says_what_it_is() {
    let (failing, archive) = prepared().await;
    let wanted = wanted(&failing, &archive).await;
    let before = failing.place.state().await;
    for command in [
        "listCollections",
        "listIndexes",
        "findAndModify",
        "find",
        "create",
        "insert",
        "createIndexes",
        "aggregate",
        "renameCollection",
        "drop",
        "update",
    ] {
        for skip in (0..).step_by(if support::all_is_tried() { 1 } else { 4 }) {
            let place = format!("{command} after {skip}");
            failing
                .arm(doc! {"skip": skip}, command, doc! {"errorCode": REFUSED})
                .await;
            let restored = restore(&failing, &archive).await;
            if failing.disarm().await == 0 || skip > 60 {
                assert!(skip <= 60, "{place}: the restore never gets by");
                fill_target(&failing).await;
                break;
            }
            let now = data(failing.place.state().await);
            match restored {
                Err(failure) => assert_eq!(now, before, "{place}: {failure}"),
                Ok(report) => check(&place, &report, (&before, &now, &wanted)),
            }
            // What could not be removed because of the failure, and the lock with it.
            for left in failing.place.internals().await {
                failing.place.run(doc! {"drop": left}).await;
            }
            if now != before {
                fill_target(&failing).await;
            }
        }
    }
}

fn check(place: &str, report: &RestoreReport, (before, now, wanted): (&State, &State, &State)) {
    let verification = report.verification.as_ref().expect("a restore verifies");
    match report.status {
        RunStatus::Failed => assert_eq!(now, before, "{place}: {verification:?}"),
        RunStatus::Complete => assert_eq!(now, wanted, "{place}: it is not what it says"),
        _ => assert!(
            report.snapshot.as_ref().is_some_and(|snapshot| snapshot.verified),
            "{place}"
        ),
    }
    for collection in &verification.collections {
        let name = &collection.name;
        match collection.changed {
            Changed::No => assert!(!has_changed(name, before, now), "{place}: {name} has changed"),
            Changed::Yes => assert!(has_changed(name, before, now), "{place}: {name} has not changed"),
            Changed::Unknown => assert!(collection.error.is_some(), "{place}: {collection:?}"),
        }
    }
}

/// The same with what the steps before the commit are known to be, lest the test above runs past them.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_commit_changes_nothing_and_says_so() {
    let (failing, archive) = prepared().await;
    let before = failing.place.state().await;
    for (command, skip, kind) in [
        ("listCollections", 0, Some(FailureKind::Database)), // the survey
        ("findAndModify", 0, Some(FailureKind::Database)),   // the lock
        ("listCollections", 1, Some(FailureKind::Database)), // the second look, under the lock
        ("listCollections", 2, Some(FailureKind::SnapshotFailed)), // the way back
        ("find", 0, Some(FailureKind::SnapshotFailed)),
        ("create", 0, Some(FailureKind::PlanConflicts)), // the rehearsal
        ("create", REHEARSED, None),
        ("create", REHEARSED + 1, None),
        ("insert", 0, None),
        ("insert", 2, None),
        ("aggregate", 0, None),        // validator violations
        ("findAndModify", 1, None),    // the last look at the lock
        ("renameCollection", 0, None), // the first change
    ] {
        failing
            .arm(doc! {"skip": skip}, command, doc! {"errorCode": REFUSED})
            .await;
        let restored = restore(&failing, &archive).await;
        assert!(failing.disarm().await > 0, "{command} after {skip} was never sent");
        match (restored, kind) {
            (Err(failure), Some(kind)) => assert_eq!(failure.kind, kind, "{command} after {skip}: {failure}"),
            (Ok(report), None) => {
                assert_eq!(report.status, RunStatus::Failed, "{command} after {skip}");
                let verification = report.verification.expect("a restore verifies");
                assert!(
                    verification
                        .collections
                        .iter()
                        .all(|one| one.changed == Changed::No && one.error.is_some()),
                    "{command} after {skip}: {verification:?}"
                );
            }
            (restored, _) => panic!("{command} after {skip}: {restored:?}"),
        }
        assert_eq!(data(failing.place.state().await), before, "{command} after {skip}");
        for left in failing.place.internals().await {
            failing.place.run(doc! {"drop": left}).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_at_an_index_or_a_rename_is_no_failure() {
    let (failing, archive) = prepared().await;
    let wanted = wanted(&failing, &archive).await;
    for command in ["createIndexes", "renameCollection"] {
        failing
            .arm(doc! {"times": 2}, command, doc! {"closeConnection": true})
            .await;
        let report = restore(&failing, &archive).await.expect("a report");
        assert_eq!(failing.disarm().await, 2, "{command}");
        assert_eq!(
            report.status,
            RunStatus::Complete,
            "{command}: {:?}",
            report.verification
        );
        assert_eq!(failing.place.state().await, wanted, "{command}");
        fill_target(&failing).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_fails_after_others_is_told_exactly_and_can_be_undone() {
    let (failing, archive) = prepared().await;
    let before = failing.place.state().await;
    failing
        .arm(doc! {"skip": 1}, "renameCollection", doc! {"errorCode": REFUSED})
        .await;
    let report = restore(&failing, &archive).await.expect("a report");
    assert!(failing.disarm().await > 0);
    assert_eq!(report.status, RunStatus::Partial);
    let told: Vec<(&str, Changed)> = ["a", "b", "gone", "extra", "series", "view"]
        .map(|name| (name, of(&report, name).changed))
        .into();
    let (yes, no) = (Changed::Yes, Changed::No);
    assert_eq!(
        told,
        [
            ("a", yes),
            ("b", no),
            ("gone", no),
            ("extra", no),
            ("series", yes),
            ("view", yes)
        ]
    );
    assert!(
        of(&report, "b")
            .error
            .as_deref()
            .is_some_and(|error| error.contains("renaming"))
    );
    assert!(failing.place.internals().await.is_empty(), "nothing is left beside");

    let snapshot = report.snapshot.expect("a way back");
    let undone = support::restore(&failing.place.tools, snapshot.undo)
        .await
        .expect("a report");
    assert_eq!(undone.status, RunStatus::Complete, "{:?}", undone.verification);
    assert_eq!(failing.place.state().await, before);
}

/// A refused index once let the collection with less take the place of the one with more.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_whose_index_cannot_be_built_replaces_nothing() {
    let (failing, archive) = prepared().await;
    let before = failing.place.state().await;
    failing
        .arm(
            doc! {"skip": REHEARSED_INDEXES},
            "createIndexes",
            doc! {"errorCode": REFUSED},
        )
        .await;
    let report = restore(&failing, &archive).await.expect("a report");
    assert!(failing.disarm().await > 0);
    assert_eq!(report.status, RunStatus::Partial);
    let now = failing.place.state().await;
    for name in ["a", "b"] {
        let kept = of(&report, name);
        assert!(
            kept.error
                .as_deref()
                .is_some_and(|error| error.contains("by_text") && error.contains("has been kept")),
            "{kept:?}"
        );
        assert!(kept.changed == Changed::No && !has_changed(name, &before, &now));
    }
    assert!(
        of(&report, "extra").changed == Changed::No,
        "nothing is dropped when anything went wrong"
    );
}

/// What had the name is gone by then: to clean up what was loaded would leave nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_renamed_after_a_drop_is_kept_under_its_temporary_name() {
    let failing = Failing::start().await;
    let place = &failing.place;
    place.insert("c", numbered(0..5, "archived")).await;
    let archived = support::raw_documents(&place.client, &place.database, "c").await;
    let archive = place.archive().await;
    place.run(doc! {"drop": "c"}).await;
    place.run(doc! {"create": "c", "timeseries": {"timeField": "ts"}}).await;
    place.insert("c", vec![doc! {"ts": DateTime::from_millis(9000)}]).await;
    let before = place.state().await;
    failing
        .arm(doc! {"skip": 0}, "renameCollection", doc! {"errorCode": REFUSED})
        .await;
    let report = restore(&failing, &archive).await.expect("a report");
    assert!(failing.disarm().await > 0);
    assert_eq!(report.status, RunStatus::Partial);
    let c = of(&report, "c");
    let kept = place.internals().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(
        c.changed == Changed::Yes && c.error.as_deref().is_some_and(|error| error.contains(&kept[0])),
        "{c:?}"
    );
    assert_eq!(
        support::raw_documents(&place.client, &place.database, &kept[0]).await,
        archived
    );
    let undo = report.snapshot.expect("a way back").undo;
    let undone = support::restore(&place.tools, undo).await.expect("a report");
    assert_eq!(undone.status, RunStatus::Complete, "{:?}", undone.verification);
    assert_eq!(place.state().await, before);
}
