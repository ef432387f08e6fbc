//! Every request to the store fails, whatever is being done, and is made up for.
//!
//! One request of a run is struck, in one of the ways in which a store fails: an error of its own, throttling, a
//! connection that breaks before or behind the request, an answer that breaks off. What was going on must end as if
//! nothing had been.
//!
//! A seed stands for an operation, a fault and a request.

use mongotar::backup::{RunStatus, Tools};
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use mongotar::verify::verify;
use serde_json::json;

use super::shop::{self, Server};
use super::{Campaign, Trial};
use crate::rig::{self, Fault, Proxy, Rule};
use crate::support;

pub const CAMPAIGN: Campaign = Campaign {
    name: "requests",
    promise: "a request to the store that fails twice, at any place of a backup, a restore, a drill or a verification, is made up for, and the run ends complete and equal",
    // Each operation and each fault, in the middle.
    sample: &[60, 66, 72, 78, 84],
    trial,
};

const OPERATIONS: [Operation; 4] = [
    Operation::Backup,
    Operation::Restore,
    Operation::Drill,
    Operation::Verify,
];

/// What happens to a request, by how the store fails; twice, so that what is repeated fails as well.
const FAULTS: [Fault; 5] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::CutBeforeForwarding,
    Fault::CutAfterForwarding,
    Fault::CutAnswerAfter(0),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Backup,
    Restore,
    Drill,
    Verify,
}

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let pick = |among: usize, divisor: u64| usize::try_from(seed / divisor).expect("few") % among;
        let operation = OPERATIONS[pick(OPERATIONS.len(), 1)];
        let fault = FAULTS[pick(FAULTS.len(), 4)];
        let scene = Scene::new(operation, Server::for_trial(&CAMPAIGN, seed)).await;
        scene.run().await;
        let requests = scene.proxy.exchanges().len();
        let nth = pick(requests, 20);
        scene.proxy.reset();
        scene.proxy.inject(Rule::on("*", "").nth(nth + 1).times(2).then(fault));
        scene.run().await;
        let struck = scene.proxy.exchanges().into_iter().nth(nth).map(|struck| struck.method);
        format!("{operation:?}, {fault:?}, {}", struck.unwrap_or_default())
    })
}

struct Scene {
    operation: Operation,
    _server: Server,
    proxy: Proxy,
    client: mongodb::Client,
    /// Through the proxy, and past it.
    faulty: Tools,
    tools: Tools,
    source: String,
    target: String,
    folder: Location,
    archive: Location,
}

impl Scene {
    async fn new(operation: Operation, server: Server) -> Self {
        let client = server.client().await;
        let (source, target) = (rig::fresh_database_name("store"), rig::fresh_database_name("stored"));
        shop::fill(&client, &source).await;
        let store = Store::with_client(rig::shared_s3().client().await);
        let (tools, folder) = (support::tools_for(&server.uri(), store).await, support::bucket().await);
        let archive = support::back_up(&tools, &source, &folder).await.archive;
        let proxy = Proxy::start(rig::shared_s3().endpoint());
        Self {
            operation,
            faulty: support::tools_for(&server.uri(), support::store_through(&proxy)).await,
            _server: server,
            proxy,
            client,
            tools,
            source,
            target,
            folder,
            archive,
        }
    }

    async fn run(&self) {
        match self.operation {
            Operation::Backup => {
                let to = self.folder.join(&rig::fresh_database_name("again"));
                let report = support::back_up(&self.faulty, &self.source, &to).await;
                assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
                assert!(report.warnings.is_empty(), "{:?}", report.warnings);
                self.verify(&self.tools, &report.archive).await;
                // An upload that was begun by a request whose answer was lost is nobody's, and has no parts
                // (docs/RELIABILITY.md).
                assert_eq!(support::unfinished_parts(&self.folder).await, [""; 0]);
            }
            Operation::Restore => self.restore().await,
            Operation::Drill => shop::drill(&self.faulty, json!({"archive": self.archive.to_string()})).await,
            Operation::Verify => self.verify(&self.faulty, &self.archive).await,
        }
    }

    /// Over what is there, which is saved first.
    async fn restore(&self) {
        self.client.database(&self.target).drop().await.expect("dropped");
        shop::before(&self.client, &self.target).await;
        let event = json!({
            "archive": self.archive.to_string(), "database": self.target, "replace_existing": true,
            "snapshot_to": self.folder.join(&rig::fresh_database_name("before")).to_string(),
        });
        let report = support::restore(&self.faulty, event).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{report:#?}");
        let names = (self.source.as_str(), self.target.as_str());
        shop::check(&self.client, &self.tools, names, false).await;
    }

    async fn verify(&self, tools: &Tools, archive: &Location) {
        let verified = verify(&tools.store, archive, Memory::default(), &tools.progress)
            .await
            .expect("it can be opened");
        assert_eq!(
            (verified.status, &verified.damaged[..]),
            (RunStatus::Complete, &[][..]),
            "{verified:#?}"
        );
    }
}
