//! Manifests and footers whose checksums are right and whose contents are not: refused with a reason, within bounded
//! memory. And those of a later minor version, which are read.

use mongotar::archive::{ArchiveError, Compression, FrameEncoder, Located, Payload};
use mongotar::failure::{Failure, FailureKind};
use mongotar::open::open;
use mongotar::run::Memory;
use mongotar::store::Store;
use serde_json::{Value, json};

use super::forge::{Forge, Forged, forms, open_bytes, put};
use crate::rig::ScratchDir;

/// What is said of an archive with a tampered manifest, in memory and in a store alike.
async fn refusal(forge: &Forge, tamper: impl FnOnce(&mut Value)) -> Failure {
    let scratch = ScratchDir::new("hostile");
    let forged = forge.write_tampered(tamper);
    let location = put(&scratch.path().join("archive"), &forged.bytes);
    let failure = open(&Store::new(), &location, Memory::default())
        .await
        .expect_err("a tampered manifest");
    let pure = Failure::from(open_bytes(&forged.bytes).expect_err("a tampered manifest"));
    assert_eq!(failure.kind, pure.kind);
    assert!(failure.message.ends_with(&pure.message), "{failure} is not {pure}");
    failure
}

fn orders(manifest: &mut Value) -> &mut Value {
    &mut manifest["collections"][1]
}

fn segment(manifest: &mut Value, index: usize) -> &mut Value {
    &mut orders(manifest)["entry"]["segments"][index]
}

/// A case: what is done to the manifest, and the words that the refusal must have.
type Case = (&'static str, fn(&mut Value), &'static str);

const IMPOSSIBLE: &[Case] = &[
    (
        "overlapping segments",
        |m| segment(m, 1)[0] = segment(m, 0)[0].clone(),
        "gap or an overlap",
    ),
    (
        "a segment of two collections",
        |m| m["collections"][2]["entry"] = orders(m)["entry"].clone(),
        "documents",
    ),
    (
        "a collection twice under two names",
        |m| {
            let mut twin = orders(m).clone();
            twin["name"] = "twin".into();
            m["collections"].as_array_mut().expect("rows").push(twin);
        },
        "gap or an overlap",
    ),
    (
        "an extent beyond the object",
        |m| segment(m, 2)[1] = json!(1_u64 << 40),
        "",
    ),
    (
        "an offset beyond the object",
        |m| segment(m, 2)[0] = json!(1_u64 << 40),
        "gap or an overlap",
    ),
    ("an extent that overflows", |m| segment(m, 2)[1] = json!(u64::MAX), ""),
    (
        "a header beyond the object",
        |m| orders(m)["entry"]["header"]["length"] = json!(1_u64 << 40),
        "",
    ),
    (
        "a gap",
        |m| orders(m)["entry"]["segments"].as_array_mut().expect("rows").clear(),
        "add up",
    ),
    (
        "a segment that is left out",
        |m| {
            let segment = orders(m)["entry"]["segments"].as_array_mut().expect("rows").remove(1);
            let entry = &mut orders(m)["entry"]["bytes"];
            *entry = json!(entry.as_u64().expect("a size") - segment[2].as_u64().expect("a size"));
            orders(m)["documents"] = json!(24);
        },
        "gap or an overlap",
    ),
    (
        "a segment that claims a tebibyte",
        |m| {
            segment(m, 0)[2] = json!(1_u64 << 40);
            orders(m)["entry"]["bytes"] = json!(1_u64 << 40);
        },
        "claims",
    ),
    (
        "sizes that do not add up",
        |m| orders(m)["entry"]["bytes"] = json!(5),
        "do not add up to its size",
    ),
    (
        "sizes that overflow",
        |m| (0..3).for_each(|n| segment(m, n)[2] = json!(u64::MAX)),
        "claims",
    ),
    (
        "documents that do not add up",
        |m| orders(m)["documents"] = json!(35),
        "do not add up to its documents",
    ),
    (
        "documents that overflow",
        |m| (0..3).for_each(|n| segment(m, n)[3] = json!(u64::MAX)),
        "do not add up to its documents",
    ),
    ("a name twice", |m| orders(m)["name"] = "people".into(), "twice"),
    (
        "a row that is too short",
        |m| *segment(m, 0) = json!([1, 2, 3]),
        "not a manifest",
    ),
    ("a negative offset", |m| segment(m, 0)[0] = json!(-1), "not a manifest"),
    (
        "another compression",
        |m| m["compression"] = "none".into(),
        "compression",
    ),
    ("another format", |m| m["format"] = "tarball".into(), "format"),
    (
        "an archive name that leaves its folder",
        |m| m["name"] = "../../etc/cron".into(),
        "name",
    ),
    ("no collections", |m| m["collections"] = Value::Null, "not a manifest"),
];

#[tokio::test]
async fn an_impossible_manifest_is_refused_with_its_reason() {
    let forge = Forge::small(Compression::Zstd, Payload::Jsonl);
    for (what, tamper, words) in IMPOSSIBLE {
        let failure = refusal(&forge, tamper).await;
        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{what}: {failure}");
        assert!(failure.message.contains(words), "{what}: {failure}");
        assert!(failure.message.contains("the manifest at offset"), "{what}: {failure}");
    }
}

#[tokio::test]
async fn an_unknown_major_version_or_kind_is_refused_as_unsupported() {
    let forge = Forge::small(Compression::Gzip, Payload::Bson);
    for (key, value) in [("version", "3.0"), ("version", "10.1"), ("kind", "mirror")] {
        let failure = refusal(&forge, |manifest| manifest[key] = value.into()).await;
        assert_eq!(failure.kind, FailureKind::ArchiveUnsupported, "{failure}");
        assert!(failure.message.contains(value), "{failure}");
    }
    // Of a version that is not known, nothing else is expected to make sense.
    let failure = refusal(&forge, |manifest| {
        *manifest = json!({"format": "mongotar", "version": "3.0", "kind": "full"});
    })
    .await;
    assert_eq!(failure.kind, FailureKind::ArchiveUnsupported, "{failure}");
}

/// What a full archive says of changes, or an increment of nothing before it, is not believed.
#[tokio::test]
async fn what_continues_nothing_has_no_changes_alone() {
    let forge = Forge::small(Compression::Zstd, Payload::Jsonl);
    let delta = json!({"documents": 0, "removed": 0});
    let continues = json!({
        "base": "backup_20261121_020000", "parent": "backup_20261121_020000", "manifest": "00".repeat(32), "from": {"t": 1, "i": 1},
        "place": 1, "bytes": 5000,
    });
    let damaged = async |change: &dyn Fn(&mut Value), said: &str| {
        let failure = refusal(&forge, change).await;
        assert_eq!(failure.kind, FailureKind::ArchiveDamaged, "{failure}");
        assert!(failure.message.contains(said), "{failure}");
    };
    damaged(
        &|manifest| manifest["kind"] = "increment".into(),
        "continues another archive",
    )
    .await;
    damaged(
        &|manifest| manifest["continues"] = continues.clone(),
        "continues another archive",
    )
    .await;
    damaged(
        &|manifest| orders(manifest)["delta"] = delta.clone(),
        "do not add up to its documents",
    )
    .await;
    let all = |manifest: &mut Value| {
        let documents = orders(manifest)["documents"].clone();
        orders(manifest)["delta"] = json!({"documents": documents, "removed": 0});
    };
    damaged(&all, "but continues nothing").await;
    let removed = |manifest: &mut Value| {
        let documents = orders(manifest)["documents"].clone();
        (manifest["kind"], manifest["continues"]) = ("increment".into(), continues.clone());
        orders(manifest)["delta"] = json!({"documents": documents, "removed": 7});
    };
    damaged(&removed, "do not add up to its removals").await;
    // What it says that it continues is looked for.
    let forged = forge.write_tampered(|manifest| {
        (manifest["kind"], manifest["continues"]) = ("increment".into(), continues.clone());
    });
    let scratch = ScratchDir::new("hostile");
    let location = put(&scratch.path().join("archive"), &forged.bytes);
    let failure = open(&Store::new(), &location, Memory::default())
        .await
        .expect_err("alone");
    assert_eq!(failure.kind, FailureKind::ArchiveNotFound, "{failure}");
    assert!(failure.message.contains("backup_20261121_020000"), "{failure}");
}

#[tokio::test]
async fn a_later_minor_version_with_unknown_fields_is_read() {
    let scratch = ScratchDir::new("minor");
    for (compression, payload) in forms() {
        let Forged { mut bytes, .. } = Forge::small(compression, payload).write_tampered(|manifest| {
            manifest["version"] = "1.99".into();
            manifest["mood"] = json!({"sunny": [true]});
            orders(manifest)["colour"] = "blue".into();
            orders(manifest)["entry"]["sparkle"] = json!(7);
            segment(manifest, 1)
                .as_array_mut()
                .expect("a row")
                .push(json!({"more": 1}));
        });
        resign(&mut bytes, compression, |footer| {
            footer[10] = 99; // the minor version
            footer[13..16].copy_from_slice(&[1, 2, 3]); // reserved
            footer[56..64].copy_from_slice(&[9; 8]); // reserved
        });
        let location = put(&scratch.path().join("archive"), &bytes);
        let report = mongotar::verify::verify(&Store::new(), &location, Memory::default(), &Default::default())
            .await
            .expect("a later minor version");
        assert_eq!(report.status, mongotar::backup::RunStatus::Complete, "{report:?}");
    }
}

/// Changes the footer's payload as FORMAT 6 lays it out, and signs it again.
fn resign(object: &mut [u8], compression: Compression, change: impl FnOnce(&mut [u8])) {
    let from_end = match compression {
        Compression::None => 512,
        Compression::Gzip => 154 - 16,
        Compression::Zstd => 136 - 8,
    };
    let at = object.len() - from_end;
    let payload = &mut object[at..at + 128];
    assert_eq!(&payload[..8], b"MONGOTAR");
    change(payload);
    let own = blake3::hash(&payload[..96]);
    payload[96..].copy_from_slice(own.as_bytes());
}

#[test]
fn a_footer_of_another_major_version_is_refused_as_such() {
    for (compression, payload) in forms() {
        let mut bytes = Forge::small(compression, payload).write().bytes;
        resign(&mut bytes, compression, |footer| footer[8] = 3);
        assert_eq!(
            open_bytes(&bytes).expect_err("version 3"),
            ArchiveError::Version("3.1".to_owned())
        );
    }
}

/// Numbers in a footer that is signed: none of them makes a reader allocate, read or index beyond what an archive can
/// have.
#[test]
fn impossible_footers_are_refused() {
    for (compression, payload) in forms() {
        let sound = Forge::small(compression, payload).write().bytes;
        for field in [16, 24, 32, 40, 48] {
            for value in [u64::MAX, 1 << 62, sound.len() as u64, 513 << 20, 1 << 40] {
                let mut bytes = sound.clone();
                resign(&mut bytes, compression, |footer| {
                    footer[field..field + 8].copy_from_slice(&value.to_le_bytes());
                });
                let error = open_bytes(&bytes).expect_err("an impossible footer");
                let named = matches!(error, ArchiveError::Footer(_) | ArchiveError::Manifest { .. });
                assert!(named, "{compression}: {value} at {field}: {error}");
            }
        }
    }
}

/// A reader takes the trailer whole into its memory, so a footer must not be able to call a huge object one trailer.
#[test]
fn a_footer_that_calls_the_whole_object_its_trailer_is_refused_before_it_is_read() {
    let object: u64 = 3 << 30;
    for compression in Compression::ALL {
        let sound = Forge::small(compression, Payload::Jsonl).write().bytes;
        let mut end = sound[sound.len() - 512..].to_vec();
        let length = match compression {
            Compression::None => 512,
            Compression::Gzip => 154,
            Compression::Zstd => 136,
        };
        resign(&mut end, compression, |footer| {
            footer[16..24].copy_from_slice(&0_u64.to_le_bytes()); // the trailer
            footer[24..32].copy_from_slice(&600_u64.to_le_bytes()); // the manifest's segment
            footer[48..56].copy_from_slice(&(object - length).to_le_bytes()); // the footer itself
        });
        let found = mongotar::archive::Footer::find(&end, object);
        assert!(
            matches!(found, Err(ArchiveError::Footer(_))),
            "{compression}: {found:?}"
        );
    }
}

/// A segment that decodes to more than it states is refused, and no more memory is taken for it than it states.
#[test]
fn a_decompression_bomb_costs_what_it_claims_and_no_more() {
    const CLAIMED: u64 = 1000;
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut frames = FrameEncoder::new(compression).expect("a codec");
        let bomb = frames.encode(&mut vec![b' '; 64 << 20]).expect("memory");
        assert!(bomb.stored.len() < 1 << 20, "it is small when stored");
        let mut opened = open_bytes(&Forge::small(compression, Payload::Jsonl).write().bytes).expect("sound");
        let mut entry = opened.manifest.collections.remove(1).entry.expect("orders");
        entry.segments[1].extent.length = bomb.stored.len() as u64;
        entry.segments[1].decoded_bytes = CLAIMED;
        entry.segments[1].blake3 = bomb.blake3;
        let bombed = Located {
            entry: &entry,
            index: 1,
            segment: entry.segments[1],
        };
        let mut out = Vec::new();
        let error = opened.decode(bombed, &bomb.stored, &mut out).expect_err("a bomb");
        let ArchiveError::Segment { segment, reason, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*segment, 1);
        assert!(reason.contains("more than the 1000 bytes"), "{error}");
        assert!(
            out.capacity() <= 2 * CLAIMED as usize,
            "{} bytes were taken",
            out.capacity()
        );
    }
}

/// The same for the manifest, whose decoded length the footer states.
#[test]
fn a_manifest_that_decodes_to_more_than_the_footer_states_is_refused() {
    for (compression, payload) in forms() {
        let mut bytes = Forge::small(compression, payload).write().bytes;
        resign(&mut bytes, compression, |footer| {
            footer[40..48].copy_from_slice(&100_u64.to_le_bytes());
        });
        let error = open_bytes(&bytes).expect_err("a bomb");
        assert!(matches!(error, ArchiveError::Manifest { .. }), "{error}");
    }
}

/// A segment whose rows lie about its documents is refused although all its checksums are right.
#[tokio::test]
async fn a_segment_with_other_documents_than_it_states_is_refused() {
    let scratch = ScratchDir::new("liar");
    for (compression, payload) in forms() {
        let Forged { bytes, .. } = Forge::small(compression, payload).write_tampered(|manifest| {
            segment(manifest, 0)[3] = json!(11);
            segment(manifest, 1)[3] = json!(13);
        });
        let location = put(&scratch.path().join("archive"), &bytes);
        let report = mongotar::verify::verify(&Store::new(), &location, Memory::default(), &Default::default())
            .await
            .expect("it opens");
        assert_eq!(report.status, mongotar::backup::RunStatus::Failed);
        assert_eq!(report.damaged.len(), 2, "{report:?}");
        assert!(report.damaged[0].contains("segment 0 (offset"), "{report:?}");
        assert!(report.damaged[0].contains("12 whole documents, but 11"), "{report:?}");
    }
}

/// A digest that is not that of the documents: everything decodes, and the collection is not equal.
#[tokio::test]
async fn a_forged_digest_is_found_out() {
    let scratch = ScratchDir::new("digest");
    for (compression, payload) in forms() {
        let Forged { bytes, .. } = Forge::small(compression, payload)
            .write_tampered(|manifest| orders(manifest)["digest"] = "00000000000000000000000000000001".into());
        let location = put(&scratch.path().join("archive"), &bytes);
        let report = mongotar::verify::verify(&Store::new(), &location, Memory::default(), &Default::default())
            .await
            .expect("it opens");
        assert_eq!(report.status, mongotar::backup::RunStatus::Failed);
        let unequal: Vec<_> = report
            .collections
            .iter()
            .filter(|one| !one.equal)
            .map(|one| &one.name[..])
            .collect();
        assert_eq!(unequal, ["orders"]);
    }
}

/// Segments that would be fetched whole into memory are bounded as stored, too: padding a frame is legal in no form,
/// but a forged row can claim it.
#[tokio::test]
async fn a_segment_that_is_stored_longer_than_any_can_be_is_refused() {
    let forge = Forge::small(Compression::Zstd, Payload::Jsonl);
    let failure = refusal(&forge, |manifest| segment(manifest, 0)[1] = json!(300_u64 << 20)).await;
    assert!(failure.message.contains("claims"), "{failure}");
    let failure = refusal(&forge, |manifest| {
        orders(manifest)["entry"]["header"]["length"] = json!(70_000)
    })
    .await;
    assert!(failure.message.contains("claims"), "{failure}");
}
