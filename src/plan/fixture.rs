//! Small values for the tests of this module.

use bson::rawdoc;

use super::{ArchiveIdentity, Contents, Coverage};
use crate::archive::foreign::Signals;
use crate::archive::{ArchiveKind, Saved, SavedStatus, Status};
use crate::catalog::{Catalog, Collection, Definition, Engine, Kind, Server, Topology};
use crate::digest::{Hashing, Sum};

/// A collection of the archive, whole, with ten documents.
pub(super) fn saved(name: &str) -> Saved {
    Saved {
        name: name.to_owned(),
        kind: Kind::Collection,
        uuid: None,
        options: Definition::empty(),
        indexes: vec![id_index()],
        status: SavedStatus::Complete,
        error: None,
        documents: 10,
        bytes: 1000,
        wrapped: 0,
        digest: "0123456789abcdef0123456789abcdef".parse().expect("a sum"),
        hashing: Hashing::Raw,
        definition: None,
        entry: None,
        abandoned: Vec::new(),
        delta: None,
    }
}

/// A view of the archive.
pub(super) fn saved_view(name: &str, on: &str) -> Saved {
    Saved {
        kind: Kind::View,
        options: Definition::new(rawdoc! { "viewOn": on, "pipeline": [] }),
        indexes: Vec::new(),
        documents: 0,
        bytes: 0,
        digest: Sum::default(),
        ..saved(name)
    }
}

/// A collection of the target with seven documents.
pub(super) fn collection(name: &str) -> Collection {
    Collection {
        name: name.to_owned(),
        kind: Kind::Collection,
        options: Definition::empty(),
        uuid: Some(format!("uuid-of-{name}")),
        renamable: false,
        indexes: vec![id_index()],
        documents: Some(7),
        bytes: Some(700),
    }
}

pub(super) fn id_index() -> Definition {
    Definition::new(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" })
}

/// A replica set of this release.
pub(super) fn server(version: &str) -> Server {
    Server {
        replica_set: Some("rs0".to_owned()),
        hosts: vec!["db.example:27017".to_owned()],
        ..Server::new(Engine::Mongodb, version.to_owned(), Topology::ReplicaSet)
    }
}

/// A target database `shop` with these collections.
pub(super) fn catalog(collections: impl IntoIterator<Item = Collection>) -> Catalog {
    let mut collections: Vec<Collection> = collections.into_iter().collect();
    collections.sort_by(|a, b| a.name.cmp(&b.name));
    Catalog {
        database: "shop".to_owned(),
        server: server("6.0.5"),
        collections,
        left_out: Vec::new(),
        disk: None,
        namesake: None,
    }
}

/// A complete native archive with these collections.
pub(super) fn contents(collections: impl IntoIterator<Item = Saved>) -> Contents {
    Contents {
        archive: ArchiveIdentity {
            location: "s3://bucket/backup_20261121_020000.tar.zst".to_owned(),
            name: "backup_20261121_020000".to_owned(),
            etag: Some("\"e-1\"".to_owned()),
            manifest: "00".repeat(32),
        },
        kind: ArchiveKind::Full,
        status: Status::Complete,
        database: Some("shop".to_owned()),
        server: Some(server("6.0.5")),
        coverage: Coverage::Whole,
        collections: collections.into_iter().collect(),
        signals: Signals::default(),
    }
}
