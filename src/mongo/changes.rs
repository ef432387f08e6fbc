//! Which documents of a database changed between two cluster times: by its change stream.
//!
//! Only *which*: what they are is read at a cluster time. So the order of events does not matter, nor that one comes
//! twice, and a stream that broke is opened again where it was.
//!
//! A stream has no end. After each reply the server says how far it has looked (`postBatchResumeToken`), and that token
//! begins with a cluster time. When it is behind the second time, everything up to that has come; so has it when the
//! token is at it and the reply is empty, since the server then waited for more in vain.

use std::time::Duration;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use mongodb::options::CursorType;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::asked::Asked;
use super::{Batch, Mongo, MongoError, code};
use crate::archive::ClusterTime;
use crate::catalog::Topology;

/// How many events make a reply at the most. Those of documents that did not come whole take less than 200 bytes each.
const EVENTS: u32 = 10_000;
/// How long the server waits for more before it says how far it has looked.
const WAIT: Duration = Duration::from_millis(50);

/// A change, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// This document of a collection was inserted, changed or deleted at that time: `{"_id": …}`, perhaps with more
    /// fields.
    Document(&'a str, &'a RawDocument, ClusterTime),
    /// A collection of this name was renamed, or something else happened to it that is not of one document.
    Collection(&'a str),
    /// The indexes or the options of a collection changed.
    Definition(&'a str),
    /// A collection was dropped, or the database. What is there afterwards shows by its UUID.
    Dropped,
}

impl Mongo {
    /// Says what changed after `from`, up to `until` and with it: as often as it changed, or more often.
    ///
    /// # Errors
    /// What the server answered, such as [`MongoError::has_lost_changes`]; or that it does not say how far it looked.
    pub(crate) async fn changes(
        &self,
        database: &str,
        (from, until): (ClusterTime, ClusterTime),
        mut on: impl FnMut(Change<'_>) -> Result<(), MongoError>,
    ) -> Result<(), MongoError> {
        let mut begin = rawdoc! {"startAtOperationTime": bson::Timestamp::from(from)};
        let (mut attempts, mut is_dropped) = (self.attempts(), false);
        loop {
            let broken = match self.changes_of(database, &begin).await {
                Ok(mut stream) => loop {
                    let reply = match stream.next().await {
                        Ok(Some(reply)) => reply,
                        // The database was dropped. What is there at the later time was made after that.
                        Ok(None) if is_dropped => return Ok(()),
                        Ok(None) => return Err(stream.unexpected("the stream of changes ended")),
                        Err(error) => break error,
                    };
                    attempts.succeeded();
                    let mut events = 0_u32;
                    for event in reply.all_documents() {
                        let event = event?;
                        events += 1;
                        is_dropped |= is_the_last(event);
                        hand_on(self, event, (from, until), &mut on)?;
                    }
                    let Some(token) = reply.resume_token() else {
                        return Err(stream.unexpected("the server does not say how far it has looked"));
                    };
                    let Some(looked) = time_of(&token) else {
                        return Err(stream.unexpected("the server's resume tokens are of a form that is not known"));
                    };
                    // A router may still merge what comes at that time.
                    let is_all = events == 0 && self.server().topology != Topology::Sharded;
                    if looked > until || looked == until && is_all {
                        return Ok(());
                    }
                    begin = RawDocumentBuf::new();
                    begin.append(cstr!("resumeAfter"), token);
                },
                Err(error) => error,
            };
            if !attempts.again_after(&broken).await {
                return Err(broken);
            }
        }
    }

    /// Whether this user may see the changes of a database, and the server has them.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn has_changes(&self, database: &str) -> Result<(), MongoError> {
        super::patiently!(self, self.changes_of(database, &RawDocumentBuf::new())).map(drop)
    }

    async fn changes_of(&self, database: &str, begin: &RawDocument) -> Result<ChangeReplies, MongoError> {
        let action = format!("reading the changes of {database}");
        let mut pipeline = RawArrayBuf::new();
        let mut begin = begin.to_owned();
        if self.server().features.definition_events() {
            begin.append(cstr!("showExpandedEvents"), true);
            begin.append(cstr!("showSystemEvents"), true);
        }
        pipeline.push(rawdoc! {"$changeStream": begin});
        pipeline.push(rawdoc! {"$project": {
            "operationType": 1, "ns.coll": 1, "to.coll": 1, "documentKey._id": 1, "clusterTime": 1,
        }});
        let mut command = rawdoc! {"aggregate": 1};
        command.append(cstr!("pipeline"), pipeline);
        command.append(cstr!("cursor"), rawdoc! {"batchSize": i64::from(EVENTS)});
        let asked = Asked::of(database, &command, &action);
        let db = self.database(database);
        let call: BoxFuture<'static, _> = Box::pin(async move {
            let opened = db
                .run_raw_cursor_command(command)
                .cursor_type(CursorType::TailableAwait);
            opened.batch_size(EVENTS).max_time(WAIT).batch().await
        });
        let opened = self.answered(None, &asked, call).await?;
        let cursor = opened.map_err(|error| self.error(action, &error))?;
        self.patience.answered();
        Ok(ChangeReplies {
            mongo: self.clone(),
            cursor: Some(cursor),
            asked: asked.more(),
        })
    }
}

/// The replies of a change stream.
struct ChangeReplies {
    mongo: Mongo,
    /// Gone where it failed.
    cursor: Option<RawBatchCursor>,
    asked: Asked,
}

impl ChangeReplies {
    /// The next reply, which may be empty; none if the server has ended the stream, as it does with its database.
    async fn next(&mut self) -> Result<Option<Batch>, MongoError> {
        let Some(mut cursor) = self.cursor.take() else {
            return Ok(None);
        };
        let call: BoxFuture<'static, _> = Box::pin(async move {
            let reply = cursor.next().await;
            (cursor, reply)
        });
        let (cursor, reply) = self.mongo.answered(None, &self.asked, call).await?;
        let Some(reply) = reply else { return Ok(None) };
        let reply = reply.map_err(|error| self.mongo.error(&self.asked.action, &error))?;
        self.cursor = Some(cursor);
        Batch::new(reply).map(Some)
    }

    fn unexpected(&self, reason: &str) -> MongoError {
        MongoError::unexpected(&self.asked.action, reason)
    }
}

/// Whether the server ends the stream with this event.
fn is_the_last(event: &[u8]) -> bool {
    let event = RawDocument::from_bytes(event);
    event.is_ok_and(|event| matches!(event.get_str("operationType"), Ok("invalidate")))
}

fn hand_on(
    mongo: &Mongo,
    event: &[u8],
    (from, until): (ClusterTime, ClusterTime),
    on: &mut impl FnMut(Change<'_>) -> Result<(), MongoError>,
) -> Result<(), MongoError> {
    let lacking = |what: &str| {
        let action = format!(
            "reading the changes of a database of MongoDB {}",
            mongo.server().version
        );
        MongoError::unexpected(action, format!("an event has no {what}"))
    };
    let event = RawDocument::from_bytes(event).map_err(|error| lacking(&format!("form ({error})")))?;
    let time = event.get_timestamp("clusterTime").map_err(|_| lacking("time"))?;
    let time = ClusterTime::from(time);
    // What is at the first time is in the parent.
    if time <= from || time > until {
        return Ok(());
    }
    let name = |field: &str| event.get_document(field).and_then(|name| name.get_str("coll"));
    match event.get_str("operationType").map_err(|_| lacking("type"))? {
        "insert" | "update" | "replace" | "delete" => {
            let key = event
                .get_document("documentKey")
                .map_err(|_| lacking("document's key"))?;
            on(Change::Document(
                name("ns").map_err(|_| lacking("namespace"))?,
                key,
                time,
            ))
        }
        "drop" | "dropDatabase" | "invalidate" => on(Change::Dropped),
        // A new one has a UUID that nobody knows.
        "create" => Ok(()),
        "createIndexes" | "dropIndexes" | "modify" => {
            on(Change::Definition(name("ns").map_err(|_| lacking("namespace"))?))
        }
        _ => {
            let names = [name("ns"), name("to")].into_iter().flatten();
            names.into_iter().try_for_each(|name| on(Change::Collection(name)))
        }
    }
}

/// The cluster time with which a resume token begins (`src/mongo/db/pipeline/resume_token.cpp` of the server): a key
/// string, in hex, whose first value is a timestamp, type 0x82, most significant byte first.
fn time_of(token: &RawDocument) -> Option<ClusterTime> {
    let text = token.get_str("_data").ok()?.strip_prefix("82")?;
    let number = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
    Some(ClusterTime {
        t: number(0)?,
        i: number(8)?,
    })
}

impl MongoError {
    /// Whether the server no longer has the changes from that time on.
    pub(crate) fn has_lost_changes(&self) -> bool {
        [
            code::CHANGE_STREAM_HISTORY_LOST,
            code::CHANGE_STREAM_FATAL,
            code::CAPPED_POSITION_LOST,
            code::SNAPSHOT_TOO_OLD,
        ]
        .iter()
        .any(|&code| self.is(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_begins_with_a_cluster_time() {
        let of = |data: &str| time_of(&rawdoc! {"_data": data});
        let time = ClusterTime {
            t: 0x656A_0B0C,
            i: 0x11,
        };
        assert_eq!(of("82656A0B0C000000112B0229296E04"), Some(time));
        for other in ["", "82", "82656A0B0C", "83656A0B0C000000112B", "82656A0B0Cxxxxxxxx"] {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert_eq!(time_of(&rawdoc! {"_data": 5}), None);
    }
}
