//! A dead restore's leftovers: half-loaded collections under temporary names. They are nobody's data.

use super::create::drop_collection;
use crate::backup::Tools;
use crate::catalog::Catalog;
use crate::plan::TEMPORARY_PREFIX;

/// Removes them. Only for the holder of the lock: without it, they might belong to a live restore.
///
/// If one cannot be removed, it does no harm, since names are not used twice.
pub(super) async fn remove(target: &Catalog, tools: &Tools) {
    let left = target
        .collections
        .iter()
        .filter(|collection| collection.name.starts_with(TEMPORARY_PREFIX));
    for collection in left {
        tools
            .progress
            .step(format!("removing {}, left by a restore that died", collection.name));
        if let Err(error) = drop_collection(&tools.mongo, &target.database, &collection.name).await {
            tracing::warn!(collection = collection.name, %error, "a dead restore's collection could not be removed: drop it by hand");
        }
    }
}
