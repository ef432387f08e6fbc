//! The buckets of a time series, as a server keeps and `mongodump` saves them: each holds the measurements of one group
//! and one stretch of time, by column.
//!
//! Versions (`control.version`, from MongoDB's `timeseries_constants.h`): 1 holds its columns as documents, 2 (from
//! 5.2) compressed, 3 (from 7.1) compressed and not sorted by time. Their columns stay packed here. A server takes a
//! bucket as it is, and its measurements can be counted without unpacking: by `control.count`, or, in version 1, by the
//! longest column, the times.

use crate::elements::{Element, Elements};

const DOUBLE: u8 = 0x01;
const DOCUMENT: u8 = 0x03;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// What documents amount to that are all buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// How many measurements they hold.
    pub measurements: u64,
    /// The newest version among them; 0 if there are none.
    pub version: u64,
}

impl Buckets {
    /// These, and one more; `None` if the document is no bucket.
    pub(super) fn and(self, document: &[u8]) -> Option<Self> {
        let one = of(document)?;
        Some(Self {
            measurements: self.measurements.saturating_add(one.measurements),
            version: self.version.max(one.version),
        })
    }
}

fn of(document: &[u8]) -> Option<Buckets> {
    let part = |name: &[u8]| {
        let element = element(document, name).filter(|element| element.kind == DOCUMENT)?;
        document.get(element.value..element.end)
    };
    let (control, data) = (part(b"control")?, part(b"data")?);
    let number = |name: &[u8]| element(control, name).and_then(|element| number(control, &element));
    let version = number(b"version").filter(|version| *version > 0)?;
    let measurements = match number(b"count") {
        Some(count) => count,
        None if version == 1 => longest_column(data),
        None => return None,
    };
    Some(Buckets { measurements, version })
}

fn element<'a>(document: &'a [u8], name: &[u8]) -> Option<Element<'a>> {
    Elements::of(document)
        .map_while(Result::ok)
        .find(|element| element.key == name)
}

fn number(document: &[u8], element: &Element<'_>) -> Option<u64> {
    let value = document.get(element.value..element.end)?;
    match element.kind {
        INT32 => u64::try_from(i32::from_le_bytes(*value.first_chunk()?)).ok(),
        INT64 => u64::try_from(i64::from_le_bytes(*value.first_chunk()?)).ok(),
        DOUBLE => {
            let number = f64::from_le_bytes(*value.first_chunk()?);
            let is_whole = number.fract() == 0.0 && (0.0..1e15).contains(&number);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is whole, positive and small"
            )]
            is_whole.then_some(number as u64)
        }
        _ => None,
    }
}

fn longest_column(data: &[u8]) -> u64 {
    let columns = Elements::of(data).map_while(Result::ok);
    let of_documents = columns.filter(|column| column.kind == DOCUMENT);
    let lengths = of_documents.map(|column| {
        Elements::of(&data[column.value..column.end])
            .map_while(Result::ok)
            .count()
    });
    lengths.max().unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, doc};

    fn told(documents: &[Document]) -> Option<(u64, u64)> {
        let raw = documents
            .iter()
            .map(|document| bson::serialize_to_vec(document).expect("BSON"));
        let buckets = raw
            .into_iter()
            .try_fold(Buckets::default(), |sum, document| sum.and(&document))?;
        Some((buckets.measurements, buckets.version))
    }

    #[test]
    fn measurements_are_counted_without_unpacking() {
        let open = doc! {"_id": 1, "control": {"version": 1, "min": {}}, "meta": 7, "data": {
            "_id": {"0": 1, "1": 2}, "ts": {"0": 1, "1": 2, "2": 3}, "rare": {"1": true},
        }};
        let closed = |count: Bson| doc! {"control": {"version": 2, "count": count}, "data": {"ts": 1}};
        assert_eq!(told(&[]), Some((0, 0)));
        assert_eq!(told(std::slice::from_ref(&open)), Some((3, 1)));
        assert_eq!(
            told(&[open, closed(40.into()), closed(2_i64.into()), closed(1.0.into())]),
            Some((46, 2))
        );
        assert_eq!(
            [0, 1, 2, 3, 4].map(crate::catalog::first_with_buckets),
            [Some((5, 0)), Some((5, 0)), Some((5, 2)), Some((7, 1)), None]
        );
    }

    #[test]
    fn what_is_no_bucket_is_not_taken_for_one() {
        for document in [
            doc! {},
            doc! {"control": 1, "data": {}},
            doc! {"control": {"version": 1}},
            doc! {"control": {}, "data": {}},
            doc! {"control": {"version": 0}, "data": {}},
            doc! {"control": {"version": 2}, "data": {}},
            doc! {"control": {"version": 2, "count": -1}, "data": {}},
            doc! {"control": {"version": 3, "count": 1.5}, "data": {}},
        ] {
            assert_eq!(told(std::slice::from_ref(&document)), None, "{document}");
        }
    }
}
