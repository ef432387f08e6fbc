//! Reading a collection from its beginning to its end.

use std::sync::Arc;

use bson::{RawDocumentBuf, doc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use mongodb::options::SelectionCriteria;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::asked::Asked;
use super::{Batch, Bound, IdList, Mongo, MongoError, Position, ReadAt, Scan, ScanOrder, code, id_text, patiently};

/// More documents than a reply of 16 MiB can hold of any but the smallest: the server then fills its replies.
const FIRST_BATCH: u32 = 100_000;
/// The reply that is aimed at, in bytes: of 2 MiB, the server's work and the client's go on at the same time
/// (`docs/PERFORMANCE.md`).
const AIM: u64 = 2 << 20;

/// Whether a server refuses to read a whole collection unless it is told to: since 9.0 it may be set up so
/// (`maxEstimatedScanBytes`).
fn is_scan_refused(error: &mongodb::error::Error) -> bool {
    const NO_QUERY_EXECUTION_PLANS: i32 = 291;
    matches!(&*error.kind, mongodb::error::ErrorKind::Command(refusal) if refusal.code == NO_QUERY_EXECUTION_PLANS)
}

/// The same command, told to; `None` if it is told how to read already, or what to look for (which may be long, and is
/// by `_id`). Not every engine knows the hint, so it is given only where it is wanted.
fn scanning(command: &RawDocumentBuf) -> Option<RawDocumentBuf> {
    let has = |field: &str| matches!(command.get(field), Ok(Some(_)));
    (!has("hint") && !has("filter")).then(|| {
        let mut scanning = command.clone();
        scanning.append(bson::cstr!("hint"), bson::rawdoc! {"$natural": 1});
        scanning
    })
}

/// How many documents of about so many bytes make a reply that is aimed at.
fn per_reply(average: u64) -> u32 {
    u32::try_from(AIM / average.max(1))
        .unwrap_or(u32::MAX)
        .clamp(1, FIRST_BATCH)
}

/// The replies of one cursor, in natural order.
pub struct Batches {
    mongo: Mongo,
    namespace: String,
    /// Gone where it failed.
    cursor: Option<RawBatchCursor>,
    selection: Option<SelectionCriteria>,
    asked: Asked,
    /// At which snapshot its first reply must say that it is.
    at: ReadAt,
    order: ScanOrder,
    /// How many documents lie before the reply that comes next.
    read: u64,
}

/// How far the replies of a cursor have come.
#[derive(Clone, Debug)]
pub struct Trail {
    order: ScanOrder,
    read: u64,
    member: Option<Arc<str>>,
}

impl Trail {
    /// Where reading can resume after a reply. Call it once for each reply, in order.
    ///
    /// # Errors
    /// If the reply is not a sequence of documents.
    pub fn behind(&mut self, batch: &Batch) -> Result<Option<Position>, MongoError> {
        if self.order == ScanOrder::Unpacked {
            self.read += batch.count()?;
        }
        Ok(Position::behind(batch, self.order, self.read, self.member.as_ref()))
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Mongo {
    /// Opens a cursor over all documents of a collection or the measurements of a time series. Documents of about so
    /// many bytes are expected, to choose how many make a reply.
    ///
    /// # Errors
    /// What the server answered; [`super::code::SNAPSHOT_UNAVAILABLE`] if the collection cannot be read at that
    /// time.
    pub async fn read(
        &self,
        database: &str,
        collection: &str,
        at: ReadAt,
        average: u64,
    ) -> Result<Batches, MongoError> {
        self.scan(per_reply(average), database, collection, &Scan::whole(at))
            .await
    }

    /// Opens a cursor over what a scan describes. Documents of about so many bytes are expected.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub async fn read_in(
        &self,
        database: &str,
        collection: &str,
        scan: &Scan<'_>,
        average: u64,
    ) -> Result<Batches, MongoError> {
        self.scan(per_reply(average), database, collection, scan).await
    }

    /// Opens a cursor over what a scan describes, with at most so many documents in a reply.
    ///
    /// # Errors
    /// As [`Self::read`], and if the server does not know the scan's order; [`super::code::PLACE_LOST`] if the place to
    /// resume from is gone.
    pub async fn scan(
        &self,
        documents: u32,
        database: &str,
        collection: &str,
        scan: &Scan<'_>,
    ) -> Result<Batches, MongoError> {
        let documents = documents.clamp(1, FIRST_BATCH);
        let mut find = RawDocumentBuf::new();
        find.append(bson::cstr!("find"), collection);
        find.append(bson::cstr!("batchSize"), i64::from(documents));
        scan.describe(&mut find);
        if let Some(concern) = scan.at.read_concern() {
            find.append(bson::cstr!("readConcern"), concern);
        }
        let batches = self.open((database, collection), find, scan.at, documents).await?;
        if let Some(member) = scan.after.and_then(Position::member) {
            self.confirm(member).await?;
        }
        Ok(Batches {
            order: scan.order,
            read: match scan.after {
                Some(&Position::Skipped(documents)) => documents,
                _ => 0,
            },
            ..batches
        })
    }

    /// Opens the cursor of a command, which has its read concern, at a server that may be read from, with at most so
    /// many documents in a reply.
    pub(super) async fn open(
        &self,
        (database, collection): (&str, &str),
        command: RawDocumentBuf,
        at: ReadAt,
        documents: u32,
    ) -> Result<Batches, MongoError> {
        let namespace = format!("{database}.{collection}");
        let action = format!("reading {namespace}");
        let asked = Asked::of(database, &command, &action);
        let selection = self.read_selection();
        let (db, chosen) = (self.database(database), selection.clone());
        let mut scanning = scanning(&command);
        let call: BoxFuture<'static, _> = Box::pin(async move {
            let mut command = command;
            loop {
                let mut run = db.run_raw_cursor_command(command).batch_size(documents);
                if let Some(chosen) = chosen.clone() {
                    run = run.selection_criteria(chosen);
                }
                let opened = run.batch().await;
                command = match (&opened, scanning.take()) {
                    (Err(error), Some(scanning)) if is_scan_refused(error) => scanning,
                    _ => return opened,
                };
            }
        });
        let opened = self.answered(selection.as_ref(), &asked, call).await?;
        let cursor = opened.map_err(|error| self.error(action, &error))?;
        self.patience.answered();
        Ok(Batches {
            mongo: self.clone(),
            namespace,
            cursor: Some(cursor),
            selection,
            asked: asked.more(),
            at,
            order: ScanOrder::Natural,
            read: 0,
        })
    }

    /// Opens a cursor over the documents whose `_id` is one of `ids`, in no particular order, as they prove something.
    /// Documents of about so many bytes are expected.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn read_ids(
        &self,
        database: &str,
        collection: &str,
        ids: &IdList,
        average: u64,
    ) -> Result<Batches, MongoError> {
        self.read_ids_at((database, collection), ids, self.proving(), average)
            .await
    }

    /// The same, at some point in time.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn read_ids_at(
        &self,
        (database, collection): (&str, &str),
        ids: &IdList,
        at: ReadAt,
        average: u64,
    ) -> Result<Batches, MongoError> {
        let filter = ids.filter().ok_or_else(|| {
            let action = format!("reading {database}.{collection}");
            MongoError::unexpected(action, "a lookup cannot be composed")
        })?;
        let documents = per_reply(average);
        let mut find = RawDocumentBuf::new();
        find.append(bson::cstr!("find"), collection);
        find.append(bson::cstr!("filter"), filter);
        find.append(bson::cstr!("batchSize"), i64::from(documents));
        if let Some(concern) = at.read_concern() {
            find.append(bson::cstr!("readConcern"), concern);
        }
        self.open((database, collection), find, at, documents).await
    }
}

impl Mongo {
    /// Bounds between so many ranges of `_id`s with about as many documents each. There may be fewer if there are few
    /// documents.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn cut_points(&self, database: &str, collection: &str, ranges: u32) -> Result<Vec<Bound>, MongoError> {
        const SAMPLES: i64 = 64;
        let action = format!("looking for ranges of {database}.{collection}");
        let size = i64::from(ranges) * SAMPLES;
        let pipeline = vec![
            doc! {"$sample": {"size": size}},
            doc! {"$project": {"_id": 1}},
            doc! {"$sort": {"_id": 1}},
        ];
        let mut command = RawDocumentBuf::new();
        command.append(bson::cstr!("aggregate"), collection);
        let mut stages = bson::RawArrayBuf::new();
        for stage in pipeline {
            let stage = RawDocumentBuf::try_from(&stage);
            stages.push(stage.map_err(|error| MongoError::unexpected(&action, error.to_string()))?);
        }
        command.append(bson::cstr!("pipeline"), stages);
        command.append(bson::cstr!("allowDiskUse"), true);
        command.append(
            bson::cstr!("cursor"),
            bson::rawdoc! {"batchSize": i64::from(FIRST_BATCH)},
        );
        let ids: Vec<Bound> = patiently!(self, async {
            let opened = self.open((database, collection), command.clone(), ReadAt::Local, FIRST_BATCH);
            let (mut found, mut ids) = (opened.await?, Vec::new());
            while let Some(reply) = found.next().await {
                for document in reply?.all_documents() {
                    ids.extend(Bound::of(document?));
                }
            }
            Ok::<_, MongoError>(ids)
        })?;
        let step = ids.len() as u64;
        let at = |range: u32| usize::try_from(u64::from(range) * step / u64::from(ranges.max(1))).unwrap_or(usize::MAX);
        let mut bounds: Vec<Bound> = (1..ranges).filter_map(|range| ids.get(at(range)).cloned()).collect();
        // A sample may give a document twice.
        bounds.dedup();
        Ok(bounds)
    }
}

impl Batches {
    /// The next reply; `None` at the end.
    ///
    /// # Errors
    /// What the server answered, or that the connection broke.
    pub async fn next(&mut self) -> Option<Result<Batch, MongoError>> {
        let mut cursor = self.cursor.take()?;
        let call: BoxFuture<'static, _> = Box::pin(async move {
            let reply = cursor.next().await;
            (cursor, reply)
        });
        let answered = self.mongo.answered(self.selection.as_ref(), &self.asked, call).await;
        let (cursor, reply) = match answered {
            Ok(answered) => answered,
            Err(error) => return Some(Err(error)),
        };
        self.cursor = Some(cursor);
        let batch = reply?
            .map_err(|error| self.mongo.error(format!("reading {}", self.namespace), &error))
            .and_then(Batch::new);
        Some(batch.and_then(|batch| self.at_the_snapshot(batch)))
    }

    /// A snapshot is one only where the server says so: an engine that does not know the read concern, or something
    /// between that takes it away, answers with what is there at the moment.
    fn at_the_snapshot(&mut self, first: Batch) -> Result<Batch, MongoError> {
        let at = std::mem::replace(&mut self.at, ReadAt::Local);
        match (at, first.at_cluster_time()) {
            (ReadAt::Snapshot(wanted), Some(given)) if given == wanted => Ok(first),
            (ReadAt::Snapshot(_), given) => {
                self.cursor = None;
                let said = match given {
                    Some(_) => "the server reads at another time than asked",
                    None => "the server was asked for a snapshot, but does not say that it reads at one",
                };
                Err(MongoError {
                    code: Some(code::NOT_AT_THE_SNAPSHOT),
                    ..MongoError::unexpected(format!("reading {}", self.namespace), said)
                })
            }
            _ => Ok(first),
        }
    }

    /// Follows the replies, to say where reading can resume after each.
    pub fn trail(&self) -> Trail {
        Trail {
            order: self.order,
            read: self.read,
            member: self.mongo.member().cloned(),
        }
    }
}

impl Mongo {
    /// How many documents of a collection a validator (a query, such as `{"$jsonSchema": …}`) would refuse.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn count_violations(
        &self,
        database: &str,
        collection: &str,
        validator: &bson::RawDocument,
    ) -> Result<u64, MongoError> {
        let action = format!("counting the documents of {database}.{collection} that its validator refuses");
        let nest = |key: &bson::raw::CStr, value: RawDocumentBuf| {
            let mut outer = RawDocumentBuf::new();
            outer.append(key, value);
            outer
        };
        let mut pipeline = bson::RawArrayBuf::new();
        pipeline.push(nest(bson::cstr!("$match"), violating(validator)));
        let mut count = RawDocumentBuf::new();
        count.append(bson::cstr!("$count"), "refused");
        pipeline.push(count);
        let mut command = RawDocumentBuf::new();
        command.append(bson::cstr!("aggregate"), collection);
        command.append(bson::cstr!("pipeline"), pipeline);
        command.append(bson::cstr!("cursor"), RawDocumentBuf::new());
        if let Some(concern) = self.proving().read_concern() {
            command.append(bson::cstr!("readConcern"), concern);
        }
        let counted = self.collect_raw(database, command, &action).await?;
        let refused = counted.first().and_then(|row| row.get_i32("refused").ok());
        Ok(refused.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }
}

impl Mongo {
    /// The `_id`s of some documents of a collection that a validator would refuse, as canonical Extended JSON.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn some_violations(
        &self,
        database: &str,
        collection: &str,
        validator: &bson::RawDocument,
        limit: u32,
    ) -> Result<Vec<String>, MongoError> {
        let mut find = RawDocumentBuf::new();
        find.append(bson::cstr!("find"), collection);
        find.append(bson::cstr!("filter"), violating(validator));
        find.append(bson::cstr!("projection"), bson::rawdoc! {"_id": 1});
        find.append(bson::cstr!("limit"), i64::from(limit));
        find.append(bson::cstr!("singleBatch"), true);
        let at = self.proving();
        if let Some(concern) = at.read_concern() {
            find.append(bson::cstr!("readConcern"), concern);
        }
        let found = patiently!(self, self.first_reply((database, collection), find.clone(), at))?;
        let ids = found.iter().filter_map(|found| id_text(found.as_bytes()));
        Ok(ids.collect())
    }
}

/// The documents that a validator refuses, as a query.
fn violating(validator: &bson::RawDocument) -> RawDocumentBuf {
    let mut refused = bson::RawArrayBuf::new();
    refused.push(validator.to_owned());
    let mut not = RawDocumentBuf::new();
    not.append(bson::cstr!("$nor"), refused);
    not
}
