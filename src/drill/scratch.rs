//! A database of our own, and the proof of that.

use bson::{Document, doc};

use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError, code};
use crate::plan::INTERNAL_PREFIX;
use crate::run::Run;

/// How the names of scratch databases begin.
const PREFIX: &str = "mongotar_drill_";

/// The `_id` of the one mark that there can be.
const FIRST: &str = "drill";
/// What a drill's user needs: each drill has a database of its own.
pub(super) const ROLES: &str = "readWriteAnyDatabase and dbAdminAnyDatabase on admin: each drill has its own database";
/// How often two may put their marks in at once.
const TRIES: u32 = 5;

/// A scratch database, from its first collection to its end.
#[derive(Debug)]
pub(super) struct Scratch {
    name: String,
    /// What is written into the mark: nobody else knows it.
    owner: String,
}

impl Scratch {
    /// Makes a database that did not exist. Its name and its mark are the same in each invocation of the run: what an
    /// earlier one has made is ours.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] if there is anything else under that name; what the server answered.
    pub(super) async fn claim(self, mongo: &Mongo) -> Result<Self, Failure> {
        match self.present(mongo).await?.is_empty() {
            true => self.create(mongo).await,
            false if self.is_ours(mongo).await? => Ok(self),
            false => Err(taken(&self.name)),
        }
    }

    /// That of a run, wherever it has come.
    pub(super) fn of(run: &Run, name: Option<&str>) -> Self {
        let hash = |what: &str| {
            let hash = blake3::hash(format!("{what}\n{}\n{}", run.time, run.id).as_bytes());
            hash.to_hex().as_str()[..16].to_owned()
        };
        Self {
            name: name.map_or_else(|| format!("{PREFIX}{}", hash("name")), str::to_owned),
            owner: hash("owner"),
        }
    }

    /// The names of what is in it. The server's own collections count as well: dropping the database would take them
    /// along.
    async fn present(&self, mongo: &Mongo) -> Result<Vec<bson::Bson>, Failure> {
        let looking = format!("looking at the scratch database {}", self.name);
        let list = doc! {"listCollections": 1, "nameOnly": true};
        let listed = self.command(mongo, list, &looking).await?;
        let present = listed
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"));
        match present {
            Ok(present) => Ok(present.clone()),
            Err(error) => Err(MongoError::unexpected(looking, error.to_string()).into()),
        }
    }

    async fn create(self, mongo: &Mongo) -> Result<Self, Failure> {
        // Collection and mark come at once, and only one mark can: of two drills with one name, one finds the other's.
        let action = format!("creating the scratch database {}", self.name);
        let marked = doc! {
            "findAndModify": mark(), "query": {"_id": FIRST},
            "update": {"$setOnInsert": {"owner": self.owner.as_str()}}, "upsert": true, "new": true,
        };
        let mut tries = 0;
        let marked = loop {
            tries += 1;
            match self.command(mongo, marked.clone(), &action).await {
                // Two at once: one of them finds it there.
                Err(error) if error.is(code::DUPLICATE_KEY) && tries < TRIES => {}
                Err(error) if error.is(code::DATABASE_DIFFERS_IN_CASE) => return Err(namesake(&self.name)),
                marked => break marked?,
            }
        };
        match marked.get_document("value").and_then(|mark| mark.get_str("owner")) {
            Ok(owner) if owner == self.owner => Ok(self),
            _ => Err(taken(&self.name)),
        }
    }

    async fn is_ours(&self, mongo: &Mongo) -> Result<bool, MongoError> {
        let action = format!("looking for the mark in the scratch database {}", self.name);
        let look = doc! {"count": mark(), "query": {"_id": FIRST, "owner": self.owner.as_str()}};
        let found = self.command(mongo, look, &action).await?;
        Ok(matches!(found.get_i32("n"), Ok(1)))
    }

    async fn command(&self, mongo: &Mongo, command: Document, action: &str) -> Result<Document, MongoError> {
        let answered = mongo.command(&self.name, command, action).await;
        answered.map_err(|error| error.granting(ROLES))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The other databases that are named as ours are, as far as the user may know of them.
    pub(super) async fn others(&self, mongo: &Mongo) -> Vec<String> {
        let mut names = mongo.database_names().await.unwrap_or_default();
        names.retain(|name| name.starts_with(PREFIX) && *name != self.name);
        names
    }

    /// Drops the database, if it still has our mark. An invocation that died may have done it already.
    ///
    /// # Errors
    /// If the mark is gone, and the database may be somebody else's by now; what the server answered.
    pub(super) async fn release(&self, mongo: &Mongo) -> Result<(), MongoError> {
        let action = format!("dropping the scratch database {}", self.name);
        if self.present(mongo).await.is_ok_and(|present| present.is_empty()) {
            return Ok(());
        }
        if !self.is_ours(mongo).await? {
            return Err(MongoError::unexpected(
                action,
                "it no longer has this drill's mark, so it was left alone",
            ));
        }
        self.command(mongo, doc! {"dropDatabase": 1}, &action).await.map(|_| ())
    }
}

fn mark() -> String {
    format!("{INTERNAL_PREFIX}drill")
}

fn namesake(name: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!(
            "the server has a database whose name differs from {name:?} only in case, and refuses a second one. Name another scratch database, or none"
        ),
    )
}

fn taken(name: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!(
            "the scratch database {name} exists and has collections: a drill touches no database that it did not create. Name another one, or none"
        ),
    )
}
