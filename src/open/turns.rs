//! Who may read through a foreign archive: one at full width, and one that takes little.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Who may read through the archive.
#[derive(Clone, Debug)]
pub(super) struct Passes {
    pub(super) wide: Arc<Semaphore>,
    pub(super) narrow: Arc<Semaphore>,
}

impl Default for Passes {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self {
            wide: one(),
            narrow: one(),
        }
    }
}
