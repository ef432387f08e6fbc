//! Writing documents as they are: the `insert` command itself, in raw BSON.
//!
//! The driver's own insert re-serialises every document and adds a missing `_id`; here the documents' bytes go into the
//! command once, as decoded. A server that accepts a command can still refuse single documents, so the outcome accounts
//! for every one.

use bson::{Document, RawDocumentBuf, doc};
use futures_util::future::BoxFuture;

use super::concern::WriteErrors;
use super::{Mongo, MongoError, code, id_alone, patiently};
use crate::catalog::Definition;

/// The documents of one command: 16 MiB is what the server takes in one command document, which one document may fill
/// alone.
pub(crate) const MAX_BATCH_BYTES: usize = 16 << 20;

/// Documents on their way into one `insert` command, which is what copies them.
#[derive(Clone, Debug, Default)]
pub struct InsertBatch<'a> {
    documents: Vec<&'a [u8]>,
    /// What they take in a command, with type, index and NUL before each.
    bytes: usize,
}

/// What became of a batch. `inserted + rejected.len()` is the number of documents in it.
#[derive(Clone, Debug, Default)]
pub struct InsertOutcome {
    /// How many are in the collection now.
    pub inserted: u64,
    /// Those that are not.
    pub rejected: Vec<Rejected>,
}

impl InsertOutcome {
    /// Takes in what became of a part of the batch, which begins at that document.
    fn add(&mut self, part: Self, begin: usize) {
        self.inserted += part.inserted;
        self.rejected.extend(part.rejected.into_iter().map(|rejected| Rejected {
            index: rejected.index + begin,
            ..rejected
        }));
    }
}

/// A document that the server refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Which of the batch.
    pub index: usize,
    /// Why.
    pub code: i32,
    /// Why, in the server's words.
    pub message: String,
}

impl<'a> InsertBatch<'a> {
    /// Whether another document of that size still fits.
    pub fn has_room(&self, document_bytes: usize) -> bool {
        self.documents.is_empty() || self.bytes + document_bytes + 16 <= MAX_BATCH_BYTES
    }

    /// Adds a document's raw BSON.
    pub fn push(&mut self, document: &'a [u8]) {
        self.bytes += 2 + itoa::Buffer::new().format(self.documents.len()).len() + document.len();
        self.documents.push(document);
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The raw BSON of a document.
    pub fn document(&self, index: usize) -> &'a [u8] {
        self.documents[index]
    }

    /// A batch of the documents that are chosen by their index, in their order.
    pub fn only(&self, chosen: impl Fn(usize) -> bool) -> Self {
        let mut only = Self::default();
        for index in (0..self.len()).filter(|&index| chosen(index)) {
            only.push(self.document(index));
        }
        only
    }

    /// Forgets the documents.
    pub fn clear(&mut self) {
        self.documents.clear();
        self.bytes = 0;
    }

    /// The command, with `fields` before the documents.
    fn command(&self, fields: &Document) -> Result<RawDocumentBuf, MongoError> {
        let invalid = |error: String| MongoError::unexpected("composing an insert command", error);
        let head = bson::serialize_to_vec(fields).map_err(|error| invalid(error.to_string()))?;
        let mut bytes = Vec::with_capacity(head.len() + self.bytes + 32);
        bytes.extend_from_slice(&head[..head.len() - 1]);
        bytes.extend_from_slice(b"\x04documents\0");
        let array = self.bytes + 5;
        bytes.extend_from_slice(
            &u32::try_from(array)
                .map_err(|error| invalid(error.to_string()))?
                .to_le_bytes(),
        );
        for (index, document) in self.documents.iter().enumerate() {
            bytes.push(3);
            bytes.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(document);
        }
        bytes.extend_from_slice(&[0, 0]);
        let total = u32::try_from(bytes.len()).map_err(|error| invalid(error.to_string()))?;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        RawDocumentBuf::from_bytes(bytes).map_err(|error| invalid(error.to_string()))
    }
}

/// How documents are inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// In the order given, by one writer: what a capped collection needs.
    Kept,
    /// In any order.
    Free,
}

/// Whether the collection's validator sees the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validation {
    /// It does.
    Enforced,
    /// It does not; needs the privilege `bypassDocumentValidation`.
    Bypassed,
}

/// Whether something may still be written, asked before each command: between two of them, somebody else may have taken
/// over.
pub type MayWrite<'a> = dyn Fn() -> BoxFuture<'a, Result<(), MongoError>> + Send + Sync + 'a;

impl Mongo {
    /// Whether the server leaves a top-level `Timestamp(0,0)` alone when it is told to.
    pub fn keeps_empty_timestamps(&self) -> bool {
        self.server().features.empty_timestamps_kept
    }

    /// Inserts a batch. Refused documents are in the outcome; after an error nothing is known of any of them.
    ///
    /// A server refuses a whole command for one document that is nested too deeply or is not valid BSON, which others
    /// have taken. Then each half is tried by itself, until that document is alone. `may` is asked before each command.
    ///
    /// # Errors
    /// What prevented the command as a whole, and what `may` says.
    pub async fn insert(
        &self,
        database: &str,
        collection: &str,
        batch: &InsertBatch<'_>,
        order: Order,
        validation: Validation,
        may: &MayWrite<'_>,
    ) -> Result<InsertOutcome, MongoError> {
        let whole = self.insert_all(database, collection, batch, order, validation, may);
        let mut outcome = match whole.await {
            Err(error) if error.is_of_a_document() => InsertOutcome::default(),
            inserted => return inserted,
        };
        // From which document to which; the next part is the last one.
        let mut parts = vec![(0, batch.len())];
        while let Some((begin, end)) = parts.pop() {
            let part = batch.only(|index| (begin..end).contains(&index));
            let inserted = self.insert_all(database, collection, &part, order, validation, may);
            match inserted.await {
                Ok(inserted) => outcome.add(inserted, begin),
                Err(error) if !error.is_of_a_document() => return Err(error),
                Err(error) if part.len() == 1 => outcome.rejected.push(Rejected {
                    index: begin,
                    code: error.code.unwrap_or(0),
                    message: error.reason,
                }),
                Err(_) => {
                    let middle = begin + part.len() / 2;
                    parts.extend([(middle, end), (begin, middle)]);
                }
            }
        }
        Ok(outcome)
    }

    /// Inserts a batch, none of whose documents keeps the command from being read.
    ///
    /// An ordered insert ends at the first refused document. The later ones are no worse for that, so it continues with
    /// them.
    async fn insert_all(
        &self,
        database: &str,
        collection: &str,
        batch: &InsertBatch<'_>,
        order: Order,
        validation: Validation,
        may: &MayWrite<'_>,
    ) -> Result<InsertOutcome, MongoError> {
        may().await?;
        let mut outcome = self.insert_once(database, collection, batch, order, validation).await?;
        loop {
            let tried = outcome.inserted as usize + outcome.rejected.len();
            if tried >= batch.len() {
                return Ok(outcome);
            }
            let rest = batch.only(|index| index >= tried);
            may().await?;
            let more = self.insert_once(database, collection, &rest, order, validation).await?;
            outcome.add(more, tried);
        }
    }

    /// One command. Of an ordered one, the documents behind the first that is refused are not in the outcome.
    async fn insert_once(
        &self,
        database: &str,
        collection: &str,
        batch: &InsertBatch<'_>,
        order: Order,
        validation: Validation,
    ) -> Result<InsertOutcome, MongoError> {
        let action = format!("inserting into {database}.{collection}");
        let mut fields = fields(collection, order, validation, self.keeps_empty_timestamps());
        // Behind the documents, it would cost a copy of them.
        fields.insert("writeConcern", self.concern().to_document());
        let command = batch.command(&fields)?;
        let reply = self.send(database, command, &action, WriteErrors::Returned).await?;
        let inserted = reply
            .get_i32("n")
            .map_err(|error| MongoError::unexpected(&action, error.to_string()))?;
        let rejected: Vec<Rejected> = match reply.get_array("writeErrors") {
            Ok(errors) => errors
                .iter()
                .filter_map(bson::Bson::as_document)
                .map(rejected)
                .collect(),
            Err(_) => Vec::new(),
        };
        let inserted = u64::try_from(inserted).unwrap_or(0);
        let all = inserted + rejected.len() as u64 == batch.len() as u64;
        let up_to_the_first =
            order == Order::Kept && matches!(&rejected[..], [first] if first.index as u64 == inserted);
        if !all && !up_to_the_first {
            return Err(MongoError::unexpected(
                action,
                format!("{inserted} inserted and {} refused of {}", rejected.len(), batch.len()),
            ));
        }
        Ok(InsertOutcome { inserted, rejected })
    }

    /// Replaces the document with the same `_id`, whatever the new one's keys.
    ///
    /// # Errors
    /// What the server answered; a missing document is an error.
    pub async fn replace(
        &self,
        database: &str,
        collection: &str,
        document: &[u8],
        validation: Validation,
    ) -> Result<(), MongoError> {
        let action = format!("replacing a document of {database}.{collection}");
        let invalid = |error: &dyn std::fmt::Display| MongoError::unexpected(&action, error.to_string());
        // `$eq`, so that an `_id` that is itself a document with `$` keys or a regular expression is compared and not
        // interpreted.
        let id = id_alone(document, "$eq").ok_or_else(|| invalid(&"the document has no _id"))?;
        let document = bson::RawDocument::from_bytes(document).map_err(|error| invalid(&error))?;
        // A document can be large: the command is put together anew rather than kept for another attempt.
        let command = || {
            let mut command = RawDocumentBuf::new();
            command.append(bson::cstr!("update"), collection);
            command.append(bson::cstr!("updates"), {
                let mut updates = bson::RawArrayBuf::new();
                updates.push(replacement(id.clone(), document));
                updates
            });
            if validation == Validation::Bypassed {
                command.append(bson::cstr!("bypassDocumentValidation"), true);
            }
            command
        };
        let reply = patiently!(self, self.once(database, command(), &action))?;
        match reply.get_i32("n") {
            Ok(1) => Ok(()),
            _ => Err(MongoError::unexpected(action, "the document to replace is gone")),
        }
    }
}

/// The insert command without its documents.
fn fields(collection: &str, order: Order, validation: Validation, keeps_empty_timestamps: bool) -> Document {
    let mut fields = doc! {"insert": collection, "ordered": order == Order::Kept};
    if validation == Validation::Bypassed {
        fields.insert("bypassDocumentValidation", true);
    }
    if keeps_empty_timestamps {
        fields.insert("bypassEmptyTsReplacement", true);
    }
    fields
}

/// An update by pipeline, because a plain replacement may not have keys that begin with `$` and would replace
/// `Timestamp(0,0)`.
fn replacement(id: RawDocumentBuf, document: &bson::RawDocument) -> RawDocumentBuf {
    let nest = |key: &bson::raw::CStr, value: RawDocumentBuf| {
        let mut outer = RawDocumentBuf::new();
        outer.append(key, value);
        outer
    };
    let literal = nest(bson::cstr!("$literal"), document.to_owned());
    let stage = nest(bson::cstr!("$replaceRoot"), nest(bson::cstr!("newRoot"), literal));
    let mut pipeline = bson::RawArrayBuf::new();
    pipeline.push(stage);
    let mut update = RawDocumentBuf::new();
    update.append(bson::cstr!("q"), nest(bson::cstr!("_id"), id));
    update.append(bson::cstr!("u"), pipeline);
    update
}

fn rejected(error: &Document) -> Rejected {
    Rejected {
        index: error
            .get_i32("index")
            .ok()
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(0),
        code: error.get_i32("code").unwrap_or(0),
        message: error.get_str("errmsg").unwrap_or("refused").to_owned(),
    }
}

impl Rejected {
    /// Whether a document with that `_id` (or another unique key) is there.
    pub fn is_duplicate(&self) -> bool {
        self.code == code::DUPLICATE_KEY
    }
}

/// The `_id` of a document as canonical Extended JSON, for reports. `None` if it has none.
pub fn id_text(document: &[u8]) -> Option<String> {
    id_alone(document, "_id").map(|id| Definition::new(id).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rig's server is older, and shows the other way: `fidelity::timestamps`.
    #[test]
    fn a_server_that_knows_how_is_told_to_leave_empty_timestamps_alone() {
        for knows in [false, true] {
            let fields = fields("c", Order::Kept, Validation::Bypassed, knows);
            assert!(fields.contains_key("bypassDocumentValidation"));
            assert_eq!(fields.contains_key("bypassEmptyTsReplacement"), knows);
        }
    }

    #[test]
    fn a_command_holds_the_documents_as_they_are() {
        let mut batch = InsertBatch::default();
        let documents: Vec<Vec<u8>> = (0..12)
            .map(|n| bson::serialize_to_vec(&doc! {"_id": n, "text": "x".repeat(n as usize)}).expect("BSON"))
            .collect();
        for document in &documents {
            assert!(batch.has_room(document.len()));
            batch.push(document);
        }
        let command = batch
            .command(&doc! {"insert": "c", "ordered": false})
            .expect("a command");
        let array = command.get_array("documents").expect("documents");
        let read: Vec<&[u8]> = array
            .into_iter()
            .flatten()
            .filter_map(|value| value.as_document().map(|d| d.as_bytes()))
            .collect();
        assert_eq!(read, documents);
        assert_eq!(batch.document(7), documents[7]);
        assert_eq!(id_text(&documents[3]).as_deref(), Some(r#"{"_id":{"$numberInt":"3"}}"#));
    }
}
