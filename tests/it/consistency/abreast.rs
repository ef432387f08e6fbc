//! A large collection is read by several cursors, and nothing in the archive tells: every document, once, in the
//! collection's own order.

use std::io::Read as _;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use futures_util::TryStreamExt as _;
use mongotar::archive::{Compression, ConsistencyLevel, Payload};
use mongotar::backup::{RunStatus, backup};
use mongotar::run::Memory;
use mongotar::store::{Location, Store};

use crate::rig::{Mongod, ScratchDir, unique_name};
use crate::support::{self, insert};

/// The client that shall meet failures.
const READER: &str = "reader";
const DOCUMENTS: i32 = 14_000;

/// With a collection of 42 MB.
async fn shop() -> (Mongod, mongodb::Client) {
    let mongod = Mongod::builder().parameter("enableTestCommands", "1").start();
    let client = mongod.client().await;
    let document = |id: i32| doc! {"_id": id ^ 0x55, "text": "abc".repeat(1_000 + id as usize % 7)};
    for first in (0..DOCUMENTS).step_by(2_000) {
        insert(&client, "shop", "large", (first..first + 2_000).map(document).collect()).await;
    }
    insert(&client, "shop", "small", vec![doc! {"_id": 1}]).await;
    (mongod, client)
}

/// What an entry holds.
fn entry(archive: &Location, ending: &str) -> Vec<u8> {
    let Location::Local(path) = archive else {
        panic!("{archive} is no file")
    };
    let mut tar = tar::Archive::new(std::fs::File::open(path).expect("it is there"));
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if entry.path().expect("a name").to_string_lossy().ends_with(ending) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("whole");
            return content;
        }
    }
    panic!("no entry {ending}");
}

/// All documents in the collection's own order.
async fn in_order(client: &mongodb::Client) -> Vec<Vec<u8>> {
    let large = client.database("shop").collection::<RawDocumentBuf>("large");
    let found = large.find(doc! {}).await.expect("a cursor");
    found
        .map_ok(RawDocumentBuf::into_bytes)
        .try_collect()
        .await
        .expect("documents")
}

/// How often the server was asked to open a cursor.
async fn finds(client: &mongodb::Client) -> i64 {
    let status = client.database("admin").run_command(doc! {"serverStatus": 1}).await;
    let status = status.expect("a reply");
    let commands = status
        .get_document("metrics")
        .and_then(|metrics| metrics.get_document("commands"));
    let find = commands
        .and_then(|commands| commands.get_document("find"))
        .expect("it counts them");
    find.get_i64("total").expect("a number")
}

/// A backup of the database, with faults or without: it must have all documents in their order. Gives how many cursors
/// it took.
async fn is_whole(mongod: &Mongod, client: &mongodb::Client, mode: Bson, fault: Document) -> i64 {
    let shown = format!("{fault}");
    let admin = client.database("admin");
    let mut data = doc! {"failCommands": ["getMore"], "appName": READER};
    data.extend(fault);
    let mut tools = support::tools_for(&format!("{}&appName={READER}", mongod.uri()), Store::new()).await;
    tools.memory = Memory::of(110_000_000).expect("enough");
    let folder = ScratchDir::new("abreast");
    let mut job = support::job("shop", &Location::Local(folder.path().join(unique_name("to"))));
    (job.payload, job.compression) = (Payload::Bson, Compression::None);
    let set = doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data};
    admin.run_command(set).await.expect("it is set");
    let before = finds(client).await;
    let report = backup(&job, &tools).await.expect("an archive");
    let cursors = finds(client).await - before;
    let off = doc! {"configureFailPoint": "failCommand", "mode": "off"};
    admin.run_command(off).await.expect("it is off");
    assert_eq!(report.status, RunStatus::Complete, "{shown}: {:?}", report.failed);
    assert_eq!(report.consistency.level, ConsistencyLevel::Snapshot, "{shown}");
    let expected = in_order(client).await;
    let large = report.collections.iter().find(|saved| saved.name == "large");
    assert_eq!(
        large.map(|saved| saved.documents),
        Some(expected.len() as u64),
        "{shown}"
    );
    assert!(
        entry(&report.archive, "/large.bson") == expected.concat(),
        "{shown}: another order"
    );
    cursors
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_collection_read_by_several_cursors_keeps_its_order() {
    let (mongod, client) = shop().await;
    let calm = (bson!("off"), doc! {});
    let cursors = is_whole(&mongod, &client, calm.0.clone(), calm.1.clone()).await;
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        assert!(cursors >= 8, "{cursors} cursors are not several");
    }
    for fault in [doc! {"closeConnection": true}, doc! {"errorCode": 43}] {
        is_whole(&mongod, &client, bson!({"skip": 3, "times": 2}), fault).await;
    }

    // Numbers out of use, scattered and in a row: boundaries are looked for, and replies go beyond them.
    let large = client.database("shop").collection::<Document>("large");
    let third = doc! {"$expr": {"$eq": [{"$mod": ["$_id", 3]}, 0]}};
    large.delete_many(third).await.expect("deleted");
    large
        .delete_many(doc! {"_id": {"$gte": 5_000, "$lt": 6_500}})
        .await
        .expect("deleted");
    let cursors_of_fewer = is_whole(&mongod, &client, calm.0.clone(), calm.1.clone()).await;
    assert!(cursors_of_fewer >= 6 || cursors < 8, "{cursors_of_fewer}");
    is_whole(
        &mongod,
        &client,
        bson!({"skip": 3, "times": 2}),
        doc! {"closeConnection": true},
    )
    .await;

    // Hardly any left: one cursor reads them, with two more that find that out.
    large.delete_many(doc! {"_id": {"$lt": 9_000}}).await.expect("deleted");
    is_whole(&mongod, &client, calm.0, calm.1).await;
}
