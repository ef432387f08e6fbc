//! What holds for any plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::plan::names::is_reserved;

const NAMES: [&str; 9] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "system.js",
    "system.profile",
    "mongotar.tmp.1",
];

fn names() -> impl Strategy<Value = BTreeSet<&'static str>> {
    prop::sample::subsequence(&NAMES, 0..=NAMES.len()).prop_map(|names| names.into_iter().collect())
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Collection, Kind::Collection, Kind::Timeseries, Kind::View])
}

fn archived() -> impl Strategy<Value = Vec<Saved>> {
    let status = prop::sample::select(vec![
        SavedStatus::Complete,
        SavedStatus::Complete,
        SavedStatus::Partial,
        SavedStatus::Failed,
    ]);
    let one = (kind(), status, prop::sample::select(&NAMES[..]));
    (names(), prop::collection::vec(one, NAMES.len())).prop_map(|(names, details)| {
        let saved = |(name, (kind, status, on)): (&str, (Kind, SavedStatus, &str))| match kind {
            Kind::View => Saved {
                status,
                ..saved_view(name, on)
            },
            _ => Saved {
                kind,
                status,
                ..saved(name)
            },
        };
        names.into_iter().zip(details).map(saved).collect()
    })
}

fn present() -> impl Strategy<Value = Catalog> {
    (names(), prop::collection::vec(kind(), NAMES.len())).prop_map(|(names, kinds)| {
        let collections = names.into_iter().zip(kinds).map(|(name, kind)| Collection {
            kind,
            ..collection(name)
        });
        catalog(collections)
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let globs = || prop::collection::vec(prop::sample::select(vec!["a", "b", "?", "*", "sys*"]), 0..2);
    let renames = prop::collection::vec(
        (prop::sample::select(&NAMES[..6]), prop::sample::select(vec!["b", "x"])),
        0..2,
    );
    let existing = prop::sample::select(vec![Existing::Merge, Existing::Replace]);
    let extra = prop::sample::select(vec![Extra::Drop, Extra::Drop, Extra::Keep, Extra::DropMissing]);
    (globs(), globs(), renames, existing, extra).prop_map(|(include, exclude, renames, existing, extra)| {
        let owned = |globs: Vec<&str>| globs.into_iter().map(str::to_owned).collect();
        let rename = |(from, to): (&str, &str)| Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        Policy {
            selection: Selection {
                include: owned(include),
                exclude: owned(exclude),
            },
            rename: renames.into_iter().map(rename).collect(),
            existing,
            extra,
            ..Policy::new("shop")
        }
    })
}

fn coverage() -> impl Strategy<Value = Coverage> {
    let part = Coverage::Part("cut".to_owned());
    prop::sample::select(vec![
        Coverage::Whole,
        Coverage::WholeByLayout,
        Coverage::Unsaid("a dump".to_owned()),
        part,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_plan(archive in archived(), target in present(), policy in policy(), coverage in coverage()) {
        let may_drop = match coverage {
            Coverage::Whole | Coverage::WholeByLayout => policy.extra != Extra::Keep,
            Coverage::Unsaid(_) => policy.extra == Extra::DropMissing,
            Coverage::Part(_) => false,
        };
        let archive = Contents { coverage, ..contents(archive) };
        let Ok(plan) = plan(&archive, &target, &policy) else {
            prop_assert!(!plan(&archive, &target, &policy).expect_err("deterministic").0.is_empty());
            return Ok(());
        };
        prop_assert_eq!(&super::super::plan(&archive, &target, &policy), &Ok(plan.clone()), "deterministic");

        let archived: BTreeSet<&str> = archive.collections.iter().map(|saved| saved.name.as_str()).collect();
        for name in &plan.to_drop {
            prop_assert!(!archived.contains(name.as_str()), "{} is in the archive", name);
            prop_assert!(target.get(name).is_some() && !is_reserved(name));
        }
        if policy.is_selective() || !may_drop {
            prop_assert!(plan.to_drop.is_empty());
        }

        let sources: Vec<&str> = plan.collections.iter().filter_map(|row| row.source.as_deref()).collect();
        prop_assert_eq!(sources.len(), archived.len(), "every saved collection once");
        prop_assert_eq!(sources.into_iter().collect::<BTreeSet<_>>(), archived);
        for present in target.collections.iter().filter(|present| !is_reserved(&present.name)) {
            let rows = || plan.collections.iter().filter(|row| row.name == present.name);
            let changing = rows().filter(|row| row.action != Action::Skip).count();
            prop_assert!(rows().count() >= 1 && changing <= 1, "{}", present.name);
            prop_assert!(rows().count() == 1 || !policy.rename.is_empty(), "{}", present.name);
        }
        for row in plan.restored() {
            let saved = archive.collections.iter().find(|saved| Some(&saved.name) == row.source.as_ref()).expect("saved");
            prop_assert_eq!(saved.status, SavedStatus::Complete);
            prop_assert!(!is_reserved(&saved.name) && policy.selection.selects(&saved.name));
        }

        let phase = |row: &Planned| match (row.action, row.kind) {
            (Action::Drop, _) => 4,
            (Action::Skip, _) => 3,
            (_, Kind::View) => 2,
            (_, Kind::Timeseries) => 1,
            (_, Kind::Collection) => 0,
        };
        prop_assert!(plan.collections.is_sorted_by_key(phase));
        let text = serde_json::to_string(&plan).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<RestorePlan>(&text).expect("a plan"), plan);
    }
}
