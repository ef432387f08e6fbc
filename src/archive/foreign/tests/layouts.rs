//! Everything that is understood.

use super::*;
use crate::archive::{EntryName, Payload};
use crate::catalog::Kind;
use crate::digest::{Digest, DocumentHasher, Hashing};

fn digest_of(hashing: Hashing, documents: &[Document]) -> Digest {
    let mut hasher = DocumentHasher::new(hashing);
    documents
        .iter()
        .for_each(|document| hasher.add_document(&raw(std::slice::from_ref(document))));
    hasher.digest()
}

#[test]
fn an_archive_of_the_ancestor_without_metadata() {
    let readings = "{\"meta\": {\"s\": 1}, \"ts\": {\"$date\": 1700000000000}}\n";
    let tar = Tar::new()
        .folder("backup_20250926_073727")
        .file("backup_20250926_073727/orders.jsonl", ORDERS)
        .file("backup_20250926_073727/100%25.jsonl", "")
        .file("backup_20250926_073727/readings.jsonl", readings)
        .file("backup_20250926_073727/system.buckets.readings.jsonl", "not even read")
        .file("backup_20250926_073727/system.views.jsonl", "{}")
        .bytes();
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!(
        (survey.layout, survey.database.as_deref(), survey.incomplete.as_deref()),
        (Layout::Ancestor, None, None)
    );
    assert_eq!(survey.names(), ["100%25", "orders", "readings"], "names as they are");
    assert_eq!(survey.status(), Status::Complete);
    assert!(
        survey.warnings.iter().any(|warning| warning.contains("no definitions")),
        "{:?}",
        survey.warnings
    );

    let expected = digest_of(Hashing::Raw, &orders());
    assert_eq!(survey.get("orders").expected_digest(), expected);
    assert_eq!((survey.get("100%25").documents, survey.get("orders").documents), (0, 2));
    let seen = &survey.signals.collections["readings"];
    assert!(seen.buckets && !seen.described && seen.outline.documents() == 1);
    let by_fields = [doc! { "ts": bson::DateTime::from_millis(1_700_000_000_000), "meta": { "s": 1 } }];
    assert_eq!(
        seen.digest_by_fields,
        digest_of(Hashing::SortedFields, &by_fields).sum()
    );

    let documents = documents(&tar, &survey);
    assert_eq!(documents["orders"], raw(&orders()));
    assert_eq!(
        Vec::from_iter(documents.keys()),
        ["orders", "readings"],
        "buckets are never handed out"
    );
}

#[test]
fn every_dialect_gives_the_same_documents() {
    let canonical = r#"{"_id":{"$oid":"507f1f77bcf86cd799439011"},"d":{"$date":{"$numberLong":"1700000000000"}},"b":{"$binary":{"base64":"AQ==","subType":"00"}},"n":{"$numberInt":"5"}}"#;
    let relaxed = r#"{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "d": {"$date": "2023-11-14T22:13:20Z"}, "b": {"$binary": {"base64": "AQ==", "subType": "00"}}, "n": 5}"#;
    let legacy = r#"{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "d": {"$date": 1700000000000}, "b": {"$binary": "AQ==", "$type": "00"}, "n": 5}"#;
    let pretty = relaxed.replace(", ", ",\n    ").replace('{', "{\n  ");
    let survey = Tar::new()
        .file("canonical.jsonl", format!("{canonical}\n{canonical}\n"))
        .file("relaxed.json", format!("{relaxed}\n{relaxed}"))
        .file("legacy.jsonl", format!("{legacy}\r\n{legacy}\r\n"))
        .file("pretty.jsonl", format!("{pretty}\n{pretty}\n"))
        .file("array.json", format!("[{relaxed},\n{relaxed}]\n"))
        .file(
            "packed.jsonl.gz",
            [gzip(format!("{canonical}\n")), gzip(canonical)].concat(),
        )
        .survey();
    assert_eq!(survey.layout, Layout::Export);
    let first = survey.collections[0].expected_digest();
    assert_eq!(first.documents(), 2);
    for saved in &survey.collections {
        assert_eq!(
            (saved.expected_digest(), saved.error.as_deref()),
            (first, None),
            "{}",
            saved.name
        );
    }
}

#[test]
fn metadata_before_or_after_the_documents_and_for_views() {
    let metadata = r#"{"readings": {"type": "timeseries", "options": {"timeseries": {"timeField": "ts"}}},
        "paid": {"viewOn": "orders", "pipeline": []}, "orders": {}, "gone": {}, "system.views": {}}"#;
    let entries = [
        ("b/collections_metadata.json", metadata),
        ("b/orders.jsonl", ORDERS),
        ("b/paid.jsonl", ORDERS),
        ("b/readings.jsonl", "{\"z\": 1, \"ts\": {\"$date\": 5}}\n"),
    ];
    let pack = |entries: &mut dyn Iterator<Item = &(&str, &str)>| {
        entries
            .fold(Tar::new(), |tar, (path, content)| tar.file(path, content))
            .bytes()
    };
    let before = pack(&mut entries.iter());
    let after = pack(&mut entries.iter().rev());
    let survey_of = |tar: &[u8]| survey(tar, &Choice::default()).expect("a survey");
    let seen = survey_of(&before);
    assert_eq!(
        seen.digest,
        survey_of(&after).digest,
        "the order of the entries does not matter"
    );
    assert_eq!(seen.names(), ["gone", "orders", "paid", "readings"]);
    assert_eq!(
        (seen.get("readings").kind, seen.get("readings").hashing),
        (Kind::Timeseries, Hashing::SortedFields)
    );
    assert_eq!(
        seen.get("readings").digest,
        seen.signals.collections["readings"].digest_by_fields
    );
    assert_eq!((seen.get("paid").kind, seen.get("paid").documents), (Kind::View, 0));
    assert_eq!(seen.get("gone").status, SavedStatus::Failed);
    assert_eq!(seen.status(), Status::Partial);
    assert!(
        seen.warnings
            .iter()
            .any(|warning| warning.contains("\"paid\" is a view"))
    );
    assert!(!documents(&after, &seen).contains_key("paid"));
}

#[test]
fn unreadable_metadata_is_loud_and_not_fatal() {
    let survey = Tar::new()
        .file("b/collections_metadata.json", "{")
        .file("b/orders.jsonl", ORDERS)
        .survey();
    assert_eq!(
        (survey.status(), survey.get("orders").status),
        (Status::Partial, SavedStatus::Complete)
    );
    assert!(
        survey.warnings[0].contains("b/collections_metadata.json cannot be read"),
        "{:?}",
        survey.warnings
    );
}

#[test]
fn a_dump_of_mongodump() {
    let long = "x".repeat(250);
    let cut = EntryName::new(&long, Payload::Bson);
    let definition =
        format!(r#"{{"options":{{}},"indexes":[],"uuid":"0a","collectionName":"{long}","type":"collection"}}"#);
    let orders_definition = r#"{"options":{"capped":true,"size":{"$numberInt":"4096"}},"uuid":"0b","type":"collection","collectionName":"a/b ü",
        "indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_","ns":"shop.a/b"}]}"#;
    let timeseries = r#"{"options":{"timeseries":{"timeField":"ts"}},"type":"timeseries","collectionName":"readings"}"#;
    let tar = Tar::new()
        .file(
            "dump/prelude.json.gz",
            gzip(r#"{"ServerVersion":"6.0.5","ToolVersion":"100.9.0"}"#),
        )
        .file(
            "dump/oplog.bson",
            raw(&[doc! { "op": "n", "ns": "", "o": {}, "ts": bson::Timestamp { time: 1, increment: 1 } }]),
        )
        .file("dump/shop/a%2Fb+%C3%BC.bson.gz", gzip(raw(&orders())))
        .file("dump/shop/a%2Fb+%C3%BC.metadata.json.gz", gzip(orders_definition))
        .file(&format!("dump/shop/{}", cut.whole()), raw(&orders()))
        .file(&format!("dump/shop/{}", cut.definition()), definition)
        .file(
            "dump/shop/paid.metadata.json",
            r#"{"options":{"viewOn":"a/b","pipeline":[]},"indexes":[],"type":"view"}"#,
        )
        .file("dump/shop/readings.metadata.json", timeseries)
        .file("dump/shop/system.buckets.readings.bson", raw(&[doc! { "control": {} }]))
        .file("dump/admin/system.version.bson", raw(&orders()))
        .file("dump/admin/x.bson", raw(&orders()))
        .bytes();
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!(
        (survey.layout, survey.database.as_deref()),
        (Layout::Mongodump, Some("shop"))
    );
    assert_eq!(survey.names(), ["a/b ü", "paid", "readings", &long]);
    let saved = survey.get("a/b ü");
    assert_eq!(
        (saved.documents, saved.uuid.as_deref(), saved.indexes.len()),
        (2, Some("0b"), 1)
    );
    assert!(!saved.indexes[0].to_string().contains("ns"));
    assert!(saved.options.get_bool("capped").expect("capped"));
    assert_eq!(survey.get("paid").kind, Kind::View);
    let readings = survey.get("readings");
    assert_eq!(
        (readings.kind, readings.status),
        (Kind::Timeseries, SavedStatus::Failed)
    );
    assert!(
        readings
            .error
            .as_deref()
            .is_some_and(|error| error.contains("something else"))
    );
    for part in ["oplog", "left out: dump/admin"] {
        assert!(
            survey.warnings.iter().any(|warning| warning.contains(part)),
            "{part}: {:?}",
            survey.warnings
        );
    }
    let documents = documents(&tar, &survey);
    assert_eq!(documents["a/b ü"], raw(&orders()));
    assert_eq!(documents.len(), 2);
}

#[test]
fn of_several_databases_one_is_chosen() {
    let tar = || {
        Tar::new()
            .file("dump/a/x.bson", raw(&orders()))
            .file("dump/b/y.bson", raw(&orders()))
            .bytes()
    };
    let choose = |name: &str| {
        survey(
            &tar()[..],
            &Choice {
                database: Some(name.to_owned()),
                ..Choice::default()
            },
        )
    };
    let error = survey(&tar()[..], &Choice::default()).expect_err("which?").to_string();
    assert!(error.contains("\"dump/a\", \"dump/b\""), "{error}");
    for name in ["b", "dump/b"] {
        let survey = choose(name).expect("a survey");
        assert_eq!((survey.names(), survey.get("y").documents), (vec!["y"], 2));
    }
    assert!(
        choose("c")
            .expect_err("no such database")
            .to_string()
            .contains("no \"c\"")
    );
}

#[test]
fn our_own_archive_by_a_scan() {
    let long = "é".repeat(127);
    let file = |name: &str| EntryName::new(name, Payload::Jsonl).whole();
    let metadata = format!(
        r#"{{"a/b": {{"type": "collection", "uuid": "0a", "options": {{}}, "indexes": []}}, "{long}": {{"type": "collection", "options": {{}}, "indexes": []}}}}"#
    );
    let manifest = promise(&["a/b", "half", &long], "");
    let mut tar = Tar::new()
        .file("backup_1/collections_metadata.json", metadata)
        .file(&format!("backup_1/{}", file("a/b")), ORDERS)
        .file(&format!("backup_1/{}", file(&long)), ORDERS)
        .file("backup_1/half.jsonl.partial", ORDERS)
        .file("backup_1/manifest.json", manifest)
        .bytes();
    tar.extend_from_slice(b"MONGOTAR");
    tar.extend([1; 504]);
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!((survey.layout, survey.incomplete.as_deref()), (Layout::Mongotar, None));
    assert_eq!(survey.coverage, Coverage::Whole, "the manifest names all of them");
    assert_eq!(survey.names(), ["a/b", "half", &long]);
    let half = survey.get("half");
    assert_eq!((half.status, half.documents), (SavedStatus::Partial, 2));
    assert_eq!(
        documents(&tar, &survey)["half"],
        raw(&orders()),
        "for those who want what there is"
    );
}

#[test]
fn chunks_are_bounded_and_the_sink_decides() {
    let line = format!("{{\"x\": \"{}\"}}\n", "x".repeat(1 << 19));
    let tar = Tar::new()
        .file("a.jsonl", line.repeat(9))
        .file("b.jsonl", ORDERS)
        .bytes();
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!(survey.signals.collections["a"].outline.documents(), 9);
    let calls = |answer: Flow| {
        let mut calls = Vec::new();
        read_documents(&tar[..], &survey, survey.names(), |chunk| {
            assert!(chunk.bson.len() <= 2 << 20);
            calls.push((chunk.collection.to_owned(), chunk.documents));
            answer
        })
        .expect("unchanged");
        calls
    };
    let call = |name: &str, documents| (name.to_owned(), documents);
    assert_eq!(
        calls(Flow::Continue),
        [call("a", 3), call("a", 3), call("a", 3), call("b", 2)]
    );
    assert_eq!(calls(Flow::SkipEntry), [call("a", 3), call("b", 2)]);
    assert_eq!(calls(Flow::Stop), [call("a", 3)]);
}

#[test]
fn only_who_says_so_is_whole() {
    let coverage = |entries: &[(&str, &str)]| {
        let tar = entries
            .iter()
            .fold(Tar::new(), |tar, (path, content)| tar.file(path, content));
        tar.survey().coverage
    };
    let bson = String::from_utf8(raw(&[doc! { "_id": 1 }])).expect("ASCII");
    let manifest = |rest: &str| promise(&["a"], rest);
    for by_layout in [
        &[("backup_20250926_073727/a.jsonl", ORDERS)][..],
        &[
            ("./old/backup_20250926_073727/a.jsonl", ORDERS),
            ("./old/backup_20250926_073727/._a.jsonl", "x"),
        ],
    ] {
        assert_eq!(coverage(by_layout), Coverage::WholeByLayout, "{by_layout:?}");
    }
    let whole = [("backup_1/a.jsonl", ORDERS), ("backup_1/manifest.json", &manifest(""))];
    assert_eq!(coverage(&whole), Coverage::Whole);
    for unsaid in [
        &[("dump/shop/a.bson", bson.as_str())][..],
        &[("a.json", ORDERS)],
        &[("backup_1/a.jsonl", ORDERS)],
        &[("backup_20250926_073727/a.json", ORDERS)],
        &[("backup_20250926_073727/a.bson", bson.as_str())],
    ] {
        assert!(matches!(coverage(unsaid), Coverage::Unsaid(_)), "{unsaid:?}");
    }
    let selected = manifest(r#", "selection": {"include": ["a"], "exclude": []}"#);
    let more = promise(&["a", "b"], "");
    for part in [
        &[
            ("backup_20250926_073727/a.jsonl", ORDERS),
            ("backup_20250926_073727/manifest.json", &selected),
        ][..],
        &[
            ("backup_20250926_073727/a.jsonl", ORDERS),
            ("backup_20250926_073727/manifest.json", &more),
        ],
        &[
            ("backup_20250926_073727/a.jsonl", ORDERS),
            ("backup_20250926_073727/b.csv", "_id\n1\n"),
        ],
        &[("backup_20250926_073727/a.jsonl", ORDERS), ("notes.txt", "")],
        &[
            ("backup_20250926_073727/a.jsonl", ORDERS),
            ("backup_20250926_073727/b.jsonl", "{"),
        ],
        &[("dump/shop/a.bson", bson.as_str()), ("dump/more/a.csv", "_id\n1\n")],
    ] {
        assert!(matches!(coverage(part), Coverage::Part(_)), "{part:?}");
    }
}

#[test]
fn files_that_are_only_called_like_something_else_are_collections() {
    let survey = Tar::new()
        .file("orders.json", ORDERS)
        .file("manifest.json", ORDERS)
        .file("prelude.json", ORDERS)
        .file("oplog.json", ORDERS)
        .file("x.metadata.json", ORDERS)
        .file("storage.bson", raw(&orders()))
        .survey();
    assert_eq!(
        survey.names(),
        ["manifest", "oplog", "orders", "prelude", "storage", "x.metadata"]
    );
    assert!(
        survey.collections.iter().all(|saved| saved.documents == 2),
        "{:?}",
        survey.collections
    );
    assert_eq!(survey.status(), Status::Complete);
}

#[test]
fn what_is_not_read_is_named_and_makes_the_archive_partial() {
    let zstd = |content: &[u8]| zstd::encode_all(content, 1).expect("memory");
    let tar = Tar::new()
        .file("orders.ndjson", ORDERS)
        .file("items.bson.zst", zstd(&raw(&orders())))
        .file("tags.json.gz", [gzip(ORDERS), vec![0; 512]].concat())
        .file("users.csv", "_id,a\n1,2\n")
        .file("notes.json.lz4", b"\x04\x22\x4d\x18")
        .file("secret.json.age", "age-encryption.org/v1\n")
        .file("._orders.ndjson", "x")
        .bytes();
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!(survey.names(), ["items", "orders", "tags"]);
    assert_eq!((survey.status(), survey.get("items").documents), (Status::Partial, 2));
    for (path, why) in [
        ("users.csv", "CSV"),
        ("notes.json.lz4", "lz4"),
        ("secret.json.age", "encrypted with age"),
        ("._orders.ndjson", "no data"),
    ] {
        let named = |warning: &String| warning.contains(path) && warning.contains(why);
        assert!(survey.warnings.iter().any(named), "{path}: {:?}", survey.warnings);
    }
    assert_eq!(
        documents(&tar, &survey)["tags"],
        raw(&orders()),
        "also in the second pass"
    );
}

/// Compressed, it is not of 0 bytes.
#[test]
fn an_oplog_without_entries_is_no_collection_however_it_is_packed() {
    for (name, content) in [("oplog.bson", Vec::new()), ("oplog.bson.gz", gzip(""))] {
        let error = Tar::new().file(&format!("dump/{name}"), &content).error();
        assert!(error.contains("no entry of the archive is a collection"), "{error}");
        let survey = Tar::new()
            .file(&format!("dump/{name}"), content)
            .file("dump/shop/orders.bson", raw(&orders()))
            .survey();
        assert_eq!(survey.names(), ["orders"]);
        assert!(survey.warnings.concat().contains("oplog"), "{:?}", survey.warnings);
    }
}

/// Those of every database in the archive were offered.
#[test]
fn users_are_named_of_the_database_that_is_read() {
    let user = |name: &str| raw(&[doc! {"_id": name, "user": name}]);
    let survey = Tar::new()
        .file("dump/shop/orders.bson", raw(&orders()))
        .file("dump/shop/$admin.system.users.bson", user("ann"))
        .file("dump/blog/$admin.system.users.bson", user("bob"))
        .survey();
    let warnings = survey.warnings.join("\n");
    assert!(warnings.contains("the archive has user ann: --users"), "{warnings}");
    assert!(!warnings.contains("bob"), "{warnings}");
}
