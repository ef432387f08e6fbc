//! Archives that others wrote: read from end to end, once to survey them and once more for their documents.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::ZstdDecoder;
use tokio::io::{AsyncRead, BufReader, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

use super::{ArchiveFile, Chunk, CollectionStream, Form, on_blocking_thread};
use crate::archive::foreign::{self, Choice, Flow, ForeignError, Gunzip, Survey};
use crate::archive::{Compression, sniff};
use crate::digest::Hashing;
use crate::failure::{Failure, FailureKind};
use crate::store::{Object, Store, StoreError};

/// How much is read ahead of a decoder, in bytes.
const BUFFER: usize = 1 << 20;

/// Reads an archive without a footer from end to end; `head` are its first bytes.
pub(super) async fn survey(store: &Store, object: &Object, head: &[u8], choice: Choice) -> Result<Form, Failure> {
    let compression = sniff(head);
    let trouble = StoreTrouble::default();
    let stored = stored(store, object, trouble.clone()).await?;
    let survey = on_blocking_thread(move || foreign::survey(decompressed(stored, compression), &choice))
        .await?
        .map_err(|error| failure(&error, &trouble).at(&object.location))?;
    Ok(Form::Foreign(Arc::new(survey), compression))
}

/// What to do next differs: ask again, ask for something else, or take another archive.
fn failure(error: &ForeignError, trouble: &StoreTrouble) -> Failure {
    let kind = match error {
        ForeignError::Read { .. } if trouble.0.get().is_some() => FailureKind::Store,
        ForeignError::Changed(_) => FailureKind::Store,
        ForeignError::ChooseDatabase { .. } => {
            return Failure::invalid(format!("{error}. Name one with source_database (--source-database)"));
        }
        ForeignError::Refused(_) => FailureKind::ArchiveUnsupported,
        ForeignError::NoCollections { .. } => FailureKind::InvalidRequest,
        // What does not decompress is an error of reading, too.
        ForeignError::Read { .. } | ForeignError::Damaged { .. } | ForeignError::Twice { .. } => {
            FailureKind::ArchiveDamaged
        }
    };
    Failure::new(kind, error.to_string())
}

/// Whether it was the store that failed, and not what came from it that does not decompress: both reach the reader of the tar as an error of reading.
#[derive(Clone, Debug, Default)]
struct StoreTrouble(Arc<OnceLock<()>>);

/// The stored bytes as they come.
struct Stored {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    trouble: StoreTrouble,
}

impl AsyncRead for Stored {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, into));
        if read.is_err() {
            // Set already where it failed before.
            let _ = self.trouble.0.set(());
        }
        Poll::Ready(read)
    }
}

/// The stored bytes.
async fn stored(store: &Store, object: &Object, trouble: StoreTrouble) -> Result<Stored, StoreError> {
    let inner = store.stream(object).await?;
    Ok(Stored { inner, trouble })
}

/// What is in them. Only on a blocking thread of the runtime.
fn decompressed(stored: Stored, compression: Compression) -> Box<dyn Read> {
    let buffered = |stored| io::BufReader::with_capacity(BUFFER, SyncIoBridge::new(stored));
    match compression {
        Compression::None => Box::new(buffered(stored)),
        // As `gzip -t` reads it: members, then perhaps zeros.
        Compression::Gzip => Box::new(Gunzip::new(buffered(stored))),
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(BufReader::with_capacity(BUFFER, stored));
            decoder.multiple_members(true);
            Box::new(SyncIoBridge::new(decoder))
        }
    }
}

impl ArchiveFile {
    pub(super) async fn foreign_documents(
        &self,
        survey: Arc<Survey>,
        compression: Compression,
        wanted: Vec<(String, Hashing)>,
        sender: mpsc::Sender<CollectionStream>,
    ) {
        let mut rest = wanted.clone();
        let trouble = StoreTrouble::default();
        let stored = match stored(&self.store, &self.object, trouble.clone()).await {
            Ok(stored) => stored,
            Err(error) => return fail_next(&sender, &wanted, error.into()).await,
        };
        let (names, mut named) = mpsc::channel::<(String, Result<Chunk, Failure>)>(2);
        let location = self.object.location.clone();
        let (pool, runtime) = (self.pool(), tokio::runtime::Handle::current());
        let read = tokio::task::spawn_blocking(move || {
            let tar = decompressed(stored, compression);
            let read = foreign::read_documents(tar, &survey, |chunk| {
                let Some((name, hashing)) = wanted.iter().find(|(wanted, _)| wanted == chunk.collection) else {
                    return Flow::SkipEntry;
                };
                // Held from here on; those before it are on their way to the server, or wait for their turn.
                let memory = runtime.block_on(pool.take(chunk.bson.len() as u64));
                let chunk = Chunk::new(chunk.bson.into(), *hashing).holding(memory);
                match names.blocking_send((name.clone(), Ok(chunk))) {
                    Ok(()) => Flow::Continue,
                    Err(_) => Flow::Stop,
                }
            });
            read.map_err(|error| failure(&error, &trouble).at(location))
        });
        let mut current: Option<(String, mpsc::Sender<Result<Chunk, Failure>>)> = None;
        while let Some((name, chunk)) = named.recv().await {
            if current.as_ref().is_none_or(|(current, _)| *current != name) {
                rest.retain(|(wanted, _)| *wanted != name);
                let (chunks, receiver) = mpsc::channel(1);
                let stream = CollectionStream {
                    name: name.clone(),
                    passed: 0,
                    chunks: receiver,
                    alone: None,
                };
                if sender.send(stream).await.is_err() {
                    return;
                }
                current = Some((name, chunks));
            }
            if let Some((_, chunks)) = &current {
                // Nobody listens where the load has failed; the next collection may be wanted all the same.
                let _ = chunks.send(chunk).await;
            }
        }
        match read.await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => match current {
                Some((_, chunks)) => {
                    // Nobody listens where the load has already failed.
                    let _ = chunks.send(Err(failure)).await;
                    return;
                }
                None => return fail_next(&sender, &rest, failure).await,
            },
            Err(error) => return fail_next(&sender, &rest, Failure::new(FailureKind::Store, error.to_string())).await,
        }
        drop(current);
        for (name, _) in rest {
            let (_, chunks) = mpsc::channel(1);
            if sender
                .send(CollectionStream {
                    name,
                    passed: 0,
                    chunks,
                    alone: None,
                })
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

/// Tells a failure as the first thing about the next collection.
async fn fail_next(sender: &mpsc::Sender<CollectionStream>, rest: &[(String, Hashing)], failure: Failure) {
    let Some((name, _)) = rest.first() else { return };
    let (chunks, receiver) = mpsc::channel(1);
    // The channel has room, and a receiver that is gone has failed already.
    let _ = chunks.send(Err(failure)).await;
    let stream = CollectionStream {
        name: name.clone(),
        passed: 0,
        chunks: receiver,
        alone: None,
    };
    let _ = sender.send(stream).await;
}
