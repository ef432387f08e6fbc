//! The most recently read pages of a large archive's table of contents.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::archive::Segment;

/// How many pages are kept: where two collections meet, and while two are read at a time. Each takes less than a
/// megabyte.
const KEPT: usize = 2;

pub(super) type Page = Arc<Vec<Segment>>;

/// Locked while a page is read, so that nobody else reads the same one.
pub(super) type Pages = Mutex<LastPages>;

/// Pages by their number, the oldest first.
#[derive(Debug, Default)]
pub(super) struct LastPages(VecDeque<(usize, Page)>);

impl LastPages {
    pub(super) fn get(&self, number: usize) -> Option<Page> {
        let page = self.0.iter().find(|(kept, _)| *kept == number);
        page.map(|(_, page)| Arc::clone(page))
    }

    pub(super) fn keep(&mut self, number: usize, page: &Page) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((number, Arc::clone(page)));
    }
}
