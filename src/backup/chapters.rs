//! The rows of an archive's segments, written once as they come: a state is written every few seconds, and must not grow with what it has behind it.
//!
//! Rows that are there stay as they are. Once there are enough of them they are kept beside the state as a **chapter**, under a name that says by which epoch of the lease it was written and which row is
//! its first. A state names its chapters, and holds only the rows behind them. A chapter that no state names, since its invocation died before it wrote one, is never read.

use serde::{Deserialize, Serialize};

use crate::archive::Segment;
use crate::failure::Failure;
use crate::run::{Journal, kept_beside, unusable};
use crate::store::{Location, Store};

/// How many rows make a chapter: half a megabyte.
const CHAPTER: usize = 1 << 12;

/// Where the rows are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptRows {
    chapters: Vec<String>,
    /// How many rows are in chapters.
    kept: usize,
    /// Those behind them.
    rest: Vec<Segment>,
}

impl KeptRows {
    /// Keeps what has come: the rows are those of before, and more.
    ///
    /// # Errors
    /// What the store answered.
    pub(super) async fn keep(&mut self, journal: &mut Journal, rows: &[Segment]) -> Result<(), Failure> {
        let whole = rows.len().saturating_sub(self.kept) / CHAPTER * CHAPTER;
        if whole > 0 {
            let name = format!("rows-{:08}-{}", journal.lease().epoch(), self.kept);
            let text = serde_json::to_vec(&rows[self.kept..self.kept + whole]).expect("rows are numbers and texts");
            journal.keep(&name, &text).await?;
            self.chapters.push(name);
            self.kept += whole;
        }
        self.rest = rows.get(self.kept..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// All of them, as they were kept in a run's folder.
    ///
    /// # Errors
    /// Where they are not there, or not what was written.
    pub(super) async fn read(&self, store: &Store, folder: &Location) -> Result<Vec<Segment>, Failure> {
        let mut rows: Vec<Segment> = Vec::with_capacity(self.kept + self.rest.len());
        for name in &self.chapters {
            let text = kept_beside(store, folder, name).await?;
            let chapter: Vec<Segment> =
                serde_json::from_slice(&text).map_err(|_| unusable(&folder.join(name), "is not what was written"))?;
            rows.extend(chapter);
        }
        match rows.len() == self.kept {
            true => rows.extend_from_slice(&self.rest),
            false => return Err(unusable(folder, "has other rows than were written")),
        }
        Ok(rows)
    }
}
