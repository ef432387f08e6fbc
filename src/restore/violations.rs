//! Documents that their collection's own validator would refuse: older than the validator, or inserted past it.

use crate::catalog::Definition;
use crate::mongo::{Mongo, MongoError};

/// How many documents that a validator would refuse are named; all are counted.
const NAMED: u32 = 20;

/// How many documents the collection's own validator would refuse today, and the `_id`s of some.
pub(super) async fn violations(
    mongo: &Mongo,
    database: &str,
    name: &str,
    options: &Definition,
) -> Result<Option<(u64, Vec<String>)>, MongoError> {
    let Some(validator) = options
        .get_document("validator")
        .filter(|validator| !validator.is_empty())
    else {
        return Ok(None);
    };
    let count = mongo.count_violations(database, name, validator).await?;
    let some = match count {
        0 => Vec::new(),
        _ => mongo.some_violations(database, name, validator, NAMED).await?,
    };
    Ok(Some((count, some)))
}
