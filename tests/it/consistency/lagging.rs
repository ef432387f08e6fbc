//! Members that are behind, and a replica set without a primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::doc;
use mongotar::archive::ConsistencyLevel;
use mongotar::backup::{RunStatus, backup};
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::store::{Location, Store};

use crate::rig::{Members, Mongod, Passage, ScratchDir, Wire, WireCommand, unique_name};
use crate::support::{self, insert};

/// Has a member apply nothing more, or everything again.
async fn hold(member: &Mongod, held: bool) {
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", member.port());
    let client = mongodb::Client::with_uri_str(uri).await.expect("a client");
    let command = match held {
        true => doc! {"fsync": 1, "lock": true},
        false => doc! {"fsyncUnlock": 1},
    };
    client.database("admin").run_command(command).await.expect("a reply");
}

/// A member that is behind is waited for, and gives the moment that was asked for. One that stays behind cannot give
/// it, and the archive claims none. The collections were listed by the member that is behind: one that had been created
/// lately was missing in what claimed to be a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lags_gives_the_moment_or_no_moment_is_claimed() {
    let primary = Mongod::replica_set();
    let behind = Arc::new(Mongod::builder().join(&primary));
    let client = primary.client().await;
    let folder = ScratchDir::new("lagging");
    let first = doc! {"insert": "orders", "documents": [{"_id": 0}], "writeConcern": {"w": 2}};
    client.database("shop").run_command(first).await.expect("at both");
    for (catches_up, patience, level) in [
        (true, "", ConsistencyLevel::Snapshot),
        (false, "&serverSelectionTimeoutMS=250", ConsistencyLevel::None),
    ] {
        hold(&behind, true).await;
        for collection in ["late", "orders"] {
            insert(&client, "shop", collection, vec![doc! {"_id": level.to_string()}]).await;
        }
        let at_work = tokio::runtime::Handle::current();
        let waiting = AtomicBool::new(catches_up);
        let member = Arc::clone(&behind);
        let wires = Wire::before_all(&[primary.port(), behind.port()], move |command: &WireCommand| {
            let concern = command.body.get_document("readConcern");
            let is_at_a_time = concern.is_ok_and(|concern| concern.contains_key("atClusterTime"));
            if is_at_a_time && waiting.swap(false, Ordering::AcqRel) {
                let member = Arc::clone(&member);
                at_work.spawn(async move { hold(&member, false).await });
            }
            Passage::Through
        });
        let uri = format!(
            "mongodb://127.0.0.1:{},127.0.0.1:{}/?replicaSet=rig&readPreference=secondary{patience}",
            wires[0].port(),
            wires[1].port()
        );
        let tools = support::tools_for(&uri, Store::new()).await;
        let to = Location::Local(folder.path().join(unique_name("to")));
        let report = backup(&support::job("shop", &to), &tools).await.expect("an archive");
        let consistency = &report.consistency;
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.failed);
        assert_eq!(
            (consistency.level, report.totals.documents),
            (level, 3),
            "{consistency:?}"
        );
        let said = consistency.reason.as_deref().unwrap_or_default();
        assert_eq!(said.contains("does not reach the cluster time"), !catches_up, "{said}");
    }
    hold(&behind, false).await;
}

/// What is left of a set whose majority is gone can be saved from the member that is left.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_primary_the_error_says_how_one_member_is_backed_up() {
    let set = Members::start(&Mongod::builder());
    let documents: Vec<_> = (0..10).map(|id| doc! {"_id": id}).collect();
    // The one that is left must have them, whichever it is.
    let inserted = doc! {"insert": "orders", "documents": documents, "writeConcern": {"w": 3}};
    let client = set.client().await;
    client
        .database("shop")
        .run_command(inserted)
        .await
        .expect("at all three");
    let (primary, left) = (set.primary().port(), set.secondary().port());
    set.each().filter(|member| member.port() != left).for_each(Mongod::kill);
    assert_ne!(primary, left);
    let uri = format!(
        "{}&readPreference=secondaryPreferred&serverSelectionTimeoutMS=2000",
        set.uri()
    );
    let refused = Mongo::connect(&MongoUri::new(&uri))
        .await
        .expect_err("there is no primary");
    let said = refused.to_string();
    assert!(
        said.contains("no server is the primary") && said.contains("directConnection=true"),
        "{said}"
    );

    let alone = format!("mongodb://127.0.0.1:{left}/?directConnection=true&serverSelectionTimeoutMS=500");
    let tools = support::tools_for(&alone, Store::new()).await;
    let folder = ScratchDir::new("left");
    let report = support::back_up(&tools, "shop", &Location::Local(folder.path().to_owned())).await;
    assert_eq!((report.status, report.totals.documents), (RunStatus::Complete, 10));
    // What the last primary wrote may have reached no majority, and never will.
    let said = report.consistency.reason.unwrap_or_default();
    match report.consistency.level {
        ConsistencyLevel::Snapshot => {}
        _ => assert!(said.contains("does not reach the cluster time"), "{said}"),
    }
}

/// A collection that no majority has yet is waited for by the primary itself, without end: the backup waited with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_majority_has_costs_that_collection_and_not_the_backup() {
    let set = Members::start(&Mongod::builder());
    let primary = set.primary().port();
    let client = set.client().await;
    let insert = async |collection: &str, w: i32| {
        let command = doc! {"insert": collection, "documents": [{"_id": 0}], "writeConcern": {"w": w}};
        client.database("shop").run_command(command).await.expect("inserted");
    };
    insert("orders", 3).await;
    for member in set.each().filter(|member| member.port() != primary) {
        hold(member, true).await;
    }
    insert("new", 1).await;
    let options = "readPreference=primary&serverSelectionTimeoutMS=2000&socketTimeoutMS=500";
    let uri = format!("{}&{options}", set.uri());
    let tools = support::tools_for(&uri, Store::new()).await;
    let folder = ScratchDir::new("standing");
    let to = Location::Local(folder.path().to_owned());
    let report = backup(&support::job("shop", &to), &tools).await.expect("an archive");
    for member in set.each().filter(|member| member.port() != primary) {
        hold(member, false).await;
    }
    assert_eq!((report.status, report.totals.documents), (RunStatus::Partial, 1));
    let failed = serde_json::to_string(&report.failed).expect("JSON");
    assert!(failed.contains("\"new\"") && failed.contains("waiting"), "{failed}");
}
