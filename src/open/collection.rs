//! One collection's documents as a stream, for programs that read archives themselves.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bson::RawDocumentBuf;
use futures_util::Stream;
use tokio::sync::mpsc;

use super::chunk::split_documents;
use super::{ArchiveFile, Chunk, CollectionStream};
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};

/// The documents of one collection, in the archive's order, raw as the server held them. It ends after the first error.
#[derive(Debug)]
pub struct RawDocuments {
    collections: mpsc::Receiver<CollectionStream>,
    collection: Option<CollectionStream>,
    /// The chunk that came last, and how many of its bytes were handed out.
    chunk: Option<(Chunk, usize)>,
}

impl ArchiveFile {
    /// The documents of one collection. Of our own archives, nothing else is read.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`] if the archive has no such collection.
    pub fn collection(&self, name: &str) -> Result<RawDocuments, Failure> {
        self.must_have(name)?;
        Ok(RawDocuments {
            collections: self.documents(vec![(name.to_owned(), Hashing::Raw)]),
            collection: None,
            chunk: None,
        })
    }

    /// Whether a collection is in the archive.
    pub(crate) fn must_have(&self, collection: &str) -> Result<(), Failure> {
        let contents = self.contents();
        let names: Vec<&str> = contents.collections.iter().map(|saved| saved.name.as_str()).collect();
        match names.contains(&collection) {
            true => Ok(()),
            false => Err(Failure::invalid(format!(
                "{} has no collection {collection:?}; it has: {}",
                self.object.location,
                names.join(", ")
            ))),
        }
    }
}

impl RawDocuments {
    /// The next document of the chunk that is here.
    fn next_here(&mut self) -> Option<Result<RawDocumentBuf, Failure>> {
        let (chunk, read) = self.chunk.as_mut()?;
        let document = split_documents(&chunk.bson[*read..]).next()?;
        *read += document.len();
        let document = RawDocumentBuf::from_bytes(document.to_vec());
        Some(document.map_err(|error| {
            self.end();
            let what = format!("the archive holds an invalid document: {error}");
            Failure::new(FailureKind::ArchiveDamaged, what)
        }))
    }

    fn end(&mut self) {
        (self.collections, self.collection, self.chunk) = (mpsc::channel(1).1, None, None);
    }
}

impl Stream for RawDocuments {
    type Item = Result<RawDocumentBuf, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(document) = self.next_here() {
                return Poll::Ready(Some(document));
            }
            let Some(collection) = &mut self.collection else {
                match ready!(self.collections.poll_recv(context)) {
                    Some(collection) => self.collection = Some(collection),
                    None => return Poll::Ready(None),
                }
                continue;
            };
            match ready!(collection.chunks.poll_recv(context)) {
                Some(Ok(chunk)) => self.chunk = Some((chunk, 0)),
                Some(Err(failure)) => {
                    self.end();
                    return Poll::Ready(Some(Err(failure)));
                }
                None => self.collection = None,
            }
        }
    }
}
