//! A database of our own, and the proof that it is.

use std::hash::{BuildHasher as _, RandomState};

use bson::doc;

use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError};
use crate::plan::INTERNAL_PREFIX;

/// How the names of scratch databases begin.
const PREFIX: &str = "mongotar_drill_";

/// A scratch database, from its first collection to its end.
#[derive(Debug)]
pub(super) struct Scratch {
    name: String,
    /// What is written into the mark: nobody else knows it.
    owner: String,
}

impl Scratch {
    /// Makes a database that did not exist.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] where there is anything under that name; what the server answered.
    pub(super) async fn claim(mongo: &Mongo, name: Option<&str>) -> Result<Self, Failure> {
        let scratch = Self {
            name: name.map_or_else(|| format!("{PREFIX}{}", random()), str::to_owned),
            owner: random(),
        };
        // The server's own collections count as well: dropping the database would take them along.
        let looking = format!("looking at the scratch database {}", scratch.name);
        let listed = mongo
            .command(&scratch.name, doc! {"listCollections": 1, "nameOnly": true}, &looking)
            .await?;
        let present = listed
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"));
        match present.map(Vec::len) {
            Ok(0) => {}
            Ok(_) => return Err(taken(&scratch.name)),
            Err(error) => return Err(MongoError::unexpected(looking, error.to_string()).into()),
        }
        // Explicitly created, so that of two drills with one name the second fails here.
        let action = format!("creating the scratch database {}", scratch.name);
        match mongo.command(&scratch.name, doc! {"create": mark()}, &action).await {
            Ok(_) => {}
            Err(error) if error.is(crate::mongo::code::NAMESPACE_EXISTS) => return Err(taken(&scratch.name)),
            Err(error) => return Err(error.into()),
        }
        let marked = doc! {"insert": mark(), "documents": [{"_id": scratch.owner.as_str()}]};
        if let Err(error) = mongo.command(&scratch.name, marked, &action).await {
            // Created by us a moment ago, and nothing else is there. Where this fails too, the first error says more.
            let _ = mongo.command(&scratch.name, doc! {"drop": mark()}, &action).await;
            return Err(error.into());
        }
        Ok(scratch)
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

    /// Drops the database, if it still has our mark.
    ///
    /// # Errors
    /// Where the mark is gone, and the database may be somebody else's by now; what the server answered.
    pub(super) async fn release(&self, mongo: &Mongo) -> Result<(), MongoError> {
        let action = format!("dropping the scratch database {}", self.name);
        let look = doc! {"count": mark(), "query": {"_id": self.owner.as_str()}};
        let found = mongo.command(&self.name, look, &action).await?;
        if !matches!(found.get_i32("n"), Ok(1)) {
            return Err(MongoError::unexpected(
                action,
                "it no longer has the mark of this drill, so it was left alone",
            ));
        }
        mongo
            .command(&self.name, doc! {"dropDatabase": 1}, &action)
            .await
            .map(|_| ())
    }
}

fn mark() -> String {
    format!("{INTERNAL_PREFIX}drill")
}

fn taken(name: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!(
            "the scratch database {name} exists and has collections: a drill touches no database that it did not create. Name another one, or none"
        ),
    )
}

/// 64 bits that nobody guesses by accident.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
