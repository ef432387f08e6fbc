//! A restore in many invocations: each does as little as it may, and what comes of them is what one comes to.

use std::sync::{Mutex, PoisonError, mpsc};

use bson::{Bson, DateTime, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::restore::{RestoreReport, RestoreRequest, restore_run};
use mongotar::run::{Answer, Deadline, Run};
use mongotar::store::Store;
use serde_json::{Value, json};

use super::{hurried, in_progress, run, to_its_end};
use crate::restore::{Place, numbered, of, place, place_in_bucket};
use crate::rig::{Passage, Wire, WireCommand};
use crate::{rig, support};

async fn part(tools: &Tools, event: Value, run: &Run) -> Result<Answer<RestoreReport>, Failure> {
    let job = RestoreRequest::from_event(event)?.into_job(&Environment::default())?;
    restore_run(&job, run, tools).await
}

/// Everything that has a way of its own.
pub async fn fill(place: &Place) {
    support::insert_mebibytes(&place.client, &place.database, "large", 8).await;
    for name in ["a", "b", "c"] {
        place.insert(name, numbered(0..50, "archived")).await;
    }
    let indexes = doc! {"createIndexes": "a", "indexes": [
        {"key": {"text": 1}, "name": "by_text"},
        {"key": {"until": 1}, "name": "ttl", "expireAfterSeconds": 1_000_000_000},
    ]};
    place.run(indexes).await;
    place
        .run(doc! {"create": "ring", "capped": true, "size": 15 << 20, "max": 1_000})
        .await;
    support::insert_mebibytes(&place.client, &place.database, "ring", 3).await;
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts", "metaField": "meta"}})
        .await;
    for n in 0..40 {
        let measured = doc! {
            "ts": DateTime::from_millis(1_000 * n), "meta": {"sensor": n % 7}, "v": Bson::Double(0.5),
            "noise": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: support::incompressible(n.unsigned_abs(), 100 << 10) },
        };
        place.insert("series", vec![measured]).await;
    }
    place
        .run(doc! {"create": "some", "viewOn": "a", "pipeline": [{"$match": {"_id": {"$lt": 9}}}]})
        .await;
    place
        .run(doc! {"create": "fewer", "viewOn": "some", "pipeline": [{"$match": {"_id": {"$lt": 5}}}]})
        .await;
}

/// Makes of the database something else.
pub async fn change(place: &Place) {
    place.db().drop().await.expect("dropped");
    place.insert("a", numbered(30..60, "newer")).await;
    place.insert("extra", numbered(0..5, "extra")).await;
    support::insert_mebibytes(&place.client, &place.database, "ring", 2).await;
    place
        .run(doc! {"create": "series", "timeseries": {"timeField": "ts"}})
        .await;
    place
        .insert("series", vec![doc! {"ts": DateTime::from_millis(9), "newer": true}])
        .await;
    place
        .run(doc! {"create": "fewer", "viewOn": "extra", "pipeline": []})
        .await;
}

/// An archive of all that, and a target that is to become it again.
async fn prepared(place: Place) -> (Place, Value, crate::restore::State) {
    fill(&place).await;
    let wanted = place.state().await;
    let archive = place.archive().await;
    change(&place).await;
    let event = json!({"archive": archive, "database": place.database, "replace_existing": true});
    (place, event, wanted)
}

fn with(event: &Value, more: Value) -> Value {
    let mut event = event.clone();
    for (field, value) in more.as_object().expect("fields") {
        event[field] = value.clone();
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn many_invocations_restore_what_one_does_and_consent_is_asked_for_once() {
    let (place, event, wanted) = prepared(place_in_bucket().await).await;
    let (tools, this) = (hurried().await, run());
    let refused = part(&tools, event.clone(), &this).await.expect_err("no consent");
    assert_eq!(refused.kind, FailureKind::ConsentMissing);
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());

    let plan = support::restore(&tools, with(&event, json!({"dry_run": true})))
        .await
        .expect("a plan");
    let event = with(&event, json!({"confirm": plan.confirm}));
    let (report, before) = to_its_end(async || part(&tools, event.clone(), &this).await)
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert!(before > 10, "{before}");
    assert_eq!(
        place.state().await,
        wanted,
        "neither the lock nor anything beside is left"
    );
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());
    assert_eq!(of(&report, "large").inserted, 8);
    assert_eq!(of(&report, "series").inserted, 40);

    place.insert("since", numbered(0..1, "since")).await;
    let again = part(&tools, event.clone(), &this).await.expect("an answer");
    let Answer::Finished(again) = again else {
        panic!("{again:?}")
    };
    assert_eq!(json!(again), json!(report));
    assert_eq!(
        support::raw_documents(&place.client, &place.database, "since")
            .await
            .len(),
        1,
        "nothing was done again"
    );
    let other = with(&event, json!({"keep_extra": true}));
    let refused = part(&tools, other, &this).await.expect_err("another request");
    assert_eq!(refused.kind, FailureKind::InvalidRequest, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_merge_counts_does_not_depend_on_how_often_it_was_continued() {
    let place = place().await;
    support::insert_mebibytes(&place.client, &place.database, "large", 12).await;
    let archive = place.archive().await;
    let large = place.db().collection::<bson::Document>("large");
    let event = json!({"archive": archive, "database": place.database, "yes": true, "snapshot": false});
    let mut verified = Vec::new();
    for tools in [support::tools().await, hurried().await] {
        large.delete_many(doc! {"_id": {"$lt": 5}}).await.expect("gone");
        large
            .update_many(doc! {"_id": {"$gt": 9}}, doc! {"$set": {"more": 1}})
            .await
            .expect("changed");
        let this = run();
        let (report, before) = to_its_end(async || part(&tools, event.clone(), &this).await)
            .await
            .expect("a report");
        assert_eq!(before > 3, tools.deadline.is_near(), "{before}");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        verified.push(json!(report.verification));
    }
    assert_eq!(verified[0], verified[1]);
    assert_eq!(verified[0]["collections"][0]["inserted"], 5);
}

/// It was asked whether it is time to pause between segments only: fifty thousand documents that are replaced one by
/// one, which takes a minute, and a function is killed. What it had done was then counted as unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_pauses_within_a_segment_and_counts_each_document_once() {
    const DOCUMENTS: i32 = 3_000;
    let place = place().await;
    place.insert("c", numbered(0..DOCUMENTS, "archived")).await;
    let archive = place.archive().await;
    let c = place.db().collection::<bson::Document>("c");
    c.update_many(doc! {}, doc! {"$set": {"more": 1}})
        .await
        .expect("changed");
    place
        .insert("c", numbered(DOCUMENTS..DOCUMENTS + 5, "the target's own"))
        .await;
    let event = json!({"archive": archive, "database": place.database, "yes": true, "snapshot": false});
    let (hurried, this) = (hurried().await, run());
    let mut before = 0;
    loop {
        let there = c
            .count_documents(doc! {"more": {"$exists": false}})
            .await
            .expect("a count");
        let replaced = i32::try_from(there).expect("few") - 5;
        assert!(
            (before..before + 1_000).contains(&replaced),
            "{before} and then {replaced}"
        );
        if replaced > 200 {
            break;
        }
        before = replaced;
        let answer = part(&hurried, event.clone(), &this).await.expect("an answer");
        assert_eq!(answer.status(), RunStatus::Continue);
    }
    let unhurried = support::tools().await;
    let (report, _) = to_its_end(async || part(&unhurried, event.clone(), &this).await)
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let merged = of(&report, "c").merged.expect("a merge");
    assert_eq!(
        (merged.replaced, merged.unchanged),
        (u64::from(DOCUMENTS.unsigned_abs()), 0)
    );
}

/// What took longer to be read back than an invocation has was begun anew in each, and the run never came to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_read_back_in_as_many_invocations_as_it_takes() {
    let place = place().await;
    support::insert_mebibytes(&place.client, &place.database, "large", 16).await;
    let archive = place.archive().await;
    let event = json!({"archive": archive, "database": place.database, "yes": true, "snapshot": false});
    let hurried = hurried().await;
    for action in ["replace", "merge", "merge into more"] {
        if action == "merge into more" {
            place.insert("large", numbered(100..103, "the target's own")).await;
        }
        let event = with(&event, json!({"replace_existing": action == "replace"}));
        let this = run();
        let mut readings = Vec::new();
        let report = loop {
            let tools = Tools {
                progress: std::sync::Arc::default(),
                ..hurried.clone()
            };
            let answer = part(&tools, event.clone(), &this).await.expect("an answer");
            readings.push(tools.progress.now().2.starts_with("reading large back"));
            match answer {
                Answer::Finished(report) => break report,
                Answer::Unfinished(_) => assert!(readings.len() < 200, "it never comes to its end"),
            }
        };
        assert_eq!(
            report.status,
            RunStatus::Complete,
            "{action}: {:?}",
            report.verification
        );
        assert_eq!(of(&report, "large").db_count, 16, "{action}");
        let readings = readings.into_iter().filter(|reading| *reading).count();
        assert!(readings > 5, "{action}: {readings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_restores_between_two_invocations_and_two_of_one_run_exclude_each_other() {
    let (place, event, wanted) = prepared(place().await).await;
    let event = with(&event, json!({"yes": true, "snapshot": false}));
    let (tools, this) = (hurried().await, run());
    // Until documents are in.
    while !place.names().await.iter().any(|name| name.starts_with("mongotar.tmp.")) {
        let answer = part(&tools, event.clone(), &this).await.expect("an answer");
        assert_eq!(answer.status(), RunStatus::Continue);
    }
    // A wrong event ended the run that a right one had begun: its state went, and the documents that were in.
    for (wrong, kind) in [
        (json!({"keep_extra": true}), FailureKind::InvalidRequest),
        (json!({"yes": false}), FailureKind::ConsentMissing),
    ] {
        let refused = part(&tools, with(&event, wrong), &this).await.expect_err("wrong");
        assert_eq!(refused.kind, kind, "{refused}");
    }
    assert!(!in_progress(&tools, &place.to, &this).await.is_empty());
    let beside = place.internals().await;
    let refused = support::restore(&tools, event.clone())
        .await
        .expect_err("one is paused");
    assert_eq!(refused.kind, FailureKind::RestoreRunning, "{refused}");
    let other = part(&tools, event.clone(), &run()).await.expect_err("one is paused");
    assert_eq!(other.kind, FailureKind::RestoreRunning, "{other}");
    assert_eq!(place.internals().await, beside, "nothing of the paused one was touched");
    let locks = place.db().collection::<bson::Document>("mongotar.lock");
    let lock = locks
        .find_one(doc! {"_id": "restore"})
        .await
        .expect("an answer")
        .expect("a lock");
    let left = lock.get_datetime("expiresAt").expect("a time").timestamp_millis() - DateTime::now().timestamp_millis();
    assert!(left > 10 * 60_000, "{left} ms are left");

    let unhurried = support::tools().await;
    let (one, two) = tokio::join!(
        part(&unhurried, event.clone(), &this),
        part(&unhurried, event.clone(), &this)
    );
    let mut statuses = [one, two].map(|answer| answer.expect("an answer").status());
    statuses.sort_unstable_by_key(|status| *status != RunStatus::Complete);
    assert_eq!(statuses, [RunStatus::Complete, RunStatus::Running]);
    assert_eq!(place.state().await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_changes_before_anything_was_loaded_is_not_restored_over() {
    let (place, event, _) = prepared(place().await).await;
    let event = with(&event, json!({"yes": true}));
    let (tools, this) = (hurried().await, run());
    let answer = part(&tools, event.clone(), &this).await.expect("an answer");
    assert_eq!(answer.status(), RunStatus::Continue, "the snapshot is not whole");
    place.insert("since", numbered(0..1, "since")).await;
    let before = crate::restore::data(place.state().await);
    let refused = part(&tools, event, &this).await.expect_err("it has changed");
    assert_eq!(refused.kind, FailureKind::ConsentStale, "{refused}");
    assert_eq!(place.state().await, before, "and the lock is free");
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lock_another_restore_has_had_meanwhile_says_so_and_changes_nothing() {
    let (place, event, wanted) = prepared(place().await).await;
    let event = with(&event, json!({"yes": true, "snapshot": false}));
    let (tools, this) = (hurried().await, run());
    while !place.names().await.iter().any(|name| name.starts_with("mongotar.tmp.")) {
        part(&tools, event.clone(), &this).await.expect("an answer");
    }
    place.let_the_lease_run_out().await;
    let other = support::restore(&tools, event.clone()).await.expect("it takes over");
    assert_eq!(other.status, RunStatus::Complete);
    assert_eq!(place.state().await, wanted);
    let refused = part(&tools, event, &this).await.expect_err("its lock is gone");
    assert_eq!(refused.kind, FailureKind::RestoreRunning, "{refused}");
    assert!(refused.message.contains("nothing had been changed"), "{refused}");
    assert_eq!(place.state().await, wanted);
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_replaced_meanwhile_is_not_gone_on_with() {
    let (place, event, _) = prepared(place().await).await;
    let scratch = crate::rig::ScratchDir::new("replaced");
    let local = mongotar::store::Location::Local(scratch.path().to_owned());
    let archive = support::back_up(&place.tools, &place.database, &local)
        .await
        .archive
        .to_string();
    let event = with(&event, json!({"archive": archive, "yes": true, "snapshot": false}));
    let (tools, this) = (hurried().await, run());
    while !place.names().await.iter().any(|name| name.starts_with("mongotar.tmp.")) {
        part(&tools, event.clone(), &this).await.expect("an answer");
    }
    let before = crate::restore::data(place.state().await);
    let mut bytes = std::fs::read(&archive).expect("the archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, &bytes).expect("another one");
    let refused = part(&tools, event.clone(), &this).await.expect_err("it is another one");
    assert_eq!(refused.kind, FailureKind::ConsentStale, "{refused}");
    assert!(in_progress(&tools, &local, &this).await.is_empty());
    assert_eq!(crate::restore::data(place.state().await), before);
    // Nobody else has to wait. What is damaged is found, and nothing is left beside.
    let (failed, _) = to_its_end(async || {
        part(
            &tools,
            event.clone(),
            &Run {
                id: format!("{}/2", this.id),
                ..this.clone()
            },
        )
        .await
    })
    .await
    .expect("a report");
    assert_eq!(failed.status, RunStatus::Failed, "{:?}", failed.verification);
    assert_eq!(crate::restore::data(place.state().await), before);
    assert!(place.internals().await.is_empty(), "{:?}", place.internals().await);
}

/// A run that leaves nothing behind is known to nobody, not even to a second delivery of its event.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_kept_a_second_delivery_is_kept_out_by_the_lock() {
    let source = place_in_bucket().await;
    source.insert("a", numbered(0..50, "archived")).await;
    let archive = support::back_up(&support::tools().await, &source.database, &support::bucket().await)
        .await
        .archive;
    let event = json!({"archive": archive, "database": rig::fresh_database_name("unkept_into"), "snapshot": false, "yes": true});
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    proxy.inject(
        rig::Rule::on("PUT", ".in-progress")
            .times(usize::MAX)
            .then(rig::Fault::Status(403)),
    );
    let (says, held) = mpsc::channel();
    let (lets_go, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let relay = rig::Wire::start(rig::shared_replica_set().port(), move |command| {
        if command.name == "insert" && command.target().starts_with("mongotar.tmp.") {
            // Whoever listens has gone when the test has failed.
            let _ = says.send(());
            let _ = goes_on.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        rig::Passage::Through
    });
    let run = run();
    let relayed = support::tools_for(&relay.uri(), support::store_through(&proxy)).await;
    let direct = support::tools_for(&rig::shared_replica_set().uri(), support::store_through(&proxy)).await;
    let second = async {
        let is_held = tokio::task::spawn_blocking(move || held.recv().expect("a document is on its way"));
        is_held.await.expect("it is held");
        let second = part(&direct, event.clone(), &run).await;
        drop(lets_go);
        second
    };
    let (first, second) = tokio::join!(part(&relayed, event.clone(), &run), second);
    let refused = second.expect_err("another one is at it");
    assert_eq!(refused.kind, FailureKind::RestoreRunning, "{refused}");
    let report = first.expect("a restore").report().expect("it is at its end");
    assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
}

/// A pause while an index by which documents expire was built lost the proof: what was dropped was called "not dropped,
/// because the restore is not complete".
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paused_once_documents_may_expire() {
    let (place, event, wanted) = prepared(place_in_bucket().await).await;
    let slow = |command: &WireCommand| {
        let begins_expiry = command.body.to_string().contains("expireAfterSeconds");
        if command.name == "createIndexes" && begins_expiry {
            std::thread::sleep(std::time::Duration::from_millis(2_500));
        }
        Passage::Through
    };
    let wire = Wire::start(rig::shared_replica_set().port(), slow);
    let tools = Tools {
        deadline: Deadline::within(std::time::Duration::ZERO, None),
        ..support::tools_for(&wire.uri(), Store::with_client(rig::shared_s3().client().await)).await
    };
    let (event, this) = (with(&event, json!({"yes": true})), run());
    let (report, before) = to_its_end(async || part(&tools, event.clone(), &this).await)
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert!(before > 10, "{before}");
    assert_eq!(place.state().await, wanted);
}
