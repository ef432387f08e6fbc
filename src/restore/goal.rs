//! Where a collection's documents go.

use super::lock::LockClaim;
use crate::backup::Tools;
use crate::mongo::{Order, Validation};
use crate::plan::Action;
use crate::run::Pool;

/// Where documents go, and how.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) tools: Tools,
    /// By which it is asked whether it may be written at all.
    pub(super) claim: LockClaim,
    pub(super) database: String,
    pub(super) collection: String,
    pub(super) action: Action,
    pub(super) order: Order,
    /// How many pieces are on their way at a time, and what they take together.
    pub(super) workers: usize,
    pub(super) sending: Pool,
    pub(super) validation: Validation,
    /// Measurements have no unique `_id`: what was sent twice would be there twice.
    pub(super) repeatable: bool,
    pub(super) batch_size: usize,
    /// Whether documents may be there that an invocation that died has put in.
    pub(super) again: bool,
}
