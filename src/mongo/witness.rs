//! Whether a server reads at the time that it confirms: documents bear witness that were inserted a moment ago.
//!
//! A backup writes nothing, so it goes by what others wrote. The server's log says at which time a document was
//! inserted; a user who may not read the log has a change stream. At that time the document must be there, and at the
//! time before it must not be. A server that reads what is there now shows it at both. One read alone would prove
//! nothing: a collection that was dropped since has no documents at any time.
//!
//! What was found out holds for a minute, for all databases. Whoever resumes a run asks again: by then another server
//! may answer under the same name. What is *not* found out is a server that tells these reads from a backup's.

mod search;

use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use futures_util::future::BoxFuture;

use super::{Mongo, MongoError, ReadAt, code};
use crate::archive::ClusterTime;
use crate::catalog::Definition;
use search::{WITHIN, WITNESSES, Witness, before, in_log, in_stream};

/// How often they are looked for in other collections than before: the newest may all be of one that loses them again.
const SEARCHES: usize = 3;
/// Of how many collections one is heard: another one of the same collection would say no more.
const COLLECTIONS: usize = 4;
/// For how long each of them is heard.
const FOR_A_WITNESS: Duration = Duration::from_secs(2);

/// What is said of a server that does not.
pub(crate) const REFUTED: &str =
    "the server confirms the time of each read, but shows a document at a time before it was inserted";

/// What witnesses say of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Testimony {
    /// It reads at the time that it confirms.
    Proven,
    /// Nobody could say, and why.
    Unproven(String),
    /// It does not.
    Refuted,
}

impl Mongo {
    /// Whether this deployment reads at the times that it confirms, as far as somebody inserted something shortly
    /// before this one.
    pub(super) async fn testimony(&self, database: &str, time: ClusterTime) -> Testimony {
        match self.found_out.is_honest() {
            Some(true) => Testimony::Proven,
            Some(false) => Testimony::Refuted,
            None => self.testimony_anew(database, time).await,
        }
    }

    async fn testimony_anew(&self, database: &str, time: ClusterTime) -> Testimony {
        let testimony = self.heard(database, time).await;
        self.found_out.put_is_honest(match testimony {
            Testimony::Proven => Some(true),
            Testimony::Refuted => Some(false),
            Testimony::Unproven(_) => None,
        });
        testimony
    }

    /// The same by now, for whoever resumes reading at a moment that was taken before.
    ///
    /// # Errors
    /// What the server answered.
    pub(crate) async fn still_testifies(&self, database: &str) -> Result<Testimony, MongoError> {
        Ok(match self.operation_time(database).await? {
            Some(now) => self.testimony_anew(database, now).await,
            None => Testimony::Unproven("the server gave no cluster time".to_owned()),
        })
    }

    async fn heard(&self, database: &str, time: ClusterTime) -> Testimony {
        let mut why = format!("nothing was inserted within the {} minutes before it", WITHIN / 60);
        let mut heard_of: Vec<String> = Vec::new();
        for _ in 0..SEARCHES {
            let witnesses = match self.witnesses(database, time, &heard_of).await {
                Ok(witnesses) => witnesses,
                Err(error) if heard_of.is_empty() => {
                    return Testimony::Unproven(format!(
                        "what was inserted lately cannot be asked for: {}",
                        error.reason
                    ));
                }
                Err(_) => break,
            };
            let before_these = heard_of.len();
            for witness in &witnesses {
                let namespace = format!("{}.{}", witness.database, witness.collection);
                if heard_of.len() == before_these + COLLECTIONS || heard_of.contains(&namespace) {
                    continue;
                }
                heard_of.push(namespace);
                match self.says(witness).await {
                    Ok(Some(true)) => return Testimony::Proven,
                    Ok(Some(false)) => return Testimony::Refuted,
                    Ok(None) => "what was inserted shortly before it is gone".clone_into(&mut why),
                    Err(error) => why = error.reason,
                }
            }
            if heard_of.len() == before_these {
                break;
            }
        }
        Testimony::Unproven(why)
    }

    /// Whether the server reads at the time that it confirms; nothing where this one does not show it.
    async fn says(&self, witness: &Witness) -> Result<Option<bool>, MongoError> {
        for time in [before(witness.inserted), witness.inserted] {
            match self.sees(witness, time).await {
                Ok(true) if time == witness.inserted => return Ok(Some(true)),
                Ok(true) => return Ok(Some(false).filter(|_| witness.is_new)),
                Ok(false) => {}
                // The collection was dropped since, made anew, or defined otherwise.
                Err(error) if error.is(code::SNAPSHOT_UNAVAILABLE) || error.is(code::NOT_AT_THE_SNAPSHOT) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// First those of this database; none of these collections.
    async fn witnesses(&self, database: &str, time: ClusterTime, but: &[String]) -> Result<Vec<Witness>, MongoError> {
        // Roles for one database do not reach the log, and a router has none.
        let log = (("local", "oplog.rs"), in_log(time, but));
        let stream = |within| ((database, "$cmd.aggregate"), in_stream(time, within, but));
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
