//! Whether the restored data may exceed the target's disk.

use super::PlanTotals;
use crate::catalog::Disk;

/// Says that the documents to come may not fit, where that is so.
///
/// Never more than a warning: how well documents compress is not known, nor how large indexes get. What is replaced or
/// dropped stays until the commit, so it frees nothing before.
pub(super) fn warning(totals: &PlanTotals, disk: Option<Disk>) -> Option<String> {
    let disk = disk?;
    let free = disk.free();
    (totals.bytes > free).then(|| {
        format!(
            "it may not fit: {} of documents will come (before compression, without indexes), and the target's file system has {} free of {}; \
             collections to replace or drop free nothing before the commit",
            human(totals.bytes),
            human(free),
            human(disk.total)
        )
    })
}

/// A size as people say it, in decimal units.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be rounded to 1000.0 is one of the next unit.
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{catalog, collection, contents, saved};
    use crate::plan::{Existing, Policy, plan};

    #[test]
    fn sizes_as_people_say_them() {
        let said = [0, 999, 1000, 999_949, 999_950, 12_345_678, 3_000_000_000_000, u64::MAX].map(human);
        assert_eq!(
            said,
            [
                "0 bytes",
                "999 bytes",
                "1.0 kB",
                "999.9 kB",
                "1.0 MB",
                "12.3 MB",
                "3.0 TB",
                "18446.7 PB"
            ]
        );
    }

    #[test]
    fn what_may_not_fit_is_said_with_both_numbers_and_is_no_conflict() {
        let mut large = saved("a");
        large.bytes = 30_000_000_000;
        let policy = Policy {
            existing: Existing::Replace,
            ..Policy::new("shop")
        };
        let warnings = |disk| {
            let mut target = catalog([collection("a"), collection("b")]);
            target.disk = disk;
            plan(&contents([large.clone()]), &target, &policy)
                .expect("a plan")
                .warnings
        };
        let disk = |total, used| Some(Disk { total, used });
        let said = warnings(disk(100_000_000_000, 88_000_000_000));
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "may not fit",
            "30.0 GB",
            "12.0 GB free of 100.0 GB",
            "before the commit",
        ] {
            assert!(said[0].contains(part), "{part}: {said:?}");
        }
        assert!(
            warnings(disk(100_000_000_000, 70_000_000_000)).is_empty(),
            "just enough"
        );
        assert_eq!(warnings(disk(100_000_000_000, 70_000_000_001)).len(), 1);
        assert!(warnings(None).is_empty(), "not known");
        assert!(
            warnings(disk(1, 2))[0].contains("0 bytes free"),
            "a server that counts reserved blocks as used"
        );
    }

    #[test]
    fn what_is_not_restored_needs_no_room() {
        let mut large = saved("a");
        large.bytes = u64::MAX;
        let mut target = catalog([]);
        target.disk = Some(Disk { total: 10_000, used: 0 });
        let policy = Policy {
            selection: crate::plan::Selection {
                include: vec!["b".to_owned()],
                exclude: Vec::new(),
            },
            ..Policy::new("shop")
        };
        let plan = plan(&contents([large, saved("b")]), &target, &policy).expect("a plan");
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
}
