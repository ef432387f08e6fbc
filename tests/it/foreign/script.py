"""A backup as the scripts that mongotar replaces made it: collections through bson.json_util, packed with tarfile.

argv: URI, database, output, options as JSON:
  mode      legacy | relaxed | canonical
  indent    spaces, or null
  metadata  none | options | entries | list
  buckets   whether system.buckets.* are exported as well
  gzip      whether the tar is gzipped by hand afterwards
"""
import gzip, io, json, sys, tarfile, time
from bson import json_util
from pymongo import MongoClient

uri, database, out, options = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
mode = {
    "legacy": json_util.LEGACY_JSON_OPTIONS,
    "relaxed": json_util.RELAXED_JSON_OPTIONS,
    "canonical": json_util.CANONICAL_JSON_OPTIONS,
}[options["mode"]]
db = MongoClient(uri)[database]
folder = "backup_20250926_073727"
entries = list(db.list_collections())
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as tar:
    top = tarfile.TarInfo(folder)
    top.type, top.mode, top.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
    tar.addfile(top)

    def add(name, text):
        content = text.encode("utf-8")
        entry = tarfile.TarInfo(f"{folder}/{name}")
        entry.size, entry.mtime = len(content), int(time.time())
        tar.addfile(entry, io.BytesIO(content))

    for entry in entries:
        name = entry["name"]
        if name.startswith("system.buckets.") and not options["buckets"] or name == "system.views":
            continue
        lines = [json_util.dumps(d, json_options=mode, indent=options["indent"]) + "\n" for d in db[name].find()]
        add(f"{name}.jsonl", "".join(lines))
    shown = [e for e in entries if not e["name"].startswith("system.")]
    metadata = {
        "none": None,
        "options": {e["name"]: e.get("options", {}) for e in shown},
        "entries": {e["name"]: {"type": e["type"], "options": e.get("options", {})} for e in shown},
        "list": shown,
    }[options["metadata"]]
    if metadata is not None:
        add("collections_metadata.json", json_util.dumps(metadata, indent=2))
data = packed.getvalue()
with open(out, "wb") as file:
    file.write(gzip.compress(data) if options["gzip"] else data)
