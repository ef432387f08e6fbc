//! Whole plans: scenarios, one plan as JSON and as text, and what holds for any plan.

mod coverage;
mod properties;
mod snapshots;

use bson::{DateTime, rawdoc};

use super::fixture::{self, catalog, collection, contents, saved, saved_view};
use super::*;
use crate::archive::foreign::{Buckets, Outline, Seen};
use crate::archive::{Saved, SavedStatus};
use crate::catalog::Collection;
use crate::catalog::Definition;
use crate::digest::Hashing;

fn conflicts(contents: &Contents, target: &Catalog, policy: &Policy) -> String {
    plan(contents, target, policy).expect_err("conflicts").to_string()
}

fn renamed(renames: &[&str]) -> Policy {
    let rename = renames.iter().map(|text| text.parse().expect("old=new")).collect();
    Policy {
        rename,
        ..Policy::new("shop")
    }
}

fn including(globs: &[&str]) -> Policy {
    let include = globs.iter().map(|&glob| glob.to_owned()).collect();
    Policy {
        selection: Selection {
            include,
            exclude: Vec::new(),
        },
        ..Policy::new("shop")
    }
}

#[test]
fn the_three_sets() {
    let target = catalog([collection("b"), collection("c")]);
    let plan = plan(&contents([saved("a"), saved("b")]), &target, &Policy::new("shop")).expect("a plan");
    assert_eq!(
        (plan.to_drop, plan.to_create, plan.to_restore),
        (
            vec!["c".to_owned()],
            vec!["a".to_owned()],
            vec!["a".to_owned(), "b".to_owned()],
        )
    );
    assert_eq!(plan.totals.documents_to_drop, 7);
}

#[test]
fn what_was_not_saved_whole_is_neither_restored_nor_dropped() {
    let broken = |name, status| Saved {
        status,
        error: Some("cursor lost".to_owned()),
        ..saved(name)
    };
    let archive = contents([
        broken("a", SavedStatus::Failed),
        broken("b", SavedStatus::Partial),
        saved("c"),
    ]);
    let target = catalog([collection("a"), collection("b")]);
    let policy = Policy {
        existing: Existing::Replace,
        ..Policy::new("shop")
    };
    let plan = plan(&archive, &target, &policy).expect("a plan");
    assert_eq!(
        (plan.to_drop.len(), plan.to_restore.as_slice()),
        (0, ["c".to_owned()].as_slice())
    );
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("\"a\"") && warning.contains("cursor lost"))
    );
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("\"b\"") && warning.contains("mongotar cat"))
    );
}

#[test]
fn an_empty_archive_does_not_empty_a_database() {
    let text = conflicts(&contents([]), &catalog([collection("x")]), &Policy::new("shop"));
    assert!(text.contains("everything on the target would be dropped"), "{text}");
    let keep = Policy {
        extra: Extra::Keep,
        ..Policy::new("shop")
    };
    for target in [catalog([collection("x")]), catalog([])] {
        let text = conflicts(&contents([]), &target, &keep);
        assert!(text.contains("there is nothing to restore"), "{text}");
    }
}

#[test]
fn all_conflicts_come_at_once() {
    let archive = contents([saved("orders"), saved("users")]);
    let policy = Policy {
        database: "a.b".to_owned(),
        ..renamed(&["order=x", "users=orders"])
    };
    let text = conflicts(&archive, &catalog([]), &policy);
    for part in [
        "database name",
        "\"order\"",
        "did you mean \"orders\"",
        "would be restored under this name",
        "for 4 reasons",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = conflicts(&archive, &catalog([]), &including(&["ordr", "zzz*"]));
    assert!(
        text.contains("did you mean \"orders\"") && text.contains("the archive has \"orders\", \"users\""),
        "{text}"
    );
}

#[test]
fn a_renamed_collection_leaves_its_old_name_alone() {
    let archive = contents([saved("orders"), saved_view("paid", "orders")]);
    let target = catalog([collection("orders")]);
    let plan = plan(&archive, &target, &renamed(&["orders=orders_copy"])).expect("a plan");
    assert_eq!(plan.to_create, ["orders_copy", "paid"]);
    assert_eq!(plan.get("orders").map(|row| row.action), Some(Action::Skip));
    let view = plan.get("paid").expect("a row");
    assert_eq!(view.options.get_str("viewOn"), Some("orders_copy"));
}

#[test]
fn a_collection_may_take_the_name_of_one_that_is_not_selected() {
    let archive = contents([saved("a"), saved("b")]);
    let policy = Policy {
        rename: renamed(&["a=b"]).rename,
        ..including(&["a"])
    };
    let plan = plan(&archive, &catalog([collection("b")]), &policy).expect("a plan");
    let row = plan.get("b").expect("a row");
    assert_eq!((row.action, row.source.as_deref()), (Action::Merge, Some("a")));
    assert_eq!(plan.collections.len(), 2);
}

#[test]
fn views_come_after_what_they_read_from_and_dangling_ones_are_told() {
    let archive = contents([
        saved_view("a", "z"),
        saved("data"),
        saved_view("m", "gone"),
        saved_view("z", "data"),
    ]);
    let plan = plan(&archive, &catalog([]), &Policy::new("shop")).expect("a plan");
    let order: Vec<&str> = plan.collections.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(order, ["data", "z", "a", "m"]);
    assert_eq!(
        plan.get("m").expect("a row").warnings,
        ["it reads from \"gone\", which will not exist"]
    );
    assert!(plan.get("a").expect("a row").warnings.is_empty());
}

#[test]
fn buckets_go_in_as_they_are_where_the_server_takes_them() {
    let options = rawdoc! {"timeseries": {"timeField": "ts"}};
    let mut archive = contents([Saved {
        kind: Kind::Timeseries,
        options: Definition::new(options),
        ..saved("m")
    }]);
    let seen = |version| Seen {
        described: true,
        buckets: true,
        held: Some(Buckets {
            measurements: 120,
            version,
        }),
        ..Seen::default()
    };
    for (server, version, existing, refused) in [
        ("6.0.5", 1, false, None),
        ("6.0.5", 2, false, None),
        ("6.0.5", 2, true, Some("an ordinary collection")),
        ("6.0.5", 3, false, Some("7.1 or newer")),
        ("6.0.5", 9, false, Some("of version 9")),
        ("5.0.32", 2, false, Some("5.2 or newer")),
        ("8.0.4", 3, false, None),
        ("8.3.0", 2, false, Some("mongorestore")),
        ("9.0.0", 3, false, Some("mongorestore")),
    ] {
        archive.signals.collections.insert("m".to_owned(), seen(version));
        let mut target = catalog(existing.then(|| collection("m")));
        target.server = fixture::server(server);
        let plan = plan(&archive, &target, &Policy::new("shop")).expect("a plan");
        let row = plan.get("m").expect("a row");
        match refused {
            None => {
                let buckets = row.buckets.as_ref().expect("buckets");
                assert_eq!(
                    (buckets.collection.as_str(), buckets.measurements),
                    ("system.buckets.m", 120)
                );
                assert_eq!(row.goes_into("m"), (Kind::Collection, "system.buckets.m"));
            }
            Some(why) => {
                assert_eq!(row.action, Action::Skip, "{server} {version}");
                assert!(row.reason.contains(why), "{}", row.reason);
                assert!(
                    plan.warnings.iter().any(|warning| warning.contains(why)),
                    "{:?}",
                    plan.warnings
                );
            }
        }
    }
}

#[test]
fn a_server_that_takes_no_dollars_is_told_of_where_the_source_does() {
    let mut archive = contents([saved("a")]);
    for (source, there, told) in [
        (Some("5.0.32"), "4.4.2", true),
        (Some("4.4.2"), "4.4.2", false),
        (Some("6.0.5"), "5.0.32", false),
        (None, "4.4.2", false),
    ] {
        archive.server = source.map(fixture::server);
        let mut target = catalog([]);
        target.server = fixture::server(there);
        let plan = plan(&archive, &target, &Policy::new("shop")).expect("a plan");
        let is_told = plan.warnings.iter().any(|warning| warning.contains("begins with $"));
        assert_eq!(is_told, told, "{source:?} {there}: {:?}", plan.warnings);
    }
}

#[test]
fn an_inferred_time_series_is_verified_by_its_fields() {
    let mut archive = contents([saved("readings")]);
    let sample = vec![rawdoc! { "ts": DateTime::from_millis(0), "meta": {} }];
    let digest_by_fields = "f".repeat(32).parse().expect("a sum");
    archive.signals.collections.insert(
        "readings".to_owned(),
        Seen {
            outline: Outline::of(&sample),
            digest_by_fields,
            ..Seen::default()
        },
    );

    let created = plan(&archive, &catalog([]), &Policy::new("shop")).expect("a plan");
    let row = created.get("readings").expect("a row");
    let fingerprint = row.fingerprint.expect("one");
    assert_eq!(
        (row.kind, row.method, fingerprint.hashing),
        (Kind::Timeseries, Method::InPlace, Hashing::SortedFields)
    );
    assert_eq!(fingerprint.digest, digest_by_fields);
    assert!(row.options.get_document("timeseries").is_some());

    // An ordinary collection cannot become a time series: the documents go into it, with a warning.
    let target = catalog([collection("readings")]);
    let merged = plan(&archive, &target, &Policy::new("shop")).expect("a plan");
    let row = merged.get("readings").expect("a row");
    assert_eq!((row.kind, row.action), (Kind::Collection, Action::Merge));
    assert_eq!(row.fingerprint.expect("one").hashing, Hashing::Raw);
    assert!(row.warnings[0].contains("stays one"), "{:?}", row.warnings);

    let off = Policy {
        inference: Inference::Off,
        ..Policy::new("shop")
    };
    assert_eq!(
        plan(&archive, &catalog([]), &off).expect("a plan").collections[0].kind,
        Kind::Collection
    );
}

#[test]
fn a_merge_builds_only_indexes_that_are_missing() {
    let index = |name: &str, key: bson::RawDocumentBuf| bson::rawdoc! { "v": 2, "key": key, "name": name }.into();
    let mut archived = saved("a");
    archived
        .indexes
        .extend([index("x_1", rawdoc! { "x": 1 }), index("y_1", rawdoc! { "y": 1 })]);
    archived.options = rawdoc! { "validator": { "x": { "$gt": 0 } } }.into();
    let mut present = collection("a");
    present.indexes.push(index("x_1", rawdoc! { "x": -1 }));
    let plan = plan(&contents([archived]), &catalog([present]), &Policy::new("shop")).expect("a plan");
    let row = plan.get("a").expect("a row");
    assert_eq!(row.indexes.len(), 1);
    assert_eq!(row.indexes[0].get_str("name"), Some("y_1"));
    assert!(row.options.is_empty());
    assert!(
        row.warnings[0].contains("validator") && row.warnings[1].contains("x_1"),
        "{:?}",
        row.warnings
    );
}

#[test]
fn leftovers_and_system_collections_are_no_data() {
    let target = catalog([
        collection("mongotar.lock"),
        collection("mongotar.tmp.1"),
        collection("system.views"),
    ]);
    let plan = plan(
        &contents([saved("a"), saved("system.profile")]),
        &target,
        &Policy::new("shop"),
    )
    .expect("a plan");
    assert_eq!((plan.to_drop.len(), plan.collections.len()), (0, 2));
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("1 temporary collections"))
    );
    assert_eq!(plan.get("system.profile").map(|row| row.action), Some(Action::Skip));
}

#[test]
fn a_name_that_cannot_be_created_is_a_conflict_only_if_it_must_be() {
    let archive = contents([saved("a$b")]);
    assert!(conflicts(&archive, &catalog([]), &Policy::new("shop")).contains("which a server refuses"));
    assert!(
        plan(
            &archive,
            &catalog([Collection { ..collection("a$b") }]),
            &Policy::new("shop")
        )
        .is_ok()
    );
}

#[test]
fn from_a_tar_of_the_ancestor_to_a_plan() {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("backup_1/orders.jsonl", "{\"_id\": 1}\n"),
        (
            "backup_1/waqi_station_readings.jsonl",
            "{\"ts\": {\"$date\": 1700000000000}, \"meta\": {\"s\": 1}, \"pm25\": 7}\n",
        ),
        ("backup_1/broken.jsonl", "{\"_id\": "),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).expect("memory");
    }
    let tar = tar.into_inner().expect("memory");
    let survey = crate::archive::foreign::survey(&tar[..], &Default::default()).expect("a survey");
    let archive = Contents {
        status: survey.status(),
        signals: survey.signals,
        ..contents(survey.collections)
    };
    let target = catalog([collection("broken"), collection("old")]);
    let plan = plan(&archive, &target, &Policy::new("shop")).expect("a plan");
    assert_eq!(
        (plan.to_drop, plan.to_restore),
        (
            // One of its collections cannot be read, so it is partial.
            Vec::new(),
            vec!["orders".to_owned(), "waqi_station_readings".to_owned()],
        )
    );
    let readings = plan
        .collections
        .iter()
        .find(|row| row.kind == Kind::Timeseries)
        .expect("inferred");
    assert_eq!(
        readings.timeseries.as_ref().map(|inferred| inferred.signal),
        Some(Signal::Sample)
    );
    assert_eq!(readings.expected_digest().map(|digest| digest.documents()), Some(1));
}
