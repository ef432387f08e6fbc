//! What moment an archive shows, and what it says when it is not one: with writers, with collections that come and go, with servers that cannot do it or die.

mod abreast;
mod capped;
mod claims;
mod continued;
mod cut;
mod denied;
mod interference;
mod lanes;
mod members;
mod moment;
mod secrets;
mod server_gone;
mod too_old;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use mongotar::archive::{Compression, Manifest};
use mongotar::backup::{BackupJob, BackupReport, Tools, backup};
use mongotar::failure::Failure;
use mongotar::open::open;
use mongotar::store::Location;

use crate::rig::{self, Fault, Mongod, Proxy, Rule};
use crate::support::{bucket, eventually, insert_mebibytes, job, store_through, tools_for};

/// A backup that stands still while its first collection, `a_large`, is being read, until somebody has done something to the database.
struct Halted {
    /// The store leads through it.
    _proxy: Proxy,
    tools: Tools,
    job: BackupJob,
}

/// More than a backup holds in memory: it cannot be read to its end before the parts are through.
const MEBIBYTES: u64 = 96;

impl Halted {
    /// `pause` is how long the first parts take.
    async fn new(mongod: &Mongod, database: &str, pause: Duration) -> Self {
        insert_mebibytes(&mongod.client().await, database, "a_large", MEBIBYTES).await;
        let proxy = Proxy::start(rig::shared_s3().endpoint());
        let slow = Rule::on("PUT", "partNumber=").times(4);
        proxy.inject(slow.then(Fault::Delay(pause)));
        let mut job = job(database, &bucket().await);
        job.compression = Compression::None;
        let uri = format!("{}&serverSelectionTimeoutMS=2000", mongod.uri());
        Self {
            tools: tools_for(&uri, store_through(&proxy)).await,
            _proxy: proxy,
            job,
        }
    }

    /// Runs the backup; `act` runs when the first documents have been read.
    async fn run(&self, act: impl Future<Output = ()>) -> Result<BackupReport, Failure> {
        let running = tokio::spawn({
            let (job, tools) = (self.job.clone(), self.tools.clone());
            async move { backup(&job, &tools).await }
        });
        eventually("documents are read", || self.tools.progress.now().0 > 0).await;
        act.await;
        running.await.expect("no panic")
    }

    /// What was done until now was done before any other collection was looked at.
    fn expect_no_progress(&self) {
        let (_, _, step) = self.tools.progress.now();
        assert_eq!(step, "reading a_large");
    }

    async fn manifest(&self, archive: &Location) -> Manifest {
        let file = open(&self.tools.store, archive).await.expect("it can be opened");
        file.manifest().expect("it is ours").clone()
    }
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
