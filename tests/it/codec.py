"""The other side of differential.rs: PyMongo's json_util, a request and an answer a line, bytes in base64.

    loads TEXT              ->  ok BSON                     what json_util reads
    dumps MODE INDENT BSON  ->  ok TEXT BSON                what json_util writes, and what it reads of that again
                            or  err EXCEPTION
"""

import base64
import json
import sys

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion

# Dates of any year, and none of the rounding of datetime.
CODEC = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
READ = json_util.JSONOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
MODES = {
    "legacy": json_util.LEGACY_JSON_OPTIONS,
    "relaxed": json_util.RELAXED_JSON_OPTIONS,
    "canonical": json_util.CANONICAL_JSON_OPTIONS,
}


def encode(document):
    # As a field of another document: at the top, bson.encode would move _id to the front.
    return bson.encode({"d": document})[7:-1]


def loads(text):
    return encode(json_util.loads(text, json_options=READ))


def answer(request):
    if request[0] == "loads":
        return [loads(base64.b64decode(request[1]).decode())]
    indent = {"-": None, "2": 2}[request[2]]
    document = bson.decode(base64.b64decode(request[3]), CODEC)
    text = json_util.dumps(document, json_options=MODES[request[1]], indent=indent)
    return [text.encode(), loads(text)]


for line in sys.stdin:
    try:
        print("ok", *(base64.b64encode(part).decode() for part in answer(line.split())), flush=True)
    except Exception as error:
        print("err", json.dumps(f"{type(error).__name__}: {error}"), flush=True)
