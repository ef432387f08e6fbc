//! A backup in many invocations shows one moment, with writes going on all the time: no document twice, none lost,
//! whatever happens to the very one behind which it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use mongotar::archive::{Compression, ConsistencyLevel, Payload, SavedStatus};
use mongotar::backup::{BackupAnswer, BackupJob, BackupReport, RunStatus, Tools, backup_run};
use mongotar::digest::{Digest, Hashing};
use mongotar::mongo::ReadAt;
use mongotar::run::{Deadline, Memory, Run};

use crate::{rig, support};

/// Documents of one segment each.
const LARGE: u64 = 12;

struct Scene {
    database: String,
    client: mongodb::Client,
    tools: Tools,
}

/// Collections of every kind that is read in a way of its own, and enough of them.
async fn scene() -> Scene {
    let client = rig::shared_replica_set().client().await;
    let database = rig::fresh_database_name("continued");
    let db = client.database(&database);
    let ids = |at: u64| match at % 4 {
        0 => Bson::Int64(i64::try_from(at).expect("few")),
        1 => Bson::String(format!("text {at}")),
        2 => Bson::Document(doc! {"b": i64::try_from(at).expect("few"), "a": 1}),
        _ => Bson::ObjectId(bson::oid::ObjectId::new()),
    };
    for at in 0..LARGE {
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: support::incompressible(at, 2 << 20),
        };
        support::insert(&client, &database, "large", vec![doc! {"_id": ids(at), "bytes": bytes}]).await;
    }
    db.create_collection("capped")
        .capped(true)
        .size(1 << 20)
        .await
        .expect("created");
    let create = doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}};
    db.run_command(create).await.expect("created");
    let create = doc! {"create": "measured", "timeseries": {"timeField": "t", "metaField": "m"}};
    db.run_command(create).await.expect("created");
    db.create_collection("empty").await.expect("created");
    let create = doc! {"create": "a view", "viewOn": "small 1", "pipeline": []};
    db.run_command(create).await.expect("created");
    let many = |count: i32| {
        (0..count)
            .map(|id| doc! {"_id": id, "n": id})
            .collect::<Vec<Document>>()
    };
    for name in ["capped", "clustered", "small 1", "small 2", "small 3", "small 4"] {
        support::insert(&client, &database, name, many(50)).await;
    }
    let measured = (0..200).map(|at| doc! {"t": bson::DateTime::from_millis(at * 1_000), "m": at % 3, "v": at});
    support::insert(&client, &database, "measured", measured.collect()).await;
    Scene {
        tools: support::tools().await,
        database,
        client,
    }
}

impl Scene {
    /// Invocation after invocation, each of which has no time at all, until there is an archive.
    async fn to_the_end(&self, job: &BackupJob, run: &Run) -> (BackupReport, u32) {
        let tools = Tools {
            deadline: Deadline::within(Duration::ZERO, None),
            ..self.tools.clone()
        };
        let mut invocations = 0;
        loop {
            invocations += 1;
            assert!(invocations < 200, "it does not come to an end");
            match backup_run(job, run, &tools).await.expect("an answer") {
                BackupAnswer::Finished(report) => return (*report, invocations),
                BackupAnswer::Unfinished(unfinished) => {
                    assert_eq!(unfinished.status, RunStatus::Continue, "{unfinished:?}");
                }
            }
        }
    }
}

/// A number that no other writer begins with.
fn first_round() -> i64 {
    static WRITERS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    WRITERS.fetch_add(100_000, Ordering::Relaxed)
}

/// How often a large document is rewritten. As fast as the server takes them would be gigabytes of oplog and history.
const LARGE_EVERY: Duration = Duration::from_millis(400);

/// How often everything else is written to: often within each invocation, but not so fast that nothing else gets done.
const ROUND_EVERY: Duration = Duration::from_millis(20);

/// Writes into everything: changes, deletes and puts back what is being read.
fn writer(scene: &Scene) -> (Arc<AtomicBool>, tokio::task::JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (database, client, stopped) = (scene.database.clone(), scene.client.clone(), Arc::clone(&stop));
    let writing = tokio::spawn(async move {
        let db = client.database(&database);
        // Another one each time: what was inserted before is still there.
        let mut round = first_round();
        let mut large_at = Instant::now();
        while !stopped.load(Ordering::Relaxed) {
            round += 1;
            let large = db.collection::<Document>("large");
            // Whichever of them it is behind which the reading goes on.
            if Instant::now() >= large_at {
                large_at += LARGE_EVERY;
                let one = large.find_one_and_delete(doc! {}).await.expect("a write");
                if let Some(mut one) = one {
                    one.insert("round", round);
                    large.insert_one(one).await.expect("a write");
                }
            }
            for name in ["clustered", "small 1", "small 2"] {
                let collection = db.collection::<Document>(name);
                collection.delete_one(doc! {"_id": round % 50}).await.expect("a write");
                collection
                    .insert_one(doc! {"_id": 1_000 + round})
                    .await
                    .expect("a write");
                let change = doc! {"$inc": {"n": 1}};
                collection
                    .update_many(doc! {"_id": {"$lt": 20}}, change)
                    .await
                    .expect("a write");
            }
            let measured = doc! {"t": bson::DateTime::from_millis(round * 500), "m": round % 3, "v": round};
            db.collection::<Document>("measured")
                .insert_one(measured)
                .await
                .expect("a write");
            tokio::time::sleep(ROUND_EVERY).await;
        }
    });
    (stop, writing)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_invocations_and_a_writer_give_the_archive_of_one_moment() {
    let others = async || {
        if support::all_is_tried() {
            let gzip = of_one_moment(Payload::Jsonl, Compression::Gzip);
            futures_util::future::join(gzip, of_one_moment(Payload::Bson, Compression::None)).await;
        }
    };
    futures_util::future::join(of_one_moment(Payload::Jsonl, Compression::Zstd), others()).await;
}

async fn of_one_moment(payload: Payload, compression: Compression) {
    let scene = scene().await;
    let folder = support::bucket().await;
    let job = BackupJob {
        payload,
        compression,
        ..support::job(&scene.database, &folder)
    };
    let (stop, writing) = writer(&scene);
    let run = Run::now("one event");
    let (report, invocations) = scene.to_the_end(&job, &run).await;
    stop.store(true, Ordering::Relaxed);
    writing.await.expect("the writer wrote");

    assert!(invocations >= 20, "{invocations} invocations are not many");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    // What cannot be read at a snapshot at all is said; everything else is of that moment.
    assert_eq!(report.consistency.level, ConsistencyLevel::Mixed);
    let others: Vec<&str> = report
        .consistency
        .exceptions
        .iter()
        .map(|exception| exception.collection.as_str())
        .collect();
    assert_eq!(others, ["capped"]);
    let time = report.consistency.cluster_time.expect("a cluster time");
    for saved in report.collections.iter().filter(|saved| saved.name != "capped") {
        let (mut read, mut hasher) = (0, Digest::default());
        assert_eq!(saved.status, SavedStatus::Complete);
        if saved.name == "a view" {
            continue;
        }
        let hashing = match saved.name.as_str() {
            "measured" => Hashing::SortedFields,
            _ => Hashing::Raw,
        };
        let mut documents = mongotar::digest::DocumentHasher::new(hashing);
        let mut batches = scene
            .tools
            .mongo
            .read(&scene.database, &saved.name, ReadAt::Snapshot(time), 100)
            .await
            .expect("the moment can still be read");
        while let Some(batch) = batches.next().await {
            for document in batch.expect("a reply").all_documents() {
                documents.add_document(document.expect("a document"));
                read += 1;
            }
        }
        hasher.merge(&documents.digest());
        assert_eq!((saved.documents, saved.digest), (read, hasher.sum()), "{}", saved.name);
    }
    let checked = mongotar::verify::verify(
        &scene.tools.store,
        &report.archive,
        Memory::default(),
        &scene.tools.progress,
    )
    .await;
    let checked = checked.expect("it can be verified");
    assert_eq!(checked.status, RunStatus::Complete, "{:?}", checked.damaged);

    // The state is gone, nothing is half-made, and the same event gives the same answer.
    let left = scene
        .tools
        .store
        .list(&run.folder(&folder).expect("a folder"), "")
        .await;
    assert_eq!(left.expect("a listing").len(), 0);
    assert_eq!(support::unfinished(&folder).await, Vec::<String>::new());
    let (again, invocations) = scene.to_the_end(&job, &run).await;
    assert_eq!(invocations, 1);
    assert_eq!((again.archive, again.etag), (report.archive, report.etag));
    assert_eq!(support::visible(&scene.tools.store, &folder).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_dropped_between_two_invocations_is_not_taken_for_read() {
    let scene = scene().await;
    let folder = support::folder();
    let job = support::job(&scene.database, &folder);
    let run = Run::now("dropped");
    let tools = Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..scene.tools.clone()
    };
    // Far enough to be in the middle of it.
    loop {
        match backup_run(&job, &run, &tools).await.expect("an answer") {
            BackupAnswer::Unfinished(unfinished) if unfinished.totals.bytes < 20 << 20 => {}
            BackupAnswer::Unfinished(_) => break,
            BackupAnswer::Finished(report) => panic!("too soon: {report:?}"),
        }
    }
    scene
        .client
        .database(&scene.database)
        .collection::<Document>("large")
        .drop()
        .await
        .expect("dropped");
    let (report, _) = {
        let mut invocations = 0;
        loop {
            invocations += 1;
            if let BackupAnswer::Finished(report) = backup_run(&job, &run, &tools).await.expect("an answer") {
                break (report, invocations);
            }
        }
    };
    assert_eq!(report.status, RunStatus::Partial);
    let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
    assert_eq!(failed, ["large"]);
    assert!(
        report.failed[0].documents > 0 && report.failed[0].documents < LARGE,
        "{:?}",
        report.failed
    );
    assert!(report.failed[0].error.contains("dropped"), "{:?}", report.failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_another_request_is_refused_and_goes_on_with_its_own() {
    let scene = scene().await;
    let folder = support::folder();
    let job = support::job(&scene.database, &folder);
    let run = Run::now("mine");
    let tools = Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..scene.tools.clone()
    };
    let first = backup_run(&job, &run, &tools).await.expect("an answer");
    assert_eq!(first.status(), RunStatus::Continue);
    let other = BackupJob {
        payload: Payload::Bson,
        ..job.clone()
    };
    let refused = backup_run(&other, &run, &tools).await.expect_err("refused");
    assert!(
        refused.to_string().starts_with("InvalidRequest: the run \"mine\""),
        "{refused}"
    );
    let (report, _) = scene.to_the_end(&job, &run).await;
    assert_eq!(report.status, RunStatus::Complete);
}

/// Most invocations of a large database come after the server has forgotten the moment at which the first began.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_history_has_run_out_between_two_invocations_the_manifest_says_for_which_collections() {
    let mongod = rig::Mongod::replica_set();
    let client = mongod.client().await;
    for at in 0..6_i64 {
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: support::incompressible(at.unsigned_abs(), 6 << 20),
        };
        support::insert(&client, "shop", "b large", vec![doc! {"_id": at, "bytes": bytes}]).await;
    }
    for name in ["a early", "c late"] {
        support::insert(&client, "shop", name, vec![doc! {"_id": 1}]).await;
    }
    let folder = support::folder();
    let job = support::job("shop", &folder);
    let run = Run::now("too old");
    let tools = Tools {
        deadline: Deadline::within(Duration::ZERO, None),
        ..support::tools_for(
            &mongod.uri(),
            mongotar::store::Store::with_client(rig::shared_s3().client().await),
        )
        .await
    };
    // In the middle of the large one.
    loop {
        match backup_run(&job, &run, &tools).await.expect("an answer") {
            BackupAnswer::Unfinished(unfinished) if unfinished.totals.documents < 3 => {}
            BackupAnswer::Unfinished(_) => break,
            BackupAnswer::Finished(report) => panic!("too soon: {report:?}"),
        }
    }
    super::forget(&client).await;
    // What is written now is of a later moment.
    let large = client.database("shop").collection::<Document>("b large");
    large.insert_one(doc! {"_id": 100_i64}).await.expect("inserted");
    let report = loop {
        if let BackupAnswer::Finished(report) = backup_run(&job, &run, &tools).await.expect("an answer") {
            break report;
        }
    };
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
    assert_eq!(report.consistency.level, ConsistencyLevel::Mixed);
    let exceptions: Vec<(&str, bool)> = report
        .consistency
        .exceptions
        .iter()
        .map(|exception| {
            (
                exception.collection.as_str(),
                exception.reason.contains("had been read by then"),
            )
        })
        .collect();
    assert_eq!(exceptions, [("b large", true), ("c late", false)]);
    let documents: Vec<u64> = report.collections.iter().map(|saved| saved.documents).collect();
    assert_eq!(documents, [1, 7, 1]);
}
