//! Archives made by the library's own writer out of documents in memory, byte for byte reproducible, with a manifest
//! that can be tampered with.

use std::path::Path;

use bson::{Document, doc};
use mongotar::archive::{
    ArchiveKind, ArchiveName, ArchiveWriter, Compression, Consistency, ConsistencyLevel, Entry, Extent, FOOTER_SUFFIX,
    FORMAT_VERSION, Footer, FrameEncoder, METADATA_ENTRY, Manifest, Opened, PartSchedule, Payload, Saved, SavedFrom,
    SavedStatus, Status, table,
};
use mongotar::catalog::{Definition, Engine, Kind, Selection, Server, Topology};
use mongotar::digest::{Digest, DocumentHasher, Hashing};
use mongotar::extjson::{Encoder, Style};
use mongotar::store::Location;
use serde_json::Value;

pub const NAME: &str = "backup_20261121_020000";

/// One collection's documents, a `Vec` for each segment.
pub type Segments = Vec<Vec<Document>>;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Forge {
    pub compression: Compression,
    pub payload: Payload,
    pub collections: Vec<(&'static str, Segments)>,
}

/// A written archive.
#[derive(Clone, Debug)]
pub struct Forged {
    pub bytes: Vec<u8>,
}

impl Forge {
    /// Three collections of three, one and no segments.
    pub fn small(compression: Compression, payload: Payload) -> Self {
        let run = |from: i32| {
            (from..from + 12)
                .map(|n| doc! {"_id": n, "text": format!("document {n} ")})
                .collect()
        };
        Self {
            compression,
            payload,
            collections: vec![
                ("empty", vec![]),
                ("orders", vec![run(0), run(100), run(200)]),
                ("people", vec![run(0)]),
            ],
        }
    }

    pub fn write(&self) -> Forged {
        self.write_tampered(|_| {})
    }

    /// Writes the archive with whatever `tamper` makes of the manifest. Checksums of trailer and footer are right for
    /// it.
    pub fn write_tampered(&self, tamper: impl FnOnce(&mut Value)) -> Forged {
        self.write_listing(table::MOST_INLINE, table::PAGE_ROWS, tamper)
    }

    /// The same, with no more segments in the manifest than that: a table lists them where there are more, by pages of
    /// so many.
    pub fn write_listing(&self, most: u64, page: u64, tamper: impl FnOnce(&mut Value)) -> Forged {
        let name = ArchiveName::parse(NAME).expect("an archive's name");
        let mut archive = ArchiveWriter::new(name.clone(), self.compression, PartSchedule::default());
        let mut frames = FrameEncoder::new(self.compression).expect("a codec");
        let metadata = archive.entry(METADATA_ENTRY, b"{}\n", &mut frames).expect("memory");
        let collections = self
            .collections
            .iter()
            .map(|(collection, segments)| self.collection(&mut archive, &mut frames, collection, segments))
            .collect();
        let mut manifest = self.manifest(name, metadata, collections);
        if let Some(table) = archive.list_within(&mut manifest, most) {
            for page in table.pages_of(page) {
                archive.page(page, &mut frames).expect("memory");
            }
            archive.end_table(&mut manifest);
        }
        let mut value = serde_json::to_value(&manifest).expect("a manifest has text keys only");
        tamper(&mut value);
        let text = serde_json::to_vec(&value).expect("JSON");
        let mut parts = Vec::new();
        parts.extend(std::iter::from_fn(|| archive.next_part()));
        let (rest, length) = archive.finish(text, &mut frames).expect("memory");
        parts.extend(rest);
        parts.sort_by_key(|part| part.number);
        let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.bytes).collect();
        assert_eq!(bytes.len() as u64, length);
        Forged { bytes }
    }

    fn collection(
        &self,
        archive: &mut ArchiveWriter,
        frames: &mut FrameEncoder,
        name: &str,
        segments: &[Vec<Document>],
    ) -> Saved {
        let definition = (self.payload == Payload::Bson).then(|| {
            let file = format!("{name}.metadata.json");
            archive.entry(&file, b"{\"indexes\":[]}", frames).expect("memory")
        });
        let mut digest = Digest::default();
        let file = format!("{name}.{}", self.payload);
        archive.begin(&[&file, &format!("{file}.partial")]);
        for documents in segments {
            let mut hasher = DocumentHasher::new(Hashing::Raw);
            let mut content = Vec::new();
            for document in documents {
                let bson = bson::serialize_to_vec(document).expect("BSON");
                hasher.add_document(&bson);
                content.extend(self.content(&bson));
            }
            let frame = frames.encode(&mut content).expect("memory");
            archive.segment(&frame, documents.len() as u64);
            digest.merge(&hasher.digest());
        }
        Saved {
            name: name.to_owned(),
            kind: Kind::Collection,
            uuid: None,
            options: Definition::empty(),
            indexes: vec![Definition::new(id_index())],
            status: SavedStatus::Complete,
            error: None,
            documents: digest.documents(),
            bytes: digest.bytes(),
            wrapped: 0,
            digest: digest.sum(),
            hashing: Hashing::Raw,
            definition,
            entry: Some(archive.end(&file)),
            abandoned: Vec::new(),
            delta: None,
        }
    }

    fn content(&self, bson: &[u8]) -> Vec<u8> {
        match self.payload {
            Payload::Bson => bson.to_vec(),
            Payload::Jsonl => {
                let mut text = Vec::new();
                Encoder::new(Style::Compact).encode(bson, &mut text);
                text
            }
        }
    }

    fn manifest(&self, name: ArchiveName, metadata: Entry, collections: Vec<Saved>) -> Manifest {
        Manifest {
            format: "mongotar".to_owned(),
            version: FORMAT_VERSION.to_owned(),
            kind: ArchiveKind::Full,
            made_of: None,
            continues: None,
            name,
            created: "2026-11-21T02:00:00Z".to_owned(),
            finished: "2026-11-21T02:00:41Z".to_owned(),
            writer: "mongotar 0.1.0".to_owned(),
            run: None,
            lanes: None,
            status: Status::Complete,
            source: SavedFrom {
                database: "shop".to_owned(),
                server: Server {
                    replica_set: Some("rs0".to_owned()),
                    ..Server::new(Engine::Mongodb, "6.0.5".to_owned(), Topology::ReplicaSet)
                },
            },
            selection: Selection::default(),
            payload: self.payload,
            pretty: false,
            compression: self.compression,
            consistency: Consistency {
                level: ConsistencyLevel::None,
                reason: None,
                unproven: None,
                cluster_time: None,
                exceptions: Vec::new(),
            },
            metadata,
            collections,
            left_out: Vec::new(),
            users: None,
            table: None,
        }
    }
}

fn id_index() -> bson::RawDocumentBuf {
    bson::RawDocumentBuf::try_from(&doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"}).expect("BSON")
}

/// What can be told apart in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Header { entry: String },
    Segment { entry: String, index: usize },
    Trailer,
    Footer,
}

/// Opens an archive in memory.
pub fn open_bytes(bytes: &[u8]) -> Result<Opened, mongotar::archive::ArchiveError> {
    let suffix = bytes.len().saturating_sub(FOOTER_SUFFIX as usize);
    let footer = Footer::find(&bytes[suffix..], bytes.len() as u64)?;
    let trailer = &bytes[footer.trailer.offset as usize..][..footer.trailer.length as usize];
    Opened::verify(footer, trailer)
}

/// Every region of a sound archive, in the order of its bytes; they tile it.
pub fn parts(bytes: &[u8]) -> Vec<(Part, Extent)> {
    let opened = open_bytes(bytes).expect("a sound archive");
    let mut parts = Vec::new();
    for entry in opened.manifest.entries() {
        let header = Extent {
            offset: entry.header.offset,
            length: entry.header.length,
        };
        let path = || entry.path.clone();
        parts.push((Part::Header { entry: path() }, header));
        for (index, segment) in entry.segments.iter().enumerate() {
            parts.push((Part::Segment { entry: path(), index }, segment.extent));
        }
    }
    let trailer = opened.footer.trailer;
    let end = trailer.end().expect("inside the object");
    parts.push((Part::Trailer, trailer));
    let footer = Extent {
        offset: end,
        length: bytes.len() as u64 - end,
    };
    parts.push((Part::Footer, footer));
    parts.sort_by_key(|(_, extent)| *extent);
    let mut at = 0;
    for (part, extent) in &parts {
        assert_eq!(extent.offset, at, "{part:?}");
        at = extent.offset + extent.length;
    }
    parts
}

/// Puts bytes at a path, whatever was there.
pub fn put(path: &Path, bytes: &[u8]) -> Location {
    std::fs::write(path, bytes).expect("the scratch folder takes a file");
    Location::Local(path.to_owned())
}

/// Every form that an archive can have.
pub fn forms() -> impl Iterator<Item = (Compression, Payload)> {
    Compression::ALL
        .into_iter()
        .flat_map(|compression| [(compression, Payload::Jsonl), (compression, Payload::Bson)])
}
