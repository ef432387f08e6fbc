//! An archive that several workers write at once: of one moment, each document once, and laid out as one worker would
//! have.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{Bson, Document, doc};
use mongotar::archive::{Compression, ConsistencyLevel, Payload};
use mongotar::backup::{
    BackupAnswer, BackupJob, BackupReport, PlanAnswer, RunStatus, Tools, abort_run, compose, lane, plan_lanes,
};
use mongotar::run::{Deadline, Memory, Run};

use crate::{rig, support};

/// Mebibytes of the collection that is divided.
const LARGE: u64 = 32;

struct Scene {
    database: String,
    client: mongodb::Client,
    tools: Tools,
    /// Each invocation does as little as it can.
    hurried: Tools,
}

/// One large collection with `_id`s of all kinds, one that cannot be divided, and some small ones.
async fn scene() -> Scene {
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("lanes");
    let db = client.database(&database);
    let id = |at: u64| match at % 5 {
        0 => Bson::Int64(i64::try_from(at).expect("few")),
        1 => Bson::String(format!("text {at}")),
        2 => Bson::Document(doc! {"b": i64::try_from(at).expect("few"), "a": 1}),
        3 => Bson::Double(at as f64 + 0.5),
        _ => Bson::ObjectId(bson::oid::ObjectId::new()),
    };
    let large = |at: u64| {
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: support::incompressible(at, 1 << 18),
        };
        doc! {"_id": id(at), "bytes": bytes}
    };
    support::insert(
        &client,
        &database,
        "large",
        vec![doc! {"_id": Bson::MinKey}, doc! {"_id": Bson::MaxKey}],
    )
    .await;
    for chunk in (0..LARGE * 4).collect::<Vec<_>>().chunks(16) {
        support::insert(&client, &database, "large", chunk.iter().map(|&at| large(at)).collect()).await;
    }
    let create = doc! {"create": "measured", "timeseries": {"timeField": "t", "metaField": "m"}};
    db.run_command(create).await.expect("created");
    let measured = (0..500).map(|at| doc! {"t": bson::DateTime::from_millis(at * 1_000), "m": at % 3, "v": at});
    support::insert(&client, &database, "measured", measured.collect()).await;
    for name in ["a small one", "größe", "z/last"] {
        let many = (0..50).map(|id| doc! {"_id": id, "n": id}).collect::<Vec<Document>>();
        support::insert(&client, &database, name, many).await;
    }
    db.create_collection("empty").await.expect("created");
    let create = doc! {"create": "view", "viewOn": "large", "pipeline": []};
    db.run_command(create).await.expect("created");
    let tools = support::tools().await;
    Scene {
        hurried: Tools {
            deadline: Deadline::within(Duration::ZERO, None),
            ..tools.clone()
        },
        tools,
        database,
        client,
    }
}

impl Scene {
    async fn lanes(&self, job: &BackupJob, run: &Run) -> Vec<u32> {
        match plan_lanes(job, run, 4, &self.tools).await.expect("a plan") {
            PlanAnswer::Planned(report) => report.lanes,
            PlanAnswer::Answer(answer) => panic!("{answer:?}"),
        }
    }

    /// A lane to its end; gives how many invocations it took.
    async fn write(&self, job: &BackupJob, run: &Run, number: u32) -> u32 {
        for invocation in 1..100 {
            match lane(job, run, number, &self.hurried).await.expect("an answer").status {
                RunStatus::Complete => return invocation,
                RunStatus::Continue => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("lane {number} does not come to its end")
    }

    async fn compose(&self, job: &BackupJob, run: &Run) -> BackupReport {
        for _ in 0..100 {
            if let BackupAnswer::Finished(report) = compose(job, run, &self.hurried).await.expect("an answer") {
                return *report;
            }
        }
        panic!("it is not composed")
    }

    async fn raw(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        support::raw_database(&self.client, &self.tools, &self.database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_lanes_is_like_any_other_and_of_one_moment() {
    let others = async || {
        if support::all_is_tried() {
            let zstd = like_any_other(Payload::Jsonl, Compression::Zstd);
            futures_util::future::join(zstd, like_any_other(Payload::Jsonl, Compression::None)).await;
        }
    };
    futures_util::future::join(like_any_other(Payload::Bson, Compression::Gzip), others()).await;
}

async fn like_any_other(payload: Payload, compression: Compression) {
    let scene = scene().await;
    let folder = support::bucket().await;
    let job = BackupJob {
        payload,
        compression,
        ..support::job(&scene.database, &folder)
    };
    let run = Run::now("lanes");
    let before = scene.raw().await;
    let lanes = scene.lanes(&job, &run).await;
    assert!(lanes.len() >= 3, "{lanes:?}");
    // What is changed from here on is not of the moment that was planned for.
    let large = scene.client.database(&scene.database).collection::<Document>("large");
    large
        .delete_many(doc! {"_id": {"$type": "string"}})
        .await
        .expect("deleted");
    let small = scene.client.database(&scene.database).collection::<Document>("größe");
    small
        .update_many(doc! {}, doc! {"$inc": {"n": 1}})
        .await
        .expect("changed");

    let numbers = lanes.iter().map(|&number| scene.write(&job, &run, number));
    let invocations = futures_util::future::join_all(numbers).await;
    assert!(
        invocations.iter().sum::<u32>() > lanes.len() as u32 + 3,
        "{invocations:?}"
    );
    // Delivered twice, done once.
    assert_eq!(scene.write(&job, &run, lanes[0]).await, 1);
    let report = scene.compose(&job, &run).await;
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot);
    assert_eq!(report.lanes as usize, lanes.len());

    let checked = mongotar::verify::verify(
        &scene.tools.store,
        &report.archive,
        Memory::default(),
        &scene.tools.progress,
    )
    .await;
    let checked = checked.expect("it can be verified");
    assert_eq!(checked.status, RunStatus::Complete, "{:?}", checked.damaged);
    // Stock tools see one entry for each collection.
    let listed = rig::libarchive_list(&download(&scene.tools, &report).await);
    let extension = payload.extension();
    for name in ["large", "größe", "empty", "measured"] {
        let stem = mongotar::archive::EntryName::new(name, payload).whole();
        assert!(stem.ends_with(extension));
        let same = listed.iter().filter(|path| path.ends_with(&format!("/{stem}"))).count();
        assert_eq!(same, 1, "{name}: {listed:?}");
    }

    // It comes back as it was when it was planned.
    let target = rig::fresh_database_name("lanes_back");
    let restored = support::restore(
        &scene.tools,
        serde_json::json!({"archive": report.archive, "database": target, "snapshot": false}),
    );
    let restored = restored.await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete, "{:?}", restored.verification);
    let after = support::raw_database(&scene.client, &scene.tools, &target).await;
    for (name, documents) in before.iter().filter(|(name, _)| *name != "measured") {
        assert!(after.get(name) == Some(documents), "{name} is not what it was");
    }
    assert_eq!(after["measured"].len(), before["measured"].len());

    // Nothing is left, and the steps know that it is done.
    let left = scene
        .tools
        .store
        .list(&run.folder(&folder).expect("a folder"), "")
        .await;
    assert_eq!(left.expect("a listing").len(), 0);
    for number in lanes {
        let folder = run
            .folder(&folder)
            .expect("a folder")
            .join(&format!("lane-{number:05}"));
        assert_eq!(
            scene.tools.store.list(&folder, "").await.expect("a listing").len(),
            0,
            "{folder}"
        );
    }
    assert_eq!(support::unfinished(&folder).await, Vec::<String>::new());
    assert_eq!(scene.compose(&job, &run).await.etag, report.etag);
    assert!(matches!(
        plan_lanes(&job, &run, 4, &scene.tools).await.expect("an answer"),
        PlanAnswer::Answer(BackupAnswer::Finished(_))
    ));
}

async fn download(tools: &Tools, report: &BackupReport) -> std::path::PathBuf {
    let object = tools.store.find(&report.archive).await.expect("it is there");
    let whole = mongotar::archive::Extent {
        offset: 0,
        length: object.bytes,
    };
    let bytes = tools.store.read(&object, whole).await.expect("it can be read");
    let folder = tempfile::tempdir().expect("a folder").keep();
    let path = folder.join(report.archive.file_name());
    std::fs::write(&path, bytes).expect("written");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_run_leaves_nothing_and_a_lane_that_is_missing_is_not_composed() {
    let scene = scene().await;
    let folder = support::bucket().await;
    let job = support::job(&scene.database, &folder);
    let run = Run::now("aborted");
    let refused = lane(&job, &run, 0, &scene.tools).await.expect_err("it is not planned");
    assert!(refused.to_string().contains("\"plan\""), "{refused}");
    let lanes = scene.lanes(&job, &run).await;
    // A wrong event does not end the run that a right one has begun.
    let wrong = BackupJob {
        payload: Payload::Bson,
        ..job.clone()
    };
    for refused in [
        plan_lanes(&wrong, &run, 4, &scene.tools).await.err(),
        lane(&wrong, &run, 0, &scene.tools).await.err(),
        compose(&wrong, &run, &scene.tools).await.err(),
        mongotar::backup::backup_run(&job, &run, &scene.tools).await.err(),
    ] {
        let refused = refused.expect("refused").to_string();
        assert!(refused.starts_with("InvalidRequest: the run \"aborted\""), "{refused}");
    }
    assert_eq!(scene.lanes(&job, &run).await, lanes);
    scene.write(&job, &run, 0).await;
    lane(&job, &run, 1, &scene.hurried).await.expect("an answer");
    let refused = compose(&job, &run, &scene.tools).await.expect_err("a lane is missing");
    assert!(refused.to_string().starts_with("InvalidRequest: lane 1"), "{refused}");
    let refused = lane(&job, &run, 99, &scene.tools).await.expect_err("there is none");
    assert!(refused.to_string().contains("there is no lane 99"), "{refused}");

    assert_eq!(
        abort_run(&job, &run, &scene.tools).await.expect("it is aborted"),
        RunStatus::Aborted
    );
    assert_eq!(support::unfinished(&folder).await, Vec::<String>::new());
    assert_eq!(
        support::visible(&scene.tools.store, &folder).await,
        Vec::<String>::new()
    );
    for number in lanes {
        let folder = run
            .folder(&folder)
            .expect("a folder")
            .join(&format!("lane-{number:05}"));
        assert_eq!(
            scene.tools.store.list(&folder, "").await.expect("a listing").len(),
            0,
            "{folder}"
        );
    }
    assert_eq!(
        abort_run(&job, &run, &scene.tools).await.expect("again"),
        RunStatus::Aborted
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_small_is_not_divided() {
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("lanes_small");
    support::insert(&client, &database, "few", vec![doc! {"_id": 1}]).await;
    let folder = support::bucket().await;
    let (job, run, tools) = (
        support::job(&database, &folder),
        Run::now("small"),
        support::tools().await,
    );
    match plan_lanes(&job, &run, 8, &tools).await.expect("a plan") {
        PlanAnswer::Planned(report) => assert_eq!((report.lanes, report.archive), (Vec::new(), None)),
        PlanAnswer::Answer(answer) => panic!("{answer:?}"),
    }
    assert_eq!(support::unfinished(&folder).await, Vec::<String>::new());
    let answer = mongotar::backup::backup_run(&job, &run, &tools)
        .await
        .expect("a backup");
    assert_eq!(answer.status(), RunStatus::Complete);
}
