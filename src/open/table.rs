//! Where a segment lies: from the manifest, or from a page of a large archive's table.

use std::sync::Arc;

use super::ArchiveFile;
use super::pages::Page;
use super::threads::on_blocking_thread;
use crate::archive::{Entry, Located, Opened};
use crate::failure::{Failure, FailureKind};

impl ArchiveFile {
    /// Where a segment of an entry lies: in the manifest, or in the table, which is read for it.
    pub(super) async fn located<'a>(
        &self,
        opened: &Arc<Opened>,
        entry: &'a Entry,
        index: usize,
    ) -> Result<Located<'a>, Failure> {
        if let Some(&segment) = entry.segments.get(index) {
            return Ok(Located { entry, index, segment });
        }
        let (rows, at) = self.page_of(opened, entry, index).await?;
        let row = rows.get(at).copied().ok_or_else(|| not_listed(entry, index))?;
        opened
            .listed(entry, index, row)
            .map_err(|error| Failure::from(error).at(&self.object.location))
    }

    /// How many segments of an entry, from its beginning, hold no more than so many documents, and how many they hold.
    pub(super) async fn segments_within(
        &self,
        opened: &Arc<Opened>,
        entry: &Entry,
        documents: u64,
    ) -> Result<(usize, u64), Failure> {
        let (mut index, mut passed) = (0, 0);
        while index < entry.count() && passed < documents {
            let page = match entry.rows {
                Some(_) => Some(self.page_of(opened, entry, index).await?),
                None => None,
            };
            let rows = match &page {
                Some((rows, at)) => rows.get(*at..).unwrap_or_default(),
                None => &entry.segments,
            };
            if rows.is_empty() {
                return Err(not_listed(entry, index));
            }
            for row in &rows[..rows.len().min(entry.count() - index)] {
                if passed + row.documents > documents {
                    return Ok((index, passed));
                }
                passed += row.documents;
                index += 1;
            }
        }
        Ok((index, passed))
    }

    /// The page that lists a segment, and the segment's row in it.
    async fn page_of(&self, opened: &Arc<Opened>, entry: &Entry, index: usize) -> Result<(Page, usize), Failure> {
        let (number, at) = opened.page_of(entry, index).ok_or_else(|| not_listed(entry, index))?;
        let mut kept = self.pages.lock().await;
        if let Some(page) = kept.get(number) {
            return Ok((page, at));
        }
        let page = opened.page(number).ok_or_else(|| not_listed(entry, index))?;
        let stored = self.read(page.segment.extent).await?;
        let opened = Arc::clone(opened);
        let rows = on_blocking_thread(move || match opened.page(number) {
            Some(page) => opened.rows_of(page, &stored),
            None => Ok(Vec::new()),
        })
        .await?
        .map_err(|error| Failure::from(error).at(&self.object.location))?;
        let page = Arc::new(rows);
        kept.keep(number, &page);
        Ok((page, at))
    }
}

fn not_listed(entry: &Entry, index: usize) -> Failure {
    Failure::new(
        FailureKind::ArchiveDamaged,
        format!("{}: the table of contents has no row for segment {index}", entry.path),
    )
}
