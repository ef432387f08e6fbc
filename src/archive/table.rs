//! The table of contents of a large archive (FORMAT 5): rows that would make the manifest too long go into a separate
//! entry, read page by page.
//!
//! A manifest is read whole, so it lists at most [`MOST_INLINE`] segments, some 8 MiB of text. With more, the rows of
//! all entries, one after the other, go into the entry [`TABLE_ENTRY`] before the manifest. Each of its segments is a
//! **page** of [`PAGE_ROWS`] rows; the manifest lists the pages, and each entry says which rows are its own. So opening
//! an archive of any size takes the same memory, and reading a collection takes one page more.

use super::entry::{Entry, Segment};
use super::manifest::{FORMAT_VERSION, FORMAT_VERSION_WITH_TABLE, Manifest};

/// The name of the entry that lists segments.
pub const TABLE_ENTRY: &str = "segments.json";
/// The longest manifest that is written, and read: at most 8 MiB of it are of segments, all else is definitions.
pub(super) const MAX_MANIFEST_BYTES: u64 = 512 << 20;
/// How long the definitions of all collections may be together. It is checked before anything is read.
pub const MAX_DEFINITIONS_BYTES: u64 = MAX_MANIFEST_BYTES / 2;
/// How many segments a manifest lists itself, and how many pages: at most 8 MiB of text, and 4 MiB in a reader's
/// memory.
pub const MOST_INLINE: u64 = 1 << 16;
/// How many rows are written to a page: less than 1 MiB of text.
pub const PAGE_ROWS: u64 = 1 << 13;
/// The most segments of an archive: as many pages as the manifest lists.
pub const MOST_SEGMENTS: u64 = MOST_INLINE * PAGE_ROWS;
/// The longest page that is read, which bounds a reader's memory: 4 MiB of text make less than 4 MiB of rows.
pub(super) const MAX_PAGE_BYTES: u64 = 4 << 20;

/// A manifest as it stands in an archive and beside it.
///
/// # Errors
/// If it is longer than readers take.
pub fn text_of(manifest: &Manifest) -> Result<Vec<u8>, String> {
    let mut text = serde_json::to_vec(manifest).expect("a manifest has text keys only");
    text.push(b'\n');
    match text.len() as u64 <= MAX_MANIFEST_BYTES {
        true => Ok(text),
        false => Err(format!(
            "the definitions of {} collections make a manifest of {} MB, but readers take at most {}: split the backup into several archives, by `include`",
            manifest.collections.len(),
            text.len() / 1_000_000,
            MAX_MANIFEST_BYTES / 1_000_000
        )),
    }
}

/// The rows of an archive that do not go into its manifest.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Segment>,
}

impl Table {
    /// Puts the rows of an archive into its manifest; gives them back where they are too many for it.
    pub(super) fn of(manifest: &mut Manifest, rows: Vec<Segment>, most_inline: u64) -> Option<Self> {
        manifest.table = None;
        if rows.len() as u64 > most_inline {
            FORMAT_VERSION_WITH_TABLE.clone_into(&mut manifest.version);
            return Some(Self { rows });
        }
        FORMAT_VERSION.clone_into(&mut manifest.version);
        for entry in manifest.entries_mut() {
            put_inline(entry, &rows);
        }
        None
    }

    /// The pages: the text of each, and how many rows it has.
    pub fn pages(&self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        self.pages_of(PAGE_ROWS)
    }

    /// The same, with so many rows to a page.
    pub fn pages_of(&self, rows: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).max(1);
        let pages = self.rows.chunks(rows);
        pages.map(|rows| (page_text(rows), rows.len() as u64))
    }
}

/// Puts an entry's own rows into it.
pub(super) fn put_inline(entry: &mut Entry, rows: &[Segment]) {
    if let Some(own) = entry.rows.take() {
        let from = usize::try_from(own.first).unwrap_or(usize::MAX);
        let count = usize::try_from(own.count).unwrap_or(usize::MAX);
        let own = rows.get(from..).unwrap_or_default();
        entry.segments = own[..count.min(own.len())].to_vec();
    }
}

fn page_text(rows: &[Segment]) -> Vec<u8> {
    let mut text = Vec::with_capacity(rows.len() * 120);
    for row in rows {
        serde_json::to_writer(&mut text, row).expect("a row is numbers and a text");
        text.push(b'\n');
    }
    text
}

/// The rows of a page.
///
/// # Errors
/// What is wrong with it.
pub(super) fn rows_of_page(text: &[u8], expected: u64) -> Result<Vec<Segment>, String> {
    let mut rows = Vec::new();
    for row in serde_json::Deserializer::from_slice(text).into_iter::<Segment>() {
        rows.push(row.map_err(|error| format!("its rows cannot be read: {error}"))?);
    }
    match rows.len() as u64 == expected {
        true => Ok(rows),
        false => Err(format!("{} rows were read of {expected}", rows.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Extent, Segment};

    /// The longest rows, as many as there may be, beside the longest definitions: what a writer may make, a reader
    /// takes.
    #[test]
    fn what_the_writers_limits_allow_is_within_the_readers() {
        let longest = Segment {
            extent: Extent {
                offset: u64::MAX,
                length: u64::MAX,
            },
            decoded_bytes: u64::MAX,
            documents: u64::MAX,
            blake3: blake3::hash(b""),
        };
        let page = page_text(&vec![longest; usize::try_from(PAGE_ROWS).expect("some thousands")]);
        assert!(page.len() as u64 <= MAX_PAGE_BYTES, "{} bytes", page.len());
        assert_eq!(rows_of_page(&page, PAGE_ROWS).map(|rows| rows[17]), Ok(longest));
        let row = page.len() as u64 / PAGE_ROWS;
        assert!(MOST_INLINE * row + MAX_DEFINITIONS_BYTES < MAX_MANIFEST_BYTES);
        assert!(rows_of_page(&page[1..], PAGE_ROWS).is_err());
        assert!(rows_of_page(&page, PAGE_ROWS - 1).is_err());
    }
}
