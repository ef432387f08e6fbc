//! What moment an archive shows, and what it says when it is not one: with writers, with collections that come and go,
//! with servers that cannot do it or die.

mod abreast;
mod capped;
mod claims;
mod continued;
mod cut;
mod denied;
mod interference;
mod lagging;
mod lanes;
mod member_gone;
mod members;
mod moment;
mod secrets;
mod server_gone;
mod too_old;
mod witnesses;

use std::collections::BTreeMap;
use std::io::Read as _;

use bson::doc;
use mongotar::archive::{Compression, Manifest};
use mongotar::backup::{BackupJob, BackupReport, Tools, backup};
use mongotar::failure::Failure;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::Location;

use crate::rig::{self, Fault, Mongod, Proxy, Rule};
use crate::support::{bucket, eventually, eventually_so, insert_mebibytes, job, store_through, tools_for};

/// A backup that stands still while its first collection, `a_large`, is being read, until somebody has done something
/// to the database.
struct Halted {
    /// The store leads through it.
    proxy: Proxy,
    tools: Tools,
    job: BackupJob,
}

/// More than a backup holds in memory: it cannot be read to its end before the parts are through.
const MEBIBYTES: u64 = 96;

impl Halted {
    async fn new(mongod: &Mongod, database: &str) -> Self {
        insert_mebibytes(&mongod.client().await, database, "a_large", MEBIBYTES).await;
        let proxy = Proxy::start(rig::shared_s3().endpoint());
        let parts = Rule::on("PUT", "partNumber=").times(usize::MAX);
        proxy.inject(parts.then(Fault::Hold));
        let mut job = job(database, &bucket().await);
        job.compression = Compression::None;
        let uri = format!("{}&serverSelectionTimeoutMS=2000", mongod.uri());
        Self {
            tools: tools_for(&uri, store_through(&proxy)).await,
            proxy,
            job,
        }
    }

    /// Runs the backup; `act` runs when the first documents have been read, and no part is through before it has ended.
    async fn run(&self, act: impl Future<Output = ()>) -> Result<BackupReport, Failure> {
        let running = tokio::spawn({
            let (job, tools) = (self.job.clone(), self.tools.clone());
            async move { backup(&job, &tools).await }
        });
        eventually("documents are read", || self.tools.progress.now().0 > 0).await;
        act.await;
        self.proxy.release();
        running.await.expect("no panic")
    }

    /// What was done until now was done before any other collection was looked at.
    fn expect_no_progress(&self) {
        let (_, _, step) = self.tools.progress.now();
        assert_eq!(step, "reading a_large");
    }

    async fn manifest(&self, archive: &Location) -> Manifest {
        let file = open(&self.tools.store, archive, Memory::default())
            .await
            .expect("it can be opened");
        file.manifest().expect("it is ours").clone()
    }
}

/// Lets the server forget what it remembers: reads at any moment up to now are refused as too old when this returns.
/// Until then it remembers as long as it does by itself, so that a busy machine cannot lose a moment too soon.
async fn forget(client: &mongodb::Client) {
    let window = doc! {"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 1};
    let admin = client.database("admin");
    admin.run_command(window).await.expect("the window can be set");
    let noise = client.database("noise");
    let write = async || {
        let written = noise.collection("noise").insert_one(doc! {}).await;
        written.expect("inserted");
    };
    write().await;
    let ping = noise.run_command(doc! {"ping": 1}).await.expect("an answer");
    let now = ping.get_timestamp("operationTime").expect("a replica set tells");
    // The history moves on only while somebody writes. When it has forgotten a later moment, it has the earlier ones.
    eventually_so("the history moves on", async || {
        write().await;
        let find = doc! {"find": "noise", "readConcern": {"level": "snapshot", "atClusterTime": now}};
        let read = noise.run_command(find).await;
        read.is_err_and(|error| error.to_string().contains("SnapshotTooOld"))
    })
    .await;
}

/// Names of collections before which the backup of a large one does not read ahead to those after.
fn many() -> impl Iterator<Item = String> {
    (0..40).map(|number| format!("k{number:02}"))
}

/// The entries of an uncompressed archive in a folder, by the names of their files.
fn entries(archive: &Location) -> BTreeMap<String, Vec<u8>> {
    let Location::Local(path) = archive else {
        panic!("{archive} is no local file");
    };
    let mut tar = tar::Archive::new(std::fs::File::open(path).expect("it is there"));
    let mut found = BTreeMap::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        found.insert(name, content);
    }
    found
}
