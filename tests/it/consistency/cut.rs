//! Connections that break while documents are read, and cursors that are gone: the same moment is read on from where it
//! was.

use std::sync::atomic::{AtomicUsize, Ordering};

use bson::{Bson, Document, bson, doc};
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{BackupAnswer, BackupReport, RunStatus, backup, backup_run};
use mongotar::run::{Deadline, Memory, Run};
use mongotar::store::Store;

use crate::rig::{self, Mongod, Passage, ScratchDir};
use crate::support::{self, insert, insert_mebibytes};

/// The clients that shall meet failures.
const VICTIM: &str = "victim";
/// How many cursors read one collection at the most.
const MOST_ABREAST: i64 = 4;

struct Cut {
    mongod: Mongod,
    folder: ScratchDir,
}

impl Cut {
    /// With one collection of so many mebibytes, and some others.
    async fn start(mebibytes: u64) -> Self {
        let mongod = Mongod::builder().parameter("enableTestCommands", "1").start();
        let client = mongod.client().await;
        insert_mebibytes(&client, "shop", "large", mebibytes).await;
        for name in ["after", "before"] {
            insert(&client, "shop", name, vec![doc! {"_id": 1}]).await;
        }
        let create = doc! {"create": "measured", "timeseries": {"timeField": "t"}};
        client.database("shop").run_command(create).await.expect("created");
        let measured = |at: i64| {
            let noise = bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: support::incompressible(at.unsigned_abs(), 1 << 20),
            };
            doc! {"t": bson::DateTime::from_millis(at * 1_000), "noise": noise}
        };
        for at in 0..20 {
            insert(&client, "shop", "measured", vec![measured(at)]).await;
        }
        Self {
            mongod,
            folder: ScratchDir::new("cut"),
        }
    }

    /// A backup during which commands of that name fail as told; gives how many did.
    async fn backup(&self, command: &str, mode: Bson, fault: Document) -> (BackupReport, i64) {
        let mut data = doc! {"failCommands": [command]};
        data.extend(fault);
        self.backup_with("", mode, data).await
    }

    /// The same with more options in the connection string.
    async fn backup_with(&self, options: &str, mode: Bson, mut data: Document) -> (BackupReport, i64) {
        let admin = self.mongod.client().await.database("admin");
        data.insert("appName", VICTIM);
        let uri = format!("{}&appName={VICTIM}{options}", self.mongod.uri());
        let tools = support::tools_for(&uri, Store::new()).await;
        let set = doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data};
        let before = admin.run_command(set).await.expect("it is set");
        let to = mongotar::store::Location::Local(self.folder.path().join(rig::unique_name("to")));
        let report = backup(&support::job("shop", &to), &tools).await.expect("an archive");
        let off = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        let after = admin.run_command(off).await.expect("it is off");
        let count = |reply: &Document| {
            reply
                .get("count")
                .and_then(|count| count.as_i64().or(count.as_i32().map(i64::from)))
        };
        let struck = count(&after).unwrap_or(0) - count(&before).unwrap_or(0);
        let checked = mongotar::verify::verify(&tools.store, &report.archive, Memory::default(), &tools.progress).await;
        assert_eq!(checked.expect("it opens").status, report.status);
        (report, struck)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_costs_no_document_and_no_moment() {
    let cut = Cut::start(40).await;
    let whole = cut.backup("ping", bson!("off"), doc! {}).await.0;
    for (command, fault) in [
        ("getMore", doc! {"closeConnection": true}),
        ("getMore", doc! {"errorCode": 43}),
        ("find", doc! {"closeConnection": true}),
    ] {
        let shown = format!("{command} {fault}");
        let (report, struck) = cut.backup(command, bson!({"times": 2}), fault).await;
        // Where cursors ask at the same time, the server's countdown lets one for each of them through.
        assert!((2..2 + MOST_ABREAST).contains(&struck), "{shown}: {struck}");
        assert_eq!(report.status, RunStatus::Complete, "{shown}: {:?}", report.failed);
        assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot, "{shown}");
        let digests = |of: &BackupReport| {
            let of = of.collections.iter();
            of.map(|saved| (saved.name.clone(), saved.documents, saved.digest))
                .collect::<Vec<_>>()
        };
        assert_eq!(digests(&report), digests(&whole), "{shown}");
    }
}

/// It is waited out as long as something comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_never_holds_for_longer_than_a_reply_is_enough() {
    // Each opened cursor brings one reply of at most 16 MB before it breaks.
    let cut = Cut::start(80).await;
    let fault = doc! {"failCommands": ["getMore"], "closeConnection": true};
    let (report, struck) = cut.backup_with("", bson!({"times": 1_000}), fault).await;
    assert!(struck > 5, "{struck}");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_cannot_be_read_on_makes_the_archive_partial() {
    let cut = Cut::start(60).await;
    let fault = doc! {"failCommands": ["getMore", "find"], "closeConnection": true};
    let short = "&serverSelectionTimeoutMS=250";
    // Five of them before the collections: what is a snapshot, and who bears witness to it.
    let (report, struck) = cut.backup_with(short, bson!({"skip": 15}), fault).await;
    assert!(struck > 1, "{struck}");
    assert_eq!(report.status, RunStatus::Partial);
    let failed = report.failed.iter().find(|failed| failed.name == "large");
    assert!(failed.is_some_and(|failed| failed.documents > 0), "{:?}", report.failed);
}

/// An invocation whose time is up does not wait for long, but that is no reason to leave documents out.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_near_the_deadline_leaves_nothing_out() {
    let cut = Cut::start(12).await;
    let opened = AtomicUsize::new(0);
    let (_relay, uri) = cut.mongod.through_relay(move |command| {
        // Every second cursor over documents; what looks for ids alone gets its answer.
        let is_cursor = command.name == "find" && !command.body.contains_key("projection");
        match is_cursor && opened.fetch_add(1, Ordering::AcqRel).is_multiple_of(2) {
            true => Passage::Cut,
            false => Passage::Through,
        }
    });
    let to = mongotar::store::Location::Local(cut.folder.path().join("run"));
    let (job, run) = (support::job("shop", &to), Run::now("one event"));
    let mut report = None;
    for _ in 0..200 {
        let mut tools = support::tools_for(&uri, Store::new()).await;
        tools.deadline = Deadline::within(std::time::Duration::ZERO, None);
        // As the function does.
        tools.mongo = tools.mongo.until(tools.deadline, &tools.cancel);
        match backup_run(&job, &run, &tools).await.expect("an answer") {
            BackupAnswer::Finished(finished) => {
                report = Some(finished);
                break;
            }
            BackupAnswer::Unfinished(unfinished) => assert_eq!(unfinished.status, RunStatus::Continue),
        }
    }
    let report = report.expect("it is at its end");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
}

/// A member that rolls back ends its cursors with a code of its own: a comparison left the collection out, and a
/// restore's look at what it had loaded failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_a_rollback_ended_is_read_on_from() {
    let cut = Cut::start(30).await;
    let asked = AtomicUsize::new(0);
    let (_relay, uri) = cut.mongod.through_relay(move |command| {
        let is_of_it = command.name == "getMore" && command.body.get_str("collection").is_ok_and(|of| of == "large");
        match is_of_it && asked.fetch_add(1, Ordering::AcqRel).is_multiple_of(3) {
            true => Passage::Answered(doc! {
                "ok": 0.0, "code": 175, "codeName": "QueryPlanKilled", "errmsg": "the catalog was closed and reopened",
            }),
            false => Passage::Through,
        }
    });
    let tools = support::tools_for(&uri, Store::new()).await;
    let to = mongotar::store::Location::Local(cut.folder.path().join("rolled_back"));
    let report = support::back_up(&tools, "shop", &to).await;
    assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
    let job = mongotar::verify::AgainstJob {
        archive: report.archive.clone(),
        source_database: None,
        database: "shop".to_owned(),
        selection: mongotar::catalog::Selection::default(),
        ttl: mongotar::plan::Ttl::On,
    };
    let compared = mongotar::verify::against(&job, &tools).await.expect("a comparison");
    assert_eq!(compared.status, RunStatus::Complete, "{compared:#?}");
    let event = serde_json::json!({"archive": report.archive, "database": "copy", "snapshot": false});
    let restored = support::restore(&tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{restored:#?}");
}
