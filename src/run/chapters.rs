//! What a run lists as it goes, written once: a state is written every few seconds, and must not grow with past work.
//!
//! Existing rows never change. Enough of them are kept beside the state as a **chapter**, under a name that says which
//! epoch of the lease wrote it, and which row is its first. A state names its chapters, and holds only the rows behind
//! them. If an invocation died before it wrote a state, no state names its chapters, and nobody reads them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use super::left::Left;
use super::unusable::unusable_because;
use crate::failure::Failure;

/// How many rows make a chapter: of an archive's segments half a megabyte.
const CHAPTER: usize = 1 << 12;

/// Where the rows are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chapters<T> {
    chapters: Vec<String>,
    /// How many rows are in chapters.
    kept: usize,
    /// Those behind them.
    rest: Vec<T>,
}

impl<T> Default for Chapters<T> {
    fn default() -> Self {
        Self {
            chapters: Vec::new(),
            kept: 0,
            rest: Vec::new(),
        }
    }
}

impl<T: Clone + Serialize + DeserializeOwned> Chapters<T> {
    /// Keeps what has come: the rows are those of before, and more.
    ///
    /// # Errors
    /// What the store answered.
    pub(crate) async fn keep(&mut self, journal: &Journal, rows: &[T]) -> Result<(), Failure> {
        let whole = rows.len().saturating_sub(self.kept) / CHAPTER * CHAPTER;
        if whole > 0 {
            let name = format!("rows-{:08}-{}", journal.epoch(), self.kept);
            let text = serde_json::to_vec(&rows[self.kept..self.kept + whole]).expect("rows have text keys only");
            journal.keep(&name, &text).await?;
            self.chapters.push(name);
            self.kept += whole;
        }
        self.rest = rows.get(self.kept..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// If they are not there, or not what was written.
    pub(crate) async fn read(&self, left: &Left) -> Result<Vec<T>, Failure> {
        let mut rows: Vec<T> = Vec::with_capacity(self.kept + self.rest.len());
        for name in &self.chapters {
            rows.extend(left.kept_as::<Vec<T>>(name).await?);
        }
        match rows.len() == self.kept {
            true => rows.extend_from_slice(&self.rest),
            false => return Err(unusable_because("it has other rows than were written")),
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveName, ArchiveWriter, Compression, PartSchedule, StoredFrame};
    use crate::failure::FailureKind;
    use crate::run::lease::{Lease, Taken};
    use crate::store::{Location, Store};

    const SAVES: usize = 60;
    const ROWS: usize = 700;

    fn size_of(folder: &std::path::Path, prefix: &str) -> u64 {
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.map(|entry| entry.metadata().expect("a file").len()).sum()
    }

    /// All rows were written anew with every state: a backup of 25 GB wrote some gigabytes of them.
    #[tokio::test]
    async fn what_a_backup_writes_down_of_its_segments_grows_with_them_and_no_faster() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("run");
        let (store, folder) = (Store::new(), Location::Local(path.clone()));
        let Taken::Ours(lease) = Lease::take(&store, &folder).await.expect("a lease") else {
            panic!("nobody else is at it");
        };
        let journal = Journal::new(&store, folder.clone(), lease);
        let name = ArchiveName::parse("backup_20261121_020000").expect("a name");
        let mut archive = ArchiveWriter::new(name, Compression::None, PartSchedule::default());
        archive.begin(&["large.jsonl"]);
        let (mut kept, mut states) = (Chapters::default(), Vec::new());
        for number in 0..SAVES * ROWS {
            let frame = StoredFrame {
                stored: vec![7; 64],
                decoded_bytes: 64,
                crc32: 0,
                blake3: blake3::hash(&number.to_le_bytes()),
            };
            archive.segment(&frame, 1);
            if (number + 1) % ROWS == 0 {
                kept.keep(&journal, archive.rows()).await.expect("kept");
                journal
                    .write("lane", &(archive.state(), &kept), &[])
                    .await
                    .expect("written");
                states.push(size_of(&path, "lane-"));
            }
        }
        let row = 120;
        let largest = states.iter().max().expect("some");
        assert!(*largest < row * CHAPTER as u64 + 4_096, "a state of {largest} bytes");
        let written = states.iter().sum::<u64>() + size_of(&path, "rows-");
        let bound = (SAVES * ROWS) as u64 * row + SAVES as u64 * row * CHAPTER as u64;
        assert!(written < bound, "{written} bytes were written");

        // What an invocation wrote that died before it wrote a state.
        journal.keep("rows-00000000-0", b"of a dead epoch").await.expect("kept");
        let left = Left::find(&store, &folder).await.expect("read").expect("a state");
        let read = kept.read(&left).await.expect("they are there");
        assert!(read == archive.rows(), "other rows");
        let state = archive.state();
        let current = archive.current_bytes().to_vec();
        assert!(ArchiveWriter::resume(state.clone(), read, current.clone(), None).is_some());
        let fewer = archive.rows()[1..].to_vec();
        assert!(
            ArchiveWriter::resume(state, fewer, current, None).is_none(),
            "a row is missing"
        );

        std::fs::remove_file(path.join(&kept.chapters[1])).expect("removed");
        let failure = kept.read(&left).await.expect_err("a chapter is missing");
        assert_eq!(failure.kind, FailureKind::RunUnusable, "{failure}");
        journal.pause().await;
    }
}
