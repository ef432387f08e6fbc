//! The table of contents of the largest object there can be, and how much memory it takes to write and to read one.
//! There are no 50 TiB here: extents and hashes are all that a table is of.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mongotar::archive::{
    ArchiveName, ArchiveWriter, Composer, Compression, Entry, Extent, FrameEncoder, LaneContent, METADATA_ENTRY,
    Manifest, PartSchedule, Piece, Rows, Segment, StoredFrame, table,
};
use mongotar::digest::Digest;
use mongotar::inspect::cat;
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::{Location, Store};
use serde_json::json;

use super::memory::{peak, peak_of};
use crate::rig;
use crate::support::all_is_tried;

const NAME: &str = "backup_20261121_020000";
/// Amazon S3's largest object: 10,000 parts of 5 GiB.
const LARGEST: u64 = 10_000 * (5 << 30);

/// How long an object is tried: the largest, or a tenth of it.
fn longest() -> u64 {
    match all_is_tried() {
        true => LARGEST,
        false => LARGEST / 10,
    }
}

/// What segments grow to by default, as BSON that does not compress.
const SEGMENT: u64 = 8 << 20;
/// The default on two cores, and the least there is, in kB.
const DEFAULT: u64 = 190_000_000 / 1024;
const SCARCE: u64 = 64_000_000 / 1024;

fn name() -> ArchiveName {
    ArchiveName::parse(NAME).expect("a name")
}

/// A file that may be as long as any, with holes: in memory, since most file systems on disks end at 16 TiB.
struct Sparse {
    path: PathBuf,
    file: File,
}

impl Sparse {
    fn new() -> Self {
        let path = PathBuf::from(format!("/dev/shm/mongotar-{}-{NAME}.tar.zst", std::process::id()));
        let file = File::create(&path).expect("a file system in memory at /dev/shm");
        Self { path, file }
    }
}

impl Drop for Sparse {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A collection of one document, as a lane of its own, and its bytes.
fn small(collection: &str) -> (LaneContent, Vec<u8>, Vec<u8>) {
    let document = bson::serialize_to_vec(&bson::doc! {"_id": collection}).expect("BSON");
    let mut writer = ArchiveWriter::lane(name(), Compression::Zstd, PartSchedule::default());
    let mut frames = FrameEncoder::new(Compression::Zstd).expect("a codec");
    let file = format!("{collection}.bson");
    writer.begin(&[&file]);
    writer.segment(&frames.encode(&mut document.clone()).expect("memory"), 1);
    writer.end(&file);
    let (parts, content) = writer.finish_lane();
    (
        content,
        parts.into_iter().flat_map(|part| part.bytes).collect(),
        document,
    )
}

/// A collection of so many stored bytes, in segments that are nowhere.
fn large(bytes: u64) -> LaneContent {
    let (mut content, ..) = small("large");
    let rows = (0..bytes / SEGMENT).map(|index| Segment {
        extent: Extent {
            offset: index * SEGMENT,
            length: SEGMENT,
        },
        decoded_bytes: SEGMENT - 100,
        documents: 8_000,
        blake3: blake3::hash(&index.to_le_bytes()),
    });
    content.rows = rows.collect();
    let count = content.rows.len() as u64;
    content.bytes = count * SEGMENT;
    let entry = &mut content.entries[0].entry;
    entry.bytes = count * (SEGMENT - 100);
    entry.rows = Some(Rows {
        first: 0,
        count,
        stored: content.bytes,
        documents: count * 8_000,
        largest: SEGMENT - 100,
    });
    content
}

fn saved(collection: &str, entry: Entry, document: Option<&[u8]>) -> serde_json::Value {
    let mut digest = Digest::default();
    document.into_iter().for_each(|document| digest.add_document(document));
    json!({
        "name": collection, "kind": "collection", "options": {},
        "indexes": [{"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}],
        "status": "complete", "documents": entry.rows.expect("rows").documents,
        "bytes": document.map_or(entry.bytes, |document| document.len() as u64), "wrapped": 0,
        "digest": digest.sum().to_string(), "hashing": "raw", "entry": entry,
    })
}

fn manifest(metadata: &Entry, collections: Vec<serde_json::Value>) -> Manifest {
    let manifest = json!({
        "format": "mongotar", "version": "1.0", "kind": "full", "name": NAME, "created": "2026-11-21T02:00:00Z",
        "finished": "2026-11-21T02:00:00Z", "writer": "a test", "status": "complete", "payload": "bson", "pretty": false,
        "compression": "zstd", "source": {"database": "shop", "server": {"version": "6.0.5", "topology": "replica_set"}},
        "consistency": {"level": "none"}, "metadata": metadata, "collections": collections,
    });
    serde_json::from_value(manifest).expect("a manifest")
}

/// Writes an archive as long as any can be: three collections, all but two documents of it a hole. Gives how many
/// segments it has.
fn write(sparse: &Sparse) -> u64 {
    let mut frames = FrameEncoder::new(Compression::Zstd).expect("a codec");
    let (first, first_bytes, first_document) = small("first");
    let (last, last_bytes, last_document) = small("last");
    let large = large(longest() - (1 << 30));
    let mut composer = Composer::new(name(), Compression::Zstd);
    let metadata = composer.entry(METADATA_ENTRY, b"{}\n", &mut frames).expect("memory");
    let entries: Vec<Entry> = [&first, &large, &last]
        .into_iter()
        .zip(0..)
        .flat_map(|(lane, number)| composer.lane(number, lane))
        .collect();
    let [one, two, three] = entries.try_into().expect("an entry each");
    let mut manifest = manifest(
        &metadata,
        vec![
            saved("first", one, Some(&first_document)),
            saved("large", two, None),
            saved("last", three, Some(&last_document)),
        ],
    );
    let segments = composer.segments();
    composer.list(&mut manifest, &mut frames).expect("memory");
    let text = table::text_of(&manifest).expect("no longer than readers take");
    assert!(text.len() < 1 << 20, "{} bytes of manifest", text.len());
    let (pieces, length) = composer.finish(text, &mut frames).expect("memory");
    let mut offset = 0;
    for piece in pieces {
        let bytes = match &piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Lane { lane: 0, .. } => &first_bytes,
            Piece::Lane { lane: 2, .. } => &last_bytes,
            Piece::Lane { .. } => &Vec::new(),
        };
        sparse.file.write_all_at(bytes, offset).expect("room");
        offset += piece.length();
    }
    assert_eq!(offset, length);
    assert!((longest() - (1 << 30)..longest()).contains(&length), "{length}");
    segments
}

/// A manifest with a row for each of so many segments had 740 MB, and no reader took more than 512 MiB of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_object_opens_and_gives_one_collection_within_the_default_budget() {
    let sparse = Sparse::new();
    let segments = write(&sparse);
    assert!(segments > longest() / SEGMENT - 1_000, "{segments}");
    let location = Location::Local(sparse.path.clone());
    let file = open(&Store::new(), &location, Memory::default())
        .await
        .expect("it opens");
    let large = file
        .manifest()
        .and_then(|manifest| manifest.get("large"))
        .expect("it is ours");
    assert!(large.stored_bytes() > longest() - (2 << 30));
    for collection in ["first", "last"] {
        let mut text = Vec::new();
        let documents = cat(&Store::new(), &location, Memory::default(), collection, &mut text)
            .await
            .expect("documents");
        let expected = format!("{{\"_id\":\"{collection}\"}}\n");
        assert_eq!((documents, String::from_utf8(text)), (1, Ok(expected)));
    }
    let archive = location.to_string();
    let shown = peak_of(&["show", &archive]).await;
    assert!((1..=DEFAULT).contains(&shown), "it takes {shown} kB to show it");
    let target = rig::fresh_database_name("it");
    let restore = [
        "restore",
        &archive,
        "--mongo-db",
        &target,
        "--include",
        "last",
        "--yes",
        "--no-snapshot",
    ];
    let restored = peak_of(&[&restore[..], &["--memory", "190"]].concat()).await;
    assert!(
        (1..=DEFAULT).contains(&restored),
        "it takes {restored} kB to restore one collection"
    );
}

/// What a run's state has of its segments took 110 bytes for each, every few seconds.
#[test]
#[ignore = "a child of the test below"]
fn the_writers_half() {
    let frame = StoredFrame {
        stored: vec![7; 512 << 10],
        decoded_bytes: 512 << 10,
        crc32: 0,
        blake3: blake3::hash(b"synthetic"),
    };
    let mut frames = FrameEncoder::new(Compression::None).expect("a codec");
    let mut writer = ArchiveWriter::new(
        name(),
        Compression::None,
        PartSchedule::small_for_estimate(25_000_000_000),
    );
    let metadata = writer.entry(METADATA_ENTRY, b"{}\n", &mut frames).expect("memory");
    writer.begin(&["large.bson"]);
    while writer.offset() < 25_000_000_000 {
        assert!(!writer.is_full());
        writer.segment(&frame, 500);
        while writer.next_part().is_some() {}
        let state = serde_json::to_vec(&writer.state()).expect("JSON");
        assert!(state.len() < 4_096, "a state of {} bytes", state.len());
    }
    let entry = writer.end("large.bson");
    let mut manifest = manifest(&metadata, vec![saved("large", entry, None)]);
    assert!(writer.list(&mut manifest).is_none());
    let text = table::text_of(&manifest).expect("no longer than readers take");
    let (parts, length) = writer.finish(text, &mut frames).expect("memory");
    assert!(!parts.is_empty() && length > 25_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_five_gigabytes_of_segments_are_listed_within_the_least_budget() {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "bounds::table::the_writers_half"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let peak = peak(&mut child).await;
    println!("25 GB of segments: {} MB at most", peak >> 10);
    assert!((1..=SCARCE).contains(&peak), "{peak} kB");
}
