//! Time to live: of an index, or in the options of a time series or clustered collection.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

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

/// The field whose date counts: that of an index, or of a collection with these options. None where nothing expires by
/// it, since servers refuse it, or find no dates by it.
pub(crate) fn dated_by<'a>(definition: &'a Definition, kind: Kind, options: &'a Definition) -> Option<&'a str> {
    if expiry(definition).is_some_and(|seconds| seconds < 0.0) {
        return None;
    }
    match (definition.get_document("key"), kind) {
        (Some(key), _) => only_field(key),
        (None, Kind::Timeseries) => options.get_document("timeseries")?.get_str("timeField").ok(),
        (None, _) => options.get_document("clusteredIndex").map(|_| "_id"),
    }
}

/// That of an index on one field, in one direction or the other.
fn only_field(key: &RawDocument) -> Option<&str> {
    let mut fields = key.iter().flatten();
    let (field, direction) = fields.next()?;
    let is_number = matches!(
        direction,
        RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Double(_)
    );
    let field = field.as_str();
    (is_number && fields.next().is_none() && field != "_id" && !field.ends_with("$**")).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    /// A plan said of them that documents expire, and the server refused the index, or never found a date by it.
    #[test]
    fn nothing_expires_by_what_a_server_does_not_take() {
        let dated = |definition: RawDocumentBuf, options: RawDocumentBuf| {
            let (definition, options) = (Definition::new(definition), Definition::new(options));
            dated_by(&definition, Kind::Collection, &options).map(str::to_owned)
        };
        let index = |key: RawDocumentBuf| rawdoc! {"key": key, "name": "i", "expireAfterSeconds": 60};
        for key in [rawdoc! {"at": 1}, rawdoc! {"at": -1.0}] {
            assert_eq!(dated(index(key), rawdoc! {}).as_deref(), Some("at"));
        }
        for key in [
            rawdoc! {"at": 1, "of": 1},
            rawdoc! {"_id": 1},
            rawdoc! {"$**": 1},
            rawdoc! {"at": "hashed"},
            rawdoc! {"at": "2dsphere"},
        ] {
            assert_eq!(dated(index(key.clone()), rawdoc! {}), None, "{key:?}");
        }
        let negative = rawdoc! {"key": {"at": 1}, "name": "i", "expireAfterSeconds": -1};
        assert_eq!(dated(negative, rawdoc! {}), None);
        let clustered = rawdoc! {"clusteredIndex": {"unique": true}, "expireAfterSeconds": 60_i64};
        assert_eq!(dated(clustered.clone(), clustered).as_deref(), Some("_id"));
        let plain = rawdoc! {"expireAfterSeconds": 60_i64};
        assert_eq!(dated(plain.clone(), plain), None);
    }
}
