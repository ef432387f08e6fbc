//! A primary that steps down, stands still for a quarter of a minute, or is killed and comes back, in the middle of a
//! backup, a restore or a merge on three members.
//!
//! A seed decides what is going on, what befalls the primary, and when: at a part of the time that the same run takes
//! undisturbed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::store::{Location, Store};
use mongotar::verify::{AgainstJob, against};
use serde_json::json;

use super::shop::{self, differences, state};
use super::{Campaign, Draw, Trial};
use crate::rig::{Members, Mongod, ScratchDir};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "failover",
    promise: "a primary that steps down, stands still, or is killed and comes back, at any moment of a backup, a restore or a merge, costs no document, and the run ends complete and equal",
    // Each fault once, and each operation, as quick as may be.
    sample: &[1, 8],
    trial,
};

const SOURCE: &str = "shop";
const TARGET: &str = "target";
/// For how long a primary stands still.
const STANDS_STILL: Duration = Duration::from_secs(15);
/// For how long one that was killed is away.
const AWAY: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Backup,
    Restore,
    Merge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    StepsDown,
    StandsStill,
    IsKilled,
}

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let operation =
            [Operation::Backup, Operation::Restore, Operation::Merge][usize::try_from(seed % 3).expect("few")];
        let fault =
            [Fault::StepsDown, Fault::StandsStill, Fault::IsKilled][usize::try_from(seed / 3 % 3).expect("few")];
        let mut draw = Draw::of(seed);
        let scene = Scene::start().await;
        scene.reset(operation).await;
        let began = Instant::now();
        scene.run(operation).await;
        let took = u64::try_from(began.elapsed().as_millis()).expect("a short time");
        scene.reset(operation).await;
        let moment = Duration::from_millis(draw.below(took.max(1)));
        let striking = {
            let set = Arc::clone(&scene.set);
            tokio::spawn(async move {
                tokio::time::sleep(moment).await;
                strike(set, fault).await;
            })
        };
        let said = scene.run(operation).await;
        striking.await.expect("it strikes");
        scene.set.wait_until_whole();
        scene.check(operation).await;
        format!("{operation:?}, {fault:?}{said}")
    })
}

async fn strike(set: Arc<Members>, fault: Fault) {
    match fault {
        Fault::StepsDown => {
            let primary = set.primary();
            let client = mongodb::Client::with_uri_str(primary.direct_uri())
                .await
                .expect("a client");
            let down = doc! {"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5, "force": true};
            // The connection may end with the role.
            let _ = client.database("admin").run_command(down).await;
        }
        Fault::StandsStill => {
            set.primary().pause();
            tokio::time::sleep(STANDS_STILL).await;
            // The same one: it has not learnt that it is primary no more, or has.
            set.resume_all();
        }
        Fault::IsKilled => {
            let primary = set.primary();
            primary.kill();
            tokio::time::sleep(AWAY).await;
            primary.restart_alone();
        }
    }
}

struct Scene {
    set: Arc<Members>,
    client: mongodb::Client,
    tools: Tools,
    folder: ScratchDir,
    archive: String,
}

impl Scene {
    async fn start() -> Self {
        let set = Members::start(&Mongod::builder().cache_gb("0.25"));
        let client = set.client().await;
        let folder = ScratchDir::new("failover");
        shop::fill(&client, SOURCE).await;
        support::insert_mebibytes(&client, SOURCE, "large", 24).await;
        for part in 0..5 {
            let many = (0..2_000).map(|n| doc! {"_id": part * 2_000 + n, "n": n, "text": "t".repeat(100)});
            support::insert(&client, SOURCE, "many", many.collect()).await;
        }
        let tools = support::tools_for(&set.uri(), Store::new()).await;
        let to = Location::Local(folder.path().join("archives"));
        let archive = support::back_up(&tools, SOURCE, &to).await.archive.to_string();
        Self {
            set,
            client,
            tools,
            folder,
            archive,
        }
    }

    async fn reset(&self, operation: Operation) {
        self.set.wait_until_whole();
        if operation == Operation::Backup {
            return;
        }
        self.client.database(TARGET).drop().await.expect("dropped");
        shop::before(&self.client, TARGET).await;
        if operation == Operation::Merge {
            let some = (0..1_500).map(|n| doc! {"_id": n * 5, "n": "another"});
            support::insert(&self.client, TARGET, "many", some.collect::<Vec<Document>>()).await;
        }
    }

    /// Does it; what else is to be said of it.
    async fn run(&self, operation: Operation) -> String {
        if operation == Operation::Backup {
            let to = Location::Local(self.folder.path().join(crate::rig::unique_name("again")));
            let report = support::back_up(&self.tools, SOURCE, &to).await;
            assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
            let job = AgainstJob {
                archive: report.archive,
                source_database: None,
                database: SOURCE.to_owned(),
                selection: mongotar::catalog::Selection::default(),
                ttl: mongotar::plan::Ttl::On,
            };
            let compared = against(&job, &self.tools).await.expect("a comparison");
            assert_eq!(compared.status, RunStatus::Complete, "{compared:#?}");
            assert!(compared.drifted.is_empty(), "{compared:#?}");
            let anew = if report.warnings.is_empty() { "" } else { ", begun anew" };
            return format!(", {}{anew}", report.consistency.level);
        }
        let mut event = json!({"archive": self.archive, "database": TARGET, "snapshot": false});
        if operation == Operation::Restore {
            event["replace_existing"] = true.into();
        }
        let report = support::restore(&self.tools, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
        String::new()
    }

    async fn check(&self, operation: Operation) {
        if operation == Operation::Backup {
            return;
        }
        let (is, mut expected) = (
            state(&self.client, &self.tools, TARGET).await,
            state(&self.client, &self.tools, SOURCE).await,
        );
        if operation == Operation::Merge {
            shop::keep(&mut expected);
        }
        assert!(
            is == expected,
            "the database is another\n{}",
            differences(&is, &expected)
        );
    }
}
