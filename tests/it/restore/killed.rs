//! `kill -9` in the middle of a restore: nothing is changed, and the next one cleans up.

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use serde_json::json;

use super::atomic::{fill_target, prepared};
use super::{Running, data};
use crate::cli::Shell;
use crate::support;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_changes_nothing_and_the_next_one_cleans_up_and_completes() {
    let (failing, archive) = prepared().await;
    let place = &failing.place;
    let event = json!({"archive": archive, "database": place.database, "replace_existing": true});
    let wanted = {
        support::restore(&place.tools, event.clone()).await.expect("a report");
        place.state().await
    };
    let shell = Shell::new()
        .set("MONGO_URI", &failing.uri)
        .set("MONGO_DB", &place.database);
    for (command, skip, leaves_lock) in [
        ("findAndModify", 0, false),
        ("create", 0, true),
        ("create", 1, true),
        ("insert", 1, true),
        ("createIndexes", 1, true),
        ("aggregate", 0, true),
        ("findAndModify", 1, true),
        ("renameCollection", 0, true),
    ] {
        let at = format!("{command} after {skip}");
        fill_target(&failing).await;
        let before = place.state().await;
        let blocks = doc! {"blockConnection": true, "blockTimeMS": 600_000};
        failing.arm(doc! {"skip": skip}, command, blocks).await;
        let arguments = ["restore", &archive, "--yes", "--replace-existing"];
        let process = Running::start(shell.command(&arguments));
        failing.stands_still().await;
        process.kill();
        failing.end_what_stands_still().await;
        failing.disarm().await;

        assert_eq!(data(place.state().await), before, "killed at {at}");
        let left = place.internals().await;
        assert_eq!(
            left.contains(&"mongotar.lock".to_owned()),
            leaves_lock,
            "{at}: {left:?}"
        );
        if leaves_lock {
            let failure = support::restore(&place.tools, event.clone()).await;
            assert_eq!(
                failure.expect_err("it may be alive").kind,
                FailureKind::RestoreRunning,
                "{at}"
            );
            assert_eq!(place.internals().await, left, "{at}: what may be alive is left alone");
            place.let_the_lease_run_out().await;
        }
        let report = support::restore(&place.tools, event.clone()).await.expect("a report");
        assert_eq!(report.status, RunStatus::Complete, "{at}: {:?}", report.verification);
        assert_eq!(place.state().await, wanted, "{at}: nothing of the dead one is left");
    }
}
