//! Everything that is broken, hostile, or not what it was.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

fn sample() -> Vec<u8> {
    Tar::new()
        .folder("b")
        .file("b/collections_metadata.json", r#"{"orders": {}}"#)
        .file("b/orders.jsonl", ORDERS.repeat(40))
        .file("b/empty.jsonl", "")
        .file("b/packed.bson.gz", gzip(raw(&orders()).repeat(50)))
        .file(&format!("b/{}.jsonl", "long".repeat(40)), ORDERS)
        .bytes()
}

#[test]
fn a_truncated_tar_is_never_silently_short() {
    let whole = sample();
    let complete = survey(&whole[..], &Choice::default()).expect("a survey");
    assert_eq!(complete.incomplete, None);
    for length in (0..whole.len()).filter(|length| length % 512 < 2 || length % 512 == 511) {
        match survey(&whole[..length], &Choice::default()) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(survey) if length > whole.len() - 1024 => {
                assert_eq!(survey.names(), complete.names());
                assert!(
                    survey.warnings.iter().any(|warning| warning.contains("end mark")),
                    "at {length}"
                );
            }
            Ok(survey) => {
                assert!(
                    survey.incomplete.is_some() && survey.status() == Status::Partial,
                    "at {length}"
                );
            }
        }
    }
}

#[test]
fn a_truncated_content_names_entry_and_offset() {
    let whole = Tar::new().file("b/orders.jsonl", ORDERS.repeat(40)).bytes();
    let error = survey(&whole[..1000], &Choice::default()).expect_err("cut").to_string();
    assert_eq!(
        error,
        "b/orders.jsonl: the tar ends 1272 bytes before the end of this entry of 1760 bytes: it is truncated (offset 1000 of the archive)"
    );
}

/// All of them were told as "failed to read entire block".
#[test]
fn a_file_that_is_shorter_than_a_header_is_told_by_what_it_is() {
    let whole = sample();
    for (content, says) in [
        (
            &b"x"[..],
            "it has 1 byte, and a tar begins with a header of 512: this is no archive",
        ),
        (b"Not Found", "no archive"),
        (&[0xa7; 511], "it has 511 bytes"),
        (&[0; 100], "zeros and nothing else"),
        (&whole[..300], "the beginning of a tar's first header: it is truncated"),
        (b"<html>", "a page or XML"),
    ] {
        let error = survey(content, &Choice::default()).expect_err(says).to_string();
        assert!(error.contains(says) && !error.contains("entire block"), "{error}");
    }
    // A header that comes later, and what is behind an entry.
    for (length, says) in [
        (600, "the tar ends within a header"),
        (1600, "the tar ends within the padding"),
    ] {
        let tar = Tar::new().file("b/orders.jsonl", ORDERS).bytes();
        let bytes = match length {
            600 => [&tar[..512 * (1 + ORDERS.len().div_ceil(512))], &[b'x'; 88][..]].concat(),
            _ => tar[..512 + ORDERS.len() + 1].to_vec(),
        };
        let error = survey(&bytes[..], &Choice::default()).expect_err(says).to_string();
        assert!(error.contains(says) && error.contains("it is truncated"), "{error}");
    }
    // What breaks off before is told as that.
    let packed = gzip(&whole);
    let mut broken = Packing::Gzip.unpack(&packed[..40]);
    let error = survey(&mut broken, &Choice::default()).expect_err("cut").to_string();
    assert!(error.contains("reading failed"), "{error}");
}

/// An archive of ours that was unpacked, changed and packed again was restored "complete", though its manifest says what
/// it must hold.
#[test]
fn a_manifest_that_is_not_kept_to_or_not_read_makes_an_archive_partial() {
    let with = |manifest: &str| {
        let tar = Tar::new().file("backup_1/orders.jsonl", ORDERS);
        tar.file("backup_1/manifest.json", manifest).survey()
    };
    let digest = Tar::new()
        .file("backup_1/orders.jsonl", ORDERS)
        .survey()
        .get("orders")
        .digest;
    let kept = promise(&["orders"], "")
        .replace("sorted-fields", "raw")
        .replace("\"\"", &format!("\"{digest}\""));
    let survey = with(&kept);
    assert_eq!(
        (survey.status(), &survey.coverage),
        (Status::Complete, &Coverage::Whole)
    );
    for (broken, told) in [
        (
            kept.replace(": 2,", ": 3,"),
            "promises 3 documents, and the archive has 2",
        ),
        (
            kept.replace(&digest.to_string(), &"0".repeat(32)),
            "not those of which the manifest has the digest",
        ),
        (kept[..kept.len() / 2].to_owned(), "manifest.json cannot be read"),
    ] {
        let survey = with(&broken);
        assert_eq!(survey.status(), Status::Partial, "{told}");
        assert!(matches!(survey.coverage, Coverage::Part(_)), "{told}");
        assert!(
            survey.incomplete.as_deref().is_some_and(|why| why.contains(told)),
            "{:?}",
            survey.incomplete
        );
    }
    let unknown = Tar::new()
        .file("backup_1/orders.jsonl", ORDERS)
        .file("backup_1/manifest.json", &kept)
        .file("backup_1/system.tomorrow.jsonl", ORDERS)
        .survey();
    assert!(matches!(unknown.coverage, Coverage::Part(_)), "{:?}", unknown.coverage);
}

/// The name behind the break was lost without a word, and the collection got what the old header had of it.
#[test]
fn a_line_break_within_an_extended_header_belongs_to_its_record() {
    let with = |records: &[(&str, &str)]| {
        let mut tar = Tar::new().file("dump/shop/first", "x".repeat(700));
        let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        tar.0.append_pax_extensions(records).expect("memory");
        tar.file("dump/shop/cut.bson", raw(&orders()))
    };
    for (records, name) in [
        (&[("path", "dump/shop/caf\u{e9}.bson")][..], "caf\u{e9}"),
        (&[("path", "dump/shop/caf\u{e9}\nb.bson")], "caf\u{e9}\nb"),
        // What a desktop keeps beside a file is bytes of any kind.
        (&[("SCHILY.xattr.a", "\n25 path=dump/shop/evil.bson\n")], "cut"),
    ] {
        assert_eq!(with(records).survey().names(), [name], "{records:?}");
    }
    let error = with(&[("path", "dump/shop/a\nb.bson"), ("size", "1\n")]).error();
    assert!(error.contains("--format=gnu"), "{error}");
}

#[test]
fn a_broken_collection_does_not_spoil_the_others() {
    let survey = Tar::new()
        .file("b/bad.jsonl", "{\"_id\": 1}\n{\"_id\": {\"x\": nope}}\n")
        .file("b/bad2.bson", [raw(&orders()), vec![9, 0, 0, 0]].concat())
        .file("b/bad3.jsonl.gz", &gzip(ORDERS)[..20])
        .file("b/bad4.bson", b"\x08\0\0\0\x7bx\0\0")
        .file("b/orders.jsonl", ORDERS)
        .survey();
    let bad = survey.get("bad");
    assert_eq!((bad.status, bad.documents), (SavedStatus::Partial, 1));
    let error = bad.error.as_deref().expect("a reason");
    assert!(
        error.starts_with("b/bad.jsonl, line 2, byte ") && error.contains("_id.x"),
        "{error}"
    );
    assert_eq!(
        (survey.get("bad2").status, survey.get("bad2").documents),
        (SavedStatus::Partial, 2)
    );
    assert_eq!(survey.get("bad3").status, SavedStatus::Partial);
    assert!(
        survey
            .get("bad4")
            .error
            .as_deref()
            .is_some_and(|error| error.contains("document 1, byte 0"))
    );
    assert_eq!(survey.get("orders").status, SavedStatus::Complete);
    assert_eq!(survey.status(), Status::Partial);
}

#[test]
fn one_collection_twice_is_an_error_that_names_both() {
    let error = Tar::new().file("b/a.jsonl", ORDERS).file("b/a.json", ORDERS).error();
    assert!(error.contains("\"b/a.jsonl\" and \"b/a.json\""), "{error}");
    assert!(
        Tar::new()
            .file("b/a.jsonl", ORDERS)
            .file("b/a.jsonl", "")
            .error()
            .contains("remove one")
    );
    let twice = Tar::new()
        .file("b/collections_metadata.json", "{}")
        .file("./b/collections_metadata.json", "{}");
    assert!(twice.error().contains("it repeats"));
}

#[test]
fn what_follows_the_end_is_told() {
    let tar = [
        Tar::new().file("a.jsonl", ORDERS).bytes(),
        Tar::new().file("b.jsonl", ORDERS).bytes(),
    ]
    .concat();
    let survey = survey(&tar[..], &Choice::default()).expect("a survey");
    assert_eq!(survey.names(), ["a"]);
    assert!(survey.incomplete.expect("a reason").contains("perhaps a second tar"));
}

#[test]
fn links_and_strange_paths_are_not_followed() {
    // The builder refuses such paths: write them into the header.
    let with_path = |path: &str| {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(ORDERS.len() as u64);
        header.set_cksum();
        let mut tar = Tar::new().file("orders.jsonl", ORDERS);
        tar.0.append(&header, ORDERS.as_bytes()).expect("memory");
        tar
    };
    for path in ["../up.jsonl", "/etc/shadow.jsonl", "a/../b.bson"] {
        let survey = with_path(path).survey();
        assert_eq!(survey.names(), ["orders"], "{path}");
        assert!(survey.incomplete.expect("a reason").contains(path));
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        let survey = Tar::new()
            .file("orders.jsonl", ORDERS)
            .link(kind, "users.jsonl", "/etc/passwd")
            .link(kind, "x", "y")
            .survey();
        assert_eq!(
            (survey.names(), survey.get("users").status),
            (vec!["orders", "users"], SavedStatus::Failed)
        );
    }
}

#[test]
fn sparse_entries_are_refused_by_name() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_path("sparse.jsonl").expect("short");
    header.set_size(0);
    header.as_gnu_mut().expect("gnu").realsize = *b"00000000000\0";
    header.set_cksum();
    let mut tar = Tar::new();
    tar.0.append(&header, io::empty()).expect("memory");
    assert!(tar.error().contains("sparse"));

    let mut tar = Tar::new();
    tar.0
        .append_pax_extensions([("GNU.sparse.major", &b"1"[..])])
        .expect("memory");
    assert!(tar.file("sparse.jsonl", ORDERS).error().contains("--sparse"));
}

#[test]
fn hostile_headers_take_no_memory() {
    let header = |kind, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("a.jsonl").expect("short");
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    for size in [u64::MAX, u64::MAX - 511, i64::MAX as u64, 1 << 40] {
        for kind in [
            tar::EntryType::Regular,
            tar::EntryType::GNULongName,
            tar::EntryType::XHeader,
        ] {
            let endless = header(kind, size);
            let tar = endless.as_slice().chain(io::repeat(b'x')).take(4 << 20);
            assert!(survey(tar, &Choice::default()).is_err(), "{kind:?} {size}");
        }
    }
}

#[test]
fn a_source_that_fails_is_not_taken_for_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset"))
        }
    }
    let whole = sample();
    for length in (0..whole.len() - 512).step_by(100) {
        let result = survey(whole[..length].chain(Failing), &Choice::default());
        assert!(
            matches!(result, Err(ForeignError::Read { .. })),
            "at {length}: {result:?}"
        );
    }
}

#[test]
fn another_tar_than_the_surveyed_one_is_refused() {
    let tar = |content: &str| Tar::new().file("a.jsonl", ORDERS).file("b.jsonl", content).bytes();
    let survey = survey(&tar(ORDERS)[..], &Choice::default()).expect("a survey");
    let again = |tar: &[u8]| {
        read_documents(tar, &survey, survey.names(), |_| Flow::Continue).map_err(|error| error.to_string())
    };
    assert_eq!(again(&tar(ORDERS)), Ok(()));
    let spaces = " ".repeat(ORDERS.len());
    for (other, problem) in [
        ("{}", "has 2 bytes"),
        (&spaces, "has 0 documents"),
        (&spaces.replacen(' ', "{", 1), "ends inside"),
    ] {
        let error = again(&tar(other)).expect_err(problem);
        assert!(error.contains("has changed") && error.contains(problem), "{error}");
    }
    assert!(
        again(&Tar::new().file("a.jsonl", ORDERS).bytes())
            .expect_err("short")
            .contains("\"b.jsonl\" is missing")
    );
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    assert!(
        Tar::new()
            .file("README", "hello")
            .error()
            .contains("the first is \"README\"")
    );
    assert!(survey(&b""[..], &Choice::default()).is_err());
    assert!(survey(&[0; 10240][..], &Choice::default()).is_err());
    assert!(survey(&[b'x'; 10240][..], &Choice::default()).is_err());
}

#[test]
fn what_can_never_be_restored_is_refused_by_what_it_is() {
    let storage = raw(&[bson::doc! { "storage": { "engine": "wiredTiger", "options": {} } }]);
    for tar in [
        Tar::new().file("db/storage.bson", &storage).file("db/WiredTiger", "x"),
        Tar::new().file("db/collection-0-1.wt", "x"),
        Tar::new()
            .file("db/orders.bson", raw(&orders()))
            .file("db/journal/WiredTigerLog.0000000001", "x"),
    ] {
        let error = tar.error();
        assert!(
            error.contains("data file of a server") && error.contains("--dbpath"),
            "{error}"
        );
    }
    for (head, what) in [(&b"PK\x03\x04\x14"[..], "zip"), (b"Salted__abcdefgh", "openssl")] {
        let error = survey(head, &Choice::default()).expect_err(what);
        assert!(
            matches!(&error, ForeignError::Refused(text) if text.contains(what)),
            "{error}"
        );
    }
    let error = Tar::new().file("orders.json.gpg", b"\x85\x02\x0c\x03").error();
    assert!(
        error.contains("orders.json.gpg") && error.contains("encrypted with gpg"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(at in 0..8192_usize, value: u8, length in 0..8192_usize) {
        let mut tar = sample();
        let at = at % tar.len();
        tar[at] = value;
        tar.truncate(tar.len().min(length + 512));
        if let Ok(survey) = survey(&tar[..], &Choice::default()) {
            let _ = read_documents(&tar[..], &survey, survey.names(), |_| Flow::Continue);
        }
    }
}

#[test]
fn more_members_than_there_is_memory_for_are_refused_with_what_to_do() {
    let tar = (0..40).fold(Tar::new(), |tar, number| tar.file(&format!("{number}.jsonl"), ORDERS));
    let tar = tar.file(
        "collections_metadata.json",
        format!("{{\"0\": {{\"x\": \"{}\"}}}}", "x".repeat(100_000)),
    );
    let bytes = tar.bytes();
    let within = |memory| {
        let choice = Choice {
            memory,
            ..Choice::default()
        };
        survey(&bytes[..], &choice).map_err(|error| error.to_string())
    };
    assert_eq!(within(1 << 20).expect("there is room").collections.len(), 40);
    for memory in [20_000, 100_000, 300_000] {
        let error = within(memory).expect_err("too many");
        assert!(error.contains("MONGOTAR_MEMORY") && error.contains("offset"), "{error}");
    }
}

/// They were said to be no collection, and nothing of what they are.
#[test]
fn what_is_packed_or_encrypted_is_refused_by_what_it_is() {
    for (name, content, what) in [
        ("dump/shop.zip", &b"PK\x03\x04\x14\0"[..], "a zip archive: unpack it"),
        ("dump/all.7Z", b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
        (
            "shop/orders.bson.enc",
            &[0xa7; 600],
            "encrypted, as its name says: decrypt it",
        ),
        (
            "shop/orders.bson.gpg",
            &[0x85, 2, 12, 3, 1],
            "encrypted with gpg: decrypt it",
        ),
        (
            "shop/orders.bson.age",
            b"age-encryption.org/v1\n",
            "encrypted with age: decrypt it",
        ),
    ] {
        let error = Tar::new().file(name, content).error();
        assert!(error.contains(name) && error.contains(what), "{error}");
        assert!(!error.contains("no entry of the archive"), "{error}");
    }
}
