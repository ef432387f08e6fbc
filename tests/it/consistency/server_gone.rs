//! A server that dies in the middle.

use bson::doc;
use mongotar::archive::SavedStatus;
use mongotar::backup::RunStatus;
use mongotar::run::Memory;
use mongotar::verify::verify;

use super::Halted;
use crate::rig::Mongod;
use crate::support::{insert, unfinished};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_leaves_a_partial_archive_of_what_was_read() {
    let mongod = Mongod::replica_set();
    let client = mongod.client().await;
    insert(&client, "shop", "a_before", vec![doc! {"_id": 1}]).await;
    client
        .database("shop")
        .create_collection("z_empty")
        .await
        .expect("created");
    let halted = Halted::new(&mongod, "shop").await;
    // `a_before` is through before the first documents of `a_large` are.
    let report = halted
        .run(async {
            crate::support::eventually("the large one is being read", || {
                halted.tools.progress.now().2 == "reading a_large" && halted.tools.progress.now().0 > 1
            })
            .await;
            mongod.kill();
        })
        .await
        .expect("what was read is worth keeping");

    assert_eq!(report.status, RunStatus::Partial);
    let manifest = halted.manifest(&report.archive).await;
    let status = |name: &str| manifest.get(name).expect("it is named").status;
    assert_eq!(status("a_before"), SavedStatus::Complete);
    assert_eq!(status("a_large"), SavedStatus::Partial);
    assert_eq!(
        status("z_empty"),
        SavedStatus::Failed,
        "nobody can tell whether it was empty"
    );
    let large = manifest.get("a_large").expect("it is named");
    assert!((1..super::MEBIBYTES).contains(&large.documents), "{}", large.documents);
    let path = &large.entry.as_ref().expect("what was read").path;
    assert!(path.ends_with("/a_large.jsonl.partial"), "{path}");
    let verified = verify(
        &halted.tools.store,
        &report.archive,
        Memory::default(),
        &halted.tools.progress,
    )
    .await;
    let verified = verified.expect("it can be opened");
    assert_eq!((verified.status, &verified.damaged[..]), (RunStatus::Partial, &[][..]));
    assert_eq!(unfinished(&halted.job.destination).await, [""; 0]);
}
