//! Counts documents past their time to live before it takes effect.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};

use super::work::Restoring;
use crate::catalog::{Kind, expiry};
use crate::plan::Planned;

/// What a server may spend on counting, in milliseconds: nobody waits for a number.
const CHEAP: i32 = 1000;

/// How many documents of a collection would expire at once; `None` if none can, or that takes long to find out.
pub(super) async fn past_expiry(run: &Restoring<'_>, planned: &Planned) -> Option<u64> {
    let now = DateTime::now().timestamp_millis();
    let present = run.prepared.target.get(&planned.name);
    let mut ways = Vec::new();
    for (definition, field) in planned.expiring(present) {
        let before = now.saturating_sub((expiry(definition)? * 1000.0) as i64);
        let mut past = vec![Bson::from(doc! {field: {"$lt": DateTime::from_millis(before)}})];
        if let Some(part) = definition.get_document("partialFilterExpression") {
            past.push(Document::try_from(part).ok()?.into());
        }
        ways.push(doc! {"$and": past});
    }
    if ways.is_empty() || planned.kind == Kind::View {
        return None;
    }
    let command = doc! {"count": &planned.name, "query": {"$or": ways}, "maxTimeMS": CHEAP};
    let action = format!("counting expired documents of {}", planned.name);
    let command = RawDocumentBuf::try_from(&command).ok()?;
    let counted = run.mongo().once(run.database(), command, &action).await.ok()?;
    match counted.get("n")? {
        Bson::Int32(counted) => u64::try_from(*counted).ok(),
        Bson::Int64(counted) => u64::try_from(*counted).ok(),
        Bson::Double(counted) => Some(*counted as u64),
        _ => None,
    }
}
