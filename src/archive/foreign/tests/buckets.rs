//! Time series of `mongodump`, as the server keeps them.

use super::*;
use crate::catalog::Kind;
use crate::digest::Hashing;

#[test]
fn a_time_series_of_mongodump_is_there_as_its_buckets() {
    let timeseries = r#"{"options":{"timeseries":{"timeField":"ts"}},"type":"timeseries","indexes":[]}"#;
    let buckets = [
        doc! {"_id": 1, "control": {"version": 2, "count": 3}, "data": {}},
        doc! {"_id": 2, "control": {"version": 1}, "data": {"ts": {"0": 1, "1": 2}}},
    ];
    let readings = |survey: &Survey| {
        let (saved, held) = (survey.get("readings"), survey.signals.collections["readings"].held);
        let held = held.map(|held| (held.measurements, held.version));
        ((saved.kind, saved.status, saved.hashing, saved.documents), held)
    };
    let whole = (Kind::Timeseries, SavedStatus::Complete, Hashing::Raw, 2);
    // Where a server has no collection of buckets, the dump has them under the time series' name.
    for file in ["system.buckets.readings.bson", "readings.bson"] {
        let tar = Tar::new()
            .file(&format!("dump/shop/{file}"), raw(&buckets))
            .file("dump/shop/readings.metadata.json", timeseries)
            .bytes();
        let survey = survey(&tar[..], &Choice::default()).expect("a survey");
        assert_eq!(readings(&survey), (whole, Some((5, 2))), "{file}");
        assert_eq!(survey.status(), Status::Complete);
        assert_eq!(documents(&tar, &survey)["readings"], raw(&buckets));
    }
    // Measurements that look like buckets have a date where the options say so.
    let dated = doc! {"ts": bson::DateTime::now(), "control": {"version": 2, "count": 3}, "data": {}};
    for (documents, definition, says) in [
        (raw(&[dated]), Some(timeseries), None),
        (raw(&buckets), None, Some(".metadata.json")),
        (raw(&orders()), Some(timeseries), Some("something else")),
    ] {
        let name = match says {
            None => "dump/shop/readings.bson",
            Some(_) => "dump/shop/system.buckets.readings.bson",
        };
        let mut tar = Tar::new().file(name, documents);
        if let Some(definition) = definition {
            tar = tar.file("dump/shop/readings.metadata.json", definition);
        }
        let survey = survey(&tar.bytes()[..], &Choice::default()).expect("a survey");
        let saved = survey.get("readings");
        match says {
            None => assert_eq!(saved.hashing, Hashing::SortedFields),
            Some(says) => {
                assert_eq!(saved.status, SavedStatus::Failed, "{says}");
                assert!(
                    saved.error.as_deref().is_some_and(|error| error.contains(says)),
                    "{saved:?}"
                );
            }
        }
    }
}

/// The buckets were passed over, and the restore `complete`.
#[test]
fn buckets_beside_documents_of_the_same_name_are_a_conflict() {
    let timeseries = r#"{"options":{"timeseries":{"timeField":"ts"}},"type":"timeseries","indexes":[]}"#;
    let bucket = [doc! {"_id": 1, "control": {"version": 1}, "data": {"ts": {"0": 1}}}];
    let reading = [doc! {"_id": 1, "ts": bson::DateTime::now()}];
    let with = |documents: &[bson::Document]| {
        Tar::new()
            .file("dump/shop/system.buckets.w.bson", raw(&bucket))
            .file("dump/shop/w.bson", raw(documents))
            .file("dump/shop/w.metadata.json", timeseries)
    };
    let said = with(&reading).error();
    assert!(
        said.contains("system.buckets.w.bson") && said.contains("/w.bson"),
        "{said}"
    );
}
