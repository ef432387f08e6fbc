"""The backup that mongotar replaces: a PyMongo cursor, json_util.dumps for each document, one file a collection, tarfile at the end."""

import json
import os
import shutil
import sys
import tarfile
from datetime import datetime, timezone

from bson import json_util
from pymongo import MongoClient

uri, name, out = sys.argv[1:]
database = MongoClient(uri)[name]
backup = "backup_" + datetime.now(timezone.utc).strftime("%Y%m%d_%H%M%S")
folder = os.path.join(out, backup)
os.makedirs(folder)

documents = 0
metadata = {}
for collection in database.list_collections():
    if collection["name"].startswith("system."):
        continue
    metadata[collection["name"]] = collection.get("options", {})
    with open(os.path.join(folder, collection["name"] + ".jsonl"), "w", encoding="utf-8") as file:
        for document in database[collection["name"]].find({}, batch_size=1000):
            file.write(json_util.dumps(document))
            file.write("\n")
            documents += 1
with open(os.path.join(folder, "collections_metadata.json"), "w", encoding="utf-8") as file:
    file.write(json_util.dumps(metadata, indent=2))
with tarfile.open(folder + ".tar", "w") as tar:
    tar.add(folder, arcname=backup)
shutil.rmtree(folder)
print(json.dumps({"documents": documents}))
