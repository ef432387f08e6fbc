//! An archive is verified in many invocations.

use std::time::Duration;

use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::run::Answer;
use mongotar::run::{Deadline, Memory, Run};
use mongotar::store::Location;
use mongotar::verify::{VerifyReport, VerifyRequest, verify, verify_run};
use serde_json::{Value, json};

use super::{hurried, in_progress, run, to_its_end};
use crate::cli::numbered;
use crate::{rig, support};

async fn part(tools: &Tools, event: Value, run: &Run) -> Result<Answer<VerifyReport>, Failure> {
    let job = VerifyRequest::from_event(event)?.into_job(&Environment::default())?;
    verify_run(&job, run, (&tools.store, tools.memory, &tools.progress), tools.deadline).await
}

async fn archive(folder: &Location) -> String {
    let (tools, client) = (support::tools().await, rig::shared_replica_set().client().await);
    let database = rig::fresh_database_name("verify");
    for name in ["a", "b", "c"] {
        support::insert(&client, &database, name, numbered(0..3)).await;
    }
    support::insert_mebibytes(&client, &database, "large", 20).await;
    support::back_up(&tools, &database, folder).await.archive.to_string()
}

#[tokio::test]
async fn many_invocations_find_what_one_finds_and_leave_nothing_behind() {
    let (tools, folder) = (hurried().await, support::bucket().await);
    let archive = archive(&folder).await;
    let location: Location = archive.parse().expect("a place");
    let event = json!({"archive": {"latest": folder.to_string()}});
    let whole = verify(&tools.store, &location, Memory::default(), &tools.progress)
        .await
        .expect("a report");
    assert!(whole.segments > 8, "{}", whole.segments);

    let this = run();
    let first = part(&tools, event.clone(), &this).await.expect("an answer");
    let Answer::Unfinished(paused) = first else {
        panic!("one region is not all: {first:?}")
    };
    assert_eq!(
        (paused.status, paused.archive.as_ref()),
        (RunStatus::Continue, Some(&archive))
    );
    assert!(paused.summary.ends_with("after 1 invocation"), "{}", paused.summary);
    assert!(!in_progress(&tools, &folder, &this).await.is_empty());
    // Another run is another one, and another request is not this run.
    let other = part(&tools, event.clone(), &run()).await.expect("an answer");
    assert!(matches!(other, Answer::Unfinished(other) if other.invocations == Some(1)));
    let wrong = part(&tools, json!({"archive": archive}), &this)
        .await
        .expect_err("another");
    assert_eq!(wrong.kind, FailureKind::InvalidRequest);

    let this = run();
    let (report, before) = to_its_end(async || part(&tools, event.clone(), &this).await)
        .await
        .expect("a report");
    assert_eq!(json!(report), json!(whole));
    assert!(u64::from(before) + 1 >= whole.segments - 2, "{before}");
    assert!(in_progress(&tools, &folder, &this).await.is_empty());
}

#[tokio::test]
async fn damage_is_remembered_and_an_archive_that_was_replaced_is_not_gone_on_with() {
    let tools = hurried().await;
    let scratch = rig::ScratchDir::new("verify");
    let folder = Location::Local(scratch.path().to_owned());
    let archive = archive(&folder).await;
    let mut bytes = std::fs::read(&archive).expect("the archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, &bytes).expect("damaged");
    let (this, event) = (run(), json!({"archive": archive}));
    let (report, before) = to_its_end(async || part(&tools, event.clone(), &this).await)
        .await
        .expect("a report");
    assert_eq!(
        (report.status, report.damaged.len()),
        (RunStatus::Failed, 1),
        "{report:?}"
    );
    assert!(before > 5);

    let this = run();
    part(&tools, event.clone(), &this).await.expect("an answer");
    bytes[middle] ^= 1;
    std::fs::write(&archive, &bytes).expect("healed");
    let failure = part(&tools, event.clone(), &this).await.expect_err("another version");
    assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
    let enough = Tools {
        deadline: Deadline::within(Duration::from_secs(900), None),
        ..tools
    };
    let whole = part(&enough, event, &this).await.expect("it begins anew");
    assert_eq!(whole.status(), RunStatus::Complete);
}
