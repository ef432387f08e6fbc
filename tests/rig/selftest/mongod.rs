//! What the tests rely on in `mongod`.

use super::super::{Mongod, fresh_database_name, shared_replica_set};
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use std::time::Duration;

#[tokio::test]
async fn a_snapshot_read_does_not_see_what_came_later() {
    let client = shared_replica_set().client().await;
    let database = client.database(&fresh_database_name("rig"));
    let orders = database.collection::<Document>("orders");
    orders.insert_one(doc! {"_id": 1}).await.expect("insert");
    let find = doc! {"find": "orders", "readConcern": {"level": "snapshot"}};
    let first = database.run_command(find).await.expect("snapshot read");
    let at = first
        .get_document("cursor")
        .expect("cursor")
        .get_timestamp("atClusterTime")
        .expect("time");
    orders.insert_one(doc! {"_id": 2}).await.expect("insert");

    let find = doc! {"find": "orders", "readConcern": {"level": "snapshot", "atClusterTime": at}};
    let again = database.run_command(find).await.expect("snapshot read at a time");
    let batch = again
        .get_document("cursor")
        .expect("cursor")
        .get_array("firstBatch")
        .expect("batch");
    assert_eq!(batch.len(), 1);
    assert_eq!(orders.count_documents(doc! {}).await.expect("count"), 2);
    database.drop().await.expect("drop");
}

#[tokio::test]
async fn a_standalone_takes_parameters_and_refuses_snapshot_reads() {
    let mongod = Mongod::builder()
        .standalone()
        .parameter("ttlMonitorSleepSecs", "7")
        .start();
    let client = mongod.client().await;
    let admin = client.database("admin");
    let reply = admin
        .run_command(doc! {"getParameter": 1, "ttlMonitorSleepSecs": 1})
        .await
        .expect("parameter");
    assert_eq!(reply.get_i32("ttlMonitorSleepSecs").expect("a number"), 7);
    let refusal = client
        .database("any")
        .run_command(doc! {"find": "c", "readConcern": {"level": "snapshot"}})
        .await;
    assert_eq!(code(&refusal.expect_err("a standalone has no snapshots")), Some(123));
}

#[tokio::test]
async fn with_authentication_a_user_may_do_what_its_roles_say() {
    let mongod = Mongod::builder().authentication().start();
    let root = mongod.client().await;
    root.database("shop")
        .collection("orders")
        .insert_one(doc! {"_id": 1})
        .await
        .expect("root may write");
    let uri = mongod.create_user("reader", vec![doc! {"role": "read", "db": "shop"}]);
    let orders = mongodb::Client::with_uri_str(uri)
        .await
        .expect("URI")
        .database("shop")
        .collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.expect("a reader may read"), 1);
    let refusal = orders.insert_one(doc! {}).await.expect_err("a reader may not write");
    assert_eq!(code(&refusal), Some(13));
}

#[tokio::test]
async fn a_killed_server_comes_back_with_its_data_and_a_paused_one_is_silent() {
    let mongod = Mongod::replica_set();
    let majority = mongodb::options::WriteConcern::majority();
    let orders = mongod.client().await.database("shop").collection::<Document>("orders");
    orders
        .insert_one(doc! {"_id": 1})
        .write_concern(majority)
        .await
        .expect("insert");
    mongod.kill();
    mongod.restart();
    let client = mongod.client().await;
    let orders = client.database("shop").collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.expect("count"), 1);

    mongod.pause();
    let mut read = tokio::spawn(async move { orders.count_documents(doc! {}).await });
    let silence = tokio::time::timeout(Duration::from_millis(300), &mut read).await;
    assert!(silence.is_err(), "a paused server answered: {silence:?}");
    mongod.resume();
    assert_eq!(read.await.expect("task").expect("count after the pause"), 1);
}

fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
