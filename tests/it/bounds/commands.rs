//! How much is asked of a server: what a backup asks once, for each database and for each collection does not grow with
//! their number. Each command is a round trip for whoever is far away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bson::doc;
use mongotar::backup::{BackupRequest, backup_several};
use mongotar::config::Environment;
use mongotar::store::Store;
use serde_json::json;

use crate::rig::{Mongod, Passage, ScratchDir, Wire, WireCommand};
use crate::support;

/// How often each command was sent.
type Sent = BTreeMap<String, usize>;

/// What connecting and a backup of so many databases ask, with so many collections in each.
async fn asked(server: &Mongod, databases: usize, collections: usize) -> Sent {
    let client = server.client().await;
    let names: Vec<String> = (0..databases)
        .map(|_| crate::rig::fresh_database_name("commands"))
        .collect();
    for name in &names {
        for number in 0..collections {
            support::insert(&client, name, &format!("c{number}"), vec![doc! {"_id": 1}]).await;
        }
    }
    let sent = Arc::new(Mutex::new(Sent::new()));
    let counting = Arc::clone(&sent);
    let wire = Wire::start(server.port(), move |command: &WireCommand| {
        // The driver watches servers without a session.
        let is_ours = command.body.contains_key("lsid");
        if is_ours && !["endSessions", "killCursors"].contains(&command.name.as_str()) {
            *counting
                .lock()
                .expect("counted")
                .entry(command.name.clone())
                .or_default() += 1;
        }
        Passage::Through
    });
    let folder = ScratchDir::new("commands");
    let tools = support::tools_for(&wire.uri(), Store::new()).await;
    let event = json!({"database": names, "destination": folder.path()});
    let order = BackupRequest::from_event(event).expect("a request");
    let order = order.into_order(&Environment::default()).expect("an order");
    let report = backup_several(&order, None, &tools).await.expect("a backup");
    assert_eq!(report.totals.documents, (databases * collections) as u64);
    sent.lock().expect("counted").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_a_collection_more_cost_no_more_commands_than_the_ones_before() {
    let server = Mongod::replica_set();
    for (databases, each) in [(1, 1), (1, 20), (5, 2)] {
        let collections = databases * each;
        let expected = [
            ("buildInfo", 1),
            ("getParameter", 1),
            // Who answers; and of which member the numbers of records are.
            ("hello", 1 + databases),
            ("ping", databases),
            // Before the moment and after it.
            ("listCollections", 2 * databases),
            // Whether there are snapshots; once for all databases, whether there are none of a time before all history,
            // and a witness is looked for and heard twice.
            ("find", databases + 4 + collections),
            ("listIndexes", collections),
            ("dataSize", collections),
        ];
        let expected: Sent = expected.map(|(name, times)| (name.to_owned(), times)).into();
        assert_eq!(asked(&server, databases, each).await, expected);
    }
}
