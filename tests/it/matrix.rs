//! The same on each release of the server that can be had from packages: `cargo test --test it -- --ignored matrix::`.
//!
//! Ignored otherwise, since each release is a server more. A release that cannot be had fails its cases. `the_rigs` is
//! the server of all other tests: 6.0.5, unless `MONGOD` names another. `engines` are doubles of what is not `mongod`.

mod across;
mod compatibility;
mod engines;
mod newer;
pub mod pieces;
mod refused;
mod releases;
mod set;
mod shop;
mod whole;

use bson::{Document, Timestamp, doc};
use mongotar::store::Store;

use crate::restore::Place;
use crate::{rig, support};

/// What of all this a server knows. It is asked: mongotar goes by the number of its version, and must come to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knows {
    pub snapshots: bool,
    pub time_series: bool,
    /// Fields of a document's own that begin with a dollar.
    pub dollar_keys: bool,
    pub clustered: bool,
    pub images: bool,
    /// To leave an empty timestamp alone when it is told to.
    pub empty_timestamps: bool,
    pub capped: bool,
    pub collations: bool,
    pub views: bool,
    /// Indexes of every kind.
    pub all_indexes: bool,
}

impl Knows {
    async fn asked(client: &mongodb::Client) -> Self {
        let database = client.database(&rig::fresh_database_name("knows"));
        let takes = async |command: Document| database.run_command(command).await.is_ok();
        assert!(takes(doc! {"create": "there"}).await);
        let empty = Timestamp { time: 0, increment: 0 };
        let knows = Self {
            snapshots: reads_at_a_time(&database).await,
            time_series: takes(doc! {"create": "series", "timeseries": {"timeField": "t"}}).await,
            dollar_keys: inserts(&database, doc! {"$key": 1}).await,
            clustered: takes(doc! {"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}}).await,
            images: takes(doc! {"create": "images", "changeStreamPreAndPostImages": {"enabled": true}}).await,
            empty_timestamps: takes(
                doc! {"insert": "there", "bypassEmptyTsReplacement": true, "documents": [{"t": empty}]},
            )
            .await,
            capped: takes(doc! {"create": "capped", "capped": true, "size": 4096}).await,
            collations: takes(doc! {"create": "collated", "collation": {"locale": "de"}}).await,
            views: takes(doc! {"create": "view", "viewOn": "there", "pipeline": []}).await,
            all_indexes: takes(doc! {"createIndexes": "there", "indexes": [
                {"key": {"h": "hashed"}, "name": "hashed"},
                {"key": {"c": 1}, "name": "collated", "collation": {"locale": "de"}},
            ]})
            .await,
        };
        database.drop().await.expect("dropped");
        knows
    }
}

/// Whether a snapshot is given, and not only asked for.
async fn reads_at_a_time(database: &mongodb::Database) -> bool {
    let find = doc! {"find": "there", "readConcern": {"level": "snapshot"}};
    let reply = database.run_command(find).await.unwrap_or_default();
    let cursor = reply.get_document("cursor");
    cursor.is_ok_and(|cursor| cursor.contains_key("atClusterTime"))
}

async fn inserts(database: &mongodb::Database, document: Document) -> bool {
    let reply = database
        .run_command(doc! {"insert": "there", "documents": [document]})
        .await;
    reply.is_ok_and(|reply| reply.get_i32("n").ok() == Some(1))
}

/// A fresh database on a server, and what that server knows.
pub async fn place_at(uri: &str) -> (Place, Knows) {
    // Who looks from outside must not ask for what Amazon's engine refuses; mongotar is not told.
    let plainly = format!("{uri}{}retryWrites=false", if uri.contains('?') { '&' } else { '?' });
    let client = mongodb::Client::with_uri_str(plainly)
        .await
        .expect("the rig's own URI is valid");
    let knows = Knows::asked(&client).await;
    let place = Place {
        tools: support::tools_for(uri, Store::with_client(rig::shared_s3().client().await)).await,
        client,
        to: support::bucket().await,
        database: rig::fresh_database_name("matrix"),
    };
    (place, knows)
}
