//! Documents that a server holds and that most tools change.

use super::raw::{Raw, string};

/// The zero that a server takes for "now".
pub const EMPTY_TIMESTAMP: u64 = 0;
/// What a server takes in a user's document: 16 MiB.
pub const LARGEST: usize = 16 << 20;
/// How deep a server lets users nest (`maxBSONDepth` less 20).
pub const DEEPEST: usize = 180;

/// Every document below, with consecutive `_id`s where they have no odd ones.
pub fn all() -> Vec<Vec<u8>> {
    let numbered = [
        numbers(),
        dates(),
        texts(),
        binaries(),
        deprecated(),
        regular_expressions(),
        look_alikes(),
        orders_and_duplicates(),
        nested(),
    ];
    let numbered = numbered.into_iter().flatten().enumerate();
    let mut all: Vec<Vec<u8>> = numbered.map(|(id, fields)| identified(id, &fields)).collect();
    all.extend(odd_ids());
    all
}

/// The fields behind an `_id`.
pub fn identified(id: usize, fields: &Raw) -> Vec<u8> {
    let id = Raw::with_id(i32::try_from(id).expect("few documents")).bytes();
    let fields = fields.bytes();
    let body = [&id[4..id.len() - 1], &fields[4..]].concat();
    let length = u32::try_from(body.len() + 4).expect("small").to_le_bytes();
    [&length[..], &body].concat()
}

pub fn numbers() -> Vec<Raw> {
    let doubles = [
        0,
        0x8000_0000_0000_0000, // -0.0
        1,                     // the smallest subnormal
        0x7FF8_0000_0000_0000, // NaN
        0x7FF8_0000_0000_0001, // NaN with a payload
        0xFFF8_0000_0000_0000, // negative NaN
        0x7FF0_0000_0000_0001, // signalling NaN
        0x7FF0_0000_0000_0000,
        0xFFF0_0000_0000_0000,
        0x7FEF_FFFF_FFFF_FFFF,
        1.0_f64.to_bits(),
        1e21_f64.to_bits(),
        0.1_f64.to_bits(),
        9_007_199_254_740_993.0_f64.to_bits(),
    ];
    let integers = [
        0,
        5,
        -1,
        i64::from(i32::MAX),
        i64::from(i32::MAX) + 1,
        i64::MIN,
        i64::MAX,
    ];
    let decimals: [u128; 9] = [
        0x3040_0000_0000_0000_0000_0000_0000_0000, // 0
        0xB040_0000_0000_0000_0000_0000_0000_0000, // -0
        0x7C00_0000_0000_0000_0000_0000_0000_0000, // NaN
        0x7E00_0000_0000_0000_0000_0000_0000_0001, // signalling NaN with a payload
        0x7800_0000_0000_0000_0000_0000_0000_0000, // Infinity
        0xF800_0000_0000_0000_0000_0000_0000_0000, // -Infinity
        0x303A_0000_0000_0000_0000_0000_0000_03E8, // 1.000
        0x3041_ED09_BEAD_87C0_378D_8E64_0000_0000, // a significand of 10^34: not canonical, worth 0
        0x6C10_0000_0000_0000_0000_0000_0000_0000, // the other form, not canonical either
    ];
    vec![
        doubles
            .iter()
            .fold(Raw::new(), |raw, &bits| raw.double_bits(format!("{bits:x}"), bits)),
        integers
            .iter()
            .fold(Raw::new(), |raw, &value| raw.int64(value.to_string(), value)),
        Raw::new()
            .int32("min", i32::MIN)
            .int32("max", i32::MAX)
            .int64("five", 5)
            .int32("five too", 5),
        decimals
            .iter()
            .fold(Raw::new(), |raw, &bits| raw.decimal_bits(format!("{bits:x}"), bits)),
    ]
}

pub fn dates() -> Vec<Raw> {
    let millis = [
        0,
        -1,
        1_700_000_000_123,
        253_402_300_799_999,
        253_402_300_800_000, // the year 10000
        -62_135_596_800_001, // before the year 1
        -62_167_219_200_001, // before the year 0
        i64::MIN,
        i64::MAX,
    ];
    let dates = millis
        .iter()
        .fold(Raw::new(), |raw, &millis| raw.date(millis.to_string(), millis));
    let stamps = [1, u64::MAX, 0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF];
    let stamps = stamps
        .iter()
        .fold(Raw::new(), |raw, &stamp| raw.timestamp(stamp.to_string(), stamp));
    let nested = Raw::new().document("sub", Raw::new().timestamp("zero", EMPTY_TIMESTAMP));
    let in_array = Raw::new().array("array", Raw::new().timestamp("0", EMPTY_TIMESTAMP));
    vec![dates, stamps, nested, in_array]
}

pub fn texts() -> Vec<Raw> {
    vec![
        Raw::new()
            .text("empty", "")
            .text("nul", "a\0b")
            .text("astral", "😀\u{10FFFF}")
            .text("separators", "\u{2028}\u{2029}\u{FEFF}\u{7F}\u{85}")
            .text("controls", (0..32).collect::<Vec<u8>>())
            .text("quotes", r#""\/'`"#),
        Raw::new().text("not utf-8", [0xFF, 0xFE, b'a', 0xC3]),
        Raw::new().text("surrogate", [0xED, 0xA0, 0x80]),
        Raw::new().text([b'k', 0xFF], "a key that is no UTF-8"),
        Raw::new()
            .text("", "an empty key")
            .document("", Raw::new().int32("", 1)),
        Raw::new()
            .text("a.b", "dots")
            .document("c", Raw::new().int32(".", 1).int32("d.e.f", 2)),
        Raw::new()
            .int32("__proto__", 1)
            .int32("mongotar:raw-bson", 2)
            .int32("\n\"\u{1}", 3),
    ]
}

pub fn binaries() -> Vec<Raw> {
    let sixteen: Vec<u8> = (0..16).collect();
    let subtypes = [0, 1, 3, 4, 5, 6, 8, 9, 0x7F, 0x80, 0xFF];
    let whole = subtypes.iter().fold(Raw::new(), |raw, &subtype| {
        raw.binary(format!("{subtype}"), subtype, &sixteen)
            .binary(format!("{subtype} short"), subtype, &[1, 2, 3])
            .binary(format!("{subtype} empty"), subtype, &[])
    });
    vec![
        whole,
        Raw::new()
            .binary("old", 2, &[3, 0, 0, 0, 1, 2, 3])
            .binary("old, empty", 2, &[0; 4]),
        Raw::new().binary("inner length off", 2, &[9, 0, 0, 0, 1, 2, 3]),
    ]
}

pub fn deprecated() -> Vec<Raw> {
    let scope = Raw::new().int32("x", 1).text("s", "y");
    let code = string("function() { return x }");
    let with_scope = |scope: Raw| {
        let scope = scope.bytes();
        let all = u32::try_from(4 + code.len() + scope.len())
            .expect("small")
            .to_le_bytes();
        [&all[..], &code, &scope].concat()
    };
    vec![
        Raw::new()
            .element(0x06, "undefined", [])
            .element(0x07, "id", [0xAB; 12])
            .element(0x08, "true", [1])
            .element(0x08, "false", [0])
            .element(0x0A, "null", [])
            .element(0x0C, "pointer", [string("db.c"), vec![7; 12]].concat())
            .element(0x0D, "code", &code)
            .element(0x0E, "symbol", string("symbol"))
            .element(0x0F, "scoped", with_scope(scope))
            .element(0x0F, "scoped by nothing", with_scope(Raw::new()))
            .element(0xFF, "min", [])
            .element(0x7F, "max", []),
        Raw::new().element(0x0E, "symbol, not utf-8", string([0xFF])),
        Raw::new().element(
            0x0F,
            "scope with a type key",
            with_scope(Raw::new().text("$oid", "0".repeat(24))),
        ),
        Raw::new().array(
            "array",
            Raw::new()
                .element(0x06, "0", [])
                .element(0xFF, "1", [])
                .element(0x7F, "2", []),
        ),
    ]
}

pub fn regular_expressions() -> Vec<Raw> {
    vec![
        Raw::new()
            .regex("plain", "^a/b\"\\d", "i")
            .regex("all", "x", "imsux")
            .regex("nothing", "", ""),
        Raw::new().regex("unsorted", "x", "xi"),
        Raw::new().regex("unknown", "x", "zq"),
        Raw::new().regex("not utf-8", [0xFF], ""),
    ]
}

/// Ordinary sub-documents that Extended JSON would take for values, or refuse (TOOLS-3611).
pub fn look_alikes() -> Vec<Raw> {
    let one = |key: &str, value: &str| Raw::new().text(key, value);
    let subs = vec![
        one("$oid", "0123456789abcdef01234567"),
        one("$oid", "short"),
        one("$date", "hello"),
        one("$date", "2020-01-01T00:00:00Z"),
        Raw::new().document("$date", one("$numberLong", "5")),
        one("$numberLong", "5"),
        one("$numberInt", "5"),
        one("$numberDouble", "NaN"),
        one("$numberDecimal", "1"),
        Raw::new().int32("$minKey", 1),
        Raw::new().int32("$maxKey", 1),
        Raw::new().element(0x08, "$undefined", [1]),
        Raw::new().document("$binary", one("base64", "AA==").text("subType", "00")),
        one("$binary", "AA==").text("$type", "00"),
        one("$uuid", "00112233-4455-6677-8899-aabbccddeeff"),
        one("$symbol", "s"),
        one("$code", "f"),
        one("$code", "f").document("$scope", Raw::new()),
        one("$regex", "x").text("$options", "i"),
        Raw::new().document("$regularExpression", one("pattern", "x").text("options", "i")),
        Raw::new().document("$timestamp", Raw::new().int32("t", 1).int32("i", 2)),
        Raw::new().document("$dbPointer", one("$ref", "c").element(0x07, "$id", [1; 12])),
        one("$ref", "c").int32("$id", 1),
        one("$ref", "c").int32("$id", 1).text("$db", "d").int32("more", 2),
        Raw::new().int32("$id", 1).text("$ref", "c"),
        one("$db", "d").text("$ref", "c").int32("$id", 1),
        Raw::new().int32("$gt", 5),
        one("mongotar:raw-bson", "x"),
        Raw::new().document(
            "mongotar:raw-bson",
            Raw::new().document("$binary", one("base64", "BQAAAAA=").text("subType", "00")),
        ),
    ];
    let mut all: Vec<Raw> = subs.iter().map(|sub| Raw::new().document("sub", sub.clone())).collect();
    all.push(Raw::new().array(
        "array",
        Raw::new().document("0", subs[0].clone()).document("1", subs[9].clone()),
    ));
    // Servers from 5.0 on take such keys at the top as well.
    all.push(one("$oid", "0123456789abcdef01234567"));
    all.push(one("$date", "hello").int32("$set", 1));
    all
}

pub fn orders_and_duplicates() -> Vec<Raw> {
    vec![
        Raw::new()
            .int32("b", 1)
            .int32("a", 2)
            .int32("B", 3)
            .int32("10", 4)
            .int32("9", 5),
        Raw::new().int32("twice", 1).int32("between", 2).int32("twice", 3),
        Raw::new().document("sub", Raw::new().int32("twice", 1).text("twice", "2")),
        Raw::new().array("odd keys", Raw::new().int32("1", 1).int32("0", 2).int32("x", 3)),
        Raw::new().array("no keys", Raw::new().int32("", 1).int32("", 2)),
    ]
}

/// Depth and length.
pub fn nested() -> Vec<Raw> {
    let numbers = (0..100_000).fold(Raw::new(), |raw, n| raw.int32(n.to_string(), n));
    let grid = (0..300).fold(Raw::new(), |raw, n| {
        raw.array(
            n.to_string(),
            Raw::new().array("0", Raw::new()).document("1", Raw::new()),
        )
    });
    vec![
        deep(100, Nest::Documents),
        deep(150, Nest::Arrays),
        deep(DEEPEST, Nest::Documents),
        deep(DEEPEST, Nest::Arrays),
        Raw::new().array("numbers", numbers).array("grid", grid),
        Raw::new(),
    ]
}

#[derive(Clone, Copy)]
pub enum Nest {
    Documents,
    Arrays,
}

/// A document whose levels, itself included, are `levels`.
pub fn deep(levels: usize, nest: Nest) -> Raw {
    (1..levels).fold(Raw::new(), |inner, _| match nest {
        Nest::Documents => Raw::new().document("d", inner),
        Nest::Arrays => Raw::new().array("0", inner),
    })
}

/// A document of exactly so many bytes, most of them `filling`.
pub fn of_size(bytes: usize, id: i32, filling: u8) -> Vec<u8> {
    let overhead = Raw::with_id(id).text("text", "").bytes().len();
    let document = Raw::with_id(id).text("text", vec![filling; bytes - overhead]).bytes();
    assert_eq!(document.len(), bytes);
    document
}

/// What can be an `_id`.
pub fn odd_ids() -> Vec<Vec<u8>> {
    let id = Raw::new;
    let embedded = |sub: Raw| Raw::new().document("_id", sub);
    let ids = vec![
        embedded(Raw::new().int32("a", 1).int32("b", 2)),
        embedded(Raw::new().int32("b", 2).int32("a", 1)),
        embedded(Raw::new()),
        embedded(Raw::new().text("$ref", "c").int32("$id", 1)),
        embedded(Raw::new().array("array", Raw::new().int32("0", 1))),
        embedded(Raw::new().text("not utf-8", [0xFF])),
        embedded(Raw::new().int32("a", 7).int32("a", 8)),
        id().text("_id", ""),
        id().text("_id", "a\0b"),
        id().text("_id", [0xFF, b'x']),
        id().element(0x0A, "_id", []),
        id().element(0xFF, "_id", []),
        id().element(0x7F, "_id", []),
        id().element(0x08, "_id", [1]),
        id().element(0x0E, "_id", string("a symbol")),
        id().element(0x0C, "_id", [string("db.c"), vec![7; 12]].concat()),
        id().element(0x0D, "_id", string("code")),
        id().timestamp("_id", EMPTY_TIMESTAMP),
        id().date("_id", i64::MIN),
        id().binary("_id", 0, b"bytes"),
        id().binary("_id", 2, &[1, 0, 0, 0, 9]),
        id().binary("_id", 4, &[7; 16]),
        id().double_bits("_id", 0x7FF8_0000_0000_0001),
        id().double_bits("_id", (-1.5_f64).to_bits()),
        id().int64("_id", 1 << 40),
        id().decimal_bits("_id", 0x303A_0000_0000_0000_0000_0000_0001_86A1),
        id().element(0x07, "_id", [1; 12]),
    ];
    ids.into_iter().map(|raw| raw.int32("rest", 1).bytes()).collect()
}
