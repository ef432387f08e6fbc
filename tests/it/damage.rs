//! What becomes of an archive that is damaged, truncated or forged: it is named, and never taken for whole. And the
//! archives that are kept for ever.

mod altered;
mod fixtures;
pub mod forge;
mod format_example;
mod golden;
mod hostile;
mod ranges;
mod restored;
mod table;
mod truncated;
