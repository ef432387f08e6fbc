//! Who writes what: small collections packed together, large ones cut into ranges (DESIGN 4, scale-out).

use crate::catalog::{Collection, Kind};

/// Less than this is not worth a worker: to begin and to end one takes seconds.
pub(super) const LEAST: u64 = 16 << 20;

/// The share of one worker, or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// These collections, whole.
    Packed(Vec<String>),
    /// One collection, in so many ranges of `_id`.
    Split(String, u32),
}

/// Divides collections among at most `most` workers, and large ones by ranges if the server reads those. One share means
/// that there is nothing to divide.
pub(super) fn cut(collections: &[&Collection], most: u32, ranges_are_read: bool) -> Vec<Cut> {
    let total: u64 = collections.iter().map(|collection| size(collection)).sum();
    let workers = (total / LEAST).clamp(1, u64::from(most.max(1)));
    let target = (total / workers).max(1);
    let mut shares = Vec::new();
    let mut whole = Vec::new();
    let mut left = workers;
    for collection in collections {
        // Half as much again as the others is not worth the index scan.
        let ranges = (size(collection) + target / 2) / target;
        if ranges >= 2 && ranges_are_read && can_be_split(collection) {
            left = left.saturating_sub(ranges);
            let ranges = u32::try_from(ranges).unwrap_or(u32::MAX);
            shares.push(Cut::Split(collection.name.clone(), ranges));
        } else {
            whole.push(*collection);
        }
    }
    if !whole.is_empty() {
        let mut bins: Vec<(u64, Vec<&Collection>)> = vec![(0, Vec::new()); usize::try_from(left.max(1)).unwrap_or(1)];
        whole.sort_unstable_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
        for collection in whole {
            if let Some(emptiest) = bins.iter_mut().min_by_key(|(size, _)| *size) {
                // An empty one takes a round trip, too.
                emptiest.0 += size(collection) + 1;
                emptiest.1.push(collection);
            }
        }
        for (_, mut bin) in bins.into_iter().filter(|(_, bin)| !bin.is_empty()) {
            bin.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            shares.push(Cut::Packed(
                bin.into_iter().map(|collection| collection.name.clone()).collect(),
            ));
        }
    }
    shares
}

fn size(collection: &Collection) -> u64 {
    collection.bytes.unwrap_or(0)
}

/// Capped collections have an order, measurements no unique `_id`, and a clustered collection no `_id` index that a
/// range could be read by.
fn can_be_split(collection: &Collection) -> bool {
    collection.kind == Kind::Collection
        && !collection.is_capped()
        && collection.options.get_document("clusteredIndex").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Definition;
    use bson::rawdoc;

    const MIB: u64 = 1 << 20;

    fn collection(name: &str, mebibytes: u64) -> Collection {
        Collection {
            name: name.to_owned(),
            kind: Kind::Collection,
            options: Definition::default(),
            uuid: None,
            renamable: true,
            indexes: Vec::new(),
            documents: None,
            bytes: Some(mebibytes * MIB),
        }
    }

    fn shares(collections: &[Collection], most: u32) -> Vec<Cut> {
        cut(&collections.iter().collect::<Vec<_>>(), most, true)
    }

    #[test]
    fn what_is_small_is_one_workers() {
        let all = [collection("a", 3), collection("b", 9)];
        assert_eq!(shares(&all, 10), [Cut::Packed(vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!(shares(&[], 10), []);
        let large = [collection("a", 3_000), collection("b", 9_000)];
        assert_eq!(shares(&large, 1).len(), 1);
    }

    #[test]
    fn large_ones_are_cut_and_the_others_packed_evenly() {
        let mut all = vec![collection("large", 700)];
        all.extend((0..30).map(|at| collection(&format!("small {at:02}"), 10)));
        let shares = shares(&all, 10);
        assert_eq!(shares[0], Cut::Split("large".to_owned(), 7));
        let packed: Vec<usize> = shares[1..]
            .iter()
            .map(|share| match share {
                Cut::Packed(names) => names.len(),
                Cut::Split(..) => panic!("{share:?}"),
            })
            .collect();
        assert_eq!(packed, [10, 10, 10]);
    }

    #[test]
    fn what_cannot_be_cut_stays_whole() {
        let capped = Collection {
            options: Definition::new(rawdoc! {"capped": true}),
            ..collection("capped", 500)
        };
        let measured = Collection {
            kind: Kind::Timeseries,
            ..collection("measured", 500)
        };
        let clustered = Collection {
            options: Definition::new(rawdoc! {"clusteredIndex": {"key": {"_id": 1}, "unique": true}}),
            ..collection("clustered", 500)
        };
        let shares = shares(&[capped, measured, clustered], 9);
        assert!(
            shares
                .iter()
                .all(|share| matches!(share, Cut::Packed(names) if names.len() == 1)),
            "{shares:?}"
        );
        assert_eq!(shares.len(), 3);
        let all = [collection("large", 500), collection("small", 500)];
        let shares = cut(&all.iter().collect::<Vec<_>>(), 9, false);
        assert!(shares.iter().all(|share| matches!(share, Cut::Packed(_))), "{shares:?}");
    }
}
