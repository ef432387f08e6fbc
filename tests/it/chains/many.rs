//! Many collections, few of which changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bson::{Document, doc};

use super::{Beginning, base, comes_back, content, increment};
use crate::rig::{self, Passage, Wire};
use crate::support::{insert, tools_for};

/// An increment asks for nothing of a collection in which nothing happened, and has what became of its definition.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_of_what_did_not_change() {
    let Beginning {
        tools,
        client,
        name,
        destination,
    } = Beginning::new().await;
    for number in 0..40 {
        insert(
            &client,
            &name,
            &format!("c{number}"),
            vec![doc! {"_id": 1, "n": number}],
        )
        .await;
    }
    let database = client.database(&name);
    let index =
        |collection: &str, name: &str| doc! {"createIndexes": collection, "indexes": [{"key": {"n": 1}, "name": name}]};
    for collection in ["c1", "c2"] {
        database.run_command(index(collection, "old")).await.expect("an index");
    }
    base(&tools, &name, &destination).await;
    insert(&client, &name, "c5", vec![doc! {"_id": 2}]).await;
    for redefined in [
        doc! {"dropIndexes": "c1", "index": "old"},
        doc! {"collMod": "c2", "index": {"name": "old", "hidden": true}},
        index("c3", "new"),
    ] {
        database.run_command(redefined).await.expect("redefined");
    }
    let sent = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let counted = Arc::clone(&sent);
    let wire = Wire::start(rig::shared_replica_set().port(), move |sent| {
        *counted.lock().expect("whole").entry(sent.name.clone()).or_default() += 1;
        Passage::Through
    });
    let through = tools_for(&wire.uri(), mongotar::store::Store::new()).await;
    let report = increment(&through, &name, &destination).await;
    let sent = sent.lock().expect("whole").clone();
    let of = |command: &str| sent.get(command).copied().unwrap_or(0);
    assert_eq!(
        (of("listIndexes"), of("dataSize"), of("collStats")),
        (3, 0, 0),
        "{sent:?}"
    );
    assert!(of("find") < 20, "{sent:?}");
    assert_eq!(
        report.collections.iter().filter(|row| row.changed == Some(1)).count(),
        1
    );
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
    // And the next one has them from there.
    database.collection::<Document>("c7").drop().await.expect("dropped");
    let report = increment(&tools, &name, &destination).await;
    assert_eq!(report.collections.len(), 39);
    comes_back(&client, &tools, &report.archive, &content(&client, &tools, &name).await).await;
}
