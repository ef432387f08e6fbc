//! What makes restored documents expire, and which are past their time to live.

use super::parked::{Parked, off_there, said};
use super::{Action, Planned, RestorePlan};
use crate::archive::ArchiveName;
use crate::catalog::{Catalog, Collection, Definition, Kind, dated_by, expires, expiry, without_expiry};
use crate::wording::duration;

/// Seconds that are given to switch expiry off where it cannot be removed: the most that a server takes.
const NEVER: f64 = i32::MAX as f64;

impl Planned {
    /// Leaves the expiry off of everything that will be made.
    pub(super) fn park(&mut self, archived: &[Definition], target: &Catalog) {
        let (name, mut parked) = (self.name.clone(), Vec::new());
        let (kind, options) = (self.kind, self.options.clone());
        let counts = |definition: &Definition| dated_by(definition, kind, &options).is_some();
        for made in self
            .indexes
            .iter_mut()
            .chain([&mut self.options])
            .filter(|made| expires(made))
        {
            // What a server refuses, or never looks at, could not be switched on.
            if !counts(made) {
                self.warnings.push(format!(
                    "{} is left as it is: no server lets documents expire by it (several fields, `_id`, an index of another kind, or a negative time). If the target refuses it, exclude_index (--exclude-index) leaves it out",
                    said(made)
                ));
                continue;
            }
            parked.push(Parked::new(made, &name, target));
            *made = without_expiry(made);
        }
        if let Some(present) = target.get(&name).filter(|_| self.action == Action::Merge) {
            // Parked by an earlier restore.
            let there: Vec<Definition> = present.indexes.iter().chain([&present.options]).cloned().collect();
            let (_, _, off) = off_there((archived, &there));
            let off = off.iter().filter(|off| dated_by(off, kind, &present.options).is_some());
            parked.extend(off.map(|off| Parked::new(off, &name, target)));
        }
        if !parked.is_empty() {
            let said: Vec<String> = parked.iter().map(ToString::to_string).collect();
            let said = format!("its documents do not expire until switched on: {}", said.join("; "));
            self.warnings.push(said);
        }
        self.parked = parked;
    }

    /// By what its documents expire, or will when that is switched on, each with the field that has their date.
    pub(crate) fn expiring<'a>(&'a self, present: Option<&'a Collection>) -> Vec<(&'a Definition, &'a str)> {
        let present = present.filter(|_| self.action == Action::Merge);
        let options = present.map_or(&self.options, |present| &present.options);
        let there = present.into_iter().flat_map(|present| &present.indexes);
        let parked = self.parked.iter().map(|parked| &parked.definition);
        let comes = |index: &&Definition| !there.clone().any(|there| is_the_same(there, index));
        let own = self.indexes.iter().filter(comes);
        let all = own.chain([options]).chain(parked).chain(there.clone());
        all.filter(|definition| expires(definition))
            .filter_map(|definition| Some((definition, dated_by(definition, self.kind, options)?)))
            .collect()
    }
}

/// Whether a server has one already for what the other one is for, and refuses that.
fn is_the_same(there: &Definition, other: &Definition) -> bool {
    let part = |index: &Definition, name| index.get_document(name).map(|part| part.as_bytes().to_vec());
    ["key", "collation", "partialFilterExpression"]
        .into_iter()
        .all(|name| part(there, name) == part(other, name))
}

impl RestorePlan {
    /// Says of which collections documents expire when they are restored, at a Unix time: how long ago they were saved,
    /// an archive's name says, where it is one of ours.
    pub(crate) fn warn_of_expired(&mut self, target: &Catalog, now: i64) {
        let age = ArchiveName::parse(&self.archive.name).map(|name| (now - name.unix_seconds()) as f64);
        let rows = self.collections.iter_mut();
        for row in rows.filter(|row| row.action.restores() && row.kind != Kind::View) {
            let expiring = row.expiring(target.get(&row.name)).into_iter();
            let shortest = expiring.filter_map(|(definition, _)| Some((expiry(definition)?, said(definition))));
            let Some((seconds, said)) = shortest.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
                continue;
            };
            let then = match (row.parked.is_empty(), row.action) {
                (false, _) => "expire when that is switched on",
                (true, Action::Merge) => "expire, perhaps during the load: park_ttl (--park-ttl) leaves expiry off",
                (true, _) => "expire as soon as the restore has ended: park_ttl (--park-ttl) leaves expiry off",
            };
            match age.filter(|age| seconds <= *age) {
                Some(age) => row.warnings.push(format!(
                    "the archive is {} old, and documents expire by {said}: those dated when it was made {then}",
                    duration(age)
                )),
                None if row.parked.is_empty() && seconds < NEVER => row
                    .warnings
                    .push(format!("documents expire by {said}: those dated longer ago {then}")),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{catalog, collection, contents, id_index, saved};
    use crate::plan::{Existing, Policy, Ttl, plan};
    use bson::{RawDocumentBuf, rawdoc};

    const DAY: i64 = 86_400;

    fn index(more: RawDocumentBuf) -> Definition {
        let mut index = rawdoc! {"v": 2, "key": {"at": 1}, "name": "t\"tl"};
        more.iter()
            .flatten()
            .for_each(|(name, value)| index.append(name, value));
        Definition::new(index)
    }

    fn expiring() -> Definition {
        index(rawdoc! {"expireAfterSeconds": 3600})
    }

    fn archive() -> crate::plan::Contents {
        let mut orders = saved("orders");
        orders.indexes.push(expiring());
        let mut clustered = saved("clustered");
        clustered.options = Definition::new(rawdoc! {"clusteredIndex": {"unique": true}, "expireAfterSeconds": 60_i64});
        contents([orders, clustered])
    }

    fn parking(existing: Existing) -> Policy {
        Policy {
            ttl: Ttl::Parked,
            existing,
            ..Policy::new("shop")
        }
    }

    #[test]
    fn what_is_parked_is_made_without_expiry_and_the_plan_says_how_it_is_switched_on() {
        let planned = plan(&archive(), &catalog([]), &parking(Existing::Merge)).expect("a plan");
        let row = |name: &str| planned.get(name).expect("a row");
        assert_eq!(row("orders").indexes, [index(rawdoc! {})]);
        assert_eq!(row("orders").parked[0].definition, expiring());
        assert_eq!(
            row("orders").parked[0].switch_on,
            [
                r#"db.getSiblingDB("shop").runCommand({"collMod": "orders", "index": {"name": "t\"tl", "expireAfterSeconds": 3600}})"#
            ]
        );
        let options = rawdoc! {"clusteredIndex": {"unique": true}};
        assert_eq!(row("clustered").options, Definition::new(options));
        assert_eq!(
            row("clustered").parked[0].switch_on,
            [r#"db.getSiblingDB("shop").runCommand({"collMod": "clustered", "expireAfterSeconds": 60})"#]
        );
        assert!(
            row("orders").warnings[0].contains("expireAfterSeconds\": 3600"),
            "{:?}",
            row("orders").warnings
        );

        let plain = plan(&archive(), &catalog([]), &Policy::new("shop")).expect("a plan");
        assert_eq!(plain.get("orders").expect("a row").indexes, [expiring()]);
        assert!(plain.collections.iter().all(|row| row.parked.is_empty()));
    }

    /// It was made without, and the command that was to switch it on was one that no server takes.
    #[test]
    fn what_no_server_expires_by_is_not_parked_and_that_is_said() {
        let several = rawdoc! {"v": 2, "key": {"at": 1, "of": 1}, "name": "several", "expireAfterSeconds": 3600};
        let several = Definition::new(several);
        let mut orders = saved("orders");
        orders.indexes.push(several.clone());
        let planned = plan(&contents([orders]), &catalog([]), &parking(Existing::Merge)).expect("a plan");
        let row = planned.get("orders").expect("a row");
        assert_eq!((row.indexes.as_slice(), row.parked.len()), (&[several][..], 0));
        assert!(
            matches!(&row.warnings[..], [one] if one.starts_with("index several (after 3600 s) is left as it is")),
            "{:?}",
            row.warnings
        );
    }

    #[test]
    fn a_merge_goes_into_no_collection_where_documents_expire() {
        let present = |index| {
            let mut there = collection("orders");
            there.indexes.push(index);
            catalog([there])
        };
        let conflicts = plan(&archive(), &present(expiring()), &parking(Existing::Merge)).expect_err("in the way");
        let text = conflicts.to_string();
        assert!(text.contains("\"expireAfterSeconds\": 2147483647"), "{text}");
        // As that leaves it, and as an earlier restore does.
        for off in [index(rawdoc! {"expireAfterSeconds": 2_147_483_647}), index(rawdoc! {})] {
            let planned = plan(&archive(), &present(off), &parking(Existing::Merge)).expect("a plan");
            let row = planned.get("orders").expect("a row");
            assert!(row.index_diff.is_empty() && row.indexes.is_empty(), "{row:?}");
            assert_eq!(row.parked[0].definition, expiring());
        }
        let replaced = plan(&archive(), &present(expiring()), &parking(Existing::Replace)).expect("a plan");
        assert_eq!(replaced.get("orders").expect("a row").indexes, [index(rawdoc! {})]);
    }

    /// It was announced, and the server refused the index.
    #[test]
    fn nothing_expires_by_an_index_whose_fields_have_another_one_already() {
        let planned = |key: RawDocumentBuf| {
            let mut present = collection("orders");
            let there = rawdoc! {"v": 2, "key": key, "name": "at_1"};
            present.indexes.push(Definition::new(there));
            let target = catalog([present]);
            let mut planned = plan(&archive(), &target, &Policy::new("shop")).expect("a plan");
            planned.warn_of_expired(&target, 0);
            let row = planned.get("orders").expect("a row");
            assert_eq!(row.action, Action::Merge);
            row.warnings
                .iter()
                .any(|warning| warning.contains("documents expire by"))
        };
        assert!(planned(rawdoc! {"at": -1}));
        assert!(!planned(rawdoc! {"at": 1}));
    }

    #[test]
    fn by_what_documents_expire_is_said_and_whether_the_archive_is_older() {
        let made = ArchiveName::parse("backup_20261121_020000")
            .expect("a name")
            .unix_seconds();
        let said = |policy: &Policy, target: &Catalog, now: i64| {
            let mut planned = plan(&archive(), target, policy).expect("a plan");
            planned.warn_of_expired(target, now);
            let rows = planned.collections.iter().flat_map(|row| &row.warnings);
            rows.filter(|warning| warning.contains("old, and") || warning.contains("dated longer ago"))
                .cloned()
                .collect::<Vec<_>>()
        };
        let (policy, empty) = (Policy::new("shop"), catalog([]));
        // What was dated before the archive was made can be past its time all the same.
        let young = said(&policy, &empty, made + 30);
        assert_eq!(
            young[1],
            "documents expire by index t\"tl (after 3600 s): those dated longer ago expire as soon as the restore has ended: park_ttl (--park-ttl) leaves expiry off"
        );
        assert_eq!(young.len(), 2);
        assert!(said(&parking(Existing::Merge), &empty, made + 30).is_empty());
        let warnings = said(&policy, &empty, made + 3 * DAY);
        assert_eq!(
            warnings[1],
            "the archive is 3 days old, and documents expire by index t\"tl (after 3600 s): those dated when it was made expire as soon as the restore has ended: park_ttl (--park-ttl) leaves expiry off"
        );
        let parked = said(&parking(Existing::Merge), &empty, made + 3 * DAY);
        assert!(parked[1].ends_with("expire when that is switched on"), "{parked:?}");
        // Of an archive of others nobody knows how old it is; and what is as good as never is not said.
        let mut foreign = archive();
        foreign.archive.name = "shop".to_owned();
        let mut never = saved("never");
        never.indexes.push(index(rawdoc! {"expireAfterSeconds": i32::MAX}));
        foreign.collections.push(never);
        let mut planned = plan(&foreign, &empty, &policy).expect("a plan");
        planned.warn_of_expired(&empty, made + 3 * DAY);
        let warned: Vec<&str> = planned
            .collections
            .iter()
            .filter(|row| {
                row.warnings
                    .iter()
                    .any(|warning| warning.contains("those dated longer ago"))
            })
            .map(|row| row.name.as_str())
            .collect();
        assert_eq!(warned, ["clustered", "orders"]);
        // What the target expires by counts where documents are merged.
        let mut there = collection("orders");
        there.indexes = vec![id_index(), index(rawdoc! {"expireAfterSeconds": 60})];
        let merged = said(&policy, &catalog([there]), made + 600);
        assert!(
            merged[1].contains("(after 60 s)") && merged[1].contains("during the load"),
            "{merged:?}"
        );
    }
}
