//! Foreign archives: their bytes, decompressed, and their contents.
//!
//! The code that walks a tar blocks on its bytes. It never does so on the runtime's threads: those are few, fetching
//! the bytes needs them, too, and if all of them waited, nothing would go on. Each walk has its own thread.

use std::io::{self, BufRead, Read};
use std::sync::{Arc, OnceLock};

use bytes::{Buf as _, Bytes};
use tokio::sync::oneshot;

use super::Form;
use super::threads::{ended_unexpectedly, walk};
use crate::archive::foreign::{self, Choice, ForeignError, NOT_BUILT_IN, Packing};
use crate::failure::{Failure, FailureKind};
use crate::store::{Object, Store, Stream};

/// Reads an archive without a footer from end to end, in ranges of so many bytes; `head` are its first bytes.
pub(super) async fn survey(
    (store, object): (&Store, &Object),
    head: &[u8],
    choice: Choice,
    range: u64,
) -> Result<Form, Failure> {
    let packing = Packing::of_head(head);
    if let Some(how) = packing.not_built_in() {
        let refusal = ForeignError::Refused(format!("it is compressed with {how}, and {NOT_BUILT_IN}"));
        return Err(failure(&refusal, &StoreTrouble::default()).at(&object.location));
    }
    let trouble = StoreTrouble::default();
    let stored = Stored::of(store, object, range, trouble.clone());
    let (done, survey) = oneshot::channel();
    walk(move || {
        // Whoever waited for it may have gone.
        let _ = done.send(foreign::survey(packing.unpack(stored), &choice));
    })?;
    let survey = survey
        .await
        .map_err(|_| ended_unexpectedly())?
        .map_err(|error| failure(&error, &trouble).at(&object.location))?;
    Ok(Form::Foreign(Arc::new(survey), packing))
}

/// What to do next differs: ask again, ask for something else, or take another archive.
pub(super) fn failure(error: &ForeignError, trouble: &StoreTrouble) -> Failure {
    if let (ForeignError::Read { .. }, Some(store)) = (error, trouble.0.get()) {
        return Failure::new(store.kind, error.to_string()).passing(store.passes());
    }
    let kind = match error {
        ForeignError::Changed(_) => FailureKind::Store,
        ForeignError::ChooseDatabase { .. } => {
            return Failure::invalid(format!("{error}. Name one with source_database (--source-database)"));
        }
        ForeignError::Refused(_) => FailureKind::ArchiveUnsupported,
        ForeignError::NoCollections { .. } | ForeignError::TooMany { .. } => FailureKind::InvalidRequest,
        // What does not decompress is an error of reading, too.
        ForeignError::Read { .. } | ForeignError::Damaged { .. } | ForeignError::Twice { .. } => {
            FailureKind::ArchiveDamaged
        }
    };
    Failure::new(kind, error.to_string())
}

/// What the store failed with, if it was the store, and not what came from it that does not decompress: both reach the
/// reader of the tar as an error of reading.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreTrouble(Arc<OnceLock<Failure>>);

/// The stored bytes as they come.
pub(super) struct Stored {
    stream: Stream,
    current: Bytes,
    /// How many bytes have not come yet.
    left: u64,
    trouble: StoreTrouble,
}

impl Stored {
    pub(super) fn of(store: &Store, object: &Object, range: u64, trouble: StoreTrouble) -> Self {
        Self {
            stream: store.stream(object, range),
            current: Bytes::new(),
            left: object.bytes,
            trouble,
        }
    }
}

impl BufRead for Stored {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && self.left > 0 {
            // What is used up goes before more is waited for.
            self.current = Bytes::new();
            match self.stream.next_blocking() {
                Some(Ok(bytes)) => {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    self.current = bytes;
                }
                Some(Err(error)) => {
                    let (text, failure) = (error.to_string(), Failure::from(error));
                    // Set already where it failed before.
                    let _ = self.trouble.0.set(failure);
                    return Err(io::Error::other(text));
                }
                None => return Err(io::Error::other("reading was ended")),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        self.current.advance(bytes);
    }
}

impl Read for Stored {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}
