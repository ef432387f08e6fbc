//! Surveying a database into a [`Catalog`].

use std::collections::BTreeMap;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::future::BoxFuture;

use super::asked::limit;
use super::{Mongo, MongoError, ReadAt, code, patiently};
use crate::catalog::{
    BUCKETS, Belongs, Catalog, Collection, Definition, Disk, Kind, LeftOut, STORED_FUNCTIONS, Topology, belongs_in,
    left_out,
};
use crate::wording::first_few;

/// How many entries of a list a reply may have.
const A_REPLY: u32 = 10_000;
/// What is said of a collection that was read too late.
pub const VANISHED: &str = "the collection was dropped, renamed or recreated while the backup ran: back it up again";

/// A collection as `listCollections` knows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListedCollection {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) options: Definition,
    pub(super) uuid: Option<String>,
    /// Of a time series: whether it is renamed like a collection.
    pub(super) renamable: bool,
}

/// What `listCollections` gives of a database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listing {
    /// Sorted by name, the server's own left out.
    pub(super) collections: Vec<ListedCollection>,
    /// What no backup takes: the server's own.
    pub(super) left_out: Vec<LeftOut>,
}

/// Whether a survey asks how much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    Estimated,
    LeftOut,
}

/// A catalog, and what of it could not be found out.
#[derive(Debug)]
pub(super) struct DescribedCollection {
    pub(super) catalog: Catalog,
    /// What the server answered instead of the indexes: these collections stand in the catalog without any.
    pub(super) refused: BTreeMap<String, MongoError>,
}

impl Mongo {
    /// Everything in a database that a restore could touch. A collection that goes away meanwhile is left out.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn survey(&self, database: &str) -> Result<Catalog, MongoError> {
        self.survey_with(database, Sizes::Estimated).await
    }

    /// As [`Self::survey`], without documents and bytes: half as much to ask of each collection.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn survey_definitions(&self, database: &str) -> Result<Catalog, MongoError> {
        self.survey_with(database, Sizes::LeftOut).await
    }

    async fn survey_with(&self, database: &str, sizes: Sizes) -> Result<Catalog, MongoError> {
        match self.survey_as_seen(database, sizes).await? {
            (catalog, None) => Ok(catalog),
            (_, Some(error)) => Err(error),
        }
    }

    /// As [`Self::survey`]. Where the user may not see the indexes of some collections, these have none, and the error
    /// names them all.
    ///
    /// # Errors
    /// Anything else that the server answered.
    pub async fn survey_what_may_be_seen(&self, database: &str) -> Result<(Catalog, Option<MongoError>), MongoError> {
        self.survey_as_seen(database, Sizes::Estimated).await
    }

    async fn survey_as_seen(&self, database: &str, sizes: Sizes) -> Result<(Catalog, Option<MongoError>), MongoError> {
        self.some_member_fits(database).await?;
        let listed = self.list_collections(database).await?;
        let DescribedCollection { mut catalog, refused } = self.describe_with(database, listed, sizes, None).await?;
        let (mut unseen, mut first) = (Vec::new(), None);
        for (name, error) in refused {
            // A right to all collections is none to stored functions. Who has none to them leaves them alone.
            let out_of_sight = name == STORED_FUNCTIONS && error.is(code::UNAUTHORIZED);
            if !out_of_sight && !error.is(code::NAMESPACE_NOT_FOUND) {
                if !error.is(code::UNAUTHORIZED) {
                    return Err(error);
                }
                unseen.push(format!("{database}.{name}"));
                first.get_or_insert(error);
                continue;
            }
            catalog.collections.retain(|collection| collection.name != name);
        }
        catalog.disk = self.disk(database).await;
        if catalog.collections.is_empty() && catalog.left_out.is_empty() {
            catalog.namesake = self.namesake(database).await;
        }
        let unseen = first.map(|error| MongoError {
            action: format!("listing the indexes of {}", first_few(unseen).replace("; ", ", ")),
            ..error
        });
        Ok((catalog, unseen))
    }

    /// The collections of a database without their indexes.
    pub(super) async fn list_collections(&self, database: &str) -> Result<Listing, MongoError> {
        self.list_matching(database, doc! {}).await
    }

    async fn list_matching(&self, database: &str, filter: Document) -> Result<Listing, MongoError> {
        let action = format!("listing the collections of {database}");
        let command = doc! {"listCollections": 1, "filter": filter, "cursor": {"batchSize": 10_000}};
        let mut found = Vec::new();
        let mut buckets = BTreeMap::new();
        let mut names = Vec::new();
        for entry in self.collect(database, command, &action).await? {
            let listed =
                listed(&entry).ok_or_else(|| MongoError::unexpected(&action, "an entry has no name or type"))?;
            if let Some(of) = listed.name.strip_prefix(BUCKETS) {
                buckets.insert(of.to_owned(), listed.uuid);
            } else if belongs_in(database, &listed.name) == Belongs::Data {
                found.push(listed);
            } else {
                names.push(listed.name);
            }
        }
        // Before 9.0, a time series is a view of its buckets to the server, and has no UUID of its own: without one, nobody
        // could tell it from its successor. One that has is a collection like others.
        for listed in found.iter_mut().filter(|listed| listed.kind == Kind::Timeseries) {
            listed.renamable = listed.uuid.is_some();
            listed.uuid = listed.uuid.take().or_else(|| buckets.remove(&listed.name).flatten());
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Listing {
            collections: found,
            left_out: left_out(database, names.iter().map(String::as_str)),
        })
    }

    /// The names in a database, without views, and the UUIDs that they stand for: for a time series, its buckets' UUID.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn uuids(&self, database: &str) -> Result<BTreeMap<String, Option<String>>, MongoError> {
        let listed = self.list_collections(database).await?.collections.into_iter();
        let with_documents = listed.filter(|listed| listed.kind != Kind::View);
        Ok(with_documents.map(|listed| (listed.name, listed.uuid)).collect())
    }

    /// How many documents a collection has, as the server knows without looking. A time series has no such number.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn quick_count(&self, database: &str, collection: &str) -> Result<u64, MongoError> {
        let action = format!("counting the documents of {database}.{collection}");
        let reply = self.command(database, doc! {"count": collection}, &action).await?;
        number(&reply, "n").ok_or_else(|| MongoError::unexpected(action, "the answer has no number"))
    }

    /// How many documents a collection has, counted one by one.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn exact_count(&self, database: &str, collection: &str) -> Result<u64, MongoError> {
        let action = format!("counting the documents of {database}.{collection}");
        let mut command = doc! {
            "aggregate": collection,
            "pipeline": [{"$group": {"_id": null, "n": {"$sum": 1}}}],
            "cursor": {},
        };
        if self.proving() == ReadAt::Majority {
            command.insert("readConcern", doc! {"level": "majority"});
        }
        let counted = self.collect(database, command, &action).await?;
        let row = counted.first().map(|row| Document::try_from(row.as_ref()));
        match row.transpose() {
            Ok(row) => Ok(row.and_then(|row| number(&row, "n")).unwrap_or(0)),
            Err(error) => Err(MongoError::unexpected(action, error.to_string())),
        }
    }

    /// Makes sure that a name still stands for the collection that was surveyed. Asked *after* a cursor was opened:
    /// UUIDs do not come back, so the cursor's collection is then the surveyed one too.
    ///
    /// # Errors
    /// If it does not, or what the server answered.
    pub async fn is_still(&self, database: &str, collection: &Collection) -> Result<(), MongoError> {
        let names = [collection.name.clone(), format!("{BUCKETS}{}", collection.name)];
        let mut filter = doc! {"name": {"$in": names.to_vec()}};
        // Amazon's engine refuses names alone.
        if collection.kind == Kind::Collection {
            filter.insert("type", "collection");
        }
        let now = match self.list_matching(database, filter).await {
            Err(error) if error.is(code::FEATURE_NOT_SUPPORTED) => self.list_collections(database).await?,
            listed => listed?,
        };
        match now
            .collections
            .iter()
            .any(|listed| listed.name == collection.name && listed.uuid == collection.uuid)
        {
            true => Ok(()),
            false => Err(MongoError::unexpected(
                format!("reading {database}.{}", collection.name),
                VANISHED,
            )),
        }
    }

    /// The file system under a database. A server that does not say is no error, and a cluster has many.
    async fn disk(&self, database: &str) -> Option<Disk> {
        if self.server().topology == Topology::Sharded {
            return None;
        }
        // Of a database that is not there yet, a server says that its file system has no bytes at all; of another one
        // it says the truth, if this user may ask.
        for asked in [database, "admin"] {
            let action = "asking for the size of the file system";
            let stats = self
                .command(asked, doc! {"dbStats": 1}, action)
                .await
                .unwrap_or_default();
            if let (Some(total @ 1..), Some(used)) = (number(&stats, "fsTotalSize"), number(&stats, "fsUsedSize")) {
                return Some(Disk { total, used });
            }
        }
        None
    }

    /// All documents of a small cursor.
    pub(super) async fn collect(
        &self,
        database: &str,
        command: Document,
        action: &str,
    ) -> Result<Vec<RawDocumentBuf>, MongoError> {
        let mut command =
            RawDocumentBuf::try_from(&command).map_err(|error| MongoError::unexpected(action, error.to_string()))?;
        limit(&mut command, self.silence);
        self.collect_raw(database, command, action).await
    }

    /// The same for a command in raw BSON.
    pub(super) fn collect_raw<'a>(
        &'a self,
        database: &'a str,
        command: RawDocumentBuf,
        action: &'a str,
    ) -> BoxFuture<'a, Result<Vec<RawDocumentBuf>, MongoError>> {
        Box::pin(async move { patiently!(self, self.collect_once(database, command.clone(), action)) })
    }

    async fn collect_once(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> Result<Vec<RawDocumentBuf>, MongoError> {
        let named = |error| MongoError {
            action: action.to_owned(),
            ..error
        };
        let opened = self.open((database, ""), command, ReadAt::Local, A_REPLY).await;
        let (mut opened, mut found) = (opened.map_err(named)?, Vec::new());
        while let Some(reply) = opened.next().await {
            for document in reply.map_err(named)?.all_documents() {
                found.extend(RawDocumentBuf::from_bytes(document?.to_vec()));
            }
        }
        Ok(found)
    }
}

fn listed(entry: &RawDocumentBuf) -> Option<ListedCollection> {
    let kind = match entry.get_str("type").unwrap_or("collection") {
        "view" => Kind::View,
        "timeseries" => Kind::Timeseries,
        _ => Kind::Collection,
    };
    let uuid = entry
        .get_document("info")
        .ok()
        .and_then(|info| info.get_binary("uuid").ok())
        .and_then(|binary| <[u8; 16]>::try_from(binary.bytes).ok())
        .map(|bytes| bson::Uuid::from_bytes(bytes).to_string());
    Some(ListedCollection {
        name: entry.get_str("name").ok()?.to_owned(),
        kind,
        options: entry
            .get_document("options")
            .map_or_else(|_| Definition::empty(), |options| Definition::new(options.to_owned())),
        uuid,
        renamable: kind == Kind::Collection,
    })
}

pub(super) fn number(document: &Document, key: &str) -> Option<u64> {
    match document.get(key)? {
        bson::Bson::Int32(value) => u64::try_from(*value).ok(),
        bson::Bson::Int64(value) => u64::try_from(*value).ok(),
        bson::Bson::Double(value) if *value >= 0.0 => Some(*value as u64),
        _ => None,
    }
}
