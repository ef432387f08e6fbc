//! Checks a manifest's extents against each other, before anything in this untrusted input is believed.

use std::collections::HashSet;

use super::frame::{MAX_GLUE_BYTES, MAX_SEGMENT_BYTES, max_stored};
use super::table::{MAX_PAGE_BYTES, MOST_INLINE, MOST_SEGMENTS};
use super::{ArchiveKind, ArchiveName, Entry, Extent, Manifest, Segment};

/// Where an archive's rows are.
#[derive(Clone, Debug)]
pub(super) struct ListedPages {
    /// How many rows there are up to the end of each page.
    pages: Vec<u64>,
}

impl ListedPages {
    /// The page that holds a row, and which of its rows that is.
    pub(super) fn page_of(&self, row: u64) -> Option<(usize, usize)> {
        let page = self.pages.partition_point(|&end| end <= row);
        self.pages.get(page)?;
        let begin = page.checked_sub(1).map_or(0, |before| self.pages[before]);
        Some((page, usize::try_from(row - begin).ok()?))
    }

    /// Whether a row can be one of an entry.
    pub(super) fn check(&self, entry: &Entry, row: &Segment) -> Result<(), String> {
        let begin = entry.header.offset.checked_add(entry.header.length);
        let end = begin.and_then(|begin| begin.checked_add(entry.stored_bytes()));
        let inside = begin <= Some(row.extent.offset) && row.extent.end().is_some_and(|last| Some(last) <= end);
        match inside {
            false => Err("its row lies outside of its entry".to_owned()),
            true if is_too_long(row) => Err("its row claims more than a segment can hold".to_owned()),
            true => Ok(()),
        }
    }
}

/// A segment is fetched and decoded whole, so both lengths are bounds on a reader's memory.
fn is_too_long(segment: &Segment) -> bool {
    segment.decoded_bytes > MAX_SEGMENT_BYTES || segment.extent.length > max_stored(MAX_SEGMENT_BYTES)
}

/// The extents tile the object up to the trailer, sizes are bounded and add up, names are unique.
pub(super) fn check_contents(manifest: &Manifest, trailer: u64) -> Result<ListedPages, String> {
    if ArchiveName::parse(manifest.name.as_str()).is_none() {
        return Err(format!("it states the archive's name as {:?}", manifest.name.as_str()));
    }
    if manifest.continues.is_some() != (manifest.kind == ArchiveKind::Increment) {
        return Err("an increment, and nothing else, continues another archive".to_owned());
    }
    if let Some(continues) = &manifest.continues
        && (continues.place == 0 || (continues.place == 1) != (continues.parent == continues.base))
    {
        return Err(format!(
            "it says that it is at place {} of its chain, and continues {}",
            continues.place, continues.parent
        ));
    }
    let mut names = HashSet::new();
    if let Some(twice) = manifest.collections.iter().find(|saved| !names.insert(&saved.name)) {
        return Err(format!("it lists the collection {:?} twice", twice.name));
    }
    let mut extents = Vec::new();
    for entry in manifest.entries() {
        extents.push(Extent {
            offset: entry.header.offset,
            length: entry.header.length,
        });
        match entry.rows {
            // Where each of them lies, the table says.
            Some(rows) => extents.push(content_of(entry, rows.stored)?),
            None => extents.extend(entry.segments.iter().map(|segment| segment.extent)),
        }
        if entry.header.length > MAX_GLUE_BYTES {
            return Err(format!(
                "{}: its header claims {} bytes",
                entry.path, entry.header.length
            ));
        }
        if let Some(segment) = entry.segments.iter().find(|segment| is_too_long(segment)) {
            return Err(format!(
                "{}: a segment claims {} bytes, stored as {}",
                entry.path, segment.decoded_bytes, segment.extent.length
            ));
        }
        if entry.rows.is_some() {
            continue;
        }
        let total = entry
            .segments
            .iter()
            .try_fold(0_u64, |sum, segment| sum.checked_add(segment.decoded_bytes));
        if total != Some(entry.bytes) {
            return Err(format!("{}: the segments do not add up to its size", entry.path));
        }
    }
    for saved in &manifest.collections {
        if saved.entry.as_ref().map_or(0, Entry::documents) != saved.entry_documents() {
            return Err(format!("{:?}: the segments do not add up to its documents", saved.name));
        }
        if saved.delta.is_some() && manifest.continues.is_none() {
            return Err(format!(
                "{:?}: it has only what changed, but continues nothing",
                saved.name
            ));
        }
        let removed = saved.delta.as_ref().map_or(0, |delta| delta.removed);
        if saved.removals().map_or(0, Entry::documents) != removed {
            return Err(format!("{:?}: the segments do not add up to its removals", saved.name));
        }
    }
    extents.sort_unstable();
    let mut end = 0;
    for extent in extents {
        if extent.offset != end {
            return Err(format!("the table of contents has a gap or an overlap at offset {end}"));
        }
        end = extent.end().ok_or("the table of contents overflows")?;
    }
    if end != trailer {
        return Err(format!(
            "the table of contents ends at {end}, the trailer begins at {trailer}"
        ));
    }
    check_table(manifest)
}

/// The content of an entry whose segments follow one another.
fn content_of(entry: &Entry, stored: u64) -> Result<Extent, String> {
    let begin = entry.header.offset.checked_add(entry.header.length);
    let offset = begin.ok_or("the table of contents overflows")?;
    Ok(Extent { offset, length: stored })
}

/// The pages are bounded, and every row of theirs is that of one entry.
fn check_table(manifest: &Manifest) -> Result<ListedPages, String> {
    let (mut pages, mut end) = (Vec::new(), 0_u64);
    for page in manifest.table.iter().flat_map(|table| &table.segments) {
        if page.decoded_bytes > MAX_PAGE_BYTES {
            return Err(format!("a page of its table claims {} bytes", page.decoded_bytes));
        }
        end = end.saturating_add(page.documents);
        pages.push(end);
    }
    if pages.len() as u64 > MOST_INLINE || end > MOST_SEGMENTS {
        return Err(format!("its table claims {} pages of {end} rows", pages.len()));
    }
    let mut runs: Vec<_> = manifest
        .entries()
        .filter_map(|entry| Some((entry.rows?, entry)))
        .collect();
    runs.sort_unstable_by_key(|(rows, _)| (rows.first, rows.count));
    let mut listed = 0_u64;
    for (rows, entry) in runs {
        if rows.first != listed || !entry.segments.is_empty() {
            return Err(format!("{}: its rows are not its own", entry.path));
        }
        listed = listed.saturating_add(rows.count);
    }
    match listed == end {
        true => Ok(ListedPages { pages }),
        false => Err(format!("its table has {end} rows, but entries list {listed}")),
    }
}
