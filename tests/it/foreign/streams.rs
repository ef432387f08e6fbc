//! How archives of others are read: in ranges that are repeated, on threads that nobody needs, and no more often than
//! is needed.

use std::collections::BTreeMap;

use bson::{DateTime, Document, doc};
use mongotar::backup::{RunStatus, Tools};
use mongotar::failure::FailureKind;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::Location;
use serde_json::json;

use super::{Place, bson_of, place};
use crate::rig::{self, Fault, Proxy, Rule};
use crate::support::{self, bucket, store_through};

/// A database of others: by name, what it holds.
type Dump = BTreeMap<String, Vec<Document>>;

fn dump(collections: usize, documents: i32, text: usize) -> Dump {
    let of = |collection: usize| {
        let document = |id: i32| doc! {"_id": format!("{id:04}{}", "i".repeat(text)), "of": collection as i64};
        (0..documents).map(document).collect()
    };
    (0..collections)
        .map(|number| (format!("collection_{number}"), of(number)))
        .collect()
}

fn scarce() -> Memory {
    Memory::of(Memory::LEAST).expect("the least there is")
}

fn tar_of(place: &Place, dump: &Dump) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = dump
        .iter()
        .map(|(name, documents)| (format!("dump/shop/{name}.bson"), bson_of(documents)))
        .collect();
    let entries: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (&**path, &**content)).collect();
    std::fs::read(place.tar("dump.tar", &entries)).expect("it was written")
}

/// A bucket behind a proxy, with an archive in it.
struct Behind {
    proxy: Proxy,
    tools: Tools,
    archive: Location,
    bytes: u64,
}

async fn behind(place: &Place, tar: Vec<u8>, memory: Memory) -> Behind {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let tools = Tools {
        store: store_through(&proxy),
        memory,
        ..place.tools.clone()
    };
    let archive = bucket().await.join("others.tar");
    let bytes = tar.len() as u64;
    tools
        .store
        .put(&archive, tar.into(), "application/x-tar")
        .await
        .expect("put");
    proxy.reset();
    Behind {
        proxy,
        tools,
        archive,
        bytes,
    }
}

impl Behind {
    fn event(&self, place: &Place) -> serde_json::Value {
        json!({"archive": self.archive.to_string(), "database": place.target, "snapshot": false})
    }

    fn read(&self) -> u64 {
        self.proxy.response_bytes("GET", "others.tar")
    }
}

async fn expect_all_of(place: &Place, dump: &Dump) {
    for (name, documents) in dump {
        let mut expected: Vec<Vec<u8>> = documents
            .iter()
            .map(|document| bson_of(std::slice::from_ref(document)))
            .collect();
        expected.sort_unstable();
        assert!(place.raw(&place.target, name).await == expected, "{name}");
    }
}

/// The pass ended at the first break, and the restore with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_costs_a_range_and_not_the_pass() {
    let place = place().await;
    let dump = dump(3, 30_000, 200);
    let behind = behind(&place, tar_of(&place, &dump), scarce()).await;
    let ranges = behind.bytes / (2 << 20);
    assert!(ranges >= 5, "{} bytes", behind.bytes);
    // Behind the look at the end and the head: in the survey, and then in the load.
    for (nth, fault) in [
        (3, Fault::CutAnswerAfter(700_000)),
        (6, Fault::Status(503)),
        (7, Fault::CutAnswerAfter(10)),
        (10, Fault::Status(500)),
        (20, Fault::CutBeforeForwarding),
        (23, Fault::CutAnswerAfter(1_000_000)),
        (25, Fault::Status(503)),
    ] {
        behind
            .proxy
            .inject(Rule::on("GET", "others.tar").nth(nth).times(2).then(fault));
    }
    let report = support::restore(&behind.tools, behind.event(&place))
        .await
        .expect("a restore");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    expect_all_of(&place, &dump).await;
    let struck = behind.proxy.exchanges();
    let struck = struck.iter().filter(|seen| seen.fault.is_some()).count();
    assert!(struck >= 10, "{struck}");
    // Twice the archive, its end once, and what was repeated: at most a range for each fault.
    let most = 2 * behind.bytes + (300 << 10) + struck as u64 * (2 << 20);
    assert!(behind.read() <= most, "{} of {} bytes", behind.read(), behind.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_replaced_while_it_is_read_is_refused() {
    let place = place().await;
    let behind = behind(&place, tar_of(&place, &dump(2, 30_000, 200)), scarce()).await;
    behind
        .proxy
        .inject(Rule::on("GET", "others.tar").nth(5).then(Fault::Hold));
    let (store, archive) = (behind.tools.store.clone(), behind.archive.clone());
    let opening = tokio::spawn(async move { open(&store, &archive, scarce()).await });
    while behind.proxy.count("GET", "others.tar") < 5 {
        tokio::task::yield_now().await;
    }
    let Location::S3 { bucket, key } = &behind.archive else {
        panic!("in S3")
    };
    let other = vec![7; behind.bytes as usize];
    let client = rig::shared_s3().client().await;
    let put = client
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(other.into())
        .send()
        .await;
    put.expect("replaced");
    behind.proxy.release();
    let failure = opening.await.expect("no panic").expect_err("it is another one");
    assert_eq!(failure.kind, FailureKind::Store);
    assert!(
        failure.message.contains("was changed while it was being read"),
        "{failure}"
    );
    assert!(!failure.passes(), "asking again gives no other answer");
}

/// Each pass held a thread of those that read from disks, and waited on it for another one: several merges at once
/// waited for one another for ever.
#[test]
fn merging_many_collections_at_once_needs_no_more_than_one_blocking_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let place = place().await;
        // So many and so long `_id`s that they are not all kept: some collections are read again.
        let dump = dump(8, 12_000, 100);
        tar_of(&place, &dump);
        for name in dump.keys() {
            support::insert(&place.client, &place.target, name, vec![doc! {"_id": "mine"}]).await;
        }
        let archive = place.path("dump.tar").to_str().expect("UTF-8").to_owned();
        let report = place.restore(&archive, json!({})).await.expect("a restore");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        for name in dump.keys() {
            assert_eq!(place.raw(&place.target, name).await.len(), 12_001, "{name}");
        }
    });
}

/// Each collection that was merged into others' documents had the archive read through once more.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_read_once_to_survey_it_and_once_to_load_it_whatever_is_merged() {
    let place = place().await;
    let mut dump = dump(6, 2_000, 100);
    let readings =
        |n: i64| doc! {"_id": n, "ts": DateTime::from_millis(1_700_000_000_000 + n * 60_000), "meta": {"s": n % 4}};
    for name in ["series_a", "series_b"] {
        dump.insert(name.to_owned(), (0..500).map(readings).collect());
    }
    let behind = behind(&place, tar_of(&place, &dump), Memory::default()).await;
    let client = &place.client;
    for name in dump.keys().filter(|name| name.starts_with("collection")) {
        support::insert(client, &place.target, name, vec![doc! {"_id": "mine"}]).await;
    }
    for name in ["series_a", "series_b"] {
        let made =
            doc! {"create": name, "timeseries": {"timeField": "ts", "metaField": "meta", "granularity": "hours"}};
        client
            .database(&place.target)
            .run_command(made)
            .await
            .expect("a time series");
    }
    let report = support::restore(&behind.tools, behind.event(&place))
        .await
        .expect("a restore");
    assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
    for name in dump.keys().filter(|name| name.starts_with("collection")) {
        assert_eq!(place.raw(&place.target, name).await.len(), 2_001, "{name}");
    }
    // Its end and its head, before it is known whose it is.
    let looks = (256 << 10) + 4096;
    let twice = 2 * behind.bytes;
    assert!(
        (behind.bytes..=twice + looks).contains(&behind.read()),
        "{} bytes were read of an archive of {}",
        behind.read(),
        behind.bytes
    );
}
