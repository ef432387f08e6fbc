//! What others wrote, and what nobody should have.

use bson::{Bson, doc};

use super::*;

/// The value of the only field `a`.
fn value(text: &str) -> Result<Vec<u8>, DecodeError> {
    decode(format!("{{\"a\": {text}}}").as_bytes()).map(|mut documents| documents.remove(0))
}

fn means(text: &str, expected: impl Into<Bson>) {
    assert_eq!(
        value(text).unwrap_or_else(|error| panic!("{text}: {error}")),
        doc! { "a": expected.into() }.to_vec().unwrap(),
        "{text}"
    );
}

fn binary(subtype: u8, bytes: &[u8]) -> bson::Binary {
    bson::Binary {
        subtype: subtype.into(),
        bytes: bytes.to_vec(),
    }
}

fn regex(pattern: &str, options: &str) -> bson::Regex {
    bson::Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    }
}

#[test]
fn relaxed_numbers() {
    means("5", 5_i32);
    means("-2147483648", i32::MIN);
    means("2147483648", 2147483648_i64);
    means("9223372036854775808", 9223372036854775808_f64);
    means("5.0", 5.0);
    means("1e2", 100.0);
    means("-0.0", -0.0);
    means("NaN", f64::NAN);
    means("-Infinity", f64::NEG_INFINITY);
    means(r#"{"$numberDouble": "1"}"#, 1.0);
    means(r#"{"$numberLong": 5}"#, 5_i64);
    means(r#"{ "$numberLong" : "-5" }"#, -5_i64);
}

#[test]
fn dates_of_all_ages() {
    let date = |millis| bson::DateTime::from_millis(millis);
    means(r#"{"$date": 1700000000000}"#, date(1_700_000_000_000));
    means(r#"{"$date": -1}"#, date(-1));
    means(r#"{"$date": {"$numberLong": "-1"}}"#, date(-1));
    means(r#"{"$date": {"$numberLong": -1}}"#, date(-1));
    means(r#"{"$date": "1970-01-01T00:00:00.001Z"}"#, date(1));
    means(r#"{"$date": "1970-01-01T01:00:00+0100"}"#, date(0));
}

#[test]
fn legacy_types() {
    means(r#"{"$binary": "AQI=", "$type": "00"}"#, binary(0, &[1, 2]));
    means(r#"{"$binary": "AQI", "$type": 5}"#, binary(5, &[1, 2]));
    means(r#"{"$binary": "AQI=", "$type": "2"}"#, binary(2, &[1, 2]));
    means(r#"{"$type": "80", "$binary": "AQI="}"#, binary(0x80, &[1, 2]));
    means(r#"{"$type": 128, "$binary": "AQI="}"#, binary(0x80, &[1, 2]));
    means(r#"{"$binary": "AQI=", "$type": "ffffff80"}"#, binary(0x80, &[1, 2]));
    means(r#"{"$binary": {"subType": "0", "base64": "AQI="}}"#, binary(0, &[1, 2]));
    means(
        r#"{"$uuid": "00112233-4455-6677-8899-AABBCCDDEEFF"}"#,
        binary(4, &(0..16).map(|n| n * 0x11).collect::<Vec<_>>()),
    );
    means(r#"{"$regex": "^a", "$options": "xi"}"#, regex("^a", "ix"));
    means(r#"{"$options": "i", "$regex": "^a"}"#, regex("^a", "i"));
    means(r#"{"$regex": "^a"}"#, regex("^a", ""));
    means(
        r#"{"$regularExpression": {"options": "xi", "pattern": "^a"}}"#,
        regex("^a", "ix"),
    );
    means(
        r#"{"$timestamp": {"t": 4294967295, "i": 2}}"#,
        bson::Timestamp {
            time: u32::MAX,
            increment: 2,
        },
    );
    means(
        r#"{"$timestamp": {"i": {"$numberInt": "2"}, "t": 1}}"#,
        bson::Timestamp { time: 1, increment: 2 },
    );
    means(r#"{"$undefined": true}"#, Bson::Undefined);
    means(r#"{"$minKey": 1}"#, Bson::MinKey);
    means(r#"{"$maxKey": {"$numberInt": "1"}}"#, Bson::MaxKey);
    means(r#"{"\u0024symbol": "s"}"#, Bson::Symbol("s".into()));
    means(
        r#"{"$scope": {"x": 1}, "$code": "f"}"#,
        bson::JavaScriptCodeWithScope {
            code: "f".into(),
            scope: doc! { "x": 1 },
        },
    );
    means(
        r#"{"$code": "f", "$scope": {}}"#,
        bson::JavaScriptCodeWithScope {
            code: "f".into(),
            scope: doc! {},
        },
    );
    let pointer = raw(&element(0x0C, b"a", &[string(b"db.c"), vec![0xAB; 12]].concat()));
    assert_eq!(
        value(r#"{"$dbPointer": {"$id": {"$oid": "abababababababababababab"}, "$ref": "db.c"}}"#).unwrap(),
        pointer
    );
}

#[test]
fn ordinary_documents_with_dollar_keys() {
    means(r#"{"$gt": 5, "$type": "string"}"#, doc! { "$gt": 5, "$type": "string" });
    means(
        r#"{"$regex": {"$regex": "a"}, "$options": "i"}"#,
        doc! { "$regex": regex("a", ""), "$options": "i" },
    );
    means(
        r#"{"$regex": "a", "$options": "i", "$ne": 1}"#,
        doc! { "$regex": "a", "$options": "i", "$ne": 1 },
    );
    means(r#"{"$ne": 1, "$regex": "a"}"#, doc! { "$ne": 1, "$regex": "a" });
    means(
        r#"{"$options": "i", "$regex": "a", "$ne": 1}"#,
        doc! { "$options": "i", "$regex": "a", "$ne": 1 },
    );
    means(
        r#"{"$options": 1, "$regex": "a"}"#,
        doc! { "$options": 1, "$regex": "a" },
    );
    means(
        r#"{"$ref": "c", "$id": {"$numberInt": "1"}}"#,
        doc! { "$ref": "c", "$id": 1 },
    );
    let twice = raw(&[element(0x10, b"a", &[1, 0, 0, 0]), element(0x10, b"a", &[2, 0, 0, 0])].concat());
    assert_eq!(decode(br#"{"a": 1, "a": 2}"#).unwrap(), [twice]);
}

#[test]
fn wrong_values_of_type_keys_are_refused() {
    for text in [
        r#"{"$oid": 5}"#,
        r#"{"$oid": "12"}"#,
        r#"{"$oid": "gggggggggggggggggggggggg"}"#,
        r#"{"$oid": "5f0e1d2c3b4a5968778695a4", "b": 1}"#,
        r#"{"b": 1, "$oid": "5f0e1d2c3b4a5968778695a4"}"#,
        r#"{"$numberInt": 5}"#,
        r#"{"$numberInt": "2147483648"}"#,
        r#"{"$numberInt": "5", "b": 1}"#,
        r#"{"$numberLong": "9223372036854775808"}"#,
        r#"{"$numberLong": 1.5}"#,
        r#"{"$numberDouble": 1.5}"#,
        r#"{"$numberDouble": "x"}"#,
        r#"{"$numberDecimal": 1}"#,
        r#"{"$numberDecimal": "1E+9999"}"#,
        r#"{"$date": "yesterday"}"#,
        r#"{"$date": null}"#,
        r#"{"$date": 5, "b": 1}"#,
        r#"{"$binary": "AQI="}"#,
        r#"{"$binary": "A*==", "$type": "00"}"#,
        r#"{"$binary": "AQI=", "$type": "100"}"#,
        r#"{"$binary": "AQI=", "$type": "00", "b": 1}"#,
        r#"{"$type": "00", "$binary": "AQI=", "b": 1}"#,
        r#"{"$type": [], "$binary": "AQI="}"#,
        r#"{"$binary": {"base64": "AQI="}}"#,
        r#"{"$binary": {"base64": "AQI=", "subType": "00", "b": 1}}"#,
        r#"{"$binary": {"base64": "AQI=", "base64": "AQI="}}"#,
        r#"{"$uuid": "0011"}"#,
        r#"{"$regularExpression": {"pattern": "a"}}"#,
        r#"{"$regularExpression": {"pattern": "a\u0000", "options": ""}}"#,
        r#"{"$regex": "a\u0000"}"#,
        r#"{"$options": "", "$regex": "a\u0000"}"#,
        r#"{"$timestamp": {"t": 4294967296, "i": 1}}"#,
        r#"{"$timestamp": {"t": -1, "i": 1}}"#,
        r#"{"$timestamp": 5}"#,
        r#"{"$minKey": 2}"#,
        r#"{"$maxKey": "1"}"#,
        r#"{"$undefined": 1}"#,
        r#"{"$symbol": 1}"#,
        r#"{"$code": 1}"#,
        r#"{"$code": "f", "b": {}}"#,
        r#"{"$code": "f", "$scope": 1}"#,
        r#"{"$code": "f", "$scope": {"$oid": "5f0e1d2c3b4a5968778695a4"}}"#,
        r#"{"$dbPointer": {"$ref": "c", "$id": 1}}"#,
        r#"{"\u0000": 1}"#,
        r#"{"a\u0000b": 1}"#,
    ] {
        let error = value(text).expect_err(text);
        assert!(error.path.starts_with('a'), "{text}: {error}");
    }
    assert!(decode(br#"{"$oid": "5f0e1d2c3b4a5968778695a4"}"#).is_err());
    assert!(decode(br#"{"$options": "", "$regex": "a"}"#).is_err());
}

#[test]
fn malformed_json_is_refused() {
    for text in [
        "{",
        "}",
        "[]",
        "[{}]",
        "1",
        "\"a\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":tru}",
        "{\"a\":+1}",
        "{\"a\":01}",
        "{\"a\":\"\t\"}",
        "{\"a\":[}",
        "{\"a\":{\"$numberInt\":\"1\"}",
        "{\"a\":{\"$oid\"}}",
        "{}x",
        "{\"a\":.5}",
        "{\"a\":NaN1}",
        "{\"a\":1}}",
        "\u{a0}{}",
        "{}\u{feff}{}",
        "{\"a\" /* no */: 1}",
    ] {
        assert!(decode(text.as_bytes()).is_err(), "{text}");
    }
    assert!(decode(b"{\"a\": \"\xFF\"}").is_err());
    assert!(decode(b"{\"a\xFF\": 1}").is_err());
}

#[test]
fn an_error_says_where() {
    let text = "{\"a\": 1}\n{\n  \"items\": [1, 2, 3, {\n    \"price\" : {\"$numberInt\": \"9 euro, a secret\"}}]}\n";
    let (mut decoder, mut position, mut out) = (Decoder::new(Limits::default()), TextPosition::start(), Vec::new());
    assert!(decoder.decode_next(text.as_bytes(), &mut position, &mut out).unwrap());
    let before = (out.len(), position);
    let error = decoder
        .decode_next(text.as_bytes(), &mut position, &mut out)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 4, byte 63, at items.3.price: expected an integer of 32 bits in quotes"
    );
    assert_eq!((out.len(), position), before);

    // The same in two pieces.
    let (first, second) = text.split_at(9);
    let mut position = TextPosition::start();
    assert!(decoder.decode_next(first.as_bytes(), &mut position, &mut out).unwrap());
    assert!(!decoder.decode_next(first.as_bytes(), &mut position, &mut out).unwrap());
    position.next_piece();
    assert_eq!(
        decoder
            .decode_next(second.as_bytes(), &mut position, &mut out)
            .unwrap_err(),
        error
    );

    let error = decode(b"{\"a\": {\"b\" 1}}").unwrap_err();
    assert_eq!(error.to_string(), "line 1, byte 11, at a: expected ':', found a number");
    assert_eq!(
        decode(b"{\"a\":").unwrap_err().to_string(),
        "line 1, byte 5, at a: expected a value, found the end of the text"
    );
    let long = format!("{{\"{}\": x}}", "k".repeat(5000));
    assert!(decode(long.as_bytes()).unwrap_err().to_string().len() < 200);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    assert_eq!(decode("\u{feff} {}\r\n{}".as_bytes()).unwrap().len(), 2);
    assert_eq!(decode("\u{feff}".as_bytes()).unwrap().len(), 0);
}

#[test]
fn depth_and_size_have_limits() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"$options\":", "}")] {
        let text = format!("{{\"a\":{}{}}}", open.repeat(1_000_000), close.repeat(1_000_000));
        let error = decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.problem, format!("nested deeper than {MAX_TEXT_DEPTH} levels"));
        assert!(error.path.len() < 200);
    }
    let mut deep = Decoder::new(Limits {
        max_depth: usize::MAX,
        max_document_bytes: usize::MAX,
    });
    let error = deep
        .decode_next(
            "{\"a\":".repeat(100_000).as_bytes(),
            &mut TextPosition::start(),
            &mut Vec::new(),
        )
        .unwrap_err();
    assert_eq!(error.problem, "nested deeper than 1000 levels");
    let scopes = format!("{{\"a\":{}", "{\"$code\":\"\",\"$scope\":".repeat(1_000_000));
    assert!(decode(scopes.as_bytes()).is_err());
    let mut out = vec![7];
    let mut small = Decoder::new(Limits {
        max_depth: 2,
        max_document_bytes: 31,
    });
    assert!(
        small
            .decode_next(br#"{"a":{"b":"0123456789"}}"#, &mut TextPosition::start(), &mut out)
            .is_ok()
    );
    let error = small
        .decode_next(br#"{"a":{"b":"01234567890"}}"#, &mut TextPosition::start(), &mut out)
        .unwrap_err();
    assert_eq!(error.problem, "the document is larger than allowed");
    assert!(
        small
            .decode_next(br#"{"a":{"b":{}}}"#, &mut TextPosition::start(), &mut out)
            .is_err()
    );
    assert_eq!(out.len(), 32);
}
