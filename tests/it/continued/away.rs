//! A server that is away for longer than anybody waits: the invocation ends, the run does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::restore::{RestoreReport, RestoreRequest, restore_run};
use mongotar::run::Answer;
use mongotar::run::Run;
use serde_json::{Value, json};

use super::restore::{change, fill};
use super::{in_progress, run};
use crate::restore::{numbered, place};
use crate::rig::{self, Passage, WireCommand};
use crate::support;

async fn part(tools: &Tools, event: &Value, run: &Run) -> Result<Answer<RestoreReport>, Failure> {
    let job = RestoreRequest::from_event(event.clone())?.into_job(&Environment::default())?;
    // Each invocation of the function has a patience of its own.
    let mongo = tools.mongo.clone().until(tools.deadline, &tools.cancel);
    let tools = Tools { mongo, ..tools.clone() };
    restore_run(&job, run, &tools).await
}

/// Restores over what is there; the server goes away at the first command that is `wanted`, and is back for the second
/// invocation.
async fn goes_on_after(policy: Value, wanted: impl Fn(&WireCommand, &str) -> bool + Send + Sync + 'static) {
    let place = place().await;
    fill(&place).await;
    let merged = policy["merged"] == true;
    let archive = place.archive().await;
    let mut expected = place.state().await;
    if merged {
        place.insert("a", numbered(100..120, "only here")).await;
        expected = place.state().await;
        place
            .db()
            .collection::<bson::Document>("large")
            .drop()
            .await
            .expect("dropped");
    } else {
        change(&place).await;
    }
    let mut event = json!({"archive": archive, "database": place.database, "yes": true, "snapshot": false});
    if !merged {
        event["replace_existing"] = true.into();
    }
    let (is_away, was_away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (away, was, database) = (Arc::clone(&is_away), Arc::clone(&was_away), place.database.clone());
    let (_relay, uri) = rig::shared_replica_set().through_relay(move |command| {
        if !was.load(Ordering::Acquire) && command.database == database && wanted(command, &database) {
            was.store(true, Ordering::Release);
            away.store(true, Ordering::Release);
        }
        match away.load(Ordering::Acquire) {
            true => Passage::Cut,
            false => Passage::Through,
        }
    });
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    let hasty = support::tools_for(&format!("{uri}&serverSelectionTimeoutMS=700"), store.clone()).await;
    let this = run();
    let failed = part(&hasty, &event, &this).await.expect_err("the server is away");
    assert!(was_away.load(Ordering::Acquire), "no such command was sent: {failed}");
    assert_eq!(failed.kind, FailureKind::Database, "{failed}");
    is_away.store(false, Ordering::Release);
    // A server that is there is waited for as long as ever.
    let tools = support::tools_for(&uri, store).await;
    assert!(
        !in_progress(&tools, &place.to, &this).await.is_empty(),
        "the run is kept"
    );
    let report = match part(&tools, &event, &this).await.expect("an answer") {
        Answer::Finished(report) => report,
        Answer::Unfinished(unfinished) => panic!("{unfinished:?}"),
    };
    assert_eq!(report.status, RunStatus::Complete, "{:#?}", report.verification);
    assert_eq!(
        place.state().await,
        expected,
        "neither the lock nor anything beside is left"
    );
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());
}

fn is(command: &WireCommand, name: &str, target: &str) -> bool {
    command.name == name && command.target() == target
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_load_beside() {
    goes_on_after(json!({}), |command, _| {
        command.name == "insert" && command.target().starts_with("mongotar.tmp")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_read_back() {
    goes_on_after(json!({}), |command, _| {
        command.name == "find" && command.target().starts_with("mongotar.tmp")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_commit() {
    goes_on_after(json!({}), |command, _| {
        command.name == "drop" && command.target() == "extra"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_time_series() {
    goes_on_after(json!({}), |command, _| is(command, "insert", "series")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_merge() {
    goes_on_after(json!({"merged": true}), |command, _| is(command, "find", "a")).await;
}
