//! The cases that other tools are known to get wrong.

use bson::{Bson, Document, doc};

use super::*;

fn text_of(document: Document) -> String {
    let (carried, text) = round_trip(&document.to_vec().unwrap());
    assert_eq!(carried, Carried::AsText, "{text}");
    text.trim_end().to_owned()
}

fn wrapped(document: &[u8]) {
    let (carried, text) = round_trip(document);
    assert_eq!(carried, Carried::Wrapped, "{text}");
    assert!(text.starts_with("{\"mongotar:raw-bson\":{\"$binary\":{\"base64\":\""));
}

fn nested(levels: usize) -> Vec<u8> {
    (1..levels).fold(raw(&[]), |inner, level| {
        if level % 3 == 0 {
            raw(&element(4, b"0", &inner))
        } else {
            raw(&element(3, b"0", &inner))
        }
    })
}

#[test]
fn canonical_forms() {
    let oid = bson::oid::ObjectId::parse_str("5f0e1d2c3b4a5968778695a4").unwrap();
    for (value, text) in [
        (Bson::ObjectId(oid), r#"{"$oid":"5f0e1d2c3b4a5968778695a4"}"#),
        (Bson::Int32(-5), r#"{"$numberInt":"-5"}"#),
        (Bson::Int64(5), r#"{"$numberLong":"5"}"#),
        (Bson::Double(1.0), r#"{"$numberDouble":"1.0"}"#),
        (Bson::Double(-0.0), r#"{"$numberDouble":"-0.0"}"#),
        (Bson::Double(f64::NAN), r#"{"$numberDouble":"NaN"}"#),
        (Bson::Double(f64::NEG_INFINITY), r#"{"$numberDouble":"-Infinity"}"#),
        (Bson::Double(f64::INFINITY), r#"{"$numberDouble":"Infinity"}"#),
        (Bson::Double(5e-324), r#"{"$numberDouble":"5e-324"}"#),
        (
            Bson::Decimal128("1.50".parse().unwrap()),
            r#"{"$numberDecimal":"1.50"}"#,
        ),
        (
            Bson::DateTime(bson::DateTime::MIN),
            r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#,
        ),
        (
            Bson::DateTime(bson::DateTime::MAX),
            r#"{"$date":{"$numberLong":"9223372036854775807"}}"#,
        ),
        (
            Bson::Timestamp(bson::Timestamp {
                time: u32::MAX,
                increment: 0,
            }),
            r#"{"$timestamp":{"t":4294967295,"i":0}}"#,
        ),
        (
            Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 }),
            r#"{"$timestamp":{"t":0,"i":0}}"#,
        ),
        (Bson::Symbol("s".into()), r#"{"$symbol":"s"}"#),
        (Bson::Undefined, r#"{"$undefined":true}"#),
        (Bson::MinKey, r#"{"$minKey":1}"#),
        (Bson::MaxKey, r#"{"$maxKey":1}"#),
        (Bson::Null, "null"),
        (Bson::Boolean(true), "true"),
        (Bson::Array(vec![]), "[]"),
        (Bson::Document(doc! {}), "{}"),
        (Bson::JavaScriptCode("f\0()".into()), r#"{"$code":"f\u0000()"}"#),
        (
            Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                code: "f".into(),
                scope: doc! { "x": [1] },
            }),
            r#"{"$code":"f","$scope":{"x":[{"$numberInt":"1"}]}}"#,
        ),
        (
            Bson::RegularExpression(bson::Regex {
                pattern: "^a\"/".try_into().unwrap(),
                options: "imx".try_into().unwrap(),
            }),
            r#"{"$regularExpression":{"pattern":"^a\"/","options":"imx"}}"#,
        ),
        (
            Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Uuid,
                bytes: vec![255; 4],
            }),
            r#"{"$binary":{"base64":"/////w==","subType":"04"}}"#,
        ),
        (
            Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::BinaryOld,
                bytes: vec![1],
            }),
            r#"{"$binary":{"base64":"AQ==","subType":"02"}}"#,
        ),
        (
            Bson::String("é\u{1F600}\u{2028}\u{7f}\"\\/\n\r\t\u{8}\0".into()),
            "\"é\u{1F600}\u{2028}\u{7f}\\\"\\\\/\\n\\r\\t\\u0008\\u0000\"",
        ),
    ] {
        assert_eq!(text_of(doc! { "a": value }), format!("{{\"a\":{text}}}"));
    }
    let pointer = raw(&element(0x0C, b"p", &[string(b"db.c"), vec![0xAB; 12]].concat()));
    let expected = "{\"p\":{\"$dbPointer\":{\"$ref\":\"db.c\",\"$id\":{\"$oid\":\"abababababababababababab\"}}}}\n";
    assert_eq!(round_trip(&pointer), (Carried::AsText, expected.to_owned()));
    assert_eq!(text_of(doc! {}), "{}");
    assert_eq!(
        text_of(doc! { "": "", "k\"e\ny": 1 }),
        r#"{"":"","k\"e\ny":{"$numberInt":"1"}}"#
    );
}

#[test]
fn dollar_keys_that_look_like_types_survive() {
    for inner in [
        doc! { "$oid": "5f0e1d2c3b4a5968778695a4" },
        doc! { "$date": "hello" },
        doc! { "$date": { "$numberLong": "5" } },
        doc! { "$numberLong": "5" },
        doc! { "$minKey": 1 },
        doc! { "$maxKey": 1 },
        doc! { "$undefined": true },
        doc! { "$uuid": "00112233445566778899aabbccddeeff" },
        doc! { "$binary": "", "$type": "00" },
        doc! { "$type": "00", "$binary": "" },
        doc! { "$regex": "a", "$options": "" },
        doc! { "$options": "", "$regex": "a" },
        doc! { "$scope": {}, "$code": "f" },
        doc! { "$symbol": "s" },
        doc! { "$timestamp": { "t": 1, "i": 2 } },
        doc! { "$numberDecimal": "1" },
        doc! { "$numberDouble": "1" },
        doc! { "$regularExpression": { "pattern": "a", "options": "" } },
        doc! { "$dbPointer": {} },
        doc! { "plain": 1, "$numberInt": "5" },
    ] {
        wrapped(&doc! { "a": [{ "b": inner.clone() }] }.to_vec().unwrap());
        wrapped(&inner.to_vec().unwrap());
        wrapped(
            &doc! { "c": bson::JavaScriptCodeWithScope { code: "f".into(), scope: inner } }
                .to_vec()
                .unwrap(),
        );
    }
}

#[test]
fn other_dollar_keys_and_references_stay_text() {
    text_of(doc! { "$gt": 5, "$type": "x", "$options": 1, "$scope": {}, "$ref": 1, "$": 1, "$oids": 1 });
    text_of(doc! { "r": { "$ref": "c", "$id": 1, "$db": "d", "more": 1 } });
    text_of(doc! { "r": { "more": 1, "$id": 1, "$ref": "c" } });
    text_of(doc! { "$type": "00", "$options": "i" });
}

#[test]
fn a_wrapper_always_means_a_wrapped_document() {
    wrapped(&doc! { RAW_BSON_KEY: 1 }.to_vec().unwrap());
    // Archives hold this shape: it may never change.
    let (_, line) = round_trip(&doc! { "$oid": 5 }.to_vec().unwrap());
    assert_eq!(
        line,
        "{\"mongotar:raw-bson\":{\"$binary\":{\"base64\":\"DwAAABAkb2lkAAUAAAAA\",\"subType\":\"00\"}}}\n"
    );
    text_of(doc! { "a": 1, RAW_BSON_KEY: 1 });
    text_of(doc! { "a": { RAW_BSON_KEY: 1 } });
    text_of(doc! { "mongotar:raw-bson-not": 1 });
    for broken in [
        r#"{"mongotar:raw-bson":1}"#,
        r#"{"mongotar:raw-bson":{"$binary":{"base64":"BQAAAAA=","subType":"04"}}}"#,
        r#"{"mongotar:raw-bson":{"$binary":{"base64":"BgAAAAA=","subType":"00"}}}"#,
        r#"{"mongotar:raw-bson":{"$binary":{"base64":"","subType":"00"}}}"#,
        r#"{"mongotar:raw-bson":{"$binary":{"base64":"BQAAAAA=","subType":"00"}},"a":1}"#,
        r#"{"mongotar:raw-bson":{"$binary":{"base64":"BQAAAAA=","subType":"00"}}"#,
    ] {
        let error = decode(broken.as_bytes()).unwrap_err();
        assert!(error.problem.contains("raw BSON"), "{error}");
    }
    assert_eq!(
        decode(br#"{ "mongotar:raw-bson" : {"$binary":"BQAAAAA=","$type":"0"} }"#).unwrap(),
        [[5, 0, 0, 0, 0]]
    );
}

#[test]
fn field_order_and_duplicate_keys_survive() {
    assert_eq!(
        text_of(doc! { "z": 1, "a": { "y": 1, "b": 2 } }),
        r#"{"z":{"$numberInt":"1"},"a":{"y":{"$numberInt":"1"},"b":{"$numberInt":"2"}}}"#
    );
    let one = element(0x10, b"a", &[1, 0, 0, 0]);
    let two = element(0x10, b"b", &[2, 0, 0, 0]);
    wrapped(&raw(&[&one[..], &two, &one].concat()));
    wrapped(&raw(&element(3, b"x", &raw(&[&one[..], &one].concat()))));
    let empty = element(0x0A, b"", b"");
    wrapped(&raw(&[&empty[..], &empty].concat()));
    // Enough keys for the filter to fill up, all different.
    let many: Vec<u8> = (0..5000)
        .flat_map(|n| element(0x0A, format!("key_{n}_with_a_common_end").as_bytes(), b""))
        .collect();
    assert_eq!(round_trip(&raw(&many)).0, Carried::AsText);
    wrapped(&raw(&[many, element(0x0A, b"key_17_with_a_common_end", b"")].concat()));
}

#[test]
fn a_huge_document_of_short_keys_is_checked_in_good_time() {
    let keys: Vec<u8> = (0..1_000_000)
        .flat_map(|n| element(0x0A, format!("{n:x}").as_bytes(), b""))
        .collect();
    let (mut out, document) = (Vec::new(), raw(&keys));
    let started = std::time::Instant::now();
    assert_eq!(
        Encoder::new(Style::Compact).encode(&document, &mut out),
        Carried::AsText
    );
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn what_no_text_holds_is_wrapped() {
    for (kind, value) in [
        (0x01, 0x7FF8_0000_0000_0001_u64.to_le_bytes().to_vec()),
        (0x01, 0xFFF8_0000_0000_0000_u64.to_le_bytes().to_vec()),
        (0x01, 0x7FF0_0000_0000_0001_u64.to_le_bytes().to_vec()),
        (0x02, string(b"\xFF")),
        (0x02, string(b"a surrogate in UTF-8: \xED\xA0\x80")),
        (0x0D, string(b"\xFF")),
        (0x0E, string(b"\xFF")),
        (0x0B, b"\xFF\0\0".to_vec()),
        (0x0B, b"a\0mi\0".to_vec()),
        (0x0B, b"a\0ii\0".to_vec()),
        (0x0C, [string(b"\xFF"), vec![0; 12]].concat()),
        (0x08, vec![2]),
        (0x13, [&[0; 15][..], &[0x7E]].concat()),
        (0x05, vec![5, 0, 0, 0, 2, 9, 0, 0, 0, 1]),
        (0x05, vec![3, 0, 0, 0, 2, 0, 0, 0]),
        (0x0F, [&[20, 0, 0, 0][..], &string(b"f"), &raw(&[])].concat()),
        (0x04, raw(&element(0x0A, b"1", b""))),
        (0x04, raw(&element(0x0A, b"00", b""))),
        (0x04, raw(&element(0x0A, b"", b""))),
        (0x02, vec![0, 0, 0, 0, 0]),
        (0x02, vec![2, 0, 0, 0, b'a', b'b']),
        (0x02, vec![255, 255, 255, 127, 0]),
        (0x03, vec![4, 0, 0, 0]),
        (0x03, vec![5, 0, 0, 0, 1]),
        (0x20, vec![]),
        (0x01, vec![0; 3]),
    ] {
        wrapped(&raw(&element(kind, b"a", &value)));
    }
    wrapped(&raw(&element(0x0A, b"\xC3", b"")));
    wrapped(&raw(&[0x0A, b'a']));
    wrapped(&[5, 0, 0, 0, 9]);
    wrapped(&[6, 0, 0, 0, 0, 0]);
}

#[test]
fn nesting_up_to_the_limit_is_text_and_beyond_it_wrapped() {
    for levels in [1, 2, 100, 180, 200, MAX_TEXT_DEPTH] {
        assert_eq!(round_trip(&nested(levels)).0, Carried::AsText, "{levels}");
    }
    for levels in [MAX_TEXT_DEPTH + 1, 1000, 100_000] {
        wrapped(&nested(levels));
    }
    let scope = |inner: &[u8]| {
        raw(&element(
            0x0F,
            b"c",
            &[&(inner.len() as u32 + 10).to_le_bytes(), &string(b"f")[..], inner].concat(),
        ))
    };
    assert_eq!(round_trip(&scope(&nested(MAX_TEXT_DEPTH - 1))).0, Carried::AsText);
    wrapped(&scope(&nested(MAX_TEXT_DEPTH)));
    // A typed value at the deepest level must not count as one more, in neither spelling.
    let innermost = doc! { "d": bson::DateTime::from_millis(1), "n": 1, "s": Bson::Symbol("x".into()) }
        .to_vec()
        .unwrap();
    let deep = (1..MAX_TEXT_DEPTH).fold(innermost, |inner, _| raw(&element(3, b"a", &inner)));
    assert_eq!(round_trip(&deep).0, Carried::AsText);
}

#[test]
fn a_document_of_16_mib_grows_and_comes_back() {
    let doubles: Vec<u8> = (0..940_000_u32)
        .flat_map(|n| element(0x01, n.to_string().as_bytes(), &(f64::from(n) / 7.0).to_le_bytes()))
        .collect();
    let document = raw(&[
        element(4, b"a", &raw(&doubles)),
        element(0x02, b"s", &string(&vec![1; 600_000])),
    ]
    .concat());
    assert!(
        document.len() > 14 << 20 && document.len() < 16 << 20,
        "{}",
        document.len()
    );
    let (carried, text) = round_trip(&document);
    assert_eq!(carried, Carried::AsText);
    assert!(text.len() > 2 * document.len());
    let mut splitter = Splitter::default();
    splitter.push(text.as_bytes());
    assert_eq!(splitter.next_document().unwrap().unwrap().text.len(), text.len() - 1);
    wrapped(&raw(&element(
        0x05,
        b"$oid",
        &[&(16_u32 << 20).to_le_bytes()[..], &[0], &vec![7; 16 << 20]].concat(),
    )));
}
