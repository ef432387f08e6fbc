//! What shows that a server reads at the time that it confirms: documents that others inserted, in whatever way, and for
//! as long as somebody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongotar::archive::{Consistency, ConsistencyLevel};
use mongotar::backup::{BackupAnswer, ConsistencyDemand, RunStatus, Tools, backup, backup_run};
use mongotar::failure::FailureKind;
use mongotar::run::Deadline;
use mongotar::store::{Location, Store};

use super::claims::without_newer_read_concern_that_it_claims as lie;
use crate::matrix::pieces;
use crate::rig::{Mongod, Passage, ScratchDir, Wire, WireCommand, fresh_database_name, shared_s3};
use crate::{continued, support};

/// What is said of a database that is read at its server, or through a relay that lies.
async fn said_of(server: &Mongod, database: &str, lies: bool) -> Consistency {
    let wire = Wire::start(server.port(), move |command: &WireCommand| match lies {
        true => lie(command),
        false => Passage::Through,
    });
    let folder = ScratchDir::new("witnesses");
    let tools = support::tools_for(&wire.uri(), Store::new()).await;
    let job = support::job(database, &Location::Local(folder.path().join("to")));
    backup(&job, &tools).await.expect("an archive").consistency
}

/// Another server may answer under the same name by then. It was believed: the archive held two moments, and claimed
/// one.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_begins_to_lie_between_two_invocations_is_found_out() {
    // What others insert into the shared one may be gone again.
    let server = Mongod::replica_set();
    let client = server.client().await;
    let database = fresh_database_name("witnesses");
    support::insert_mebibytes(&client, &database, "large", 34).await;
    support::insert(&client, &database, "small", vec![doc! {"_id": 1}]).await;
    let lies = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&lies);
    let wire = Wire::start(server.port(), move |command: &WireCommand| {
        match shared.load(Ordering::Acquire) {
            true => lie(command),
            false => Passage::Through,
        }
    });
    // What was found out holds for a while, for whoever has found it out.
    let connect = async || {
        let store = Store::with_client(shared_s3().client().await);
        let tools = support::tools_for(&wire.uri(), store).await;
        let deadline = Deadline::within(Duration::ZERO, None);
        (
            Tools {
                deadline,
                ..tools.clone()
            },
            tools,
        )
    };
    let (hurried, _) = connect().await;
    let job = support::job(&database, &support::folder());
    let this = continued::run();
    let continued = loop {
        match backup_run(&job, &this, &hurried).await.expect("an answer") {
            BackupAnswer::Finished(saved) => break *saved,
            _ => lies.store(true, Ordering::Release),
        }
    };
    lies.store(false, Ordering::Release);
    let (hurried, tools) = connect().await;
    let begins_to_lie = || lies.store(true, Ordering::Release);
    let divided = pieces::divided_backup_before(&job, &tools, &hurried, begins_to_lie).await;
    for report in [continued, divided] {
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
        assert_eq!(report.totals.documents, 35);
        let consistency = &report.consistency;
        assert_eq!(consistency.level, ConsistencyLevel::Mixed, "{consistency:?}");
        let exceptions = serde_json::to_string(&consistency.exceptions).expect("JSON");
        assert!(exceptions.contains("before it was inserted"), "{exceptions}");
    }

    lies.store(false, Ordering::Release);
    let (hurried, _) = connect().await;
    let mut demanding = support::job(&database, &support::folder());
    demanding.consistency = ConsistencyDemand::Require;
    let this = continued::run();
    let refused = loop {
        match backup_run(&demanding, &this, &hurried).await {
            Ok(BackupAnswer::Finished(saved)) => panic!("{:?}", saved.consistency),
            Ok(_) => lies.store(true, Ordering::Release),
            Err(failure) => break failure,
        }
    };
    assert_eq!(refused.kind, FailureKind::ConsistencyNotReached, "{refused}");
}

/// They were no witnesses for whoever reads the log, so that the server was not found out.
#[tokio::test(flavor = "multi_thread")]
async fn what_transactions_inserted_bears_witness() {
    let server = Mongod::replica_set();
    let client = server.client().await;
    let orders = client.database("shop").collection::<Document>("orders");
    let mut session = client.start_session().await.expect("a session");
    for id in 0..3 {
        session.start_transaction().await.expect("begun");
        let document = doc! {"_id": id};
        orders
            .insert_one(document)
            .session(&mut session)
            .await
            .expect("inserted");
        session.commit_transaction().await.expect("committed");
    }
    let honest = said_of(&server, "shop", false).await;
    assert_eq!((honest.level, honest.unproven), (ConsistencyLevel::Snapshot, None));
    let lying = said_of(&server, "shop", true).await;
    let reason = lying.reason.unwrap_or_default();
    assert_eq!(lying.level, ConsistencyLevel::None, "{reason}");
    assert!(reason.contains("before it was inserted"), "{reason}");
    // What a transaction deleted and inserted was there before, and accuses nobody.
    session.start_transaction().await.expect("begun");
    orders
        .delete_one(doc! {"_id": 2})
        .session(&mut session)
        .await
        .expect("deleted");
    orders
        .insert_one(doc! {"_id": 2})
        .session(&mut session)
        .await
        .expect("inserted");
    session.commit_transaction().await.expect("committed");
    let honest = said_of(&server, "shop", false).await;
    assert_eq!(honest.level, ConsistencyLevel::Snapshot, "{:?}", honest.reason);
}

/// The newest insertions may all be of a collection that bears no witness.
#[tokio::test(flavor = "multi_thread")]
async fn behind_what_bears_no_witness_others_are_found() {
    let server = Mongod::replica_set();
    let client = server.client().await;
    support::insert(&client, "shop", "orders", vec![doc! {"_id": 1}]).await;
    let many = || (0..200).map(|id| doc! {"_id": id}).collect();
    support::insert(&client, "shop", "passing", many()).await;
    client
        .database("shop")
        .collection::<Document>("passing")
        .drop()
        .await
        .expect("dropped");
    let said = said_of(&server, "shop", false).await;
    assert_eq!((said.level, said.unproven), (ConsistencyLevel::Snapshot, None));
}
