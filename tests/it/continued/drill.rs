//! A drill in many invocations: the scratch database is found again, and goes at the end.

use std::time::Duration;

use bson::doc;
use mongotar::backup::Tools;
use mongotar::config::Environment;
use mongotar::drill::{DrillReport, DrillRequest, DrillVerdict, drill_run};
use mongotar::failure::{Failure, FailureKind};
use mongotar::run::Answer;
use mongotar::run::Run;
use serde_json::{Value, json};

use super::{hurried, in_progress, run, to_its_end};
use crate::handlers::RESTORE;
use crate::restore::failpoints::Failing;
use crate::restore::{numbered, place, place_in_bucket};
use crate::rig::LambdaFunction;

async fn part(tools: &Tools, event: Value, run: &Run) -> Result<Answer<DrillReport>, Failure> {
    let job = DrillRequest::from_event(event)?.into_job(&Environment::default())?;
    drill_run(&job, run, tools).await
}

async fn databases(client: &mongodb::Client) -> Vec<String> {
    client.list_database_names().await.expect("names")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_invocations_come_to_one_verdict_and_leave_no_scratch_database() {
    let (place, tools, this) = (place().await, hurried().await, run());
    super::restore::fill(&place).await;
    let archive = place.archive().await;
    let event = json!({"archive": {"latest": place.to.to_string()}});
    let first = part(&tools, event.clone(), &this).await.expect("an answer");
    let Answer::Unfinished(paused) = first else {
        panic!("that is not all: {first:?}")
    };
    assert_eq!(paused.archive.as_ref(), Some(&archive));
    // A newer archive does not change what the run is about.
    place.insert("b", numbered(70..71, "newer")).await;
    place.archive().await;
    let mut invocations = 1;
    let report = loop {
        match part(&tools, event.clone(), &this).await.expect("an answer") {
            Answer::Finished(report) => break report,
            Answer::Unfinished(_) => invocations += 1,
        }
        assert!(invocations < 200, "it never comes to its end");
    };
    assert_eq!(report.verdict, DrillVerdict::Passed, "{report:?}");
    assert!(invocations > 20, "{invocations}");
    assert_eq!(report.archive.as_ref(), Some(&archive));
    assert!(report.dropped && report.archive_bytes_checked.is_some());
    assert!(!databases(&place.client).await.contains(&report.scratch));
    assert!(in_progress(&tools, &place.to, &this).await.is_empty());
    let inner = Run {
        id: format!("{}/restore", this.id),
        ..this.clone()
    };
    assert!(in_progress(&tools, &place.to, &inner).await.is_empty());
    let again = part(&tools, event, &this).await.expect("an answer");
    assert!(matches!(again, Answer::Finished(again) if json!(again) == json!(report)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_does_not_restore_is_a_finding_and_its_scratch_database_goes() {
    let (place, tools, this) = (place_in_bucket().await, hurried().await, run());
    let event = json!({"archive": {"latest": place.to.to_string()}});
    let (report, _) = to_its_end(async || part(&tools, event.clone(), &this).await)
        .await
        .expect("a finding");
    assert_eq!(report.verdict, DrillVerdict::Failed);
    assert!(
        report.problems[0].contains("there is no archive"),
        "{:?}",
        report.problems
    );
    assert!(report.dropped && !databases(&place.client).await.contains(&report.scratch));

    // What another one has made is not touched.
    place.insert("c", numbered(0..3, "mine")).await;
    place.archive().await;
    let event = json!({"archive": {"latest": place.to.to_string()}, "scratch": place.database});
    let refused = part(&tools, event, &run()).await.expect_err("taken");
    assert_eq!(refused.kind, FailureKind::InvalidRequest);
    assert_eq!(place.names().await, ["c"]);
}

/// `dropDatabase` is the last command; one that died before its answer came must not make the next one say that the
/// database is another's.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_was_killed_goes_on_and_drops_what_the_dead_one_made() {
    let failing = Failing::start().await;
    let place = &failing.place;
    place.insert("a", numbered(0..50, "archived")).await;
    place.insert("b", numbered(0..50, "archived")).await;
    let archive = place.archive().await;
    let function = LambdaFunction::start(
        &crate::rig::program(RESTORE),
        [
            ("MONGO_URI", failing.uri.as_str()),
            ("MONGO_DB", place.database.as_str()),
        ],
    );
    for (command, skip) in [
        // The mark, then documents.
        ("findAndModify", 0),
        ("insert", 0),
        ("insert", 1),
        ("renameCollection", 1),
        ("dropDatabase", 0),
    ] {
        let this = run();
        let event = json!({"action": "drill", "archive": archive, "run": this});
        let blocks = doc! {"blockConnection": true, "blockTimeMS": 600_000};
        failing.arm(doc! {"skip": skip}, command, blocks).await;
        super::killed::kill_at_the_failpoint(&failing, &function, &event).await;
        let folder = place.to.join("pre-restore").join(".in-progress");
        super::killed::let_all_leases_run_out(&failing, &folder).await;
        let report = function.invoke(event, Duration::from_secs(900)).await;
        let report = report.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(report["verdict"], "passed", "{command}: {report}");
        assert_eq!(report["status"], "complete", "{command}: {report}");
        let names = databases(&place.client).await;
        assert!(
            !names.iter().any(|name| name.starts_with("mongotar_drill_")),
            "{command}: {names:?}"
        );
    }
}
