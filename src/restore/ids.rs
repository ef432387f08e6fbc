//! The `_id`s of merged documents, kept until these are read back.
//!
//! A foreign archive cannot be read by range: looking its `_id`s up would take another pass for each merged collection.
//! They are kept while memory lasts; beyond that, the archive is read again.

use tokio::sync::OwnedSemaphorePermit;

use crate::mongo::IdList;
use crate::run::Pool;

/// How much of the memory budget all of them may take, in hundredths.
pub(super) const IDS_SHARE: u64 = 5;
/// What is looked up at a time, in bytes.
const LIST: usize = 128 << 10;

/// The `_id`s of all documents of a collection.
#[derive(Debug)]
pub(super) struct KeptIds {
    lists: Vec<IdList>,
    /// What the lists before the last one take.
    before: usize,
    pool: Pool,
    memory: Vec<OwnedSemaphorePermit>,
    reserved: usize,
}

impl KeptIds {
    pub(super) fn within(pool: &Pool) -> Self {
        Self {
            lists: Vec::new(),
            before: 0,
            pool: pool.clone(),
            memory: Vec::new(),
            reserved: 0,
        }
    }

    /// Keeps those of these documents, too; `None` if there is no memory for them.
    pub(super) fn with<'a>(mut self, documents: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        for document in documents {
            if self.lists.last().is_none_or(|list| list.bytes() >= LIST) {
                self.before += self.lists.last().map_or(0, IdList::bytes);
                self.lists.push(IdList::default());
            }
            let list = self.lists.last_mut()?;
            list.push(document);
            let taken = self.before + list.bytes();
            if taken > self.reserved {
                let more = (taken - self.reserved).max(4 << 10);
                self.memory.push(self.pool.try_take(more as u64)?);
                self.reserved += more;
            }
        }
        Some(self)
    }

    /// In lists for a lookup each.
    pub(super) fn lists(&self) -> &[IdList] {
        &self.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn they_are_kept_as_long_as_there_is_memory_and_given_back_where_there_is_not() {
        let documents: Vec<_> = (0..20_000)
            .map(|id| rawdoc! {"_id": id, "more": "text"}.into_bytes())
            .collect();
        let all = || documents.iter().map(Vec::as_slice);
        let pool = Pool::of(1 << 20);
        let kept = KeptIds::within(&pool).with(all()).expect("there is room");
        assert!(kept.lists().len() > 1);
        assert_eq!(kept.lists().iter().map(IdList::len).sum::<usize>(), documents.len());
        assert!(
            KeptIds::within(&pool).with((0..9).flat_map(|_| all())).is_none(),
            "no room for so many"
        );
        drop(kept);
        assert!(
            KeptIds::within(&pool).with(all()).is_some(),
            "what was given up is free"
        );
    }
}
