//! Is it a time series? Archives without metadata do not say, and a collection cannot be made one later.
//!
//! Checked in this order; the first answer counts:
//!
//! 1. metadata: the collection's saved options;
//! 2. buckets: the archive has the server's own file for a time series, `system.buckets.{name}`;
//! 3. sample: every sampled document has a date in the same field and an object in the same field, of usual names.
//!
//! Metadata that describes a collection and does not call it a time series is an answer, too.

use bson::rawdoc;
use bson::spec::ElementType;
use serde::{Deserialize, Serialize};

use super::Inference;
use crate::archive::Saved;
use crate::archive::foreign::{Outline, Seen};
use crate::catalog::{Definition, Kind};

/// Usual names of the field with the time, the most usual first.
const TIME_FIELDS: [&str; 5] = ["ts", "timestamp", "time", "datetime", "date"];
/// Usual names of the field that says whose measurement it is.
const META_FIELDS: [&str; 2] = ["meta", "metadata"];
const DEFAULT_GRANULARITY: &str = "hours";

/// Why a collection is taken for a time series, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inferred {
    /// What decided.
    pub signal: Signal,
    /// What was seen, for a person to judge.
    pub evidence: String,
    /// The field with the time.
    pub time_field: String,
    /// The field that groups measurements, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub meta_field: Option<String>,
    /// How far measurements of one group lie apart, where that is how the collection is set up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub granularity: Option<String>,
}

/// What decided that a collection is a time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// Its saved options.
    Metadata,
    /// A file of its buckets.
    Buckets,
    /// Its documents.
    Sample,
}

impl Inferred {
    /// The options to create the collection with.
    pub(super) fn options(&self) -> Definition {
        let mut timeseries = rawdoc! { "timeField": self.time_field.as_str() };
        if let Some(meta) = &self.meta_field {
            timeseries.append(bson::cstr!("metaField"), meta.as_str());
        }
        if let Some(granularity) = &self.granularity {
            timeseries.append(bson::cstr!("granularity"), granularity.as_str());
        }
        Definition::new(rawdoc! { "timeseries": timeseries })
    }
}

/// Whether `saved` is a time series; `seen` is what a foreign archive showed of it.
pub(super) fn infer(saved: &Saved, seen: Option<&Seen>, inference: Inference) -> Option<Inferred> {
    match saved.kind {
        Kind::Timeseries => Some(from_metadata(saved, seen)),
        Kind::View => None,
        Kind::Collection => {
            let seen = seen.filter(|seen| inference == Inference::On && !seen.described)?;
            match seen.buckets {
                true => Some(from_buckets(saved, seen)),
                false => from_sample(seen),
            }
        }
    }
}

fn from_metadata(saved: &Saved, seen: Option<&Seen>) -> Inferred {
    let Some(options) = saved.options.get_document("timeseries") else {
        // Called a time series, but not which.
        return Inferred {
            signal: Signal::Metadata,
            evidence: "the saved type is timeseries, without options: fields by usual names".to_owned(),
            ..guess(&seen.map_or_else(Outline::default, |seen| seen.outline.clone()))
        };
    };
    let text = |key: &str| options.get_str(key).ok().map(str::to_owned);
    Inferred {
        signal: Signal::Metadata,
        evidence: "the saved options say so".to_owned(),
        time_field: text("timeField").unwrap_or_else(|| TIME_FIELDS[0].to_owned()),
        meta_field: text("metaField"),
        granularity: text("granularity"),
    }
}

fn from_buckets(saved: &Saved, seen: &Seen) -> Inferred {
    Inferred {
        signal: Signal::Buckets,
        evidence: format!("the archive has system.buckets.{}", saved.name),
        ..guess(&seen.outline)
    }
}

fn from_sample(seen: &Seen) -> Option<Inferred> {
    let sample = &seen.outline;
    let time = in_all(sample, &TIME_FIELDS, ElementType::DateTime)?;
    let meta = in_all(sample, &META_FIELDS, ElementType::EmbeddedDocument)?;
    let count = sample.documents();
    Some(Inferred {
        signal: Signal::Sample,
        evidence: format!("{count} of {count} sampled documents have a date `{time}` and an object `{meta}`"),
        time_field: time.to_owned(),
        meta_field: Some(meta.to_owned()),
        granularity: Some(DEFAULT_GRANULARITY.to_owned()),
    })
}

/// The fields of something that is known to be a time series: usual names, else the only field of the right type, else
/// the defaults.
fn guess(sample: &Outline) -> Inferred {
    let field = |usual: &[&str], kind| {
        let known = in_all(sample, usual, kind).map(str::to_owned);
        known
            .or_else(|| only_one(sample, kind))
            .unwrap_or_else(|| usual[0].to_owned())
    };
    Inferred {
        signal: Signal::Metadata,
        evidence: String::new(),
        time_field: field(&TIME_FIELDS, ElementType::DateTime),
        meta_field: Some(field(&META_FIELDS, ElementType::EmbeddedDocument)),
        granularity: Some(DEFAULT_GRANULARITY.to_owned()),
    }
}

/// The first of `names` that every document of a sample has with that type.
fn in_all<'a>(sample: &Outline, names: &[&'a str], kind: ElementType) -> Option<&'a str> {
    names.iter().copied().find(|name| sample.all_have(name, kind))
}

/// The field that has that type in every document, if there is just one.
fn only_one(sample: &Outline, kind: ElementType) -> Option<String> {
    let mut fields = sample.common(kind).filter(|name| *name != "_id");
    let only = fields.next()?;
    fields.next().is_none().then(|| only.to_owned())
}

/// How many sampled documents have no date in the time field: a time series refuses them.
pub(super) fn without_time(seen: &Seen, inferred: &Inferred) -> u64 {
    seen.outline.documents() - seen.outline.with(&inferred.time_field, ElementType::DateTime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::saved;
    use bson::{DateTime, RawDocumentBuf};

    fn reading(time: &bson::raw::CStr, meta: &bson::raw::CStr) -> RawDocumentBuf {
        let mut document = rawdoc! { "_id": 1 };
        document.append(time, DateTime::from_millis(0));
        document.append(meta, rawdoc! { "station": 7 });
        document
    }

    fn seen(sample: Vec<RawDocumentBuf>) -> Seen {
        Seen {
            outline: Outline::of(&sample),
            ..Seen::default()
        }
    }

    #[test]
    fn a_sample_in_which_all_agree_decides() {
        let all = seen(vec![reading(bson::cstr!("ts"), bson::cstr!("meta")); 37]);
        let inferred = infer(&saved("readings"), Some(&all), Inference::On).expect("a time series");
        assert_eq!(inferred.signal, Signal::Sample);
        assert_eq!(
            inferred.evidence,
            "37 of 37 sampled documents have a date `ts` and an object `meta`"
        );
        assert_eq!(
            inferred.options().to_string(),
            r#"{"timeseries":{"timeField":"ts","metaField":"meta","granularity":"hours"}}"#
        );
        assert_eq!(infer(&saved("readings"), Some(&all), Inference::Off), None);
        assert_eq!(infer(&saved("readings"), None, Inference::On), None, "a native archive");
    }

    #[test]
    fn one_document_that_differs_decides_against() {
        let mut sample = vec![reading(bson::cstr!("ts"), bson::cstr!("meta")); 5];
        sample.push(rawdoc! { "ts": 5, "meta": {} });
        assert_eq!(infer(&saved("readings"), Some(&seen(sample)), Inference::On), None);
        assert_eq!(infer(&saved("readings"), Some(&seen(vec![])), Inference::On), None);
    }

    #[test]
    fn buckets_decide_and_the_sample_names_the_fields() {
        let buckets = |sample| Seen {
            buckets: true,
            ..seen(sample)
        };
        let unusual = buckets(vec![reading(bson::cstr!("at"), bson::cstr!("sensor"))]);
        let inferred = infer(&saved("r"), Some(&unusual), Inference::On).expect("a time series");
        assert_eq!((inferred.signal, inferred.time_field.as_str()), (Signal::Buckets, "at"));
        assert_eq!(inferred.meta_field.as_deref(), Some("sensor"));
        let empty = buckets(vec![]);
        let inferred = infer(&saved("r"), Some(&empty), Inference::On).expect("a time series");
        assert_eq!(
            (inferred.time_field.as_str(), inferred.meta_field.as_deref()),
            ("ts", Some("meta"))
        );
    }

    #[test]
    fn metadata_wins_over_buckets_and_sample() {
        let described = Seen {
            described: true,
            buckets: true,
            ..seen(vec![reading(bson::cstr!("ts"), bson::cstr!("meta"))])
        };
        assert_eq!(infer(&saved("r"), Some(&described), Inference::On), None);
        let explicit = Saved {
            kind: Kind::Timeseries,
            options: Definition::new(rawdoc! { "timeseries": { "timeField": "at", "bucketMaxSpanSeconds": 60 } }),
            ..saved("r")
        };
        let inferred = infer(&explicit, Some(&described), Inference::Off).expect("a time series");
        assert_eq!(
            (inferred.signal, inferred.time_field.as_str(), inferred.meta_field),
            (Signal::Metadata, "at", None)
        );
        assert_eq!(inferred.granularity, None);
    }
}
