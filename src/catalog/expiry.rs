//! Time to live: of an index, or in the options of a time series or clustered collection.

use bson::{RawBsonRef, RawDocumentBuf};

use super::{Definition, Kind};

const EXPIRY: &str = "expireAfterSeconds";
/// The longest that a server takes, 68 years. Who cannot take the expiry from an index sets this.
const LONGEST: f64 = 2_147_483_647.0;

/// After how many seconds documents expire.
pub(crate) fn expiry(definition: &Definition) -> Option<f64> {
    match definition.as_raw().get(EXPIRY).ok().flatten()? {
        RawBsonRef::Int32(seconds) => Some(f64::from(seconds)),
        // No number of seconds is beyond 2^53.
        RawBsonRef::Int64(seconds) => Some(seconds as f64),
        RawBsonRef::Double(seconds) => Some(seconds),
        _ => None,
    }
}

/// Whether documents expire by it within a lifetime. What is no number a server may take for 0.
pub(crate) fn expires(definition: &Definition) -> bool {
    expiry(definition).is_some_and(|seconds| seconds.is_nan() || seconds < LONGEST)
}

/// Whether it says when documents expire.
pub(crate) fn says_expiry(definition: &Definition) -> bool {
    matches!(definition.as_raw().get(EXPIRY), Ok(Some(_)))
}

/// The same without time to live.
pub(crate) fn without_expiry(definition: &Definition) -> Definition {
    let mut kept = RawDocumentBuf::new();
    for (key, value) in definition.as_raw().iter().flatten() {
        if key.as_str() != EXPIRY {
            kept.append(key, value);
        }
    }
    Definition::new(kept)
}

/// The field whose date counts: that of an index, or of a collection with these options.
pub(crate) fn dated_by<'a>(definition: &'a Definition, kind: Kind, options: &'a Definition) -> Option<&'a str> {
    match (definition.get_document("key"), kind) {
        (Some(key), _) => key.iter().flatten().next().map(|(field, _)| field.as_str()),
        (None, Kind::Timeseries) => options.get_document("timeseries")?.get_str("timeField").ok(),
        (None, _) => Some("_id"),
    }
}
