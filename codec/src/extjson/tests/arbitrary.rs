//! Documents and texts that nobody would think of.

use proptest::{collection::vec, prelude::*};

use super::*;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        80 => "[a-z]{1,12}".prop_map(String::into_bytes),
        16 => "[a-z]{0,3}\\PC{0,6}".prop_map(String::into_bytes),
        6 => prop::sample::select(vec!["$ref", "$id", "$db", "$gt", "$type", "$options", "$scope", "$", "", "a.b", "\"", "\\", "\n", "mongotar:raw-bson"])
            .prop_map(|key| key.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["$oid", "$date", "$regex", "$binary", "$code", "$numberLong", "$uuid", "$undefined"])
            .prop_map(|key| key.as_bytes().to_vec()),
        1 => vec(1..=255_u8, 0..10),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        40 => "[ -~]{0,60}".prop_map(String::into_bytes),
        20 => "\\PC{0,20}".prop_map(String::into_bytes),
        20 => vec(any::<char>(), 0..20).prop_map(|chars| String::from_iter(chars).into_bytes()),
        12 => "[\\x00-\\x1f\"\\\\]{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn cstring() -> impl Strategy<Value = Vec<u8>> {
    text().prop_map(|text| text.into_iter().filter(|&b| b != 0).collect())
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-1000..1000_i32).prop_map(|n| f64::from(n) / 8.0),
        Just(-0.0),
        Just(f64::NAN)
    ]
}

fn decimal() -> impl Strategy<Value = u128> {
    prop_oneof![
        1 => any::<u128>(),
        9 => (any::<u64>(), 6100..6200_u128, any::<bool>())
            .prop_map(|(n, e, sign)| u128::from(sign) << 127 | e << 113 | u128::from(n))
    ]
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![20 => prop::sample::subsequence(b"ilmsux".to_vec(), 0..=6), 1 => cstring()]
}

/// A type and the bytes of a value, mostly right.
fn leaf() -> impl Strategy<Value = (u8, Vec<u8>)> {
    prop_oneof![
        double().prop_map(|value| (0x01, value.to_le_bytes().to_vec())),
        text().prop_map(|text| (0x02, string(&text))),
        (any::<u8>(), vec(any::<u8>(), 0..20)).prop_map(|(subtype, data)| (
            0x05,
            [&(data.len() as u32).to_le_bytes()[..], &[subtype], &data].concat()
        )),
        vec(any::<u8>(), 0..9).prop_map(|data| (
            0x05,
            [
                &(data.len() as u32 + 4).to_le_bytes()[..],
                &[2],
                &(data.len() as u32).to_le_bytes(),
                &data
            ]
            .concat()
        )),
        any::<[u8; 12]>().prop_map(|id| (0x07, id.to_vec())),
        prop_oneof![30 => 0..2_u8, 1 => any::<u8>()].prop_map(|flag| (0x08, vec![flag])),
        any::<i64>().prop_map(|date| (0x09, date.to_le_bytes().to_vec())),
        (cstring(), options()).prop_map(|(pattern, options)| (0x0B, [&pattern[..], &[0], &options, &[0]].concat())),
        (text(), any::<[u8; 12]>()).prop_map(|(name, id)| (0x0C, [&string(&name)[..], &id].concat())),
        (prop::sample::select(vec![0x0D, 0x0E]), text()).prop_map(|(kind, text)| (kind, string(&text))),
        any::<i32>().prop_map(|value| (0x10, value.to_le_bytes().to_vec())),
        (prop::sample::select(vec![0x11, 0x12]), any::<i64>())
            .prop_map(|(kind, value)| (kind, value.to_le_bytes().to_vec())),
        decimal().prop_map(|bits| (0x13, bits.to_le_bytes().to_vec())),
        prop::sample::select(vec![0x06, 0x0A, 0x7F, 0xFF]).prop_map(|kind| (kind, vec![])),
        prop_oneof![30 => Just((0x0A, vec![])), 1 => (any::<u8>(), vec![any::<u8>(); 3])],
    ]
}

fn fields(value: impl Strategy<Value = (u8, Vec<u8>)> + Clone) -> impl Strategy<Value = Vec<u8>> {
    vec((key(), value), 0..8).prop_map(|fields| {
        let elements: Vec<_> = fields
            .iter()
            .map(|(key, (kind, value))| {
                element(
                    *kind,
                    &key.iter().copied().filter(|&b| b != 0).collect::<Vec<_>>(),
                    value,
                )
            })
            .collect();
        raw(&elements.concat())
    })
}

fn document() -> impl Strategy<Value = Vec<u8>> {
    let value = leaf().boxed().prop_recursive(6, 60, 8, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            3 => fields(inner.clone()).prop_map(|document| (0x03, document)),
            3 => vec(inner.clone(), 0..12).prop_map(|values| {
                let elements: Vec<_> = values.iter().enumerate().map(|(n, (kind, value))| element(*kind, n.to_string().as_bytes(), value)).collect();
                (0x04, raw(&elements.concat()))
            }),
            1 => (text(), fields(inner.clone())).prop_map(|(code, scope)| {
                let len = (4 + code.len() + 5 + scope.len()) as u32;
                (0x0F, [&len.to_le_bytes()[..], &string(&code), &scope].concat())
            }),
            1 => (inner.clone(), 1..250_usize).prop_map(|((kind, value), levels)| {
                (1..levels).fold((kind, value), |(kind, value), _| (0x03, raw(&element(kind, b"d", &value))))
            }),
        ]
    });
    fields(value.boxed())
}

/// JSON that is nearly right.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "\"a\"",
        "\"$oid\":",
        "\"$date\":",
        "\"$binary\":",
        "\"$type\":",
        "\"$regex\":",
        "\"$options\":",
        "\"$code\":",
        "\"$scope\":",
        "\"$numberLong\":",
        "\"$numberInt\":\"",
        "{\"$numberInt\":\"5\"}",
        "\"$timestamp\":{\"t\":1,\"i\":2}",
        "1",
        "-",
        "1.5e3",
        "NaN",
        "true",
        "null",
        "\"5f0e1d2c3b4a5968778695a4\"",
        "\\u0000",
        "\\ud83d",
        "é",
        "{\"mongotar:raw-bson\":",
        "\"base64\":\"AQI=\"",
        "\"subType\":\"02\"",
    ]);
    vec(token, 0..30).prop_map(|tokens| tokens.concat().into_bytes())
}

/// Reads as far as it goes; what is read must be a document of the length it claims.
fn digest_anything(text: &[u8]) {
    let (mut decoder, mut position, mut out) = (Decoder::new(Limits::default()), TextPosition::start(), Vec::new());
    while let Ok(true) = decoder.decode_next(text, &mut position, &mut out) {
        assert_eq!(u32::from_le_bytes(*out.first_chunk().unwrap()) as usize, out.len());
        out.clear();
    }
    assert!(out.is_empty());
    let mut splitter = Splitter::new(100);
    for piece in text.chunks(7) {
        splitter.push(piece);
        while let Ok(Some(found)) = splitter.next_document() {
            assert!(found.text.starts_with(b"{"));
        }
    }
    let _ = splitter.finish();
}

/// Few by default; `PROPTEST_CASES=1500` in `.ci/run`.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_document_survives(document in document()) {
        let (_, line) = round_trip(&document);
        prop_assert!(!line.contains(['\r', '\t']));
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok(), "{}", line);
    }

    #[test]
    fn every_byte_string_of_the_right_length_survives(mut bytes in vec(prop_oneof![any::<u8>(), 0..20_u8], 5..80)) {
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        round_trip(&bytes);
    }

    #[test]
    fn damaged_documents_survive(mut document in document(), place: prop::sample::Index, byte: u8) {
        let place = 4 + place.index(document.len() - 4);
        document[place] = byte;
        round_trip(&document);
    }

    #[test]
    fn texts_split_like_they_decode(documents in vec(document(), 0..6), step in 1..200_usize, pretty: bool) {
        let mut encoder = Encoder::new(if pretty { Style::Pretty } else { Style::Compact });
        let mut text = Vec::new();
        for document in &documents {
            encoder.encode(document, &mut text);
        }
        prop_assert_eq!(&decode(&text).unwrap(), &documents);
        let (mut splitter, mut decoder, mut out) = (Splitter::default(), Decoder::new(Limits::default()), Vec::new());
        for piece in text.chunks(step) {
            splitter.push(piece);
            while let Some(found) = splitter.next_document().unwrap() {
                let mut position = found.position;
                prop_assert!(decoder.decode_next(found.text, &mut position, &mut out).unwrap());
                prop_assert_eq!(position.at, found.text.len());
            }
        }
        splitter.finish().unwrap();
        prop_assert_eq!(out, documents.concat());
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in vec(any::<u8>(), 0..200), nearly in json()) {
        digest_anything(&bytes);
        digest_anything(&nearly);
    }

    #[test]
    fn no_damage_brings_the_reader_down(document in document(), place: prop::sample::Index, byte: u8, pretty: bool) {
        let mut text = Vec::new();
        Encoder::new(if pretty { Style::Pretty } else { Style::Compact }).encode(&document, &mut text);
        let place = place.index(text.len());
        text[place] = byte;
        digest_anything(&text);
        digest_anything(&text[..place]);
    }
}
