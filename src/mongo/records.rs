//! Boundaries within a collection, by the server's own numbers for its records.
//!
//! Records of a collection that is not clustered have numbers, which grow with each insertion; a scan in natural order
//! goes by them, and a resume token is such a number ([`Position::Record`]). At a snapshot neither records nor numbers
//! change, so a record can be a boundary between two scans: the first ends with it, the second resumes behind it.
//!
//! Documents do not tell their record. If a reply goes beyond a boundary, the first document too many is known by its
//! `_id`.

use std::sync::Arc;

use bson::raw::CStr;
use bson::{RawDocumentBuf, cstr, rawdoc};

use super::{Batch, Mongo, MongoError, Position, ReadAt};

/// A boundary behind one of a collection's records.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    record: i64,
    member: Option<Arc<str>>,
    /// The document behind it, of which the `_id` is enough.
    next: RawDocumentBuf,
}

impl Edge {
    /// The last record before it.
    pub fn record(&self) -> i64 {
        self.record
    }

    /// The member at which it is one.
    pub fn member(&self) -> Option<&Arc<str>> {
        self.member.as_ref()
    }

    /// The place behind it.
    pub fn position(&self) -> Position {
        Position::behind_record(self.record, self.member.as_ref())
    }

    /// Whether a scan came here with a reply, whose end is at `place`. What of the reply lies beyond is taken off.
    ///
    /// # Errors
    /// If the reply goes beyond without the document that lies there: it is not of the scan that the boundary was
    /// made for.
    pub fn is_reached(&self, batch: &mut Batch, place: &mut Option<Position>) -> Result<bool, MongoError> {
        let Some(record) = place.as_ref().and_then(Position::record) else {
            return Ok(false);
        };
        if record > self.record {
            if !batch.cut_before(self.next.as_bytes())? {
                return Err(MongoError::unexpected(
                    "reading a part of a collection",
                    format!(
                        "a reply goes from before record {} to {record}, but holds none after it",
                        self.record
                    ),
                ));
            }
            *place = Some(self.position());
        }
        Ok(record >= self.record)
    }
}

impl Mongo {
    /// The first and the last record of a collection at a snapshot; `None` if it has no documents, or no numbers for
    /// them.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn records(
        &self,
        database: &str,
        collection: &str,
        at: ReadAt,
    ) -> Result<Option<(i64, i64)>, MongoError> {
        let outermost = async |direction: i32| {
            let find = rawdoc! {"hint": {"$natural": direction}, "showRecordId": true};
            let found = self.find_one_id(database, collection, at, find).await?;
            Ok(found.and_then(|document| document.get_i64("$recordId").ok()))
        };
        let (first, last) = tokio::try_join!(outermost(1), outermost(-1))?;
        Ok(first.zip(last))
    }

    /// The boundary behind a record at a snapshot; `None` if no record lies behind it.
    ///
    /// # Errors
    /// What the server answered; [`KEY_NOT_FOUND`](super::code::KEY_NOT_FOUND) if there is no such record.
    pub async fn edge(
        &self,
        database: &str,
        collection: &str,
        at: ReadAt,
        record: i64,
    ) -> Result<Option<Edge>, MongoError> {
        let find = rawdoc! {
            "hint": {"$natural": 1},
            "$_requestResumeToken": true,
            "$_resumeAfter": {"$recordId": record},
        };
        let found = self.find_one_id(database, collection, at, find).await?;
        let member = self.member().cloned();
        Ok(found.map(|next| Edge { record, member, next }))
    }

    /// The `_id` of the first document that is found.
    async fn find_one_id(
        &self,
        database: &str,
        collection: &str,
        at: ReadAt,
        how: RawDocumentBuf,
    ) -> Result<Option<RawDocumentBuf>, MongoError> {
        let mut find = rawdoc! {"find": collection, "limit": 1, "singleBatch": true, "projection": {"_id": 1}};
        for element in how.iter_elements().flatten() {
            let key: &CStr = element.key();
            if let Ok(value) = element.value() {
                find.append(key, value);
            }
        }
        if let Some(concern) = at.read_concern() {
            find.append(cstr!("readConcern"), concern);
        }
        let found = self.first_reply((database, collection), find, at).await?;
        Ok(found.into_iter().next())
    }
}
