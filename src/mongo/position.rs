//! Where in a collection to resume reading, in another process and without the cursor.
//!
//! There are three ways; none fits every collection:
//!
//! * **behind a record**: a scan in natural order gives a resume token with each reply (`$_requestResumeToken`,
//!   `$_resumeAfter`; the server's own initial sync uses them). It costs nothing and keeps the order of capped
//!   collections. At a snapshot it holds even if that record was deleted meanwhile; without one it does not. It is
//!   undocumented, and `mongos` and others refuse it. The numbers belong to one process of one member, so such a place
//!   names it (`member`);
//! * **behind an `_id`**: a scan of the `_id` index, which costs the server about twice as much. It holds whatever is
//!   deleted or inserted. It compares with `$expr`, which, unlike a plain `$gt`, covers mixed types of `_id`s, `MaxKey`
//!   included;
//! * **behind so many documents**: measurements of a time series have neither. Only at a snapshot do they come in the
//!   same order every time.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ids::id_alone;
use super::{Batch, ReadAt};

/// A place in a collection, behind what has been read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Position {
    /// Behind the record that a token of the server's stands for.
    Record(RecordPlace),
    /// Behind the document with this `_id`.
    Id(Bound),
    /// Behind so many documents.
    Skipped(u64),
}

/// A record's place, at the member of the replica set that has it there: each member has numbers of its own for its
/// records, and others when it was started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordPlace {
    token: Raw,
    /// `host:port#process`; none if there is only one server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<Arc<str>>,
}

/// In which order a collection is read, and so how reading resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanOrder {
    /// As the server has it, with a token for each reply.
    Record,
    /// By `_id`.
    Id,
    /// As the server unpacks its buckets.
    Unpacked,
    /// As the server has it. There is no going on.
    Natural,
}

/// BSON as it came, in JSON as base64: a server holds what no text does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw(RawDocumentBuf);

/// An `_id` as a bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bound(
    /// `{"$literal": _id}`
    Raw,
);

/// The documents whose `_id` is not before one bound, and before another, in the order of BSON types and values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first; none means from the beginning.
    pub from: Option<Bound>,
    /// The first of the next range; none means up to the end.
    pub to: Option<Bound>,
}

impl Bound {
    /// The `_id` of a document; `None` if it has none.
    pub fn of(document: &[u8]) -> Option<Self> {
        id_alone(document, "$literal").map(Raw).map(Self)
    }
}

impl Position {
    /// The place behind everything of a reply, of which `read` documents came so far, this reply's included.
    pub(super) fn behind(batch: &Batch, order: ScanOrder, read: u64, member: Option<&Arc<str>>) -> Option<Self> {
        match order {
            ScanOrder::Record => batch.resume_token().map(|token| Self::of_record(token, member)),
            ScanOrder::Id => {
                let last = batch.all_documents().last()?.ok()?;
                Bound::of(last).map(Self::Id)
            }
            ScanOrder::Unpacked => Some(Self::Skipped(read)),
            ScanOrder::Natural => None,
        }
    }

    /// The place behind the record with this number.
    pub(super) fn behind_record(record: i64, member: Option<&Arc<str>>) -> Self {
        Self::of_record(bson::rawdoc! {"$recordId": record}, member)
    }

    fn of_record(token: RawDocumentBuf, member: Option<&Arc<str>>) -> Self {
        Self::Record(RecordPlace {
            token: Raw(token),
            member: member.cloned(),
        })
    }

    /// The number of the record that it lies behind, if any.
    pub fn record(&self) -> Option<i64> {
        match self {
            Self::Record(place) => place.token.0.get_i64("$recordId").ok(),
            Self::Id(_) | Self::Skipped(_) => None,
        }
    }

    /// The only member of the replica set at which it is a place.
    pub fn member(&self) -> Option<&Arc<str>> {
        match self {
            Self::Record(place) => place.member.as_ref(),
            Self::Id(_) | Self::Skipped(_) => None,
        }
    }

    /// The order that it belongs to.
    pub fn order(&self) -> ScanOrder {
        match self {
            Self::Record(_) => ScanOrder::Record,
            Self::Id(_) => ScanOrder::Id,
            Self::Skipped(_) => ScanOrder::Unpacked,
        }
    }
}

/// What is read of a collection, and how.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    /// At which time.
    pub at: ReadAt,
    /// In which order.
    pub order: ScanOrder,
    /// From where; it must be a place in that order.
    pub after: Option<&'a Position>,
    /// Which documents, if not all. Only by `_id`.
    pub range: Option<&'a IdRange>,
    /// How many documents at most, if known.
    pub limit: Option<i64>,
}

impl Scan<'_> {
    /// Everything, in natural order.
    pub fn whole(at: ReadAt) -> Self {
        Self {
            at,
            order: ScanOrder::Natural,
            after: None,
            range: None,
            limit: None,
        }
    }

    /// Adds what it means to a `find` command.
    pub(super) fn describe(&self, find: &mut RawDocumentBuf) {
        if let Some(filter) = self.filter() {
            find.append(cstr!("filter"), filter);
        }
        if let Some(limit) = self.limit {
            find.append(cstr!("limit"), limit);
        }
        match self.order {
            ScanOrder::Record => {
                find.append(cstr!("hint"), bson::rawdoc! {"$natural": 1});
                find.append(cstr!("$_requestResumeToken"), true);
                if let Some(Position::Record(place)) = self.after {
                    find.append(cstr!("$_resumeAfter"), place.token.0.clone());
                }
            }
            ScanOrder::Id => {
                find.append(cstr!("hint"), bson::rawdoc! {"_id": 1});
                find.append(cstr!("sort"), bson::rawdoc! {"_id": 1});
            }
            ScanOrder::Unpacked => {
                if let Some(&Position::Skipped(documents)) = self.after {
                    find.append(cstr!("skip"), i64::try_from(documents).unwrap_or(i64::MAX));
                }
            }
            ScanOrder::Natural => {}
        }
    }

    /// `{"$expr": {"$and": [{"$gt": ["$_id", {"$literal": _id}]}, …]}}`
    fn filter(&self) -> Option<RawDocumentBuf> {
        let mut all = RawArrayBuf::new();
        let mut compare = |operator: &bson::raw::CStr, Bound(Raw(literal)): &Bound| {
            let mut pair = RawArrayBuf::new();
            pair.push("$_id");
            pair.push(literal.clone());
            let mut comparison = RawDocumentBuf::new();
            comparison.append(operator, pair);
            all.push(comparison);
        };
        let behind = match self.after {
            Some(Position::Id(bound)) => Some(bound),
            _ => None,
        };
        let range = self.range.cloned().unwrap_or_default();
        match (behind, &range.from) {
            (Some(bound), _) => compare(cstr!("$gt"), bound),
            (None, Some(bound)) => compare(cstr!("$gte"), bound),
            (None, None) => {}
        }
        if let Some(bound) = &range.to {
            compare(cstr!("$lt"), bound);
        }
        (!all.is_empty()).then(|| {
            let mut and = RawDocumentBuf::new();
            and.append(cstr!("$and"), all);
            let mut filter = RawDocumentBuf::new();
            filter.append(cstr!("$expr"), and);
            filter
        })
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(de::Error::custom)?;
        RawDocumentBuf::from_bytes(bytes).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn bound(id: impl Into<bson::RawBson>) -> Bound {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), id.into());
        Bound::of(document.as_bytes()).expect("it has an _id")
    }

    #[test]
    fn a_place_behind_an_id_lies_within_its_range() {
        let (after, range) = (
            Position::Id(bound(7)),
            IdRange {
                from: Some(bound(5)),
                to: Some(bound("a")),
            },
        );
        let scan = |after| Scan {
            at: ReadAt::Local,
            order: ScanOrder::Id,
            after,
            range: Some(&range),
            limit: None,
        };
        let mut find = RawDocumentBuf::new();
        scan(Some(&after)).describe(&mut find);
        let filter = |first: RawDocumentBuf| rawdoc! {"$expr": {"$and": [first, {"$lt": ["$_id", {"$literal": "a"}]}]}};
        let gt = rawdoc! {"$gt": ["$_id", {"$literal": 7}]};
        assert_eq!(
            find,
            rawdoc! {"filter": filter(gt), "hint": {"_id": 1}, "sort": {"_id": 1}}
        );
        let mut find = RawDocumentBuf::new();
        scan(None).describe(&mut find);
        let gte = rawdoc! {"$gte": ["$_id", {"$literal": 5}]};
        assert_eq!(
            find,
            rawdoc! {"filter": filter(gte), "hint": {"_id": 1}, "sort": {"_id": 1}}
        );
    }

    #[test]
    fn a_place_survives_as_json() {
        let places = [
            Position::behind_record(9, None),
            Position::behind_record(9, Some(&"db1.example:27017".into())),
            Position::Id(bound(rawdoc! {"b": 1, "a": bson::RawBson::MaxKey})),
            Position::Skipped(12),
        ];
        for place in places {
            let text = serde_json::to_string(&place).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Position>(&text).expect("a place"),
                place,
                "{text}"
            );
        }
        let whole = Scan::whole(ReadAt::Local);
        let mut find = RawDocumentBuf::new();
        whole.describe(&mut find);
        assert!(find.is_empty());
    }
}
