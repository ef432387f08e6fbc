//! `kill -9` of a function at any moment of a backup, a restore or a drill, as often as the seed says; the same event again goes on, and ends as if nothing had been.

use std::time::{Duration, Instant};

use bson::{DateTime, doc};
use mongotar::store::Location;
use serde_json::{Value, json};

use super::{BACKUP, Campaign, Draw, RESTORE, Trial};
use crate::rig::{self, LambdaFunction};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "kill",
    promise: "a function that is killed at any moment, three times at the most, leaves a run that the same event ends: complete, equal, no state left behind",
    // A backup, a restore and a drill.
    sample: &[100, 104, 107],
    trial,
};

/// What AWS gives a function at the most.
const ENOUGH: Duration = Duration::from_secs(900);
/// How often one run is killed at the most.
const KILLS: u64 = 3;
/// How often an event is sent at the most until its run is at its end; one that waits for a dead one's lease waits 200 ms each time.
const DELIVERIES: usize = 1_000;

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let mut draw = Draw::of(seed);
        let scene = Scene::new(&mut draw).await;
        match draw.below(3) {
            0 => scene.backup(&mut draw).await,
            1 => scene.restore(&mut draw).await,
            _ => scene.drill(&mut draw).await,
        }
    })
}

struct Scene {
    client: mongodb::Client,
    tools: mongotar::backup::Tools,
    source: String,
    folder: Location,
}

impl Scene {
    /// A database of every kind of collection, as large as the seed says.
    async fn new(draw: &mut Draw) -> Self {
        let client = rig::shared_replica_set().client().await;
        let source = rig::fresh_database_name("kill");
        let db = client.database(&source);
        support::insert_mebibytes(&client, &source, "large", 4 + draw.below(16)).await;
        for name in ["a", "b", "c"] {
            let ids = 0..1 + i64::try_from(draw.below(400)).expect("few");
            let documents = ids.map(|id| doc! {"_id": id, "n": id % 7, "text": "archived"});
            support::insert(&client, &source, name, documents.collect()).await;
        }
        let index = doc! {"createIndexes": "a", "indexes": [{"key": {"n": 1, "_id": -1}, "name": "by_n"}]};
        let capped = doc! {"create": "ring", "capped": true, "size": 1 << 20};
        let series = doc! {"create": "series", "timeseries": {"timeField": "t", "metaField": "m"}};
        let view = doc! {"create": "view", "viewOn": "a", "pipeline": [{"$match": {"n": 1}}]};
        for command in [index, capped, series, view] {
            db.run_command(command).await.expect("created");
        }
        let ring = (0..50).map(|id| doc! {"_id": id});
        support::insert(&client, &source, "ring", ring.collect()).await;
        let series = (0..200).map(|at| doc! {"_id": at, "t": DateTime::from_millis(at * 1_000), "m": at % 3});
        support::insert(&client, &source, "series", series.collect()).await;
        Self {
            client,
            tools: support::tools().await,
            source,
            folder: support::bucket().await,
        }
    }

    fn function(&self, program: &str, database: &str) -> LambdaFunction {
        let mut env = rig::shared_s3().env();
        env.extend([
            ("MONGO_URI".to_owned(), rig::shared_replica_set().uri()),
            ("MONGO_DB".to_owned(), database.to_owned()),
            ("MONGOTAR_TO".to_owned(), self.folder.to_string()),
        ]);
        LambdaFunction::start(&rig::program(program), env)
    }

    async fn backup(self, draw: &mut Draw) -> String {
        let function = self.function(BACKUP, &self.source);
        let event = json!({"run": run(), "compression": draw.one_of(&["none", "gzip", "zstd"]), "payload": draw.one_of(&["jsonl", "bson"])});
        let mut undisturbed = event.clone();
        undisturbed["run"] = run();
        undisturbed["destination"] = json!(self.folder.join("undisturbed/"));
        let within = time_of(&function, undisturbed).await;
        let (report, killed) = to_the_end(&function, &event, within, draw).await;
        assert_eq!(report["status"], "complete", "{report}");
        self.nothing_is_left_in_the_folder().await;
        assert_eq!(support::visible(&self.tools.store, &self.folder).await.len(), 2);
        let into = rig::fresh_database_name("kill_back");
        let event = json!({"archive": report["archive"], "database": into, "snapshot": false});
        let restored = support::restore(&self.tools, event).await.expect("a restore");
        assert_eq!(restored.status, mongotar::backup::RunStatus::Complete);
        self.is_equal(&into).await;
        self.end(&[&into]).await;
        format!("backup, {killed}")
    }

    async fn restore(self, draw: &mut Draw) -> String {
        let archive = support::back_up(&self.tools, &self.source, &self.folder).await.archive;
        let into = rig::fresh_database_name("kill_into");
        for name in ["a", "b", "too many"] {
            support::insert(&self.client, &into, name, vec![doc! {"_id": 3, "text": "newer"}]).await;
        }
        let function = self.function(RESTORE, &into);
        let event = json!({"archive": archive, "run": run(), "replace_existing": true, "yes": true});
        let mut undisturbed = event.clone();
        let other = rig::fresh_database_name("kill_undisturbed");
        undisturbed["run"] = run();
        undisturbed["database"] = json!(other);
        let within = time_of(&function, undisturbed).await;
        let (report, killed) = to_the_end(&function, &event, within, draw).await;
        assert_eq!(report["status"], "complete", "{report}");
        self.is_equal(&into).await;
        let left = self.names(&into).await;
        assert!(!left.iter().any(|name| name.starts_with("mongotar.")), "{left:?}");
        self.nothing_is_left_in_the_folder().await;
        self.end(&[&into, &other]).await;
        format!("restore, {killed}")
    }

    async fn drill(self, draw: &mut Draw) -> String {
        let archive = support::back_up(&self.tools, &self.source, &self.folder).await.archive;
        let function = self.function(RESTORE, &self.source);
        let event = json!({"action": "drill", "archive": archive, "run": run()});
        let mut undisturbed = event.clone();
        undisturbed["run"] = run();
        let within = time_of(&function, undisturbed).await;
        let (report, killed) = to_the_end(&function, &event, within, draw).await;
        assert_eq!(report["verdict"], "passed", "{report}");
        let scratch = report["scratch"].as_str().expect("a name").to_owned();
        let databases = self.client.list_database_names().await.expect("names");
        assert!(!databases.contains(&scratch), "{scratch} is left");
        self.nothing_is_left_in_the_folder().await;
        self.end(&[]).await;
        format!("drill, {killed}")
    }

    /// Documents byte by byte, and definitions.
    async fn is_equal(&self, other: &str) {
        let (before, after) = (self.held(&self.source).await, self.held(other).await);
        assert_eq!(before.1, after.1);
        assert!(before.0 == after.0, "the documents of {other} differ");
    }

    async fn held(&self, database: &str) -> (Vec<(String, Vec<Vec<u8>>)>, Vec<String>) {
        let documents = support::raw_database(&self.client, &self.tools, database).await;
        let mut catalog = self.tools.mongo.survey(database).await.expect("a survey");
        for collection in &mut catalog.collections {
            collection.indexes.sort_by_key(|index| index.to_json());
        }
        (documents.into_iter().collect(), support::definitions(&catalog))
    }

    async fn names(&self, database: &str) -> Vec<String> {
        let names = self.client.database(database).list_collection_names().await;
        names.expect("names")
    }

    async fn nothing_is_left_in_the_folder(&self) {
        // One that was killed before it could say which upload it had begun leaves that upload: invisible, and the bucket's lifecycle rule removes it (docs/RELIABILITY.md).
        let unfinished = support::unfinished(&self.folder).await;
        assert!(unfinished.len() as u64 <= KILLS, "{unfinished:?}");
        for folder in [self.folder.clone(), self.folder.join("pre-restore")] {
            let in_progress = folder.join(".in-progress/");
            let left = self.tools.store.list(&in_progress, "").await.expect("a listing");
            assert!(left.is_empty(), "{left:?}");
        }
    }

    /// Many seeds must not fill the disk.
    async fn end(self, others: &[&String]) {
        for name in others.iter().copied().chain([&self.source]) {
            self.client.database(name).drop().await.expect("dropped");
        }
    }
}

fn run() -> Value {
    json!({"id": rig::unique_name("run"), "time": "2026-11-21T02:00:00Z"})
}

/// How long the same takes when nobody kills it.
async fn time_of(function: &LambdaFunction, event: Value) -> Duration {
    let began = Instant::now();
    let answer = function.invoke(event, ENOUGH).await.expect("an undisturbed run");
    assert_eq!(answer["status"], "complete", "{answer}");
    began.elapsed()
}

/// Sends the event until its run is at its end, and kills the function in between at moments that are drawn within that time; says how often one was met at work.
async fn to_the_end(function: &LambdaFunction, event: &Value, within: Duration, draw: &mut Draw) -> (Value, String) {
    let moment = |draw: &mut Draw| within.mul_f64(draw.below(1_000) as f64 / 1_000.0);
    let mut moments: Vec<Duration> = (0..=draw.below(KILLS)).map(|_| moment(draw)).collect();
    let (planned, mut met) = (moments.len(), 0);
    for _ in 0..DELIVERIES {
        let moment = moments.pop();
        let (answer, killed) = tokio::join!(function.invoke(event.clone(), ENOUGH), async {
            let Some(moment) = moment else { return false };
            tokio::time::sleep(moment).await;
            function.kill()
        });
        met += usize::from(killed);
        match answer {
            // A dead one's lease runs out, and then the next one takes over.
            Ok(answer) if answer["status"] == "running" => {
                moments.extend(moment);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(answer) if answer["status"] == "continue" => {}
            Ok(answer) => return (answer, format!("killed {met} of {planned} times")),
            Err(error) if killed && error.error_type == "Runtime.ExitError" => {}
            // What a dead one has left standing at the server or in the store is waited for.
            Err(error) if error.error_type == "RestoreRunning" => {
                moments.extend(moment);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}\n{}", function.logs().join("\n")),
        }
    }
    panic!("the run does not come to its end:\n{}", function.logs().join("\n"))
}
