//! Runs of many invocations, one behind the other and several at once: a backup, a restore of its archive, a drill.

use std::time::Duration;

use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{
    BackupAnswer, BackupJob, BackupReport, PlanAnswer, RunStatus, Tools, backup_run, compose, lane, plan_lanes,
};
use mongotar::config::Environment;
use mongotar::drill::{DrillRequest, DrillVerdict, drill_run};
use mongotar::restore::{Begun, RestoreJob, RestoreReport, begin, finish, load, restore_run};
use mongotar::run::{Answer, Deadline};
use serde_json::json;

use super::{Knows, shop};
use crate::continued::{run, to_its_end};
use crate::restore::{Place, State, job_of, numbered};
use crate::rig::fresh_database_name;
use crate::support;

/// Nobody who asks more often than this is still waiting for something.
const INVOCATIONS: u32 = 300;

/// The tools of an invocation that does as little as it can.
pub fn hurried(place: &Place) -> Tools {
    Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..place.tools.clone()
    }
}

/// A database that is enough for several invocations, what it holds, and a target that holds something else.
async fn scene(place: &Place, knows: Knows, mebibytes: u8) -> (State, String) {
    shop::fill_large(place, knows, mebibytes).await;
    let target = fresh_database_name("matrix_into");
    for name in ["one", "extra"] {
        support::insert(&place.client, &target, name, numbered(0..3, "the target's own")).await;
    }
    (place.state().await, target)
}

/// A restore of an archive over what a target holds.
fn over(target: &str, saved: &BackupReport) -> RestoreJob {
    job_of(json!({"archive": saved.archive, "database": target, "replace_existing": true}))
}

/// The capped collection cannot be read at a snapshot anywhere.
fn is_of_its_moment(saved: &BackupReport, knows: Knows) {
    let level = match knows.snapshots {
        true => ConsistencyLevel::Mixed,
        false => ConsistencyLevel::None,
    };
    assert_eq!(saved.status, RunStatus::Complete, "{:?}", saved.failed);
    assert_eq!(saved.consistency.level, level, "{:?}", saved.consistency);
}

async fn is_restored(place: &Place, report: &RestoreReport, target: &str, wanted: &State) {
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    let restored = place.state_of(target).await;
    assert_eq!(restored.1, wanted.1, "the definitions");
    assert!(restored.0 == wanted.0, "the documents differ");
}

pub async fn continued(place: &Place, knows: Knows) {
    let (wanted, target) = scene(place, knows, 8).await;
    let hurried = hurried(place);

    let (job, this) = (support::job(&place.database, &place.to), run());
    let mut invocations = 0;
    let saved = loop {
        invocations += 1;
        assert!(invocations < INVOCATIONS, "it never comes to its end");
        match backup_run(&job, &this, &hurried).await.expect("an answer") {
            BackupAnswer::Finished(saved) => break *saved,
            BackupAnswer::Unfinished(unfinished) => assert_eq!(unfinished.status, RunStatus::Continue),
        }
    };
    assert!(invocations > 3, "{invocations}");
    is_of_its_moment(&saved, knows);

    let (job, this) = (over(&target, &saved), run());
    let restored = to_its_end(async || restore_run(&job, &this, &hurried).await).await;
    let (report, before) = restored.expect("a restore");
    assert!(before > 3, "{before}");
    is_restored(place, &report, &target, &wanted).await;

    let event = json!({"archive": saved.archive});
    let job = DrillRequest::from_event(event).expect("an event");
    let (job, this) = (job.into_job(&Environment::default()).expect("a job"), run());
    let drilled = to_its_end(async || drill_run(&job, &this, &hurried).await).await;
    let (report, before) = drilled.expect("a drill");
    assert!(before > 3, "{before}");
    assert_eq!(report.verdict, DrillVerdict::Passed, "{:?}", report.problems);
    let databases = place.client.list_database_names().await.expect("names");
    assert!(report.dropped && !databases.contains(&report.scratch));
}

pub async fn divided(place: &Place, knows: Knows) {
    // Less is not worth a second worker.
    let (wanted, target) = scene(place, knows, 34).await;
    let job = support::job(&place.database, &place.to);
    let saved = divided_backup(&job, &place.tools, &hurried(place)).await;
    is_of_its_moment(&saved, knows);
    let report = divided_restore(place, &over(&target, &saved)).await;
    is_restored(place, &report, &target, &wanted).await;
}

/// A backup by several workers, each of whose invocations does as little as it can.
pub async fn divided_backup(job: &BackupJob, tools: &Tools, hurried: &Tools) -> BackupReport {
    divided_backup_before(job, tools, hurried, || {}).await
}

/// The same, with something that happens between the plan and the lanes.
pub async fn divided_backup_before(
    job: &BackupJob,
    tools: &Tools,
    hurried: &Tools,
    planned: impl FnOnce(),
) -> BackupReport {
    let this = run();
    let lanes = match plan_lanes(job, &this, 4, tools).await.expect("a plan") {
        PlanAnswer::Planned(report) => report.lanes,
        PlanAnswer::Answer(answer) => panic!("{answer:?}"),
    };
    assert!(lanes.len() > 1, "{lanes:?}");
    planned();
    let written = lanes.iter().map(|&number| {
        let this = &this;
        invoked(async move || lane(job, this, number, hurried).await.expect("an answer").status == RunStatus::Complete)
    });
    futures_util::future::join_all(written).await;
    for _ in 0..INVOCATIONS {
        if let BackupAnswer::Finished(saved) = compose(job, &this, hurried).await.expect("an answer") {
            assert_eq!(saved.lanes as usize, lanes.len());
            return *saved;
        }
    }
    panic!("it is never composed")
}

async fn divided_restore(place: &Place, job: &RestoreJob) -> RestoreReport {
    let (this, hurried) = (run(), hurried(place));
    let mut loads = Vec::new();
    invoked(
        async || match begin(job, &this, 3, &hurried).await.expect("an answer") {
            Begun::Loads(report) => {
                loads = report.loads;
                true
            }
            Begun::Answer(Answer::Unfinished(_)) => false,
            Begun::Answer(Answer::Finished(report)) => panic!("{report:?}"),
        },
    )
    .await;
    assert!(loads.len() > 1, "{loads:?}");
    let loaded = loads.iter().map(|&number| {
        let (this, hurried) = (&this, &hurried);
        invoked(async move || load(job, this, number, hurried).await.expect("an answer").status == RunStatus::Complete)
    });
    futures_util::future::join_all(loaded).await;
    for _ in 0..INVOCATIONS {
        if let Answer::Finished(report) = finish(job, &this, &hurried).await.expect("an answer") {
            return *report;
        }
    }
    panic!("it is never finished")
}

/// Asks until it is so.
async fn invoked(is_done: impl AsyncFnMut() -> bool) {
    let mut is_done = is_done;
    for _ in 0..INVOCATIONS {
        if is_done().await {
            return;
        }
    }
    panic!("it never comes to its end")
}

/// A drill in one go.
pub async fn drilled(place: &Place, knows: Knows) {
    shop::fill(place, knows).await;
    let archive = place.archive().await;
    let request = DrillRequest::from_event(json!({"archive": archive})).expect("an event");
    let job = request.into_job(&Environment::default()).expect("a job");
    let report = mongotar::drill::drill(&job, &place.tools).await.expect("a drill");
    assert_eq!(
        (report.status, report.verdict),
        (RunStatus::Complete, DrillVerdict::Passed),
        "{:?}",
        report.problems
    );
    let databases = place.client.list_database_names().await.expect("names");
    assert!(report.dropped && !databases.contains(&report.scratch));
}
