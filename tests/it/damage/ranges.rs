//! Reading by range: what is not asked for is not fetched.

use bson::{Binary, doc, spec::BinarySubtype};
use mongotar::archive::Compression;
use mongotar::backup::{RunStatus, backup};
use mongotar::inspect::{Shown, list, show};
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use serde_json::json;

use crate::rig::{Proxy, fresh_database_name, shared_replica_set, shared_s3};
use crate::support::{insert, job, restore, tools_for};

/// FORMAT 6 and `open`: footer and manifest of all but large archives come with one read of this many bytes.
const SUFFIX: u64 = 256 << 10;
/// How much of an archive's end a listing reads.
const LISTED: u64 = 64 << 10;
const COLLECTIONS: usize = 12;

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Binary {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.take(length).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_of_many_costs_its_own_bytes_and_the_end() {
    let client = shared_replica_set().client().await;
    let proxy = Proxy::start(shared_s3().endpoint());
    let store = Store::with_client(shared_s3().client_at(&proxy.endpoint()));
    let tools = tools_for(&shared_replica_set().uri(), store).await;
    let database = fresh_database_name("ranges");
    for collection in 0..COLLECTIONS {
        let documents =
            (0..20).map(|n| doc! {"_id": n, "noise": noise((collection * 100 + n as usize) as u64, 8 << 10)});
        insert(&client, &database, &format!("c{collection:02}"), documents.collect()).await;
    }
    for compression in Compression::ALL {
        let bucket = shared_s3().fresh_bucket("ranges").await;
        let folder: Location = format!("s3://{bucket}/nightly/").parse().expect("a location");
        let mut job = job(&database, &folder);
        job.compression = compression;
        let report = backup(&job, &tools).await.expect("a backup");
        let archive = &report.archive;
        let key = archive.file_name();

        proxy.reset();
        let Shown::Native(manifest) = show(&tools.store, archive, Memory::default())
            .await
            .expect("it is ours")
        else {
            panic!("it was written by us");
        };
        assert_eq!(
            (proxy.count("GET", &key), proxy.response_bytes("GET", &key)),
            (1, SUFFIX)
        );
        let bytes: u64 = manifest.collections.iter().map(|saved| saved.stored_bytes()).sum();
        assert!(bytes > 4 * SUFFIX, "the suffix must be a small part of the archive");

        proxy.reset();
        let target = fresh_database_name("ranges");
        let event = json!({"archive": archive, "database": target, "include": ["c03"]});
        let mut dry = event.clone();
        dry["dry_run"] = true.into();
        let planned = restore(&tools, dry).await.expect("a plan");
        assert_eq!(planned.status, RunStatus::Planned);
        assert_eq!(
            (proxy.count("GET", &key), proxy.response_bytes("GET", &key)),
            (1, SUFFIX)
        );

        proxy.reset();
        let restored = restore(&tools, event).await.expect("a restore");
        assert_eq!(restored.status, RunStatus::Complete);
        let wanted = manifest.get("c03").expect("it was backed up");
        assert_eq!(
            proxy.response_bytes("GET", &key),
            SUFFIX + wanted.stored_bytes(),
            "{compression}"
        );
        let segments = wanted.entry.as_ref().expect("it has documents").segments.len();
        assert_eq!(proxy.count("GET", &key), 1 + segments);

        proxy.reset();
        let listed = list(&tools.store, &folder).await.expect("a listing");
        assert_eq!(listed.len(), 1);
        assert_eq!(
            (proxy.count("GET", &key), proxy.response_bytes("GET", &key)),
            (1, LISTED),
            "a listing reads the manifest beside, and of the archive its end"
        );
    }
}
