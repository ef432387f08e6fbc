//! Foreign archives that are broken: what is wrong is named, and nothing is silently short.

use std::fs;
use std::io::Write as _;

use bson::doc;
use flate2::Compression;
use flate2::write::GzEncoder;
use mongotar::backup::RunStatus;
use mongotar::failure::FailureKind;
use mongotar::plan::Action;
use mongotar::store::Store;
use serde_json::json;

use super::{bson_of, few, of, place};
use crate::cli::{Shell, named, text};
use crate::{rig, support};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content).expect("memory");
    gzip.finish().expect("memory")
}

#[tokio::test]
async fn a_broken_line_is_named_and_the_other_collections_are_restored() {
    let place = place().await;
    let broken = b"{\"_id\": 1}\n{\"_id\": 2, \"a\": {\"b\": nope}}\n{\"_id\": 3}\n";
    let archive = place.tar(
        "broken.tar",
        &[
            ("backup_1/bad.jsonl", broken),
            ("backup_1/good.jsonl", b"{\"_id\": 1}\n"),
        ],
    );
    let target = place.client.database(&place.target);
    for name in ["bad", "extra"] {
        target
            .collection(name)
            .insert_many(few("the target's own"))
            .await
            .expect("inserted");
    }
    let bad = place.raw(&place.target, "bad").await;
    let report = place
        .restore(&archive, json!({"replace_existing": true}))
        .await
        .expect("a report");
    assert_eq!(report.status, RunStatus::Partial);
    let row = report.plan.get("bad").expect("a row");
    assert_eq!(row.action, Action::Skip);
    for word in ["backup_1/bad.jsonl", "line 2", "byte 33", "a.b"] {
        assert!(row.reason.contains(word), "{word}: {}", row.reason);
    }
    assert_eq!((of(&report, "good").db_count, of(&report, "good").equal), (1, true));
    assert_eq!(
        place.raw(&place.target, "bad").await,
        bad,
        "what is not whole replaces nothing"
    );
}

#[tokio::test]
async fn a_truncated_tar_is_refused_with_the_entry_at_which_it_ends() {
    let place = place().await;
    for name in ["a", "b"] {
        place.insert(name, few(&name.repeat(2_000))).await;
    }
    place
        .client
        .database(&place.target)
        .collection("own")
        .insert_one(doc! {"_id": 1})
        .await
        .expect("inserted");
    for gzip in [false, true] {
        let whole = place.export("whole.tar", json!({"gzip": gzip}));
        let bytes = fs::read(&whole).expect("the archive");
        let end = if gzip { bytes.len() - 40 } else { bytes.len() / 2 };
        let cut = place.path("cut.tar").to_str().expect("UTF-8").to_owned();
        fs::write(&cut, &bytes[..end]).expect("written");
        let failure = place.restore(&cut, json!({"yes": true})).await.expect_err("truncated");
        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
        assert!(failure.message.contains("offset"), "{failure}");
        assert_eq!(place.raw(&place.target, "own").await.len(), 1);
    }
    // Cut off between two entries, nothing shows that something is missing, so nothing is dropped.
    let whole = place.export("whole.tar", json!({}));
    let bytes = fs::read(&whole).expect("the archive");
    let last = memchr::memmem::rfind(&bytes, b"backup_20250926_073727/").expect("an entry");
    assert!(last.is_multiple_of(512), "it is the name in a header");
    fs::write(&whole, &bytes[..last]).expect("written");
    let report = place.restore(&whole, json!({})).await.expect("a report");
    assert_eq!(report.status, RunStatus::Partial, "{:?}", report.plan.warnings);
    assert_eq!(report.plan.to_drop, Vec::<String>::new());
    assert_eq!(place.raw(&place.target, "own").await.len(), 1);
}

#[tokio::test]
async fn what_is_no_backup_at_all_says_what_was_expected() {
    let place = place().await;
    let archive = place.tar("photos.tar", &[("photos/one.jpg", b"\xff\xd8")]);
    let failure = place.restore(&archive, json!({})).await.expect_err("refused");
    assert_eq!(failure.kind, FailureKind::InvalidRequest, "{failure}");
    assert!(
        failure.message.contains("photos/one.jpg") && failure.message.contains(".jsonl"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_not_called_a_damaged_archive() {
    // Every failure to read was called ArchiveDamaged, also where the bytes only did not come.
    let place = place().await;
    place
        .insert(
            "c",
            (0..3_000).map(|id| doc! {"_id": id, "text": "x".repeat(100)}).collect(),
        )
        .await;
    for gzip in [false, true] {
        let local = fs::read(place.export("c.tar", json!({"gzip": gzip}))).expect("the archive");
        let length = local.len() as u64;
        let to = support::bucket().await.join("c.tar");
        place
            .tools
            .store
            .put(&to, local.into(), "application/x-tar")
            .await
            .expect("stored");
        let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
        let client = rig::shared_s3().client_at(&proxy.endpoint());
        let tools = support::tools_for(&rig::shared_replica_set().uri(), Store::with_client(client)).await;
        // The reads of the end and of the beginning pass; the one of the whole breaks, as often as it is tried.
        for nth in [3, 4] {
            proxy.reset();
            let cut = rig::Fault::CutAnswerAfter(length / 2);
            proxy.inject(rig::Rule::on("GET", "c.tar").nth(nth).times(usize::MAX).then(cut));
            let event = json!({"archive": to.to_string(), "database": place.target, "snapshot": false});
            match support::restore(&tools, event).await {
                Err(failure) => assert_eq!((failure.kind, nth), (FailureKind::Store, 3), "{failure}"),
                // Surveyed, and broken off while its documents were read for the load.
                Ok(report) => {
                    assert_eq!((report.status, nth), (RunStatus::Failed, 4));
                    let error = of(&report, "c").error.clone().expect("an error");
                    assert!(error.contains("Store"), "{error}");
                }
            }
            let names = place
                .client
                .database(&place.target)
                .list_collection_names()
                .await
                .expect("names");
            assert!(names.is_empty(), "{names:?}");
        }
    }
}

/// `verify` called each of them sound, and `show` said nothing.
#[tokio::test]
async fn what_cannot_be_read_to_its_end_is_damage_to_verify_and_is_marked_by_show() {
    let place = place().await;
    let orders = bson_of(&few("x"));
    let gzip = gzip(&orders);
    let mut wrong_sum = gzip.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let shell = Shell::new();
    for (name, content) in [
        ("orders.bson", &orders[..orders.len() - 3]),
        ("orders.bson.gz", &gzip[..gzip.len() - 9]),
        ("orders.bson.gz", &wrong_sum),
        ("orders.jsonl", b"{\"_id\": 1}\n{\"_id\": "),
    ] {
        let archive = place.tar(
            "dump.tar",
            &[
                (&format!("shop/{name}"), content),
                ("shop/users.bson", &bson_of(&few("u"))),
            ],
        );
        let report = shell.json(1, &["verify", &archive]);
        let damaged = text(&report["damaged"][0]);
        assert!(damaged.contains(&format!("shop/{name}")), "{report}");
        assert_eq!(named(&report["collections"], "orders")["equal"], false);
        assert_eq!(named(&report["collections"], "users")["equal"], true);
        let said = shell.run(&["show", &archive]).expect(0);
        assert!(
            said.out.contains("! orders is partial: shop/orders"),
            "{name}: {}",
            said.out
        );
        // It was as if that were all.
        let said = shell.run(&["cat", &archive, "orders"]).expect(3);
        let told = "\"orders\" is partial, and this is not all of it: shop/orders";
        assert!(said.err.contains(told), "{name}: {}", said.err);
        assert_eq!(shell.run(&["cat", &archive, "users"]).expect(0).err, "");
    }
    // Of a sound one no more is said than is known.
    let archive = place.tar("dump.tar", &[("shop/orders.bson", &orders)]);
    let report = shell.json(0, &["verify", &archive]);
    assert!(text(&report["summary"]).contains("no digests to compare"), "{report}");
}

/// They were called damaged, with pieces of them in the message.
#[tokio::test]
async fn documents_by_themselves_are_told_from_a_damaged_archive() {
    let shell = Shell::new();
    let orders = bson_of(&few("x"));
    for (name, content, what) in [
        ("orders.bson", &orders[..], "bare BSON"),
        ("orders.bson.gz", &gzip(&orders), "bare BSON"),
        ("orders.json", b"{\"_id\": 1}\n{\"_id\": 2}\n", "bare JSON"),
        ("orders.csv", b"_id,name\n1,hush\n2,hush\n", "a text file"),
        ("collection-0.wt", b"\x41\xd8\x01\0\x01\0\0\0", "data file of a server"),
    ] {
        fs::write(shell.path(name), content).expect("written");
        for command in ["show", "verify"] {
            let failure = shell.json(1, &[command, name]);
            assert_eq!(failure["error_type"], "ArchiveUnsupported", "{failure}");
            let message = text(&failure["message"]);
            assert!(message.contains(what) && message.contains(name), "{message}");
            assert!(!message.contains("hush") && !message.contains('\n'), "{message}");
        }
    }
}
