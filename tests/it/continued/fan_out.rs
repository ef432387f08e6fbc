//! A restore that several workers load: divided, loaded at once, finished by one, and equal; with a worker that dies
//! and one that never comes.

use std::time::Duration;

use bson::{Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::config::Environment;
use mongotar::restore::{Begun, RestoreJob, RestoreReport, RestoreRequest, begin, finish, load, restore_run};
use mongotar::run::Answer;
use mongotar::run::{Deadline, Run};
use mongotar::store::Location;
use serde_json::json;

use crate::{rig, support};

struct Scene {
    database: String,
    target: String,
    client: mongodb::Client,
    tools: Tools,
    /// Each invocation does as little as it can.
    hurried: Tools,
    job: RestoreJob,
}

/// A backup of collections that can be divided and of such that cannot, and a target that has something else.
async fn scene(folder: Location) -> Scene {
    let client = rig::shared_replica_set().client().await;
    let (database, target) = (
        rig::fresh_database_name("divided"),
        rig::fresh_database_name("divided_into"),
    );
    let db = client.database(&database);
    // More segments than one part has: each document is one.
    for chunk in (0..36_i64).collect::<Vec<_>>().chunks(4) {
        let documents = chunk.iter().map(|at| {
            let bytes = bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: vec![u8::try_from(*at).expect("few"); 5 << 18],
            };
            doc! {"_id": at, "bytes": bytes}
        });
        support::insert(&client, &database, "large", documents.collect()).await;
    }
    let many = |count: i32| {
        (0..count)
            .map(|id| doc! {"_id": id, "n": id % 7})
            .collect::<Vec<Document>>()
    };
    for name in ["one", "two"] {
        support::insert(&client, &database, name, many(300)).await;
    }
    let index = mongodb::IndexModel::builder().keys(doc! {"n": 1, "_id": -1}).build();
    db.collection::<Document>("one")
        .create_index(index)
        .await
        .expect("an index");
    db.create_collection("empty").await.expect("created");
    db.create_collection("capped")
        .capped(true)
        .size(1 << 20)
        .await
        .expect("created");
    support::insert(&client, &database, "capped", many(50)).await;
    let create = doc! {"create": "measured", "timeseries": {"timeField": "t", "metaField": "m"}};
    db.run_command(create).await.expect("created");
    let measured = (0..100).map(|at| doc! {"t": bson::DateTime::from_millis(at * 1_000), "m": at % 3, "v": at});
    support::insert(&client, &database, "measured", measured.collect()).await;
    let create = doc! {"create": "view", "viewOn": "one", "pipeline": []};
    db.run_command(create).await.expect("created");

    let tools = support::tools().await;
    let report = support::back_up(&tools, &database, &folder).await;
    support::insert(&client, &target, "one", many(3)).await;
    support::insert(&client, &target, "extra", many(3)).await;
    let event = json!({"archive": report.archive, "database": target, "replace_existing": true, "yes": true});
    let job = RestoreRequest::from_event(event).expect("a request");
    Scene {
        job: job.into_job(&Environment::default()).expect("a job"),
        hurried: Tools {
            deadline: Deadline::within(Duration::ZERO, None),
            ..tools.clone()
        },
        tools,
        database,
        target,
        client,
    }
}

impl Scene {
    async fn begin(&self, run: &Run) -> Vec<u32> {
        for _ in 0..50 {
            match begin(&self.job, run, 3, &self.hurried).await.expect("an answer") {
                Begun::Loads(report) => return report.loads,
                Begun::Answer(Answer::Unfinished(unfinished)) => assert_eq!(unfinished.status, RunStatus::Continue),
                Begun::Answer(Answer::Finished(report)) => panic!("{report:?}"),
            }
        }
        panic!("it never begins")
    }

    async fn load(&self, run: &Run, number: u32) -> u32 {
        for invocation in 1..50 {
            match load(&self.job, run, number, &self.hurried)
                .await
                .expect("an answer")
                .status
            {
                RunStatus::Complete => return invocation,
                RunStatus::Continue => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("load {number} does not come to its end")
    }

    async fn finish(&self, run: &Run) -> RestoreReport {
        for _ in 0..200 {
            if let Answer::Finished(report) = finish(&self.job, run, &self.hurried).await.expect("an answer") {
                return *report;
            }
        }
        panic!("it is not finished")
    }

    async fn check(&self, report: &RestoreReport) {
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        let raw = |database: String| async move { support::raw_database(&self.client, &self.tools, &database).await };
        let (mut before, mut after) = (raw(self.database.clone()).await, raw(self.target.clone()).await);
        // Measurements may be kept in another order of their fields.
        assert_eq!(
            before.remove("measured").map(|all| all.len()),
            after.remove("measured").map(|all| all.len())
        );
        let names = |of: &std::collections::BTreeMap<String, Vec<Vec<u8>>>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before));
        assert!(after == before, "the documents differ");
        let definitions = |database: &str| {
            let (tools, database) = (self.tools.clone(), database.to_owned());
            async move { support::definitions(&tools.mongo.survey(&database).await.expect("a survey")) }
        };
        assert_eq!(definitions(&self.target).await, definitions(&self.database).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_load_what_one_finishes() {
    let scene = scene(support::folder()).await;
    let run = Run::now("divided");
    let loads = scene.begin(&run).await;
    assert_eq!(loads, [0, 1, 2]);
    assert_eq!(scene.begin(&run).await, loads, "asked again, it is divided already");
    // Nothing that was there has changed.
    assert_eq!(
        support::raw_documents(&scene.client, &scene.target, "one").await.len(),
        3
    );
    // A part has 32 segments of a document each; a worker whose time is up does not take it to its end.
    let mut first = 0;
    while first == 0 {
        let answer = load(&scene.job, &run, 0, &scene.hurried).await.expect("an answer");
        assert_eq!(answer.status, RunStatus::Continue);
        first = answer.documents;
    }
    assert!(first < 32, "{first}");
    let invocations = futures_util::future::join_all(loads.iter().map(|&number| scene.load(&run, number))).await;
    assert!(invocations.iter().sum::<u32>() > 3, "{invocations:?}");
    assert_eq!(scene.load(&run, 0).await, 1, "what is loaded is not loaded again");
    let report = scene.finish(&run).await;
    scene.check(&report).await;
    let again = scene.finish(&run).await;
    let text = |report: &RestoreReport| serde_json::to_string(report).expect("JSON");
    assert_eq!(text(&again), text(&report), "it is answered with what came of it");
    assert!(report.seconds > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_missing_changes_nothing_and_lets_go_of_the_target() {
    let scene = scene(support::folder()).await;
    let run = Run::now("missing");
    let loads = scene.begin(&run).await;
    scene.load(&run, loads[1]).await;
    let refused = load(&scene.job, &run, 99, &scene.tools)
        .await
        .expect_err("there is none");
    assert!(refused.to_string().contains("there is no load 99"), "{refused}");
    // Meanwhile nobody else may restore into it.
    let other = restore_run(&scene.job, &Run::now("another"), &scene.tools)
        .await
        .expect_err("refused");
    assert!(other.to_string().starts_with("RestoreRunning"), "{other}");

    let refused = finish(&scene.job, &run, &scene.tools)
        .await
        .expect_err("a share is missing");
    assert!(refused.to_string().starts_with("LoadMissing: load 0"), "{refused}");
    let mut left = scene
        .client
        .database(&scene.target)
        .list_collection_names()
        .await
        .expect("names");
    // What the server keeps of views stays, once there was one.
    left.retain(|name| !name.starts_with("system."));
    left.sort_unstable();
    assert_eq!(left, ["extra", "one"]);
    let restored = restore_run(&scene.job, &Run::now("a new one"), &scene.tools)
        .await
        .expect("it is free");
    let Answer::Finished(report) = restored else {
        panic!("{restored:?}")
    };
    scene.check(&report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_write_nothing_says_so_and_harms_nothing() {
    let scene = scene(support::bucket().await).await;
    let run = Run::now("denied");
    let loads = scene.begin(&run).await;
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    proxy.inject(
        rig::Rule::on("PUT", "load-00000")
            .times(usize::MAX)
            .then(rig::Fault::Status(403)),
    );
    let denied = support::tools_for(&rig::shared_replica_set().uri(), support::store_through(&proxy)).await;
    let refused = load(&scene.job, &run, 0, &denied)
        .await
        .expect_err("nobody would learn of it");
    let shown = refused.to_string();
    assert!(
        shown.starts_with("Store") && shown.contains("denied") && shown.contains("s3:PutObject"),
        "{shown}"
    );
    for number in loads {
        let loaded = load(&scene.job, &run, number, &scene.tools).await.expect("an answer");
        assert_eq!(loaded.status, RunStatus::Complete);
    }
    let Answer::Finished(report) = finish(&scene.job, &run, &scene.tools).await.expect("an answer") else {
        panic!("it had all the time that it needs")
    };
    scene.check(&report).await;
}
