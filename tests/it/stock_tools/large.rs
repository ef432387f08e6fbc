//! Entries and streams beyond what 32 bits and eleven octal digits hold.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use mongotar::archive::{
    ArchiveName, ArchiveWriter, Compression, Entry, FrameEncoder, Part, PartSchedule, StoredFrame,
};

use crate::damage::forge::NAME;
use crate::rig::{ScratchDir, libarchive_list, python};

/// Writes an archive whose one entry is `frame`, so many times, and a second small one behind it. Zeros are not
/// written: the file is sparse.
fn write(path: &Path, compression: Compression, frame: &StoredFrame, times: u64) -> Entry {
    let file = File::create(path).expect("the scratch folder");
    let mut length = 0;
    let mut nothing = Vec::new();
    let mut put = |part: Part| {
        nothing.resize(part.bytes.len().max(nothing.len()), 0);
        if part.bytes[..] != nothing[..part.bytes.len()] {
            file.write_all_at(&part.bytes, part.offset).expect("room on the disk");
        }
        length = length.max(part.offset + part.bytes.len() as u64);
    };
    let mut frames = FrameEncoder::new(compression).expect("a codec");
    let mut archive = ArchiveWriter::new(
        ArchiveName::parse(NAME).expect("a name"),
        compression,
        PartSchedule::default(),
    );
    archive.begin(&["large.jsonl", "large.jsonl.partial"]);
    for _ in 0..times {
        archive.segment(frame, 1);
        std::iter::from_fn(|| archive.next_part()).for_each(&mut put);
    }
    let large = archive.end("large.jsonl");
    archive.entry("after.json", b"{}\n", &mut frames).expect("memory");
    std::iter::from_fn(|| archive.next_part()).for_each(&mut put);
    let (parts, total) = archive.finish(b"{}\n".to_vec(), &mut frames).expect("memory");
    parts.into_iter().for_each(&mut put);
    assert_eq!(length, total);
    large
}

fn zeros(compression: Compression, bytes: usize) -> StoredFrame {
    let mut frames = FrameEncoder::new(compression).expect("a codec");
    frames.encode(&mut vec![0; bytes]).expect("memory")
}

/// Above 8 GiB a size no longer fits eleven octal digits; it is written in base-256, and every reader must step over so
/// much content.
#[test]
fn an_entry_of_more_than_eight_gibibytes_is_listed_with_its_size() {
    const TIMES: u64 = 145;
    let scratch = ScratchDir::new("large");
    let path = scratch.path().join("large.tar");
    let frame = zeros(Compression::None, 64 << 20);
    let large = write(&path, Compression::None, &frame, TIMES);
    assert_eq!(large.bytes, TIMES * (64 << 20));
    assert!(large.bytes > 9 << 30);

    let expected = ["large.jsonl", "after.json", "manifest.json"].map(|file| format!("{NAME}/{file}"));
    assert_eq!(libarchive_list(&path), expected);

    let script = "import sys, tarfile\nfor m in tarfile.open(sys.argv[1], 'r:'): print(m.name, m.size)";
    let listing = String::from_utf8(python().stdout(script, &[path.as_path()], b"")).expect("UTF-8");
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!(lines[0], format!("{} {}", expected[0], large.bytes));
    assert_eq!(lines[1], format!("{} 3", expected[1]));
    assert_eq!(lines.len(), 3);

    let output = Command::new("tar")
        .args(["-tv", "--full-time", "-f"])
        .arg(&path)
        .output()
        .expect("tar");
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let first = listing.lines().next().unwrap_or_default();
    assert!(
        first.contains(&large.bytes.to_string()) && first.ends_with(&expected[0]),
        "{listing}"
    );
    assert_eq!(listing.lines().count(), 3);
}

/// gzip counts modulo 2³², and its CRC-32 is combined out of the segments' own.
#[test]
fn a_gzip_member_of_more_than_four_gibibytes_has_the_right_sum_and_length() {
    const TIMES: u64 = 65;
    let scratch = ScratchDir::new("gzip");
    let path = scratch.path().join("large.tar.gz");
    let frame = zeros(Compression::Gzip, 64 << 20);
    let large = write(&path, Compression::Gzip, &frame, TIMES);
    assert!(large.bytes > 4 << 30);
    let file = std::io::BufReader::with_capacity(1 << 20, File::open(&path).expect("the archive"));
    let mut decoder = flate2::bufread::GzDecoder::new(file);
    let (mut buffer, mut total) = (vec![0; 4 << 20], 0);
    loop {
        // The decoder compares sum and length at the member's end.
        match decoder.read(&mut buffer).expect("sum and length are right") {
            0 => break,
            read => total += read as u64,
        }
    }
    assert!(total > large.bytes && total.is_multiple_of(512));
}

/// The same size in compressed form, stepped over by libarchive: it decodes all of it.
#[test]
fn a_zstd_archive_of_more_than_eight_gibibytes_is_read_to_its_end() {
    const TIMES: u64 = 129;
    let scratch = ScratchDir::new("zstd");
    let path = scratch.path().join("large.tar.zst");
    let large = write(&path, Compression::Zstd, &zeros(Compression::Zstd, 64 << 20), TIMES);
    assert!(large.bytes > 8 << 30);
    assert!(std::fs::metadata(&path).expect("the archive").len() < 10 << 20);
    let expected = ["large.jsonl", "after.json", "manifest.json"].map(|file| format!("{NAME}/{file}"));
    assert_eq!(libarchive_list(&path), expected);
}
