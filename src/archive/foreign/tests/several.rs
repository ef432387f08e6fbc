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

/// The server's own are passed over. Any other may be meant, also one without documents: its definitions would go
/// elsewhere, and the documents of another one would come in its place.
#[test]
fn of_several_databases_one_is_named_unless_the_others_are_the_servers_own() {
    for (full, empty, chosen) in [
        (&["shop"][..], &["admin"][..], "shop"),
        (&["shop", "admin"], &["config"], "shop"),
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
    for (full, empty) in [
        (&["shop", "test"][..], &[][..]),
        (&["billing"], &["shop"]),
        (&[], &["shop", "test"]),
    ] {
        let error = dump(full, empty).error();
        assert!(error.contains("choose the database"), "{error}");
    }
}
