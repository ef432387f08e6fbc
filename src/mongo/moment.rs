//! The moment that an archive shows: one cluster time for all collections, and the catalog known to be valid at it.
//!
//! A snapshot read has a trap: at a cluster time T, a collection that was *dropped* after T, or the old name of a
//! renamed one, gives no documents and no error. And a catalog cannot be listed at T. So the catalog is listed before T
//! is taken and again after; only if both agree is it T's. The primary is asked for both, whoever is read from: a member
//! that lags does not know yet what was created before T, and agrees with itself. After the backup it is listed again ([`Mongo::vanished`]),
//! and a collection that was read as empty and has disappeared is reported as failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bson::doc;
use futures_util::future::{self, BoxFuture};
use serde::{Deserialize, Serialize};

use super::survey::{DescribedCollection, ListedCollection, Listing};
use super::witness::{REFUTED, Testimony};
use super::{Mongo, MongoError, ReadAt, VANISHED, code, patiently};
use crate::archive::{ClusterTime, Manifest};
use crate::catalog::{Catalog, Engine, Kind, Topology};

/// How often the catalog is listed again when it changed while T was taken.
const TRIES: usize = 8;

/// The database of each member alone.
const LOCAL: &str = "local";

/// For how long a member is waited for that is behind the cluster time; then it is asked again, as long as patience
/// lasts.
const FOR_A_MEMBER: Duration = Duration::from_secs(20);

/// A catalog and the time at which it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// The collections.
    pub catalog: Catalog,
    /// The cluster time; `None` if this deployment has no snapshot reads.
    pub time: Option<ClusterTime>,
    /// Why there is none.
    pub reason: Option<String>,
    /// Why it rests on what the server says of its reads alone.
    pub unproven: Option<String>,
    /// Collections whose definition the server would not give, and why: without their indexes they cannot be backed up
    /// whole.
    pub undefined: BTreeMap<String, String>,
}

impl Moment {
    fn new(described: DescribedCollection, time: Option<ClusterTime>, reason: Option<String>) -> Self {
        // Listed a moment ago, and not there any more: leaving it out would lose it without a word.
        let why = |error: MongoError| match error.is(code::NAMESPACE_NOT_FOUND) {
            true => VANISHED.to_owned(),
            false => error.granting_read(&described.catalog.database).to_string(),
        };
        let undefined = described.refused.into_iter();
        let undefined = undefined.map(|(name, error)| (name, why(error))).collect();
        Self {
            catalog: described.catalog,
            time,
            reason,
            unproven: None,
            undefined,
        }
    }

    /// How a collection is read when it cannot be read at a snapshot.
    pub fn fallback(&self) -> ReadAt {
        match self.catalog.server.topology {
            Topology::Standalone => ReadAt::Local,
            Topology::ReplicaSet | Topology::Sharded => ReadAt::Majority,
        }
    }
}

impl Mongo {
    /// Takes a cluster time and the catalog as of it.
    ///
    /// # Errors
    /// What the server answered, and a catalog that never stands still.
    pub async fn moment(&self, database: &str) -> Result<Moment, MongoError> {
        self.moment_since(database, None).await
    }

    /// The same, where an earlier archive is known. Of collections that it has, too, the server is not asked how large
    /// they are; and where its change stream tells of indexes, they have those that they had then: whoever reads the
    /// changes since must ask for those that changed.
    ///
    /// # Errors
    /// As [`Self::moment`].
    pub(crate) async fn moment_since(&self, database: &str, known: Option<&Manifest>) -> Result<Moment, MongoError> {
        self.some_member_fits(database).await?;
        if let Some(reason) = self.why_no_snapshots(database) {
            return self.without_snapshot(database, reason).await;
        }
        let mut refusal = None;
        let primary = self.on_primary();
        let mut before = primary.list_collections(database).await?;
        for _ in 0..TRIES {
            let Some(time) = self.operation_time(database).await? else {
                let reason = "the server gave no cluster time".to_owned();
                return self.without_snapshot(database, reason).await;
            };
            refusal = match self.probe(database, &before.collections, time).await? {
                Probe::Refused(reason) => return self.without_snapshot(database, reason).await,
                Probe::TooRecent(reason) => Some(reason),
                Probe::Readable => None,
            };
            let after = primary.list_collections(database).await?;
            if before == after && refusal.is_none() {
                return self.at_the_moment(database, after, time, known).await;
            }
            before = after;
        }
        if let Some(reason) = refusal {
            return self.without_snapshot(database, reason).await;
        }
        Err(MongoError::unexpected(
            format!("taking a snapshot of {database}"),
            "collections are created, changed or dropped faster than they can be listed: try again when that has calmed down",
        ))
    }

    /// The moment that was found, if the server reads at it: witnesses are heard while the catalog is described.
    async fn at_the_moment(
        &self,
        database: &str,
        listed: Listing,
        time: ClusterTime,
        known: Option<&Manifest>,
    ) -> Result<Moment, MongoError> {
        let primary = self.on_primary();
        let testimony: BoxFuture<'_, Testimony> = Box::pin(self.testimony(database, time));
        let (described, testimony) = future::join(primary.describe(database, listed, known), testimony).await;
        let mut moment = Moment::new(described?, Some(time), None);
        match testimony {
            Testimony::Proven => {}
            Testimony::Unproven(reason) => moment.unproven = Some(reason),
            Testimony::Refuted => {
                moment.time = None;
                moment.reason = Some(REFUTED.to_owned());
            }
        }
        Ok(moment)
    }

    /// The collections in `catalog` that no longer exist under the same name and UUID.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn vanished(&self, catalog: &Catalog) -> Result<BTreeSet<String>, MongoError> {
        let now = self.on_primary().list_collections(&catalog.database).await?.collections;
        Ok(catalog
            .collections
            .iter()
            .filter(|collection| {
                !now.iter()
                    .any(|listed| listed.name == collection.name && listed.uuid == collection.uuid)
            })
            .map(|collection| collection.name.clone())
            .collect())
    }

    /// Why snapshot reads of a database cannot be had from this deployment.
    fn why_no_snapshots(&self, database: &str) -> Option<String> {
        let server = self.server();
        // A server confirms the time, and reads what is there now.
        if database == LOCAL {
            return Some("what is in local is not replicated, and has no history".to_owned());
        }
        if server.topology == Topology::Standalone {
            return Some("a standalone server has no snapshot reads".to_owned());
        }
        let (engine, version) = (server.engine, server.full_version());
        (!server.features.snapshot_reads).then(|| match engine {
            Engine::Mongodb => format!("snapshot reads need MongoDB 5.0, this is {version}"),
            _ => format!("{engine} {version} has no snapshot reads"),
        })
    }

    /// A time that is not before anything the server has told so far. A snapshot read at it waits until the majority
    /// has arrived there.
    pub(super) async fn operation_time(&self, database: &str) -> Result<Option<ClusterTime>, MongoError> {
        let reply = self
            .command(database, doc! {"ping": 1}, "asking for the cluster time")
            .await?;
        Ok(reply.get_timestamp("operationTime").ok().map(ClusterTime::from))
    }

    async fn without_snapshot(&self, database: &str, reason: String) -> Result<Moment, MongoError> {
        let primary = self.on_primary();
        let listed = primary.list_collections(database).await?;
        Ok(Moment::new(
            primary.describe(database, listed, None).await?,
            None,
            Some(reason),
        ))
    }

    /// Whether this deployment can read collections at a time. One that can be read shows it: another may be closed to
    /// this user, or have been changed just now, and says nothing of the rest.
    async fn probe(&self, database: &str, listed: &[ListedCollection], time: ClusterTime) -> Result<Probe, MongoError> {
        let mut probe = Probe::Readable;
        let readable = |listed: &&ListedCollection| {
            listed.kind != Kind::View && !listed.options.get_bool("capped").unwrap_or(false)
        };
        for candidate in listed.iter().filter(readable) {
            match self.try_snapshot(database, &candidate.name, time).await {
                Ok(()) => return self.probe_honesty(database, &candidate.name).await,
                Err(error) if error.is(code::UNAUTHORIZED) => {}
                Err(error) if error.is(code::SNAPSHOT_UNAVAILABLE) => probe = Probe::TooRecent(error.reason),
                Err(error) if is_no_snapshot(&error) => return Ok(Probe::Refused(error.reason)),
                Err(error) if error.is(code::MAX_TIME_EXPIRED) => {
                    let reason = format!(
                        "the member that is read does not reach the cluster time: {}",
                        error.reason
                    );
                    return Ok(Probe::Refused(reason));
                }
                // Engines refuse with codes of their own. Whether it is only this collection, the next one shows.
                Err(error) if error.is_refusal() => probe = Probe::Refused(error.reason),
                Err(error) => return Err(error),
            }
        }
        Ok(probe)
    }

    /// An engine may pass over a read concern and say all the same that it heeded it. One that heeds it has no history
    /// of a time before all history, and says so: asked once, it holds for all databases.
    async fn probe_honesty(&self, database: &str, collection: &str) -> Result<Probe, MongoError> {
        if self.found_out.refuses_what_is_too_old() {
            return Ok(Probe::Readable);
        }
        let before_all_history = ClusterTime { t: 1, i: 1 };
        match self.try_snapshot(database, collection, before_all_history).await {
            Ok(()) => Ok(Probe::Refused(
                "the server also claims to read at a time before all history, so what it says of the time of its reads is unproven"
                    .to_owned(),
            )),
            Err(error) if self.says_too_old(&error) => {
                self.found_out.put_refuses_what_is_too_old();
                Ok(Probe::Readable)
            }
            Err(error) if error.is_refusal() => Ok(Probe::Refused(format!(
                "a read at a time before all history is refused for another reason than its age, so what the server says of the time of its reads is unproven: {}",
                error.reason
            ))),
            Err(error) => Err(error),
        }
    }

    /// Whether the reason is that the history does not reach as far. Routers have more than one code for that.
    fn says_too_old(&self, error: &MongoError) -> bool {
        match self.server().topology {
            Topology::Sharded => error.is_refusal(),
            _ => error.is(code::SNAPSHOT_TOO_OLD) || error.is(code::SNAPSHOT_UNAVAILABLE),
        }
    }

    async fn try_snapshot(&self, database: &str, collection: &str, time: ClusterTime) -> Result<(), MongoError> {
        let wait = FOR_A_MEMBER.min(self.patience.limit() / 4);
        patiently!(self, self.first_document((database, collection), None, time, wait)).map(drop)
    }
}

/// What a deployment says to a snapshot read.
enum Probe {
    /// It can be done, or there is nothing to try it on.
    Readable,
    /// The collections were changed after the time: a later one will do.
    TooRecent(String),
    /// It cannot be done here.
    Refused(String),
}

/// Whether the answer means that this deployment has no snapshot reads, so that a fallback is due.
fn is_no_snapshot(error: &MongoError) -> bool {
    error.is(code::ILLEGAL_OPERATION_NOT_REPLICA_SET) || error.is(code::SNAPSHOT_TOO_OLD) || error.has_no_snapshots()
}
