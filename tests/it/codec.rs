//! Our Extended JSON against that of PyMongo's `json_util`, in both directions.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::{Bson, Document, doc};
use mongotar::extjson::{Carried, Decoder, Encoder, Limits, Style, TextPosition};

const SCRIPT: &str = include_str!("codec.py");

use crate::rig;

#[test]
fn pymongo_and_we_read_each_other() {
    let python = rig::python().interpreter();
    our_text_means_the_same_to_pymongo(python);
    pymongo_text_means_the_same_to_us(python);
    foreign_text_means_the_same_to_both(python);
}

/// json_util reads our canonical text as the very bytes it was made from, but for what it is known to lose:
///
/// - symbols become strings, undefined becomes null, a DBPointer becomes a DBRef: it has no such types;
/// - a DBRef (any document with a string `$ref` and an `$id`) loses the order of its fields: `$ref`, `$id`, `$db` go
///   first;
/// - regular expressions lose options other than `ilmsux`.
///
/// None of those are in the corpus. Our own reader loses nothing, as the tests beside it show.
fn our_text_means_the_same_to_pymongo(python: &Path) {
    let corpus = corpus();
    for style in [Style::Compact, Style::Pretty] {
        let requests = corpus.iter().map(|raw| {
            let mut text = Vec::new();
            assert_eq!(Encoder::new(style).encode(raw, &mut text), Carried::AsText);
            format!("loads {}", STANDARD.encode(text))
        });
        for (raw, answer) in corpus.iter().zip(ask(python, requests.collect())) {
            assert_eq!(answer.unwrap(), [&raw[..]], "{:?}", Document::from_reader(&raw[..]));
        }
    }
}

/// What json_util writes, in all its modes and layouts, is read by us as json_util itself reads it.
fn pymongo_text_means_the_same_to_us(python: &Path) {
    let corpus = corpus();
    for (mode, indent) in [
        ("legacy", "-"),
        ("legacy", "2"),
        ("relaxed", "-"),
        ("relaxed", "2"),
        ("canonical", "-"),
        ("canonical", "2"),
    ] {
        let requests = corpus
            .iter()
            .map(|raw| format!("dumps {mode} {indent} {}", STANDARD.encode(raw)));
        for answer in ask(python, requests.collect()) {
            let [text, theirs] = answer.unwrap().try_into().unwrap();
            assert_eq!(
                decode(&text).unwrap(),
                theirs,
                "{mode}: {}",
                String::from_utf8_lossy(&text)
            );
        }
    }
}

/// Texts of other tools and ages mean the same to both, or are an error to both.
fn foreign_text_means_the_same_to_both(python: &Path) {
    let texts: Vec<String> = FOREIGN.iter().map(|value| format!("{{\"a\": [{value}]}}")).collect();
    let requests = texts.iter().map(|text| format!("loads {}", STANDARD.encode(text)));
    for (text, theirs) in texts.iter().zip(ask(python, requests.collect())) {
        match (decode(text.as_bytes()), theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(theirs, [ours], "{text}"),
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{text}: {ours:?} by us, {theirs:?} by PyMongo"),
        }
    }
}

/// Values written by hand. Left out is where we differ on purpose: json_util reads numbers beyond 64 bits as integers
/// that it then cannot store, drops fields beside a `$regex`, reads any value of `$undefined`, turns a `$symbol` into a
/// string and a `$dbPointer` into a DBRef, skips what is not base64, rounds fractions of a `$date` by way of a float,
/// allows `_` and spaces in quoted numbers, and ranges are wider in `$numberInt`.
const FOREIGN: &[&str] = &[
    // Numbers.
    "1",
    "-0",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "1e3",
    "-0.0",
    "1E400",
    "5e-324",
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    ".5",
    "1.",
    "-",
    "nan",
    r#"{"$numberInt": "5"}"#,
    r#"{"$numberInt": 5}"#,
    r#"{"$numberInt": "5", "b": 1}"#,
    r#"{"$numberLong": "5"}"#,
    r#"{"$numberLong": 5}"#,
    r#"{"$numberLong": "x"}"#,
    r#"{"$numberLong": "5", "b": 1}"#,
    r#"{"b": 1, "$numberLong": "5"}"#,
    r#"{"$numberDouble": "5"}"#,
    r#"{"$numberDouble": "NaN"}"#,
    r#"{"$numberDouble": "-Infinity"}"#,
    r#"{"$numberDouble": 5}"#,
    r#"{"$numberDouble": "x"}"#,
    r#"{"$numberDecimal": "1.50"}"#,
    r#"{"$numberDecimal": "-0E-6176"}"#,
    r#"{"$numberDecimal": "1E+6144"}"#,
    r#"{"$numberDecimal": "1E+6145"}"#,
    r#"{"$numberDecimal": "12345678901234567890123456789012345"}"#,
    r#"{"$numberDecimal": "-Infinity"}"#,
    r#"{"$numberDecimal": "NaN"}"#,
    r#"{"$numberDecimal": 1}"#,
    r#"{"$numberDecimal": "x"}"#,
    r#"{"$numberDecimal": "0E-99999"}"#,
    r#"{"$numberDecimal": "1.0E-6177"}"#,
    r#"{"$numberDecimal": "10E-6177"}"#,
    // Dates.
    r#"{"$date": 0}"#,
    r#"{"$date": -1}"#,
    r#"{"$date": 1700000000000}"#,
    r#"{"$date": {"$numberLong": "-62135596800001"}}"#,
    r#"{"$date": {"$numberInt": "5"}}"#,
    r#"{"$date": "2023-11-14T22:13:20Z"}"#,
    r#"{"$date": "2023-11-14T22:13:20.123Z"}"#,
    r#"{"$date": "2023-11-14T22:13:20.5+0130"}"#,
    r#"{"$date": "2023-11-14T22:13:20-05:30"}"#,
    r#"{"$date": "2023-11-14T22:13:20+01"}"#,
    r#"{"$date": "2023-11-14T22:13:20"}"#,
    r#"{"$date": "0001-01-01T00:00:00Z"}"#,
    r#"{"$date": "9999-12-31T23:59:59.999Z"}"#,
    r#"{"$date": "2024-02-29T00:00:00Z"}"#,
    r#"{"$date": "2023-02-29T00:00:00Z"}"#,
    r#"{"$date": "yesterday"}"#,
    r#"{"$date": ""}"#,
    r#"{"$date": null}"#,
    r#"{"$date": 0, "b": 1}"#,
    r#"{"$date": "2023-11-14T22:13:60Z"}"#,
    r#"{"$date": "0000-01-01T00:00:00Z"}"#,
    // Binary data.
    r#"{"$binary": "AQI=", "$type": "00"}"#,
    r#"{"$type": "00", "$binary": "AQI="}"#,
    r#"{"$binary": "AQI=", "$type": 5}"#,
    r#"{"$binary": "AQI=", "$type": 128}"#,
    r#"{"$binary": "AQI=", "$type": "5"}"#,
    r#"{"$binary": "AQI=", "$type": "02"}"#,
    r#"{"$binary": "AQI=", "$type": "ffffff80"}"#,
    r#"{"$binary": "AQI="}"#,
    r#"{"$binary": {"base64": "AQI=", "subType": "00"}}"#,
    r#"{"$binary": {"subType": "5", "base64": "AQI="}}"#,
    r#"{"$binary": {"base64": "AQI="}}"#,
    r#"{"$binary": {"base64": "AQI=", "subType": 0}}"#,
    r#"{"$binary": {"base64": "AQI=", "subType": "000"}}"#,
    r#"{"$binary": {"base64": 1, "subType": "00"}}"#,
    r#"{"$uuid": "00112233445566778899aabbccddeeff"}"#,
    r#"{"$uuid": "00112233-4455-6677-8899-AABBCCDDEEFF"}"#,
    r#"{"$uuid": "{00112233-4455-6677-8899-aabbccddeeff}"}"#,
    r#"{"$uuid": "0011"}"#,
    r#"{"$uuid": 5}"#,
    r#"{"$uuid": "00112233445566778899aabbccddeeff", "b": 1}"#,
    // Regular expressions, and the query operator.
    r#"{"$regex": "^a"}"#,
    r#"{"$regex": "^a", "$options": "xmi"}"#,
    r#"{"$options": "i", "$regex": "^a"}"#,
    r#"{"$regex": {"$regex": "a"}, "$options": "i"}"#,
    r#"{"$regularExpression": {"pattern": "a", "options": "mi"}}"#,
    r#"{"$regularExpression": {"options": "", "pattern": "a"}}"#,
    r#"{"$regularExpression": {"pattern": "a"}}"#,
    r#"{"$regularExpression": {"pattern": "a", "options": ""}, "b": 1}"#,
    r#"{"$regularExpression": {"pattern": "a", "options": 1}}"#,
    // The rest.
    r#"{"$oid": "5f0e1d2c3b4a5968778695a4"}"#,
    r#"{"$oid": "5F0E1D2C3B4A5968778695A4"}"#,
    r#"{"$oid": 5}"#,
    r#"{"$oid": "5f"}"#,
    r#"{"$oid": "5f0e1d2c3b4a5968778695a4", "b": 1}"#,
    r#"{"$timestamp": {"t": 1, "i": 2}}"#,
    r#"{"$timestamp": {"i": 2, "t": 4294967295}}"#,
    r#"{"$timestamp": {"t": 1}}"#,
    r#"{"$timestamp": {"t": -1, "i": 2}}"#,
    r#"{"$timestamp": 5}"#,
    r#"{"$minKey": 1}"#,
    r#"{"$maxKey": 1}"#,
    r#"{"$maxKey": {"$numberInt": "1"}}"#,
    r#"{"$minKey": 2}"#,
    r#"{"$minKey": true}"#,
    r#"{"$maxKey": 1, "b": 1}"#,
    r#"{"$code": "f"}"#,
    r#"{"$code": "f", "$scope": {"x": 1}}"#,
    r#"{"$scope": {}, "$code": "f"}"#,
    r#"{"$code": "f", "b": 1}"#,
    r#"{"$ref": "c", "$id": {"$oid": "5f0e1d2c3b4a5968778695a4"}}"#,
    r#"{"$ref": "c", "$id": 1, "$db": "d", "more": [1]}"#,
    r#"{"$ref": "c"}"#,
    r#"{"$id": 1, "a": 1}"#,
    r#"{"$gt": 5}"#,
    r#"{"$type": "string"}"#,
    r#"{"$options": "i"}"#,
    r#"{"$scope": 1}"#,
    r#"{"": {}}"#,
    r#"{"\u0024oid": "5f0e1d2c3b4a5968778695a4"}"#,
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[[[]]]",
    r#""""#,
    r#""\u0000\ud83d\ude00\u00e9\/\b\f""#,
    "\"\u{e9}\u{1F600}\u{2028}\"",
    "\"\t\"",
    "\"\\x\"",
    "\"",
    "tru",
    "{",
    "[1,]",
    "{\"a\":1,}",
];

fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let (mut out, mut position) = (Vec::new(), TextPosition::start());
    let mut decoder = Decoder::new(Limits::default());
    match decoder.decode_next(text, &mut position, &mut out) {
        Ok(true) => {}
        Ok(false) => return Err("no document".to_owned()),
        Err(error) => return Err(error.to_string()),
    }
    match decoder.decode_next(text, &mut position, &mut Vec::new()) {
        Ok(false) => Ok(out),
        _ => Err("more than one document".to_owned()),
    }
}

/// Has the script answer all requests.
fn ask(python: &Path, requests: Vec<String>) -> Vec<Result<Vec<Vec<u8>>, String>> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let count = requests.len();
    let writer = std::thread::spawn(move || {
        requests
            .iter()
            .for_each(|request| writeln!(input, "{request}").unwrap())
    });
    let answers: Vec<_> = BufReader::new(output)
        .lines()
        .map(|line| {
            let line = line.unwrap();
            match line.split_once(' ') {
                Some(("ok", parts)) => Ok(parts.split(' ').map(|part| STANDARD.decode(part).unwrap()).collect()),
                _ => Err(line),
            }
        })
        .collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), count);
    answers
}

/// Documents that both sides can hold: each value by itself, and some hundreds of random ones.
fn corpus() -> Vec<Vec<u8>> {
    let mut documents: Vec<Document> = values().into_iter().map(|value| doc! { "a": value }).collect();
    documents.extend([
        doc! {},
        doc! { "z": 1, "_id": 2, "a": 3 },
        doc! { "": 1, "a.b": 2, "$gt": 3, "é\"\\\n": 4 },
    ]);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    documents.extend((0..400).map(|_| random.document(4)));
    documents.iter().map(|document| document.to_vec().unwrap()).collect()
}

fn values() -> Vec<Bson> {
    let mut values: Vec<Bson> = Vec::new();
    values.extend(
        [
            0.0,
            -0.0,
            1.0,
            0.1,
            1e16,
            1e17,
            1e-7,
            5e-324,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ]
        .map(Bson::Double),
    );
    values.extend([0, 1, -1, i32::MAX, i32::MIN].map(Bson::Int32));
    values.extend([0, 5, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN].map(Bson::Int64));
    let day = 86_400_000;
    values.extend(
        [
            0,
            1,
            -1,
            1_700_000_000_123,
            253_402_300_799_999,
            253_402_300_800_000,
            -62_135_596_800_000,
            -62_135_596_800_001,
            5000 * 365 * day,
        ]
        .map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
    );
    values.extend(
        [
            "",
            "plain",
            "é 😀 \u{2028}\u{7f}",
            "\0\u{1}\n\r\t\"\\/",
            "{\"$oid\": 1}",
            "\u{feff}",
        ]
        .map(|text| Bson::String(text.to_owned())),
    );
    values.extend(
        (0..=255_u8)
            .filter(|subtype| !(10..128).contains(subtype))
            .map(|subtype| {
                Bson::Binary(bson::Binary {
                    subtype: subtype.into(),
                    bytes: (0..16).map(|n| (n * 15) ^ subtype).collect(),
                })
            }),
    );
    values.extend(["", "i", "imx", "ilmsux"].map(|options| {
        Bson::RegularExpression(bson::Regex {
            pattern: "^a\"é/".try_into().unwrap(),
            options: options.try_into().unwrap(),
        })
    }));
    values.extend(
        [
            "0",
            "-0",
            "1.50",
            "1E+3",
            "0E-6176",
            "-Infinity",
            "NaN",
            "9.999999999999999999999999999999999E+6144",
            "1E-6176",
            "0.000001",
            "1E-7",
        ]
        .map(|text| Bson::Decimal128(text.parse().unwrap())),
    );
    values.extend(
        [(0, 0), (1, 2), (u32::MAX, u32::MAX)]
            .map(|(time, increment)| Bson::Timestamp(bson::Timestamp { time, increment })),
    );
    values.extend([
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Null,
        Bson::Boolean(true),
        Bson::Boolean(false),
    ]);
    values.push(Bson::ObjectId(bson::oid::ObjectId::from_bytes([
        0, 1, 2, 3, 4, 5, 6, 7, 0xF8, 0xF9, 0xFA, 0xFF,
    ])));
    values.push(Bson::JavaScriptCode("f()".to_owned()));
    values.extend([doc! {}, doc! { "x": [1] }].map(|scope| {
        Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
            code: "f\n()".to_owned(),
            scope,
        })
    }));
    values.extend(
        [
            doc! {},
            doc! { "b": { "c": {} } },
            doc! { "$ref": "c", "$id": 1, "$db": "d", "more": 1 },
            doc! { "$id": 1 },
        ]
        .map(Bson::Document),
    );
    values.extend([vec![], vec![Bson::Array(vec![]), Bson::Null], vec![Bson::Int32(7); 120]].map(Bson::Array));
    values
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn document(&mut self, levels: usize) -> Document {
        (0..self.below(6))
            .map(|n| {
                (
                    format!("k{n}{}", ["", "é", " ", "\"", "_long_enough_for_words"][self.below(5)]),
                    self.value(levels),
                )
            })
            .collect()
    }

    fn value(&mut self, levels: usize) -> Bson {
        match self.below(8) {
            0 if levels > 0 => Bson::Document(self.document(levels - 1)),
            1 if levels > 0 => Bson::Array((0..self.below(12)).map(|_| self.value(levels - 1)).collect()),
            2 => Bson::Int32(self.0 as i32),
            3 => Bson::Int64(self.0 as i64 >> self.below(64)),
            4 => Bson::Double(
                Some(f64::from_bits(self.0))
                    .filter(|double| !double.is_nan())
                    .unwrap_or(0.5),
            ),
            5 => Bson::DateTime(bson::DateTime::from_millis((self.0 >> 20) as i64)),
            _ => {
                let mut values = values();
                values.swap_remove(self.below(values.len()))
            }
        }
    }
}
