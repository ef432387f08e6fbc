//! The servers that a mode works on, and what each program needs to find them.

use std::process::Command;

use bson::doc;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::measure::{self, Sample};
use crate::record::Record;
use crate::rig::{Mongod, S3};

/// A replica set of one member and an S3 server, both on this machine, both gone when this is.
#[derive(Debug)]
pub struct Servers {
    /// The rig's own calls block, so it is entered for asynchronous ones only.
    pub runtime: Runtime,
    pub mongod: Mongod,
    s3: S3,
    bucket: String,
}

impl Servers {
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mongod = Mongod::builder().cache_gb("2").start();
        let s3 = S3::start();
        let bucket = runtime.block_on(s3.fresh_bucket("bench"));
        Self {
            runtime,
            mongod,
            s3,
            bucket,
        }
    }

    /// What `mongotar` is told about them.
    pub fn mongotar(&self, arguments: &[&str], database: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mongotar"));
        command
            .args(arguments)
            .arg("--json")
            .envs(self.s3.env())
            .env("MONGO_URI", self.mongod.uri())
            .env("MONGO_DB", database)
            .env("MONGOTAR_TO", format!("s3://{}/bench/", self.bucket));
        command
    }

    /// Runs `mongotar`, whose answer must be `complete`.
    pub fn run(&self, arguments: &[&str], database: &str) -> (Sample, Value) {
        let (sample, printed) = measure::program(&mut self.mongotar(arguments, database), self.mongod.pid());
        let report: Value = serde_json::from_str(&printed).expect("--json prints one document");
        assert_eq!(report["status"], "complete", "{printed}");
        (sample, report)
    }

    /// Drops a database; the next run finds none of it.
    pub fn drop_database(&self, database: &str) {
        self.runtime.block_on(async {
            let client = self.mongod.client().await;
            client
                .database(database)
                .drop()
                .await
                .expect("a database can be dropped");
        });
    }

    /// Has mongod write down what it holds in memory, so that this does not happen while something is measured.
    pub fn settle(&self) {
        self.runtime.block_on(async {
            let client = self.mongod.client().await;
            let command = doc! {"fsync": 1};
            client.database("admin").run_command(command).await.expect("fsync");
        });
    }

    /// What a record says of them.
    pub fn describe(&self, record: &mut Record) {
        let version = self.runtime.block_on(async {
            let client = self.mongod.client().await;
            let info = client
                .database("admin")
                .run_command(doc! {"buildInfo": 1})
                .await
                .expect("buildInfo");
            info.get_str("version").unwrap_or("?").to_owned()
        });
        record.condition(
            "servers",
            format!(
                "mongod {version} (replica set of one, cache 2 GB) and SeaweedFS as S3, on the same machine: \
                 its CPU time is part of \"elsewhere\""
            ),
        );
    }
}
