//! Folders by either slash, and what is there twice because of it.

use super::*;

/// A collection is in a folder by either slash, and one that is there by both is a conflict: of buckets, definitions and
/// manifests, one of the two was taken without a word.
#[test]
fn slashes_of_both_kinds_are_folders_and_what_is_there_twice_is_said() {
    let tar = || {
        let tar = Tar::new().file("dump\\shop/orders.bson", raw(&orders()));
        tar.file("dump/shop\\users.bson", raw(&orders()))
    };
    let both = tar().bytes();
    let survey = survey(&both[..], &Choice::default()).expect("a survey");
    assert_eq!(
        (survey.names(), survey.status()),
        (vec!["orders", "users"], Status::Complete)
    );
    assert_eq!(survey.database.as_deref(), Some("shop"));
    assert_eq!(documents(&both, &survey).len(), 2);
    let empty = tar().file("dump\\shop\\", "").survey();
    assert_eq!(empty.status(), Status::Complete, "a folder: {:?}", empty.warnings);
    let series = r#"{"options": {"timeseries": {"timeField": "ts"}}}"#;
    let capped = r#"{"options": {"capped": true}}"#;
    for (first, second, content, other) in [
        ("dump/shop/orders.bson", "dump/shop\\orders.bson", "", ""),
        ("dump/shop/orders.bson", "dump\\shop/orders.jsonl", "", ""),
        ("shop/system.buckets.x.bson", "shop\\system.buckets.x.bson", "", ""),
        ("shop/x.metadata.json", "shop\\x.metadata.json", series, series),
        ("shop/a%2Eb.metadata.json", "shop\\a.b.metadata.json", series, capped),
        (
            "shop/x.metadata.json",
            "shop/system.buckets.x.metadata.json",
            series,
            capped,
        ),
        (
            "shop/manifest.json",
            "shop\\manifest.json",
            r#"{"format": "mongotar"}"#,
            r#"{"format": "mongotar"}"#,
        ),
    ] {
        let said = Tar::new().file(first, content).file(second, other).error();
        let told = |path: &str| said.contains(path) || said.contains(&format!("{path:?}"));
        assert!(told(first) && told(second), "{first} {second}: {said}");
    }
    let (once, again) = ("shop/a%2Eb.metadata.json", "shop/a.b.metadata.json");
    let same = Tar::new()
        .file(once, series)
        .file(again, series)
        .file("shop/a.b.bson", "");
    assert_eq!(same.survey().names(), ["a.b"]);
}
