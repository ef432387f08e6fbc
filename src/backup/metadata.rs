//! Collections' definitions as an archive has them, and the manifest's text.

use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use serde::Serialize;

use crate::archive::{Manifest, table};
use crate::catalog::{Catalog, Collection, Definition, Kind};
use crate::failure::{Failure, FailureKind};
use crate::ordered::map;

/// The catalog that a manifest lists.
pub(super) fn catalog_of(manifest: &Manifest) -> Catalog {
    let collections = manifest.collections.iter().map(|saved| Collection {
        name: saved.name.clone(),
        kind: saved.kind,
        options: saved.options.clone(),
        uuid: saved.uuid.clone(),
        renamable: false,
        indexes: saved.indexes.clone(),
        documents: Some(saved.documents),
        bytes: Some(saved.bytes),
    });
    Catalog {
        database: manifest.source.database.clone(),
        server: manifest.source.server.clone(),
        collections: collections.collect(),
        left_out: manifest.left_out.clone(),
        disk: None,
        namesake: None,
    }
}

/// `collections_metadata.json` (FORMAT 4).
///
/// # Errors
/// If the definitions are too long for any manifest: that is found out before anything is read.
pub(super) fn metadata_text(catalog: &Catalog) -> Result<Vec<u8>, Failure> {
    #[derive(Serialize)]
    struct DescribedCollection<'a> {
        r#type: Kind,
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<&'a str>,
        options: &'a Definition,
        indexes: &'a [Definition],
    }
    let described = map(catalog.collections.iter().map(|collection| {
        let described = DescribedCollection {
            r#type: collection.kind,
            uuid: collection.uuid.as_deref(),
            options: &collection.options,
            indexes: &collection.indexes,
        };
        (collection.name.as_str(), described)
    }));
    let mut text = serde_json::to_vec_pretty(&described).expect("names are text keys");
    text.push(b'\n');
    match text.len() as u64 <= table::MAX_DEFINITIONS_BYTES {
        true => Ok(text),
        false => Err(Failure::invalid(format!(
            "the definitions of {} collections take {} MB, but an archive has room for {}: split the backup into several archives, by `include`",
            catalog.collections.len(),
            text.len() / 1_000_000,
            table::MAX_DEFINITIONS_BYTES / 1_000_000
        ))),
    }
}

/// `{collection}.metadata.json` as `mongodump` writes it (`mongodump/metadata_dump.go` of mongo-tools 100).
///
/// A time series is described by its indexes only: where `mongorestore` finds `timeseries` among the options, it takes
/// the documents for buckets and puts them into `system.buckets`, but they are measurements. So it fills a time series
/// that is there, or else makes an ordinary collection.
pub(super) fn mongodump_metadata(collection: &Collection) -> Vec<u8> {
    let mut metadata = RawDocumentBuf::new();
    if !collection.options.is_empty() && collection.kind != Kind::Timeseries {
        metadata.append(cstr!("options"), collection.options.as_raw().to_owned());
    }
    let mut indexes = RawArrayBuf::new();
    for index in &collection.indexes {
        indexes.push(index.as_raw().to_owned());
    }
    metadata.append(cstr!("indexes"), indexes);
    if let (Some(uuid), Kind::Collection) = (&collection.uuid, collection.kind) {
        metadata.append(cstr!("uuid"), uuid.replace('-', "").as_str());
    }
    metadata.append(cstr!("collectionName"), collection.name.as_str());
    match collection.kind {
        Kind::Collection => metadata.append(cstr!("type"), "collection"),
        Kind::View => metadata.append(cstr!("type"), "view"),
        Kind::Timeseries => {}
    }
    Definition::new(metadata).to_json().into_bytes()
}

pub(super) fn out_of_memory(error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Store, format!("compressing failed: {error}"))
}

/// The manifest as it stands in the archive and beside it.
pub(super) fn manifest_text(manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    table::text_of(manifest).map_err(Failure::invalid)
}

/// Why an archive has no room for another segment.
pub(super) fn too_many_segments() -> Failure {
    let most = table::MOST_SEGMENTS;
    Failure::invalid(format!(
        "the archive would have more than {most} segments, which no reader takes: split the backup into several archives, by `include`"
    ))
}
