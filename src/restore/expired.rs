//! The last step: documents may expire again. Those that are past their time to live are counted before.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};

use super::create::start_expiry;
use super::indexes::{self, Which};
use super::outcome::Outcomes;
use super::work::Restoring;
use crate::catalog::{Kind, expiry};
use crate::failure::{Failure, FailureKind};
use crate::mongo::MongoError;
use crate::plan::{Action, Planned};
use crate::wording::first_few;

/// What a server may spend on counting, in milliseconds: nobody waits for a number.
const CHEAP: i32 = 1000;

/// Lets documents expire again, now that they have been counted.
///
/// There is no pause in between: from the first one on documents go, and whoever went on would find fewer. A run that is
/// cancelled waits for no other index, and the collections say so.
pub(super) async fn let_expire(run: &Restoring<'_>, outcomes: &mut Outcomes) {
    let mut cancelled: Option<Failure> = None;
    for (place, planned) in run.rows().filter(|(_, planned)| planned.action.restores()) {
        let Some(outcome) = outcomes.get_mut(&place).filter(|outcome| outcome.error.is_none()) else {
            continue;
        };
        let builds = !indexes::names(&planned.indexes, Which::Expiring).is_empty();
        if let Some(failure) = cancelled.as_ref().filter(|_| builds) {
            outcome.error = Some(not_expiring(planned, failure));
            continue;
        }
        outcome.past_expiry = past_expiry(run, planned).await;
        match run.unless_cancelled(begin_expiry(run, planned)).await {
            Ok((failed, started)) => {
                outcome.failed_indexes.extend(failed);
                outcome.error = started.map(Failure::from);
            }
            Err(failure) if failure.kind == FailureKind::Cancelled => {
                outcome.error = Some(not_expiring(planned, &failure));
                cancelled = Some(failure);
            }
            Err(failure) => outcome.error = Some(failure),
        }
    }
}

/// Builds the indexes by which documents expire, and has the collection's own time to live begin. Returns the indexes
/// that failed, and why the other did.
async fn begin_expiry(
    run: &Restoring<'_>,
    planned: &Planned,
) -> Result<(Vec<(String, MongoError)>, Option<MongoError>), MongoError> {
    let (mongo, database) = (run.mongo(), run.database());
    let (name, options) = ((database, planned.name.as_str()), run.options_in_force(planned));
    let failed = indexes::build(mongo, name, options, &planned.indexes, Which::Expiring).await?;
    let started = match planned.action {
        Action::Merge => Ok(()),
        _ => start_expiry(mongo, database, &planned.name, planned.kind, &planned.options).await,
    };
    Ok((failed, started.err()))
}

/// In which state a collection is that the run did not wait for.
fn not_expiring(planned: &Planned, failure: &Failure) -> Failure {
    let indexes = first_few(indexes::names(&planned.indexes, Which::Expiring));
    let why = format!(
        "the run was cancelled while the server was building {indexes}: the documents are in their place, and equal, and do not \
         expire before that is built. The server may go on with it; the same restore sees to it"
    );
    Failure::new(failure.kind, why).at(&planned.name)
}

/// How many documents of a collection would expire at once; `None` if none can, or that takes long to find out.
async fn past_expiry(run: &Restoring<'_>, planned: &Planned) -> Option<u64> {
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
