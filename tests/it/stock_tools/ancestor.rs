//! The reader of the two scripts that this project replaces: `tarfile`, and `json_util.loads` for each line.

use mongotar::archive::{Compression, Payload};

use super::sample::sample;
use crate::rig::{python, shared_replica_set};

/// Restores in memory as `rollback_data.py` did, and compares with the database through the same library.
const ROLLBACK: &str = r#"
import io, json, sys, tarfile, bson, pymongo
from bson import json_util
path, uri, database = sys.argv[1:4]
found, metadata = {}, None
with tarfile.open(path, "r:*") as tar:
    for member in tar.getmembers():
        folder, file = member.name.split("/")
        assert folder.startswith("backup_"), member.name
        content = io.TextIOWrapper(tar.extractfile(member), encoding="utf-8")
        if file == "collections_metadata.json":
            metadata = json.load(content)
        elif file.endswith(".jsonl"):
            found[file[:-len(".jsonl")]] = [json_util.loads(line) for line in content if line.strip()]

db = pymongo.MongoClient(uri, tz_aware=True)[database]
def plain(name):
    return all(c not in name for c in "/\\%\n\r\t\x01\x7f") and len(name.encode()) < 230
names = [c["name"] for c in db.list_collections() if not c["name"].startswith("system.")]
checked = documents = wrapped = 0
for name in filter(plain, names):
    described = next(db.list_collections(filter={"name": name}))
    assert metadata[name]["type"] == described["type"], name
    options = json_util.loads(json.dumps(metadata[name]["options"]))
    assert bson.encode(options) == bson.encode(described["options"]), (name, options, described["options"])
    if described["type"] == "view":
        assert name not in found
        continue
    loaded = []
    for document in found[name]:
        if list(document) == ["mongotar:raw-bson"]:
            document = bson.decode(document["mongotar:raw-bson"], bson.CodecOptions(tz_aware=True))
            wrapped += 1
        loaded.append(bson.encode(document))
    assert sorted(loaded) == sorted(bson.encode(d) for d in db[name].find()), name
    checked, documents = checked + 1, documents + len(loaded)
print(checked, documents, wrapped)
"#;

#[test]
fn the_ancestors_reader_gets_the_databases_documents() {
    for archive in sample()
        .archives
        .iter()
        .filter(|archive| archive.payload == Payload::Jsonl)
    {
        // Its Python knew no zstd.
        if archive.compression == Compression::Zstd {
            continue;
        }
        let args = [
            archive.path.to_str().expect("UTF-8"),
            &shared_replica_set().uri(),
            &sample().database,
        ];
        let counts = python().stdout(ROLLBACK, &args, b"");
        let counts: Vec<u64> = String::from_utf8_lossy(&counts)
            .split_whitespace()
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(counts[0] >= 18 && counts[1] > 6000, "{counts:?}");
        assert_eq!(
            counts[2], 1,
            "the one wrapped document is read as the documentation says"
        );
    }
}
