//! Whether a server reads at the time that it confirms: documents bear witness that were inserted a moment ago.
//!
//! A backup writes nothing, so it goes by what others wrote. The server's log says at which time a document was
//! inserted; a user who may not read the log has a change stream. At that time the document must be there, and at the
//! time before it must not be. A server that reads what is there now shows it at both. One read alone would prove
//! nothing: a collection that was dropped since has no documents at any time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use futures_util::future::BoxFuture;

use super::{Mongo, MongoError, ReadAt, code};
use crate::archive::ClusterTime;
use crate::catalog::{Definition, INTERNAL_PREFIX};

/// For how many seconds before the moment witnesses are looked for. Servers keep five minutes of history, unless told
/// otherwise.
const WITHIN: u32 = 240;
/// How many are looked for, and for how many milliseconds: where there are none, the log is read in vain.
const WITNESSES: u32 = 64;
const FOR_A_SEARCH: i32 = 500;
/// Of how many collections one is heard: another one of the same collection would say no more.
const COLLECTIONS: usize = 4;
/// For how long each of them is heard.
const FOR_A_WITNESS: Duration = Duration::from_secs(2);

/// What witnesses say of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Testimony {
    /// It reads at the time that it confirms.
    Proven,
    /// Nobody could say, and why.
    Unproven(String),
    /// It does not.
    Refuted,
}

/// A document, and when it was inserted.
#[derive(Debug, PartialEq)]
struct Witness {
    database: String,
    collection: String,
    /// What finds it, and no other one.
    filter: RawDocumentBuf,
    inserted: ClusterTime,
}

impl Mongo {
    /// Whether this deployment reads at the times that it confirms, as far as somebody inserted something shortly
    /// before this one. What is proven once holds for all databases.
    pub(super) async fn testimony(&self, database: &str, time: ClusterTime) -> Testimony {
        if self.proven.load(Ordering::Acquire) {
            return Testimony::Proven;
        }
        let testimony = self.heard(database, time).await;
        self.proven.store(testimony == Testimony::Proven, Ordering::Release);
        testimony
    }

    async fn heard(&self, database: &str, time: ClusterTime) -> Testimony {
        let witnesses = match self.witnesses(database, time).await {
            Ok(witnesses) => witnesses,
            Err(error) => return Testimony::Unproven(format!("what was inserted lately cannot be asked for: {error}")),
        };
        let mut why = format!("nothing was inserted within the {} minutes before it", WITHIN / 60);
        let mut heard_of: Vec<(&str, &str)> = Vec::new();
        for witness in &witnesses {
            let namespace = (witness.database.as_str(), witness.collection.as_str());
            if heard_of.len() == COLLECTIONS || heard_of.contains(&namespace) {
                continue;
            }
            heard_of.push(namespace);
            "what was inserted shortly before it is gone".clone_into(&mut why);
            for time in [before(witness.inserted), witness.inserted] {
                match self.sees(witness, time).await {
                    Ok(true) if time != witness.inserted => return Testimony::Refuted,
                    Ok(true) => return Testimony::Proven,
                    Ok(false) => {}
                    // The collection was dropped and made anew, or defined otherwise, since.
                    Err(error) if error.is(code::SNAPSHOT_UNAVAILABLE) => break,
                    Err(error) => {
                        why = error.to_string();
                        break;
                    }
                }
            }
        }
        Testimony::Unproven(why)
    }

    /// First those of this database.
    async fn witnesses(&self, database: &str, time: ClusterTime) -> Result<Vec<Witness>, MongoError> {
        // Roles for one database do not reach the log, and a router has none.
        let log = (("local", "oplog.rs"), in_log(time));
        let stream = |within| ((database, "$cmd.aggregate"), in_stream(time, within));
        let mut refused = None;
        // A stream from before the log begins is refused: the server may be young.
        for (namespace, search) in [log, stream(WITHIN), stream(WITHIN / 6), stream(WITHIN / 60)] {
            let search = Definition::from_json(&search)
                .map_err(|error| MongoError::unexpected("looking for insertions", error.to_string()))?;
            match self
                .first_reply(namespace, search.as_raw().to_owned(), ReadAt::Local)
                .await
            {
                Ok(found) => {
                    let witnesses = found.iter().filter_map(|found| Witness::of(found));
                    let mut witnesses: Vec<Witness> = witnesses.collect();
                    witnesses.sort_by_key(|witness| witness.database != database);
                    return Ok(witnesses);
                }
                Err(error) if error.is(code::MAX_TIME_EXPIRED) => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| MongoError::unexpected("looking for insertions", "nowhere")))
    }

    async fn sees(&self, witness: &Witness, time: ClusterTime) -> Result<bool, MongoError> {
        let namespace = (witness.database.as_str(), witness.collection.as_str());
        let seen = self.first_document(namespace, Some(&witness.filter), time, FOR_A_WITNESS);
        Ok(seen.await?.is_some())
    }

    /// The first document at a time, as its `_id` alone.
    pub(super) async fn first_document(
        &self,
        namespace: (&str, &str),
        filter: Option<&RawDocument>,
        time: ClusterTime,
        wait: Duration,
    ) -> Result<Option<RawDocumentBuf>, MongoError> {
        let at = ReadAt::Snapshot(time);
        let milliseconds = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let mut find = rawdoc! {"find": namespace.1, "limit": 1, "singleBatch": true, "projection": {"_id": 1}, "maxTimeMS": milliseconds};
        if let Some(filter) = filter {
            find.append(cstr!("filter"), filter);
        }
        if let Some(concern) = at.read_concern() {
            find.append(cstr!("readConcern"), concern);
        }
        Ok(self.first_reply(namespace, find, at).await?.pop())
    }

    /// The documents of a cursor's first reply. It is asked for once.
    pub(super) fn first_reply<'a>(
        &'a self,
        namespace: (&'a str, &'a str),
        command: RawDocumentBuf,
        at: ReadAt,
    ) -> BoxFuture<'a, Result<Vec<RawDocumentBuf>, MongoError>> {
        Box::pin(async move {
            let mut opened = self.open(namespace, command, at, WITNESSES).await?;
            let mut documents = Vec::new();
            if let Some(reply) = opened.next().await {
                for document in reply?.all_documents() {
                    documents.extend(RawDocument::from_bytes(document?).map(RawDocument::to_owned));
                }
            }
            Ok(documents)
        })
    }
}

impl Witness {
    /// From an entry of the log, or an event of a change stream.
    fn of(found: &RawDocument) -> Option<Self> {
        let (database, collection) = match found.get_document("ns") {
            Ok(namespace) => (namespace.get_str("db").ok()?, namespace.get_str("coll").ok()?),
            Err(_) => found.get_str("ns").ok()?.split_once('.')?,
        };
        let time = found
            .get_timestamp("clusterTime")
            .or_else(|_| found.get_timestamp("ts"));
        let key = found.get_document("documentKey").or_else(|_| found.get_document("o"));
        let mut filter = RawDocumentBuf::new();
        for field in key.ok()?.iter() {
            let (name, value) = field.ok()?;
            let mut equal = RawDocumentBuf::new();
            equal.append(cstr!("$eq"), value);
            filter.append(name, equal);
        }
        let inserted = time.ok()?.into();
        // What a restore is just loading, or its lock, may be gone in a moment.
        let comes_and_goes = ["system.", INTERNAL_PREFIX];
        let is_usable = !comes_and_goes.iter().any(|prefix| collection.starts_with(prefix)) && !filter.is_empty();
        is_usable.then(|| Self {
            database: database.to_owned(),
            collection: collection.to_owned(),
            filter,
            inserted,
        })
    }
}

/// The newest insertions in the log. A document that a shard got from another one had been inserted there before.
fn in_log(time: ClusterTime) -> String {
    let until = timestamp(time.t, time.i);
    format!(
        r#"{{
        "find": "oplog.rs", "limit": {WITNESSES}, "singleBatch": true, "sort": {{"$natural": -1}},
        "filter": {{
            "ts": {{"$gte": {}, "$lte": {until}}}, "op": "i", "fromMigrate": {{"$exists": false}},
            "ns": {{"$not": {{"$regularExpression": {{"pattern": "^(admin|config|local)\\.|^[^.]*\\.(system|mongotar)\\.", "options": ""}}}}}}
        }},
        "projection": {{"ts": 1, "ns": 1, "o._id": 1}},
        "maxTimeMS": {FOR_A_SEARCH}
        }}"#,
        since(time, WITHIN)
    )
}

/// The oldest insertions in the change stream of a database.
fn in_stream(time: ClusterTime, within: u32) -> String {
    format!(
        r#"{{
        "aggregate": 1,
        "pipeline": [
            {{"$changeStream": {{"startAtOperationTime": {}}}}},
            {{"$match": {{"operationType": "insert"}}}},
            {{"$project": {{"ns": 1, "clusterTime": 1, "documentKey": 1}}}}
        ],
        "cursor": {{"batchSize": {WITNESSES}}},
        "maxTimeMS": {FOR_A_SEARCH}
        }}"#,
        since(time, within)
    )
}

fn since(time: ClusterTime, within: u32) -> String {
    timestamp(time.t.saturating_sub(within), 1)
}

fn timestamp(t: u32, i: u32) -> String {
    format!(r#"{{"$timestamp": {{"t": {t}, "i": {i}}}}}"#)
}

/// The time before.
fn before(time: ClusterTime) -> ClusterTime {
    match time.i {
        0 => ClusterTime {
            t: time.t.saturating_sub(1),
            i: u32::MAX,
        },
        i => ClusterTime { t: time.t, i: i - 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::Timestamp;

    #[test]
    fn witnesses_are_found_in_the_log_and_in_a_stream() {
        let time = Timestamp { time: 7, increment: 2 };
        let in_log = rawdoc! {"ts": time, "ns": "shop.orders.old", "o": {"_id": 1}};
        let in_stream = rawdoc! {
            "_id": {"_data": "82"}, "clusterTime": time, "ns": {"db": "shop", "coll": "orders.old"}, "documentKey": {"_id": 1},
        };
        let witness = Witness {
            database: "shop".to_owned(),
            collection: "orders.old".to_owned(),
            filter: rawdoc! {"_id": {"$eq": 1}},
            inserted: ClusterTime { t: 7, i: 2 },
        };
        assert_eq!(Witness::of(&in_stream).as_ref(), Some(&witness));
        assert_eq!(Witness::of(&in_log), Some(witness));
        for none in [
            rawdoc! {"ts": time, "ns": "shop.system.buckets.heat", "o": {"_id": 1}},
            rawdoc! {"ts": time, "ns": "shop.mongotar.tmp.6a0", "o": {"_id": 1}},
            rawdoc! {"ts": time, "ns": "shop.orders", "o": {}},
            rawdoc! {"ts": time, "ns": "", "o": {"_id": 1}},
        ] {
            assert_eq!(Witness::of(&none), None, "{none:?}");
        }
    }

    #[test]
    fn the_searches_are_commands() {
        let time = ClusterTime { t: 1_000, i: 3 };
        let log = Definition::from_json(&in_log(time)).expect("a command");
        let filter = log.as_raw().get_document("filter").expect("a filter");
        let times = filter.get_document("ts").expect("times");
        let (since, until) = (times.get_timestamp("$gte"), times.get_timestamp("$lte"));
        let at = |time, increment| Timestamp { time, increment };
        assert_eq!(
            (since.expect("a time"), until.expect("a time")),
            (at(760, 1), at(1_000, 3))
        );
        let names = filter.get_document("ns").expect("a condition");
        let pattern = names.get_regex("$not").expect("a pattern").pattern;
        assert_eq!(pattern.as_str(), r"^(admin|config|local)\.|^[^.]*\.(system|mongotar)\.");
        let stream = Definition::from_json(&in_stream(time, WITHIN)).expect("a command");
        let stages = stream.as_raw().get_array("pipeline").expect("stages");
        assert_eq!(stages.into_iter().count(), 3);
    }

    #[test]
    fn the_time_before_is_the_next_smaller_one() {
        assert_eq!(before(ClusterTime { t: 7, i: 2 }), ClusterTime { t: 7, i: 1 });
        assert_eq!(before(ClusterTime { t: 7, i: 1 }), ClusterTime { t: 7, i: 0 });
        assert_eq!(before(ClusterTime { t: 7, i: 0 }), ClusterTime { t: 6, i: u32::MAX });
    }
}
