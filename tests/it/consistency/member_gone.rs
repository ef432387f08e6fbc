//! The member that a collection is read from is gone for good, in the middle of it: the collection is read anew from
//! another member, at the same cluster time, and what had been read of it is named as abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use mongotar::archive::{Compression, ConsistencyLevel, Manifest, Payload};
use mongotar::backup::{
    BackupAnswer, BackupJob, BackupReport, PlanAnswer, RunStatus, Tools, backup, backup_run, compose, lane, plan_lanes,
};
use mongotar::open::open;
use mongotar::run::{Deadline, Run};
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::json;

use crate::rig::{Members, Mongod, Passage, ScratchDir, Wire};
use crate::support::{self, insert, insert_mebibytes};

struct Scene {
    set: Arc<Members>,
    client: mongodb::Client,
    folder: ScratchDir,
}

impl Scene {
    /// A collection of so many mebibytes, one that is read before it and some after it.
    async fn start(large: u64) -> Self {
        let set = Members::start(&Mongod::builder().cache_gb("0.25"));
        let client = set.client().await;
        insert_mebibytes(&client, "shop", "large", large).await;
        for name in ["before", "small", "z last"] {
            let many = (0..500)
                .map(|id| doc! {"_id": id, "n": id % 7})
                .collect::<Vec<Document>>();
            insert(&client, "shop", name, many).await;
        }
        let create = doc! {"create": "measured", "timeseries": {"timeField": "t", "metaField": "m"}};
        client.database("shop").run_command(create).await.expect("created");
        let measured = (0..500).map(|at| doc! {"t": bson::DateTime::from_millis(at * 1_000), "m": at % 3, "v": at});
        insert(&client, "shop", "measured", measured.collect()).await;
        Self {
            set,
            client,
            folder: ScratchDir::new("gone"),
        }
    }

    /// A connection on which the primary, which is read from, is killed for good when the `nth` further reply of a
    /// cursor over a collection is asked for.
    fn killing(&self, collection: &'static str, nth: usize) -> (Vec<Wire>, String) {
        let (set, victim, asked) = (Arc::clone(&self.set), self.set.primary().port(), AtomicUsize::new(0));
        let (relays, uri) = self.set.through_relays(move |command| {
            let is_of_it =
                command.name == "getMore" && command.body.get_str("collection").is_ok_and(|of| of == collection);
            if is_of_it && asked.fetch_add(1, Ordering::AcqRel) + 1 == nth {
                set.on(victim).kill();
            }
            Passage::Through
        });
        (relays, format!("{uri}&serverSelectionTimeoutMS=2000"))
    }

    fn job(&self, payload: Payload, compression: Compression) -> BackupJob {
        let to = Location::Local(self.folder.path().join(crate::rig::unique_name("to")));
        BackupJob {
            payload,
            compression,
            ..support::job("shop", &to)
        }
    }

    /// The archive is whole, of one moment, sound, and restores equal; that one collection was begun anew, once.
    async fn check(&self, report: &BackupReport, anew: &str) -> Manifest {
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
        assert_eq!(
            report.consistency.level,
            ConsistencyLevel::Snapshot,
            "{:?}",
            report.consistency
        );
        assert_eq!(report.consistency.exceptions, []);
        let tools = support::tools_for(&self.set.uri(), Store::new()).await;
        let verified = verify(&tools.store, &report.archive, tools.memory, &tools.progress)
            .await
            .expect("it opens");
        assert_eq!((verified.status, &verified.damaged[..]), (RunStatus::Complete, &[][..]));
        let file = open(&tools.store, &report.archive, tools.memory)
            .await
            .expect("it opens");
        let manifest = file.manifest().expect("it is ours").clone();
        let of = |saved: &mongotar::archive::Saved| (saved.name.clone(), saved.abandoned.len());
        let abandoned: Vec<_> = manifest
            .collections
            .iter()
            .map(of)
            .filter(|&(_, times)| times > 0)
            .collect();
        assert_eq!(abandoned, [(anew.to_owned(), 1)]);
        assert_eq!(verified.warnings.len(), 1, "{:?}", verified.warnings);
        let event =
            json!({"archive": report.archive, "database": "again", "snapshot": false, "replace_existing": true});
        let restored = support::restore(&tools, event).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete, "{restored:#?}");
        let (is, was) = (
            support::raw_database(&self.client, &tools, "again").await,
            support::raw_database(&self.client, &tools, "shop").await,
        );
        assert!(is.keys().eq(was.keys()), "{:?}", is.keys());
        // The order of a measurement's fields is the server's; the restore has compared them.
        for (name, documents) in is.iter().filter(|(name, _)| *name != "measured") {
            assert!(
                *documents == was[name],
                "{name}: {:02x?} {:02x?}",
                &documents[0][..60],
                &was[name][0][..60]
            );
        }
        manifest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_killed_in_the_middle_of_a_collection_costs_nothing() {
    let scene = Scene::start(40).await;
    let (_relays, uri) = scene.killing("large", 6);
    let tools = support::tools_for(&uri, Store::new()).await;
    let job = scene.job(Payload::Jsonl, Compression::None);
    let report = backup(&job, &tools).await.expect("an archive");
    assert!(
        report.warnings.iter().any(|warning| warning.contains("large")),
        "{:?}",
        report.warnings
    );
    let manifest = scene.check(&report, "large").await;
    let large = manifest.get("large").expect("it is named");
    let path = &large.abandoned[0].path;
    assert!(path.ends_with("/large.jsonl.abandoned"), "{path}");
    assert!(large.abandoned_bytes() > 1 << 20, "{}", large.abandoned_bytes());
    let Location::Local(archive) = &report.archive else {
        panic!("it is in a folder")
    };
    let listed = std::process::Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .expect("tar");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let of_large: Vec<&str> = listed.lines().filter(|path| path.contains("/large")).collect();
    assert_eq!(of_large.len(), 2, "{listed}");
    assert!(of_large[1].ends_with("/large.jsonl"), "{listed}");
}

/// The run goes on in other invocations, of which the later ones never see the member alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_many_invocations_goes_on_without_the_member() {
    let scene = Scene::start(16).await;
    let (_relays, uri) = scene.killing("large", 10);
    let (job, run) = (scene.job(Payload::Bson, Compression::Gzip), Run::now("gone"));
    let mut report = None;
    for _ in 0..200 {
        let mut tools = support::tools_for(&uri, Store::new()).await;
        tools.deadline = Deadline::within(Duration::ZERO, None);
        tools.mongo = tools.mongo.until(tools.deadline, &tools.cancel);
        match backup_run(&job, &run, &tools).await {
            Ok(BackupAnswer::Finished(finished)) => {
                report = Some(finished);
                break;
            }
            Ok(BackupAnswer::Unfinished(unfinished)) => assert_eq!(unfinished.status, RunStatus::Continue),
            Err(failure) => assert!(failure.is_worth_another_try(), "{failure}"),
        }
    }
    scene.check(&report.expect("it is at its end"), "large").await;
}

/// A range of `_id`s goes on at another member where it was; what is read whole in a lane is read anew there.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_go_on_without_the_member() {
    let scene = Scene::start(36).await;
    let cluster = doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}};
    scene
        .client
        .database("shop")
        .run_command(cluster)
        .await
        .expect("created");
    insert_mebibytes(&scene.client, "shop", "clustered", 24).await;
    let (_relays, uri) = scene.killing("clustered", 4);
    let tools = support::tools_for(&uri, Store::new()).await;
    let (job, run) = (scene.job(Payload::Jsonl, Compression::Zstd), Run::now("gone"));
    let planned = plan_lanes(&job, &run, 4, &tools).await.expect("a plan");
    let PlanAnswer::Planned(planned) = planned else {
        panic!("{planned:?}")
    };
    assert!(planned.lanes.len() > 2, "{planned:?}");
    let of_lane = async |number: u32, tools: &Tools| {
        let report = lane(&job, &run, number, tools).await.expect("a lane");
        assert_eq!(report.status, RunStatus::Complete);
    };
    futures_util::future::join_all(planned.lanes.iter().map(|&number| of_lane(number, &tools))).await;
    let BackupAnswer::Finished(report) = compose(&job, &run, &tools).await.expect("an answer") else {
        panic!("it is not composed")
    };
    scene.check(&report, "clustered").await;
}

/// The `_id`s of a collection in its own order.
async fn in_order(client: &mongodb::Client) -> Vec<i64> {
    let many = client.database("shop").collection::<Document>("many");
    let ids = many
        .find(doc! {})
        .projection(doc! {"_id": 1})
        .hint(mongodb::options::Hint::Keys(doc! {"$natural": 1}));
    let ids: Vec<Document> = ids.await.expect("a cursor").try_collect().await.expect("documents");
    ids.iter().map(|id| id.get_i64("_id").expect("a number")).collect()
}

/// A server that is killed carries out once more what it had not written down, in another order: the numbers of its
/// records are others, and a place in a collection is none any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_and_started_again_numbers_its_records_anew() {
    let mongod = Mongod::replica_set();
    let client = mongod.client().await;
    let many = |part: i64| (0..200).map(move |n| doc! {"_id": part * 200 + n, "text": "t".repeat(50_000)});
    for part in 0..5 {
        insert(&client, "shop", "many", many(part).collect()).await;
    }
    let before = in_order(&client).await;
    let folder = ScratchDir::new("restarted");
    let (job, run) = (
        support::job("shop", &Location::Local(folder.path().join("to"))),
        Run::now("killed"),
    );
    let mut report = None;
    for invocation in 0..100 {
        if invocation == 4 {
            mongod.kill();
            mongod.restart();
        }
        let mut tools = support::tools_for(&mongod.uri(), Store::new()).await;
        tools.deadline = Deadline::within(Duration::ZERO, None);
        if let BackupAnswer::Finished(finished) = backup_run(&job, &run, &tools).await.expect("an answer") {
            report = Some(finished);
            break;
        }
    }
    let report = report.expect("it is at its end");
    assert_ne!(
        in_order(&mongod.client().await).await,
        before,
        "they are numbered as before"
    );
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    let tools = support::tools_for(&mongod.uri(), Store::new()).await;
    let job = mongotar::verify::AgainstJob {
        archive: report.archive,
        source_database: None,
        database: "shop".to_owned(),
        selection: mongotar::catalog::Selection::default(),
        ttl: mongotar::plan::Ttl::On,
    };
    let compared = mongotar::verify::against(&job, &tools).await.expect("a comparison");
    assert_eq!(compared.status, RunStatus::Complete, "{compared:#?}");
    assert_eq!(
        report.consistency.level,
        ConsistencyLevel::Snapshot,
        "{:?}",
        report.consistency
    );
}
