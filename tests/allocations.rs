//! The hot loops allocate nothing for a document: counted over 100,000 of them. A program of its own, since the
//! allocator that counts is the whole program's.

use std::alloc::System;

use bson::oid::ObjectId;
use bson::{Binary, DateTime, Decimal128, Timestamp, rawdoc};
use mongotar::archive::{Compression, FrameEncoder};
use mongotar::digest::{DocumentHasher, Hashing};
use mongotar::extjson::{Decoder, Encoder, Limits, Style, TextPosition};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DOCUMENTS: usize = 100_000;
/// For buffers that grow to their size, and for what the codec sets up.
const FEW: usize = 64;

/// How often memory was asked for, growth included.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(COUNTING);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

/// Every type, nesting, escapes, and text that is not ASCII.
fn document(number: usize) -> Vec<u8> {
    let number = i32::try_from(number).expect("a small number");
    let binary = Binary {
        subtype: bson::spec::BinarySubtype::Uuid,
        bytes: vec![7; 16],
    };
    let document = rawdoc! {
        "_id": ObjectId::from_bytes([number as u8; 12]),
        "number": number,
        "large": i64::from(number) << 33,
        "ratio": f64::from(number) / 7.0,
        "exact": "12.50".parse::<Decimal128>().expect("a decimal"),
        "at": DateTime::from_millis(1_767_225_600_000 + i64::from(number)),
        "stamp": Timestamp { time: 1, increment: 2 },
        "text": "caf\u{e9} \"quoted\"\n\u{65e5}\u{672c}",
        "long": "a sentence that is long enough to be copied in more than one go, whatever the CPU can take at a time",
        "binary": binary,
        "nested": {"list": [1, 2.5, "three", {"deep": true}], "nothing": bson::RawBson::Null},
        "pattern": pattern(),
        "min": bson::RawBson::MinKey,
    };
    document.as_bytes().to_vec()
}

fn pattern() -> bson::Regex {
    bson::Regex {
        pattern: bson::raw::cstr!("^a.*b$").to_owned(),
        options: bson::raw::cstr!("i").to_owned(),
    }
}

/// One test, since the count is of all threads together.
#[test]
fn no_document_costs_an_allocation() {
    // The count itself: a loop that allocates is found out.
    let counted = allocations(|| (0..1_000_u64).for_each(|number| drop(std::hint::black_box(Box::new(number)))));
    assert!(counted >= 1_000, "{counted}");

    let documents: Vec<Vec<u8>> = (0..100).map(document).collect();
    let many = || (0..DOCUMENTS).map(|number| documents[number % documents.len()].as_slice());

    for hashing in [Hashing::Raw, Hashing::SortedFields] {
        let mut hasher = DocumentHasher::new(hashing);
        let counted = allocations(|| many().for_each(|document| hasher.add_document(document)));
        assert!(counted <= FEW, "{hashing:?}: {counted}");
        assert_eq!(hasher.digest().documents(), DOCUMENTS as u64);
    }

    let (mut encoder, mut text) = (Encoder::new(Style::Compact), Vec::new());
    let counted = allocations(|| {
        for document in many() {
            encoder.encode(document, &mut text);
        }
    });
    assert!(counted <= FEW, "encoding: {counted}");

    let mut decoder = Decoder::new(Limits::default());
    let (mut position, mut bson, mut decoded) = (TextPosition::default(), Vec::new(), 0);
    let counted = allocations(|| {
        while decoder
            .decode_next(&text, &mut position, &mut bson)
            .expect("our own text")
        {
            decoded += 1;
        }
    });
    assert!(counted <= FEW, "decoding: {counted}");
    assert_eq!(decoded, DOCUMENTS);
    assert_eq!(bson, many().flatten().copied().collect::<Vec<u8>>());

    for compression in Compression::ALL {
        let mut frames = FrameEncoder::new(compression).expect("a codec");
        let mut content = text.clone();
        let counted = allocations(|| drop(frames.encode(&mut content).expect("memory")));
        assert!(counted <= 2 * FEW, "{compression}: {counted}");
    }
}
