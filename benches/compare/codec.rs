//! What the inner loops do in a second of CPU time, on one thread, without a server.

use std::time::{Duration, Instant};

use mongotar::archive::{Compression, FrameEncoder};
use mongotar::digest::{DocumentHasher, Hashing};
use mongotar::extjson::{Decoder, Encoder, Limits, Style, TextPosition};
use serde_json::json;

use crate::Scale;
use crate::dataset::{self, Shape};
use crate::measure::{median, thread_cpu};
use crate::record::Record;

/// The size of a segment, as a backup has it.
const SEGMENT: usize = 2 << 20;
/// How much text is made before it is thrown away.
const PIECE: usize = 256 << 10;
const LONG_ENOUGH: Duration = Duration::from_millis(400);

struct Corpus {
    name: &'static str,
    documents: Vec<Vec<u8>>,
    text: Vec<u8>,
    bytes: usize,
}

type Loop = fn(&Corpus);

const LOOPS: [(&str, Loop); 6] = [
    ("digest", digest),
    ("encode: BSON to Extended JSON", encode),
    ("decode: Extended JSON to BSON", decode),
    ("digest, encode, zstd frames", zstd),
    ("digest, encode, gzip frames", gzip),
    ("digest, encode, plain frames", plain),
];

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("codec");
    let megabytes = scale.amount(60);
    let corpora = [
        corpus("small (180 B)", &[Shape::Event], megabytes),
        corpus(
            "mixed",
            &[Shape::Order, Shape::User, Shape::Event, Shape::Reading],
            megabytes,
        ),
        corpus("text (56 KB)", &[Shape::Article], megabytes),
        corpus("binary (15 MB)", &[Shape::Blob], megabytes.max(15)),
    ];
    record.condition(
        "unit",
        "MB of BSON per second of CPU time of the one thread that works, medians",
    );
    let mut rows = Vec::new();
    for (name, work) in LOOPS {
        let mut row = vec![name.to_owned()];
        for corpus in &corpora {
            let speeds: Vec<f64> = (0..scale.repetitions(7)).map(|_| speed(corpus, work)).collect();
            let middle = median(speeds.clone());
            record.value(
                json!({"name": name, "corpus": corpus.name, "bson_bytes": corpus.bytes, "text_bytes": corpus.text.len(),
                "median_mb_per_cpu_s": middle, "runs": speeds}),
            );
            row.push(format!("{middle:.0}"));
        }
        rows.push(row);
    }
    cores(&corpora[1], scale, &mut record);
    let mut sizes = vec!["size of the text, BSON = 1".to_owned()];
    sizes.extend(
        corpora
            .iter()
            .map(|corpus| format!("{:.2}", corpus.text.len() as f64 / corpus.bytes as f64)),
    );
    rows.push(sizes);
    let columns: Vec<&'static str> = std::iter::once("loop")
        .chain(corpora.iter().map(|corpus| corpus.name))
        .collect();
    record.table("MB of BSON per CPU-second", &columns, rows);
    record
}

/// How much more two threads do in the same time than one.
fn cores(corpus: &Corpus, scale: Scale, record: &mut Record) {
    const DEMANDED: f64 = 1.6;
    let speed = |threads: usize| {
        let speeds = (0..scale.repetitions(7)).map(|_| {
            let started = Instant::now();
            std::thread::scope(|scope| {
                (0..threads).for_each(|_| drop(scope.spawn(|| zstd(corpus))));
            });
            (corpus.bytes * threads) as f64 / 1e6 / started.elapsed().as_secs_f64()
        });
        median(speeds.collect())
    };
    let (one, two) = (speed(1), speed(2));
    let row =
        |threads: &str, speed: f64| vec![threads.to_owned(), format!("{speed:.0}"), format!("{:.2}", speed / one)];
    let rows = vec![row("1", one), row("2", two)];
    let columns = ["threads", "BSON MB/s of wall time", "× one"];
    record.table(
        "Digest, encode and zstd frames on several cores, mixed documents",
        &columns,
        rows,
    );
    record.value(json!({"name": "cores", "one_mb_per_s": one, "two_mb_per_s": two}));
    record.target(
        two >= DEMANDED * one,
        format!(
            "two threads do {:.2} times what one does; {DEMANDED} are demanded",
            two / one
        ),
    );
}

fn corpus(name: &'static str, shapes: &[Shape], megabytes: u64) -> Corpus {
    let each = megabytes * 1_000_000 / shapes.len() as u64;
    let mut chunks: Vec<Vec<Vec<u8>>> = Vec::new();
    for &shape in shapes {
        let made = dataset::chunk(shape, 1, (each / shape.typical_bytes()).max(1)).into_iter();
        chunks.push(made.map(|document| document.as_bytes().to_vec()).collect());
    }
    let documents: Vec<Vec<u8>> = chunks.concat();
    let mut text = Vec::new();
    let mut encoder = Encoder::new(Style::Compact);
    for document in &documents {
        encoder.encode(document, &mut text);
    }
    let bytes = documents.iter().map(Vec::len).sum();
    Corpus {
        name,
        documents,
        text,
        bytes,
    }
}

/// The kernel brings a thread's CPU time up to date now and then only, so a loop is repeated until that does not
/// matter.
fn speed(corpus: &Corpus, work: Loop) -> f64 {
    let before = thread_cpu();
    let mut times = 0.0;
    loop {
        work(corpus);
        times += 1.0;
        let took = thread_cpu() - before;
        if took >= LONG_ENOUGH {
            return corpus.bytes as f64 / 1e6 * times / took.as_secs_f64();
        }
    }
}

fn digest(corpus: &Corpus) {
    let mut hasher = DocumentHasher::new(Hashing::Raw);
    for document in &corpus.documents {
        hasher.add_document(document);
    }
    std::hint::black_box(hasher.digest());
}

fn encode(corpus: &Corpus) {
    let mut encoder = Encoder::new(Style::Compact);
    let mut text = Vec::with_capacity(2 * PIECE);
    for document in &corpus.documents {
        encoder.encode(document, &mut text);
        if text.len() >= PIECE {
            std::hint::black_box(&text);
            text.clear();
        }
    }
}

fn decode(corpus: &Corpus) {
    let mut decoder = Decoder::new(Limits::default());
    let mut position = TextPosition::default();
    let mut bson = Vec::with_capacity(2 * SEGMENT);
    while decoder
        .decode_next(&corpus.text, &mut position, &mut bson)
        .expect("our own text")
    {
        if bson.len() >= SEGMENT {
            std::hint::black_box(&bson);
            bson.clear();
        }
    }
}

fn zstd(corpus: &Corpus) {
    segments(corpus, Compression::Zstd);
}

fn gzip(corpus: &Corpus) {
    segments(corpus, Compression::Gzip);
}

fn plain(corpus: &Corpus) {
    segments(corpus, Compression::None);
}

/// What a backup's worker does.
fn segments(corpus: &Corpus, compression: Compression) {
    let mut encoder = Encoder::new(Style::Compact);
    let mut frame = FrameEncoder::new(compression).expect("memory for a codec");
    let mut hasher = DocumentHasher::new(Hashing::Raw);
    let mut text = Vec::with_capacity(2 * PIECE);
    let mut bytes = 0;
    for document in &corpus.documents {
        hasher.add_document(document);
        encoder.encode(document, &mut text);
        bytes += document.len();
        if bytes >= SEGMENT {
            std::hint::black_box(frame.encode(&mut text).expect("memory"));
            bytes = 0;
        }
    }
    std::hint::black_box(frame.encode(&mut text).expect("memory"));
    std::hint::black_box(hasher.digest());
}
