//! Two restores into one database exclude each other; a dead one excludes nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::failure::{Failure, FailureKind};
use mongotar::mongo::{InsertBatch, MayWrite, Order, Validation};
use mongotar::restore::{RestoreReport, carry_out, prepare};
use mongotar::store::Store;
use serde_json::{Value, json};

use super::{Place, Running, job_of, numbered, place, place_in_bucket};
use crate::cli::Shell;
use crate::rig::{Passage, Wire, WireCommand};
use crate::{rig, support};

/// An archive in S3, a target that has changed since, and a proxy before the archive.
struct Scene {
    place: Place,
    archive: String,
    proxy: rig::Proxy,
    event: Value,
    /// A command line that reaches S3 through the proxy.
    shell: Shell,
}

async fn scene() -> Scene {
    let place = place_in_bucket().await;
    place.insert("c", numbered(0..50, "archived")).await;
    let archive = place.archive().await;
    place.insert("c", numbered(100..110, "newer")).await;
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    Scene {
        shell: Shell::new()
            .set("MONGO_DB", &place.database)
            .set("AWS_ENDPOINT_URL", &proxy.endpoint()),
        event: json!({"archive": archive, "database": place.database, "replace_existing": true}),
        proxy,
        place,
        archive,
    }
}

impl Scene {
    /// The restore in a process of its own.
    fn process(&self) -> Running {
        Running::start(
            self.shell
                .command(&["restore", &self.archive, "--yes", "--replace-existing", "--json"]),
        )
    }

    /// Lets whoever reads the archive's documents through the proxy wait until it releases them: opening the archive
    /// takes some reads, and those behind them are held.
    fn hold_the_documents(&self) {
        // The whole path: a snapshot of the same second has the same name in another folder.
        let name = self.archive.trim_start_matches("s3://");
        self.shell.json(0, &["plan", &self.archive, "--replace-existing"]);
        let opening = self.proxy.count("GET", name);
        self.proxy.reset();
        let rule = rig::Rule::on("GET", name).nth(opening + 1).times(usize::MAX);
        self.proxy.inject(rule.then(rig::Fault::Hold));
    }

    /// Until a restore holds the lock and loads beside.
    async fn one_is_loading(&self) {
        support::eventually_so("a restore is loading", async || {
            let names = self.place.internals().await;
            names.iter().any(|name| name == "mongotar.lock")
                && names.iter().any(|name| name.starts_with("mongotar.tmp."))
        })
        .await;
    }

    /// Lets a frozen process go on, with its documents, and waits for its end.
    async fn wakes_up(&self, frozen: Running) -> (Option<i32>, Value) {
        self.proxy.release();
        frozen.signal("CONT");
        let ended = tokio::task::spawn_blocking(move || frozen.ended());
        ended.await.expect("no panic")
    }

    async fn lock(&self) -> Option<Document> {
        let locks = self.place.db().collection::<Document>("mongotar.lock");
        locks.find_one(doc! {"_id": "restore"}).await.expect("an answer")
    }
}

async fn restore_with_lease(tools: &Tools, event: &Value, lease: Duration) -> Result<RestoreReport, Failure> {
    let mut job = job_of(event.clone());
    job.lock_lease = lease;
    let prepared = prepare(&job, tools).await?;
    carry_out(prepared, &job, tools).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_refuses_while_the_first_lives_and_takes_over_when_it_is_dead() {
    let scene = scene().await;
    let place = &scene.place;
    let before = super::data(place.state().await);
    scene.hold_the_documents();
    let first = scene.process();
    scene.one_is_loading().await;
    let beside = place.internals().await;

    let failure = support::restore(&place.tools, scene.event.clone())
        .await
        .expect_err("one is running");
    assert_eq!(failure.kind, FailureKind::RestoreRunning, "{failure}");
    let lock = scene.lock().await.expect("a lock");
    let time = |field| {
        lock.get_datetime(field)
            .expect("a time")
            .try_to_rfc3339_string()
            .expect("text")
    };
    let process = format!("process {} on ", first.0.id());
    for part in [&process, &scene.archive, &time("startedAt"), "Nothing was changed"] {
        assert!(failure.message.contains(part), "{part} is not in: {failure}");
    }
    let said = Shell::new()
        .set("MONGO_DB", &place.database)
        .json(1, &["restore", &scene.archive, "--yes"]);
    assert_eq!(said["error_type"], "RestoreRunning", "{said}");
    // Who only looks is not kept waiting, and neither the lock nor what is beside is data.
    let mut look = scene.event.clone();
    look["dry_run"] = true.into();
    let planned = support::restore(&place.tools, look).await.expect("a plan");
    assert_eq!(planned.status, RunStatus::Planned);
    let saved = support::back_up(&place.tools, &place.database, &place.to).await;
    assert_eq!(saved.collections.len(), 1, "{:?}", saved.collections);
    assert_eq!(place.internals().await, beside, "nothing of the first one was touched");

    first.kill();
    assert_eq!(super::data(place.state().await), before);
    let failure = support::restore(&place.tools, scene.event.clone()).await;
    assert_eq!(
        failure.expect_err("nobody can know yet").kind,
        FailureKind::RestoreRunning
    );
    place.let_the_lease_run_out().await;
    let report = support::restore(&place.tools, scene.event.clone())
        .await
        .expect("it takes over");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    assert_eq!(
        place.names().await,
        ["c"],
        "neither the lock nor what the dead one loaded is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_renewed_for_as_long_as_its_holder_works() {
    let scene = scene().await;
    // Long enough for a busy machine not to lose two renewals.
    let lease = Duration::from_secs(15);
    scene.hold_the_documents();
    let slow = support::tools_for(&rig::shared_replica_set().uri(), support::store_through(&scene.proxy)).await;
    let event = scene.event.clone();
    let first = tokio::spawn(async move { restore_with_lease(&slow, &event, lease).await });
    scene.one_is_loading().await;
    let expiry = async || {
        let lock = scene.lock().await.expect("a lock");
        *lock.get_datetime("expiresAt").expect("a time")
    };
    let taken = expiry().await;
    support::eventually_so("the lock is renewed", async || expiry().await > taken).await;
    let refused = restore_with_lease(&scene.place.tools, &scene.event, lease).await;
    assert_eq!(refused.expect_err("refused").kind, FailureKind::RestoreRunning);
    scene.proxy.release();
    let report = first.await.expect("no panic").expect("a report");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_stood_still_while_another_took_over_changes_nothing() {
    let scene = scene().await;
    let place = &scene.place;
    scene.hold_the_documents();
    let frozen = scene.process();
    scene.one_is_loading().await;
    frozen.signal("STOP");
    place.let_the_lease_run_out().await;
    let report = support::restore(&place.tools, scene.event.clone())
        .await
        .expect("it takes over");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    place.insert("c", numbered(500..501, "written since")).await;
    let after = place.state().await;
    let (code, said) = scene.wakes_up(frozen).await;
    assert_eq!((code, said["status"].as_str()), (Some(1), Some("failed")), "{said}");
    assert!(said.to_string().contains("the lock of"), "{said}");
    assert_eq!(
        place.state().await,
        after,
        "what the other did stands, and nothing is left beside"
    );
}

/// A merge writes where everybody sees it. Frozen between two batches, it has the next ones ready when it wakes up.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_stood_still_while_another_took_over_writes_nothing() {
    let scene = scene().await;
    let place = &scene.place;
    let (process, is_frozen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let freezing = (Arc::clone(&process), Arc::clone(&is_frozen));
    let wire = rig::Wire::start(rig::shared_replica_set().port(), move |command| {
        let (process, is_frozen) = &freezing;
        if command.name == "insert" && command.target() == "c" && !is_frozen.load(Ordering::Acquire) {
            let pid = process.load(Ordering::Acquire).to_string();
            let stopped = std::process::Command::new("kill").args(["-STOP", &pid]).status();
            assert!(stopped.expect("a signal").success());
            is_frozen.store(true, Ordering::Release);
        }
        rig::Passage::Through
    });
    let merging = [
        "restore",
        &scene.archive,
        "--yes",
        "--no-snapshot",
        "--json",
        "--batch-size",
        "1",
    ];
    let shell = Shell::new()
        .set("MONGO_DB", &place.database)
        .set("MONGO_URI", &wire.uri());
    let frozen = Running::start(shell.command(&merging));
    process.store(frozen.0.id(), Ordering::Release);
    support::eventually("it is frozen", || is_frozen.load(Ordering::Acquire)).await;
    support::eventually_so("its lease has run out by itself", async || {
        let lock = scene.lock().await.expect("a lock");
        *lock.get_datetime("expiresAt").expect("a time") < bson::DateTime::now()
    })
    .await;
    let report = support::restore(&place.tools, scene.event.clone()).await;
    assert_eq!(report.expect("it takes over").status, RunStatus::Complete);
    let emptied = doc! {"delete": "c", "deletes": [{"q": {"_id": {"$lt": 40}}, "limit": 0}]};
    place.run(emptied).await;
    let after = place.state().await;
    let (code, said) = scene.wakes_up(frozen).await;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.to_string().contains("the lock"), "{said}");
    assert_eq!(place.state().await, after, "what the other did stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_else_took_is_noticed_before_the_commit_and_left_to_him() {
    let scene = scene().await;
    let place = &scene.place;
    let before = place.state().await;
    scene.hold_the_documents();
    let slow = support::tools_for(&rig::shared_replica_set().uri(), support::store_through(&scene.proxy)).await;
    let event = scene.event.clone();
    // With this lease no heartbeat tells it.
    let lease = Duration::from_secs(600);
    let first = tokio::spawn(async move { restore_with_lease(&slow, &event, lease).await });
    scene.one_is_loading().await;
    let other = doc! {"$set": {"owner": "somebody else"}};
    let locks = place.db().collection::<Document>("mongotar.lock");
    locks.update_one(doc! {"_id": "restore"}, other).await.expect("taken");
    scene.proxy.release();
    let report = first.await.expect("no panic").expect("a report");
    assert_eq!(report.status, RunStatus::Failed, "{:?}", report.verification);
    let lock = scene.lock().await.expect("it is not the first one's to release");
    assert_eq!(lock.get_str("owner").ok(), Some("somebody else"));
    assert_eq!(place.internals().await, ["mongotar.lock"]);
    assert_eq!(super::data(place.state().await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_restores_at_once_exactly_one_runs() {
    let scene = scene().await;
    let job = job_of(scene.event.clone());
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(prepare(&job, &scene.place.tools).await.expect("a plan"));
    }
    let running = all
        .into_iter()
        .map(|prepared| Box::pin(carry_out(prepared, &job, &scene.place.tools)));
    let mut complete = 0;
    for ended in futures_util::future::join_all(running).await {
        match ended {
            Ok(report) => {
                assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
                complete += 1;
            }
            // One that comes when the first is done finds another target than it planned for.
            Err(failure) => assert!(
                [FailureKind::RestoreRunning, FailureKind::ConsentStale].contains(&failure.kind),
                "{failure}"
            ),
        }
    }
    assert_eq!(complete, 1);
    assert_eq!(scene.place.names().await, ["c"]);
}

#[tokio::test]
async fn the_lock_is_gone_however_a_restore_ends() {
    let place = place().await;
    place.insert("c", numbered(0..5, "x")).await;
    let archive = place.archive().await;
    let restore = async |more: Value| {
        let ended = place.restore(&archive, more).await;
        assert!(place.internals().await.is_empty());
        ended
    };
    let complete = restore(json!({})).await.expect("a report");
    assert_eq!(complete.status, RunStatus::Complete);
    let failure = restore(json!({"snapshot_to": "/proc/no-such-folder/undo"})).await;
    assert_eq!(failure.expect_err("no way back").kind, FailureKind::SnapshotFailed);
    let refused = restore(json!({"yes": false})).await;
    assert_eq!(refused.expect_err("no consent").kind, FailureKind::ConsentMissing);
    place.tools.cancel.cancel();
    let cancelled = restore(json!({"snapshot": false})).await.expect("a report");
    assert_eq!(cancelled.status, RunStatus::Failed, "{:?}", cancelled.verification);

    // A database that was not there is not there again.
    let fresh = rig::fresh_database_name("fresh");
    let failed = place.restore_into(&fresh, &archive, json!({})).await.expect("a report");
    assert_eq!(failed.status, RunStatus::Failed);
    assert!(
        place
            .client
            .database(&fresh)
            .list_collection_names()
            .await
            .expect("names")
            .is_empty()
    );
}

#[tokio::test]
async fn what_changes_between_plan_and_lock_stops_the_restore() {
    let scene = scene().await;
    let place = &scene.place;
    let job = job_of(scene.event.clone());
    let prepared = prepare(&job, &place.tools).await.expect("a plan");
    place.run(doc! {"create": "made_meanwhile"}).await;
    let before = place.state().await;
    let failure = carry_out(prepared, &job, &place.tools)
        .await
        .expect_err("the plan is another");
    assert_eq!(failure.kind, FailureKind::ConsentStale, "{failure}");
    assert_eq!(place.state().await, before);
}

/// A batch that is divided because of a document in it takes many commands, and the lock can be lost between two: the
/// rest went in all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_lost_within_a_divided_batch_ends_it() {
    let sent = AtomicU32::new(0);
    let divided = move |command: &WireCommand| match command.name.as_str() {
        "insert" if sent.fetch_add(1, Ordering::AcqRel) < 2 => {
            Passage::Answered(doc! {"ok": 0.0, "code": 22, "errmsg": "invalid BSON"})
        }
        _ => Passage::Through,
    };
    let wire = Wire::start(rig::shared_replica_set().port(), divided);
    let mongo = support::tools_for(&wire.uri(), Store::new()).await.mongo;
    let documents: Vec<Vec<u8>> = (0..8)
        .map(|id| bson::serialize_to_vec(&doc! {"_id": id}).expect("BSON"))
        .collect();
    let mut batch = InsertBatch::default();
    for document in &documents {
        batch.push(document);
    }
    let asked = AtomicU32::new(0);
    let may: &MayWrite<'_> = &|| {
        // The whole, twice, and its first half.
        let lost = asked.fetch_add(1, Ordering::AcqRel) >= 3;
        let mongo = &mongo;
        Box::pin(async move {
            match lost {
                true => mongo
                    .command("admin", doc! {"noSuchCommand": 1}, "lost")
                    .await
                    .map(drop),
                false => Ok(()),
            }
        })
    };
    let database = rig::fresh_database_name("divided");
    let inserted = mongo
        .insert(&database, "c", &batch, Order::Kept, Validation::Enforced, may)
        .await;
    let error = inserted.expect_err("it was lost");
    assert!(error.to_string().contains("lost"), "{error}");
    assert_eq!(mongo.exact_count(&database, "c").await.expect("counted"), 4);
}
