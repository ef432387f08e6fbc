//! A server that fails or stands still at a command of our choice.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use bson::{Document, doc};
use mongotar::backup::Tools;
use mongotar::store::Store;

use super::Place;
use crate::{rig, support};

/// What the clients are called that shall meet failures. The others look on.
const VICTIM: &str = "victim";

/// A server of its own, since a failpoint is the server's, and a place on it with archives on disk.
pub struct Failing {
    pub place: Place,
    /// Those that fail.
    pub tools: Tools,
    pub uri: String,
    mongod: rig::Mongod,
    /// How many commands the server had struck, and let stand, when the failpoint was set.
    struck_before: AtomicI64,
    stood_before: AtomicUsize,
    _folder: rig::ScratchDir,
}

impl Failing {
    pub async fn start() -> Self {
        let mongod = rig::Mongod::builder().parameter("enableTestCommands", "1").start();
        let folder = rig::ScratchDir::new("failing");
        let uri = format!("{}&appName={VICTIM}", mongod.uri());
        let path: PathBuf = folder.path().join("archives");
        Self {
            place: Place {
                tools: support::tools_for(&mongod.uri(), Store::new()).await,
                client: mongod.client().await,
                to: path.to_str().expect("UTF-8").parse().expect("a location"),
                database: rig::fresh_database_name("failing"),
            },
            tools: support::tools_for(&uri, Store::new()).await,
            uri,
            mongod,
            struck_before: AtomicI64::new(0),
            stood_before: AtomicUsize::new(0),
            _folder: folder,
        }
    }

    /// From the command after `skip` of that name on, as `fault` says (`errorCode`, `closeConnection`,
    /// `blockConnection`).
    pub async fn arm(&self, mode: Document, command: &str, fault: Document) {
        let mut data = doc! {"failCommands": [command], "appName": VICTIM};
        data.extend(fault);
        self.stood_before.store(self.stood(), Ordering::Release);
        let reply = self
            .admin(doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data})
            .await;
        self.struck_before.store(number(&reply, "count"), Ordering::Release);
    }

    /// Ends it; gives how many commands were struck since it began.
    pub async fn disarm(&self) -> i64 {
        let reply = self
            .admin(doc! {"configureFailPoint": "failCommand", "mode": "off"})
            .await;
        number(&reply, "count") - self.struck_before.load(Ordering::Acquire)
    }

    /// Waits until a command stands still.
    pub async fn stands_still(&self) {
        let before = self.stood_before.load(Ordering::Acquire);
        support::eventually_so("a command stands still", async || self.stood() > before).await;
    }

    /// The server's log says it ("Blocking command via fail point").
    fn stood(&self) -> usize {
        self.mongod.log().matches("\"id\":20432").count()
    }

    /// Ends what a dead client left standing: it must not be carried out later, and the server waits for it before it
    /// takes a failpoint away.
    pub async fn end_what_stands_still(&self) {
        support::eventually_so("nothing of the victim is left", async || {
            for operation in self.operations().await {
                let kill = doc! {"killOp": 1, "op": operation};
                let _ = self.mongod.client().await.database("admin").run_command(kill).await; // it may just have ended
            }
            self.operations().await.is_empty()
        })
        .await;
    }

    /// How many commands of that name are at work at this moment.
    pub async fn at_once(&self, command: &str) -> usize {
        let mut asked = doc! {"currentOp": 1, "appName": VICTIM, "active": true};
        asked.insert(format!("command.{command}"), doc! {"$exists": true});
        let reply = self.admin(asked).await;
        reply.get_array("inprog").expect("operations").len()
    }

    /// The victim's commands that have not ended.
    async fn operations(&self) -> Vec<bson::Bson> {
        let asked = doc! {"currentOp": 1, "appName": VICTIM, "active": true};
        let reply = self.admin(asked).await;
        let operations = reply.get_array("inprog").expect("operations").iter();
        operations
            .filter_map(|operation| operation.as_document()?.get("opid").cloned())
            .collect()
    }

    async fn admin(&self, command: Document) -> Document {
        let admin = self.place.client.database("admin");
        admin.run_command(command).await.expect("test commands are enabled")
    }
}

fn number(reply: &Document, field: &str) -> i64 {
    match reply.get(field) {
        Some(bson::Bson::Int32(number)) => i64::from(*number),
        Some(bson::Bson::Int64(number)) => *number,
        other => panic!("{field} is {other:?} in {reply}"),
    }
}
