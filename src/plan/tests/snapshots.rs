//! Two plans with a little of everything, as JSON and as text: others read both, so any change is a decision.
//!
//! They are compared with `tests/fixtures/plan/`. For an intended change, `MONGOTAR_WRITE_FIXTURES=1 cargo test --lib
//! snapshots` rewrites the files; read the difference before you commit it.

use std::path::Path;

use bson::RawDocumentBuf;

use super::*;
use crate::archive::Status;
use crate::archive::foreign::{Outline, Signals};
use crate::catalog::Disk;

/// An archive of ours, whole but for one collection, replaces what is there.
fn replace() -> RestorePlan {
    let readings = Saved {
        kind: Kind::Timeseries,
        options: rawdoc! { "timeseries": { "timeField": "ts", "metaField": "meta", "granularity": "minutes" }, "expireAfterSeconds": 3600_i64 }.into(),
        indexes: Vec::new(),
        hashing: Hashing::SortedFields,
        ..saved("readings")
    };
    let mut users = saved("users");
    users
        .indexes
        .push(rawdoc! { "v": 2, "key": { "b": 1, "a": -1 }, "name": "b_1_a_-1" }.into());
    let lost = Saved {
        status: SavedStatus::Failed,
        error: Some("Interrupted".to_owned()),
        documents: 0,
        bytes: 0,
        ..saved("lost")
    };
    let archive = Contents {
        status: Status::Partial,
        ..contents([lost, saved("new"), saved_view("recent", "readings"), readings, users])
    };
    let mut present = collection("users");
    present.options = rawdoc! { "validator": { "a": { "$type": "int" } } }.into();
    let mut target = catalog([collection("lost"), collection("old"), present]);
    target.disk = Some(Disk {
        total: 1_000_000,
        used: 998_000,
    });
    let policy = Policy {
        existing: Existing::Replace,
        ..Policy::new("shop")
    };
    plan(&archive, &target, &policy).expect("a plan")
}

/// A part of an archive of others is merged, partly under other names, into a database that has moved on.
fn merge() -> RestorePlan {
    let mut orders = saved("orders");
    orders.options = rawdoc! { "validator": { "n": { "$gt": 0 } }, "validationLevel": "moderate" }.into();
    orders.indexes = vec![
        orders.indexes[0].clone(),
        rawdoc! { "v": 2, "key": { "n": 1 }, "name": "by_n" }.into(),
        rawdoc! { "v": 2, "key": { "at": 1 }, "name": "by_at" }.into(),
    ];
    let mut present = collection("orders");
    present.options = rawdoc! { "validator": { "n": { "$gt": 1 } }, "collation": { "locale": "de" } }.into();
    present.indexes = vec![
        present.indexes[0].clone(),
        rawdoc! { "v": 2, "key": { "n": -1 }, "name": "by_n" }.into(),
        rawdoc! { "v": 2, "key": { "x": 1 }, "name": "odd\nname" }.into(),
    ];
    let sample = |time: Option<DateTime>| match time {
        Some(time) => rawdoc! { "ts": time, "meta": { "station": 7 } },
        None => rawdoc! { "ts": "yesterday", "meta": {} },
    };
    let noon = Some(DateTime::from_millis(0));
    let seen = |buckets, sample: Vec<RawDocumentBuf>| Seen {
        buckets,
        outline: Outline::of(&sample),
        ..Seen::default()
    };
    let signals = Signals {
        metadata: true,
        collections: [
            ("air".to_owned(), seen(false, vec![sample(noon); 3])),
            ("water".to_owned(), seen(true, vec![sample(noon), sample(None)])),
        ]
        .into(),
    };
    let mut archive = contents([
        saved("air"),
        saved_view("latest", "air"),
        orders,
        saved("left"),
        saved("water"),
    ]);
    archive.signals = signals;
    archive.coverage = Coverage::Part("the tar has no end".to_owned());
    archive.database = None;
    let target = catalog([present, collection("extra"), collection("mongotar.tmp.1")]);
    let policy = Policy {
        selection: Selection {
            include: Vec::new(),
            exclude: vec!["left".to_owned(), "tmp_*".to_owned()],
        },
        validators: Validators::Bypass,
        ..renamed(&["air=air_copy"])
    };
    plan(&archive, &target, &policy).expect("a plan")
}

/// Compares with the file of that name, or writes it where the environment says so.
fn is_as_recorded(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/plan")
        .join(name);
    let now = format!("{}\n", now.trim_end());
    if std::env::var_os("MONGOTAR_WRITE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, &now).expect("the fixtures are writable");
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(now, recorded, "{name} is now:\n{now}");
}

fn json(plan: &RestorePlan) -> String {
    let json = serde_json::to_string_pretty(plan).expect("JSON");
    let read: RestorePlan = serde_json::from_str(&json).expect("a plan is read back");
    assert_eq!(&read, plan);
    json
}

#[test]
fn replacing_as_json() {
    is_as_recorded("replace.json", &json(&replace()));
}

#[test]
fn replacing_as_text() {
    is_as_recorded("replace.txt", &replace().to_string());
}

#[test]
fn merging_as_json() {
    is_as_recorded("merge.json", &json(&merge()));
}

#[test]
fn merging_as_text() {
    is_as_recorded("merge.txt", &merge().to_string());
}
