//! Several databases in one dump, of which only one is meant.

use super::*;

const THINGS: &str = r#"{"options":{},"indexes":[],"type":"collection","collectionName":"things"}"#;

/// A dump that has documents in `full`, and an empty collection in `empty`.
fn dump(full: &[&str], empty: &[&str]) -> Tar {
    let tar = full.iter().fold(Tar::new(), |tar, database| {
        tar.file(&format!("dump/{database}/orders.bson"), raw(&orders()))
    });
    empty.iter().fold(tar, |tar, database| {
        tar.folder(&format!("dump/{database}"))
            .file(&format!("dump/{database}/things.bson"), "")
            .file(&format!("dump/{database}/things.metadata.json"), THINGS)
    })
}

/// An empty database counted, and one had to be chosen.
#[test]
fn of_several_databases_the_one_that_holds_documents_is_meant() {
    for (full, empty, chosen) in [
        (&["shop"][..], &["admin"][..], "shop"),
        (&["shop"], &["test"], "shop"),
        (&["admin"], &["config", "test"], "admin"),
        (&["shop", "admin"], &["test"], "shop"),
        (&[], &["shop", "admin"], "shop"),
    ] {
        let survey = dump(full, empty).survey();
        assert_eq!(survey.database.as_deref(), Some(chosen), "{full:?} {empty:?}");
        let left = survey.warnings.iter().find(|warning| warning.contains("left out: "));
        let left = left.expect("it is said");
        for database in empty.iter().filter(|database| **database != chosen) {
            let says = format!("dump/{database} (it holds no documents)");
            assert!(left.contains(&says), "{left}");
        }
    }
    for (full, empty) in [(&["shop", "test"][..], &[][..]), (&[], &["shop", "test"])] {
        let error = dump(full, empty).error();
        assert!(error.contains("choose the database"), "{error}");
    }
}
