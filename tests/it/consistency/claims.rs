//! A snapshot is claimed only where the server says that it gave one.

use std::sync::OnceLock;
use std::time::Duration;

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{
    BackupAnswer, BackupJob, BackupReport, ConsistencyDemand, RunStatus, Tools, backup, backup_run,
};
use mongotar::failure::{Failure, FailureKind};
use mongotar::run::Deadline;
use mongotar::store::{Location, Store};

use crate::matrix::pieces;
use crate::rig::{Mongod, Passage, ScratchDir, Wire, WireCommand, fresh_database_name, shared_s3};
use crate::{continued, support};

/// A server of their own: by what others insert into the shared one meanwhile, these tests would depend on them.
fn server() -> &'static Mongod {
    static SERVER: OnceLock<Mongod> = OnceLock::new();
    SERVER.get_or_init(Mongod::replica_set)
}

/// Backs three collections up through a relay.
async fn through(
    decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static,
    demand: ConsistencyDemand,
) -> Result<BackupReport, Failure> {
    through_with(decide, demand, "").await
}

/// The same with more options of the connection string.
async fn through_with(
    decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static,
    demand: ConsistencyDemand,
    options: &str,
) -> Result<BackupReport, Failure> {
    let client = server().client().await;
    let database = fresh_database_name("claims");
    for collection in ["a", "b", "c"] {
        support::insert(
            &client,
            &database,
            collection,
            (0..10).map(|n| doc! {"_id": n}).collect(),
        )
        .await;
    }
    let wire = Wire::start(server().port(), decide);
    let folder = ScratchDir::new("claims");
    let job = BackupJob {
        consistency: demand,
        ..support::job(&database, &Location::Local(folder.path().join("to")))
    };
    let tools = support::tools_for(&format!("{}{options}", wire.uri()), Store::new()).await;
    backup(&job, &tools).await
}

/// As an engine that ignores what it does not know, or a gateway that takes it away.
fn without_read_concern(command: &WireCommand) -> Passage {
    let mut body = command.body.clone();
    match command.name == "find" && body.remove("readConcern").is_some() {
        true => Passage::Instead(body),
        false => Passage::Through,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_concern_that_nobody_heeds_is_no_snapshot() {
    let report = through(without_read_concern, ConsistencyDemand::Auto)
        .await
        .expect("an archive");
    assert_eq!(report.status, RunStatus::Complete, "{}", report.summary);
    assert_eq!(report.consistency.level, ConsistencyLevel::None);
    assert_eq!(report.totals.documents, 30);
    let shown = serde_json::to_string(&report.consistency).expect("JSON");
    assert!(shown.contains("does not say that it reads at one"), "{shown}");
    let refused = through(without_read_concern, ConsistencyDemand::Require)
        .await
        .expect_err("none was given");
    assert_eq!(refused.kind, FailureKind::ConsistencyNotReached, "{refused}");
}

/// Passes over the read concern, and says that it was heeded.
fn without_read_concern_that_it_claims(command: &WireCommand) -> Passage {
    let mut body = command.body.clone();
    let concern = body.remove("readConcern");
    let time = concern
        .as_ref()
        .and_then(|concern| concern.as_document()?.get_timestamp("atClusterTime").ok());
    match (command.name.as_str(), time) {
        ("find", Some(time)) => Passage::InsteadAnd(
            body,
            Box::new(move |reply| {
                let cursor = reply.get_document_mut("cursor").expect("a cursor");
                cursor.insert("atClusterTime", time);
            }),
        ),
        _ => Passage::Through,
    }
}

/// The same, but refuses times of which it has no history: only what it shows of newer times tells.
pub(super) fn without_newer_read_concern_that_it_claims(command: &WireCommand) -> Passage {
    match asked_for(command) {
        Some(1) => Passage::Through,
        _ => without_read_concern_that_it_claims(command),
    }
}

/// Reads at another time than was asked for.
fn at_another_time(command: &WireCommand) -> Passage {
    let concern = command.body.get_document("readConcern");
    let time = concern.and_then(|concern| concern.get_timestamp("atClusterTime"));
    match (command.name.as_str(), time) {
        ("find", Ok(mut time)) => Passage::InsteadAnd(
            command.body.clone(),
            Box::new(move |reply| {
                time.increment += 1;
                // A refusal has none.
                if let Ok(cursor) = reply.get_document_mut("cursor") {
                    cursor.insert("atClusterTime", time);
                }
            }),
        ),
        _ => Passage::Through,
    }
}

/// What a relay does with a command.
type Lie = fn(&WireCommand) -> Passage;

/// The four that lie: each is found out, by a backup in one go, in many invocations, and by several workers.
#[tokio::test(flavor = "multi_thread")]
async fn no_backup_believes_a_server_that_lies_about_its_snapshots() {
    let client = server().client().await;
    let database = fresh_database_name("claims");
    support::insert_mebibytes(&client, &database, "large", 34).await;
    support::insert(&client, &database, "small", vec![doc! {"_id": 1}]).await;
    let lies: [(Lie, &str); 4] = [
        (without_read_concern, "does not say that it reads at one"),
        (without_read_concern_that_it_claims, "before all history"),
        (without_newer_read_concern_that_it_claims, "before it was inserted"),
        (at_another_time, "another time"),
    ];
    for (lie, told) in lies {
        let wire = Wire::start(server().port(), lie);
        let tools = support::tools_for(&wire.uri(), Store::with_client(shared_s3().client().await)).await;
        let job = support::job(&database, &support::folder());
        let hurried = Tools {
            deadline: Deadline::within(Duration::ZERO, None),
            ..tools.clone()
        };
        let whole = backup(&job, &tools).await.expect("an archive");
        let this = continued::run();
        let continued = loop {
            if let BackupAnswer::Finished(saved) = backup_run(&job, &this, &hurried).await.expect("an answer") {
                break *saved;
            }
        };
        let divided = pieces::divided_backup(&job, &tools, &hurried).await;
        for report in [whole, continued, divided] {
            assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
            assert_eq!(report.totals.documents, 35);
            assert_eq!(
                report.consistency.level,
                ConsistencyLevel::None,
                "{:?}",
                report.consistency
            );
            let said = serde_json::to_string(&report.consistency).expect("JSON");
            assert!(said.contains(told), "{said}");
        }
    }
}

/// A user of one database may not read the server's log, and one of the log alone no change stream.
fn closed(command: &WireCommand, log: bool, stream: bool) -> bool {
    let is_stream = || format!("{:?}", command.body.get("pipeline")).contains("$changeStream");
    log && command.database == "local" || stream && command.name == "aggregate" && is_stream()
}

/// It was `snapshot`, and nothing had shown that the server reads at that time.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_proven_by_what_was_inserted_before_it_or_called_unproven() {
    let refusal = || Passage::Answered(doc! {"ok": 0.0, "code": 13, "errmsg": "not authorized on local"});
    for (log, stream) in [(false, true), (true, false), (true, true)] {
        let honest = move |command: &WireCommand| match closed(command, log, stream) {
            true => refusal(),
            false => Passage::Through,
        };
        let report = through(honest, ConsistencyDemand::Require).await.expect("an archive");
        let consistency = &report.consistency;
        assert_eq!(consistency.level, ConsistencyLevel::Snapshot, "{consistency:?}");
        match log && stream {
            false => assert_eq!(consistency.unproven, None),
            true => {
                let why = consistency.unproven.as_deref().expect("nothing shows it");
                assert!(why.contains("not authorized on local"), "{why}");
                let said = consistency.to_string();
                assert!(
                    said.starts_with("snapshot, unproven (what was inserted lately"),
                    "{said}"
                );
            }
        }
        let lying = move |command: &WireCommand| match closed(command, log, stream) {
            true => refusal(),
            false => without_newer_read_concern_that_it_claims(command),
        };
        let report = through(lying, ConsistencyDemand::Auto).await.expect("an archive");
        let consistency = &report.consistency;
        assert_eq!(
            (consistency.level, consistency.unproven.is_some()),
            match log && stream {
                false => (ConsistencyLevel::None, false),
                true => (ConsistencyLevel::Snapshot, true),
            },
            "{consistency:?}"
        );
    }
}

/// A server without a recent insertion has nothing by which it could be found out.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_quiet_server_a_snapshot_is_unproven() {
    let quiet = |command: &WireCommand| match command.database.as_str() {
        "local" => Passage::Answered(doc! {
            "ok": 1.0, "cursor": {"id": 0_i64, "ns": "local.oplog.rs", "firstBatch": []},
        }),
        _ => Passage::Through,
    };
    let report = through(quiet, ConsistencyDemand::Auto).await.expect("an archive");
    assert_eq!(
        (report.status, report.consistency.level),
        (RunStatus::Complete, ConsistencyLevel::Snapshot)
    );
    let why = report.consistency.unproven.expect("nothing shows it");
    assert!(why.contains("nothing was inserted"), "{why}");
}

/// What the probe was given, the collections need not be.
#[tokio::test(flavor = "multi_thread")]
async fn each_cursor_must_say_at_which_time_it_reads() {
    let at_work = tokio::runtime::Handle::current();
    let other_time = move |command: &WireCommand| {
        let mut body = command.body.clone();
        let is_scan = command.name == "find" && command.target() == "b" && !body.contains_key("limit");
        let Some(concern) = body
            .get_mut("readConcern")
            .and_then(|c| c.as_document_mut())
            .filter(|_| is_scan)
        else {
            return Passage::Through;
        };
        concern.remove("atClusterTime");
        // The time of the moment is another one as soon as something has been written.
        at_work.block_on(async {
            let client = server().client().await;
            support::insert(&client, &fresh_database_name("later"), "a", vec![doc! {"_id": 1}]).await;
        });
        Passage::Instead(body)
    };
    let report = through(other_time, ConsistencyDemand::Auto).await.expect("an archive");
    assert_eq!(
        report.consistency.level,
        ConsistencyLevel::Mixed,
        "{:?}",
        report.consistency
    );
    let exceptions = serde_json::to_string(&report.consistency).expect("JSON");
    assert!(
        exceptions.contains("\"b\"") && exceptions.contains("another time"),
        "{exceptions}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_refuses_snapshots_is_backed_up_without() {
    // Of engines, and any other.
    for code in [303, 115, 72, 2, 20, 238, 8000, 40415, 51024] {
        let refusing = move |command: &WireCommand| {
            let level = command
                .body
                .get_document("readConcern")
                .and_then(|concern| concern.get_str("level"));
            match level.is_ok_and(|level| level == "snapshot") {
                true => Passage::Answered(doc! {"ok": 0.0, "code": code, "errmsg": "Feature not supported: snapshot"}),
                false => Passage::Through,
            }
        };
        let report = through(refusing, ConsistencyDemand::Auto).await.expect("an archive");
        assert_eq!(report.status, RunStatus::Complete, "{code}");
        assert_eq!(report.consistency.level, ConsistencyLevel::None, "{code}");
        assert_eq!(report.totals.documents, 30, "{code}");
        assert!(
            report
                .consistency
                .reason
                .is_some_and(|reason| reason.contains("Feature not supported"))
        );
    }
}

fn asked_for(command: &WireCommand) -> Option<u32> {
    let concern = command.body.get_document("readConcern").ok()?;
    concern.get_timestamp("atClusterTime").ok().map(|time| time.time)
}

/// It ended as a snapshot: any refusal of a time before all history was taken for honest.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_time_must_be_refused_for_its_age() {
    let refusing = |command: &WireCommand| match asked_for(command) {
        Some(1) => Passage::Answered(doc! {"ok": 0.0, "code": 2, "errmsg": "a bad value"}),
        _ => Passage::Through,
    };
    let report = through(refusing, ConsistencyDemand::Auto).await.expect("an archive");
    assert_eq!(
        (report.status, report.consistency.level),
        (RunStatus::Complete, ConsistencyLevel::None)
    );
    assert!(
        report
            .consistency
            .reason
            .is_some_and(|reason| reason.contains("unproven"))
    );
}

/// The first read waited for it without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stays_behind_is_not_waited_for_without_end() {
    let behind = |command: &WireCommand| match (asked_for(command), command.body.contains_key("maxTimeMS")) {
        (None, _) => Passage::Through,
        (Some(_), true) => Passage::Answered(doc! {"ok": 0.0, "code": 50, "errmsg": "operation exceeded time limit"}),
        (Some(_), false) => panic!("it would be waited for without end"),
    };
    // Patience is eight times as long.
    let soon = "&serverSelectionTimeoutMS=1000";
    let report = through_with(behind, ConsistencyDemand::Auto, soon)
        .await
        .expect("an archive");
    assert_eq!(
        (report.status, report.consistency.level),
        (RunStatus::Complete, ConsistencyLevel::None)
    );
    assert!(
        report
            .consistency
            .reason
            .is_some_and(|reason| reason.contains("does not reach the cluster time"))
    );
    let failure = through_with(behind, ConsistencyDemand::Require, soon)
        .await
        .expect_err("refused");
    assert_eq!(failure.kind, FailureKind::ConsistencyNotReached, "{failure}");
}

/// The manifest said `snapshot` of an archive without a document.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_nobody_may_read_nothing_is_claimed() {
    let closed = |command: &WireCommand| match asked_for(command) {
        Some(_) => Passage::Answered(doc! {"ok": 0.0, "code": 13, "errmsg": "not authorized"}),
        None => Passage::Through,
    };
    let report = through(closed, ConsistencyDemand::Auto).await.expect("an archive");
    assert_eq!(
        (report.status, report.consistency.level),
        (RunStatus::Partial, ConsistencyLevel::None)
    );
}
