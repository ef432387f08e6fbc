//! Python's packages and libarchive are there and read what they must.

use super::super::{ScratchDir, libarchive_extract, libarchive_list, python};
use std::fs;

const PACK: &str = r#"
import gzip, io, sys, tarfile, zstandard
plain = io.BytesIO()
with tarfile.open(fileobj=plain, mode="w") as tar:
    for name in ("backup_1/orders.jsonl", "backup_1/ä.jsonl"):
        member = tarfile.TarInfo(name)
        member.size = len(name.encode())
        tar.addfile(member, io.BytesIO(name.encode()))
for suffix, pack in ("", bytes), (".gz", gzip.compress), (".zst", zstandard.compress):
    with open(sys.argv[1] + "/a.tar" + suffix, "wb") as file:
        file.write(pack(plain.getvalue()))
"#;

#[test]
fn pymongo_speaks_extended_json() {
    let script = "import sys, bson, bson.json_util as j; sys.stdout.write(j.dumps(bson.decode(sys.stdin.buffer.read()), json_options=j.CANONICAL_JSON_OPTIONS))";
    let document = mongodb::bson::doc! {"a": 1_i64}
        .to_vec()
        .expect("a document can be encoded");
    assert_eq!(
        python().stdout(script, &[] as &[&str], &document),
        br#"{"a": {"$numberLong": "1"}}"#
    );
    assert!(
        !python()
            .run("raise SystemExit(4)", &[] as &[&str], b"unread")
            .status
            .success()
    );
}

#[test]
fn libarchive_reads_tar_gzip_and_zstd() {
    let scratch = ScratchDir::new("libarchive");
    python().stdout(PACK, &[scratch.path()], b"");
    for name in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        let archive = scratch.path().join(name);
        assert_eq!(
            libarchive_list(&archive),
            ["backup_1/orders.jsonl", "backup_1/ä.jsonl"],
            "{name}"
        );
        let folder = scratch.path().join(format!("from {name}"));
        libarchive_extract(&archive, &folder);
        for entry in ["backup_1/orders.jsonl", "backup_1/ä.jsonl"] {
            assert_eq!(fs::read_to_string(folder.join(entry)).expect(name), entry);
        }
    }
}
