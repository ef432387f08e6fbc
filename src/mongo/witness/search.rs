//! Where witnesses are looked for: in the log, or in a change stream.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use crate::archive::ClusterTime;
use crate::catalog::INTERNAL_PREFIX;

/// For how many seconds before the moment witnesses are looked for. Servers keep five minutes of history, unless told
/// otherwise.
pub(super) const WITHIN: u32 = 240;
/// How many are looked for, and for how many milliseconds: where there are none, the log is read in vain.
pub(super) const WITNESSES: u32 = 64;
const FOR_A_SEARCH: i32 = 1_000;

/// A document, and when it was inserted.
#[derive(Debug, PartialEq)]
pub(super) struct Witness {
    pub(super) database: String,
    pub(super) collection: String,
    /// What finds it, and no other one.
    pub(super) filter: RawDocumentBuf,
    pub(super) inserted: ClusterTime,
    /// Whether it was surely not there before: a transaction may have deleted one of the same `_id`.
    pub(super) is_new: bool,
}

impl Witness {
    /// From an entry of the log, or an event of a change stream.
    pub(super) fn of(found: &RawDocument) -> Option<Self> {
        let is_in_stream = found.get_document("documentKey").is_ok();
        let time = match is_in_stream {
            true => found.get_timestamp("clusterTime"),
            false => found.get_timestamp("ts"),
        };
        let inserted = time.ok()?.into();
        let in_transaction = found.get_document("o").and_then(|entry| entry.get_array("applyOps"));
        if let Ok(operations) = in_transaction {
            let operations: Vec<&RawDocument> = operations
                .into_iter()
                .filter_map(|operation| operation.ok()?.as_document())
                .collect();
            let mut inserts = operations
                .iter()
                .filter(|operation| operation.get_str("op").ok() == Some("i"));
            return inserts.find_map(|insert| {
                let is_same = |other: &&&RawDocument| {
                    other.get_str("ns").ok() == insert.get_str("ns").ok() && id(other) == id(insert)
                };
                let is_new = operations.iter().filter(is_same).count() == 1;
                Self::in_collection(
                    insert.get_str("ns").ok()?.split_once('.')?,
                    insert.get_document("o").ok()?,
                    inserted,
                )
                .map(|witness| Self { is_new, ..witness })
            });
        }
        if !is_in_stream {
            let namespace = found.get_str("ns").ok()?.split_once('.')?;
            return Self::in_collection(namespace, found.get_document("o").ok()?, inserted);
        }
        let namespace = found.get_document("ns").ok()?;
        let namespace = (namespace.get_str("db").ok()?, namespace.get_str("coll").ok()?);
        let witness = Self::in_collection(namespace, found.get_document("documentKey").ok()?, inserted)?;
        Some(Self {
            is_new: found.get_i64("txnNumber").is_err(),
            ..witness
        })
    }

    fn in_collection((database, collection): (&str, &str), key: &RawDocument, inserted: ClusterTime) -> Option<Self> {
        let mut filter = RawDocumentBuf::new();
        for field in key.iter() {
            let (name, value) = field.ok()?;
            let mut equal = RawDocumentBuf::new();
            equal.append(cstr!("$eq"), value);
            filter.append(name, equal);
        }
        // What a restore is just loading, or its lock, may be gone in a moment.
        let comes_and_goes = ["system.", INTERNAL_PREFIX];
        let is_usable = !["admin", "config", "local"].contains(&database)
            && !comes_and_goes.iter().any(|prefix| collection.starts_with(prefix))
            && !filter.is_empty();
        is_usable.then(|| Self {
            database: database.to_owned(),
            collection: collection.to_owned(),
            filter,
            inserted,
            is_new: true,
        })
    }
}

/// The `_id` of what an operation in a transaction is about.
fn id(operation: &RawDocument) -> Option<RawBsonRef<'_>> {
    let document = |field| operation.get_document(field).ok();
    let of = |document: &'_ RawDocument| document.get("_id").ok().flatten().is_some();
    let about = document("o2").filter(|found| of(found)).or_else(|| document("o"))?;
    about.get("_id").ok().flatten()
}

/// The newest insertions in the log. A document that a shard got from another one had been inserted there before, and
/// of a transaction with more than one entry not every entry's time is that of its commit.
pub(super) fn in_log(time: ClusterTime, but: &[String]) -> String {
    let until = timestamp(time.t, time.i);
    let but = names(but);
    format!(
        r#"{{
        "find": "oplog.rs", "limit": {WITNESSES}, "singleBatch": true, "sort": {{"$natural": -1}},
        "filter": {{
            "ts": {{"$gte": {}, "$lte": {until}}}, "fromMigrate": {{"$exists": false}},
            "$or": [
                {{"op": "i", "ns": {{"$not": {{"$regularExpression": {{"pattern": "^(admin|config|local)\\.|^[^.]*\\.(system|mongotar)\\.", "options": ""}}}}, "$nin": [{but}]}}}},
                {{
                    "op": "c", "ns": "admin.$cmd", "o.applyOps": {{"$elemMatch": {{"op": "i", "ns": {{"$nin": [{but}]}}}}}},
                    "o.partialTxn": {{"$exists": false}}, "o.prepare": {{"$exists": false}}, "o.count": {{"$exists": false}}
                }}
            ]
        }},
        "projection": {{
            "ts": 1, "ns": 1, "o._id": 1, "o.applyOps.op": 1, "o.applyOps.ns": 1, "o.applyOps.o._id": 1, "o.applyOps.o2._id": 1
        }},
        "maxTimeMS": {FOR_A_SEARCH}
        }}"#,
        since(time, WITHIN)
    )
}

/// The oldest insertions in the change stream of a database.
pub(super) fn in_stream(time: ClusterTime, within: u32, but: &[String]) -> String {
    let of_database = |name: &String| name.split_once('.').map(|(_, collection)| collection.to_owned());
    let but: Vec<String> = but.iter().filter_map(of_database).collect();
    let but = names(&but);
    format!(
        r#"{{
        "aggregate": 1,
        "pipeline": [
            {{"$changeStream": {{"startAtOperationTime": {}}}}},
            {{"$match": {{"operationType": "insert", "ns.coll": {{"$nin": [{but}]}}}}}},
            {{"$project": {{"ns": 1, "clusterTime": 1, "documentKey": 1, "txnNumber": 1}}}}
        ],
        "cursor": {{"batchSize": {WITNESSES}}},
        "maxTimeMS": {FOR_A_SEARCH}
        }}"#,
        since(time, within)
    )
}

/// As JSON.
fn names(names: &[String]) -> String {
    let quoted = names
        .iter()
        .map(|name| serde_json::Value::from(name.as_str()).to_string());
    quoted.collect::<Vec<_>>().join(", ")
}

fn since(time: ClusterTime, within: u32) -> String {
    timestamp(time.t.saturating_sub(within), 1)
}

fn timestamp(t: u32, i: u32) -> String {
    format!(r#"{{"$timestamp": {{"t": {t}, "i": {i}}}}}"#)
}

/// The time before.
pub(super) fn before(time: ClusterTime) -> ClusterTime {
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
    use crate::catalog::Definition;
    use bson::{Timestamp, rawdoc};

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
            is_new: true,
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
    fn what_a_transaction_inserted_is_a_witness_unless_it_did_more_with_it() {
        let time = Timestamp { time: 7, increment: 2 };
        let entry = |operations: Vec<RawDocumentBuf>| {
            let mut array = bson::RawArrayBuf::new();
            operations.into_iter().for_each(|operation| array.push(operation));
            rawdoc! {"ts": time, "ns": "admin.$cmd", "o": {"applyOps": array}}
        };
        let insert = |ns: &str, id: i32| rawdoc! {"op": "i", "ns": ns, "o": {"_id": id}};
        let found = |operations| Witness::of(&entry(operations)).map(|found| (found.collection, found.is_new));
        let orders = |is_new| Some(("orders".to_owned(), is_new));
        assert_eq!(
            found(vec![insert("config.x", 1), insert("shop.orders", 1)]),
            orders(true)
        );
        let gone = rawdoc! {"op": "d", "ns": "shop.orders", "o": {"_id": 1}};
        assert_eq!(found(vec![gone.clone(), insert("shop.orders", 1)]), orders(false));
        assert_eq!(found(vec![gone, insert("shop.orders", 2)]), orders(true));
        let changed = rawdoc! {"op": "u", "ns": "shop.orders", "o": {"diff": {}}, "o2": {"_id": 1}};
        assert_eq!(found(vec![insert("shop.orders", 1), changed]), orders(false));
        assert_eq!(found(Vec::new()), None);
        let streamed = rawdoc! {
            "clusterTime": time, "ns": {"db": "shop", "coll": "orders"}, "documentKey": {"_id": 1}, "txnNumber": 1_i64,
        };
        assert!(!Witness::of(&streamed).expect("a witness").is_new);
    }

    #[test]
    fn the_searches_are_commands() {
        let time = ClusterTime { t: 1_000, i: 3 };
        let log = Definition::from_json(&in_log(time, &["shop.a\"b".to_owned()])).expect("a command");
        let filter = log.as_raw().get_document("filter").expect("a filter");
        let times = filter.get_document("ts").expect("times");
        let (since, until) = (times.get_timestamp("$gte"), times.get_timestamp("$lte"));
        let at = |time, increment| Timestamp { time, increment };
        assert_eq!(
            (since.expect("a time"), until.expect("a time")),
            (at(760, 1), at(1_000, 3))
        );
        let kinds = filter.get_array("$or").expect("two kinds");
        let alone = kinds.get_document(0).expect("those outside of transactions");
        let names = alone.get_document("ns").expect("a condition");
        let pattern = names.get_regex("$not").expect("a pattern").pattern;
        assert_eq!(pattern.as_str(), r"^(admin|config|local)\.|^[^.]*\.(system|mongotar)\.");
        let stream = Definition::from_json(&in_stream(time, WITHIN, &["shop.a".to_owned()])).expect("a command");
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
