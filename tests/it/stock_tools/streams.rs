//! The compressed stream as such: one gzip member, sound zstd frames.

use std::io::Read as _;
use std::process::Command;

use mongotar::archive::{Compression, Payload};
use tokio::io::AsyncReadExt as _;

use super::sample::{Archive, sample};
use crate::rig::python;

fn archives(compression: Compression) -> impl Iterator<Item = &'static Archive> {
    sample()
        .archives
        .iter()
        .filter(move |archive| archive.compression == compression)
}

/// The tar as the library's own uncompressed form would have it: the oracle is Python, which reads all members.
fn tar_of(archive: &Archive) -> Vec<u8> {
    let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
    python().stdout(script, &[archive.path.as_path()], b"")
}

/// Readers that stop after the first member are many; ours is written as one for their sake (FORMAT 3).
#[tokio::test]
async fn a_reader_of_the_first_gzip_member_only_reads_the_whole_tar() {
    for archive in archives(Compression::Gzip) {
        let stored = std::fs::read(&archive.path).expect("the archive");
        let whole = tar_of(archive);
        let mut first = Vec::new();
        flate2::read::GzDecoder::new(&stored[..])
            .read_to_end(&mut first)
            .expect("a member");
        assert!(first == whole, "flate2's GzDecoder");
        let mut first = Vec::new();
        async_compression::tokio::bufread::GzipDecoder::new(&stored[..])
            .read_to_end(&mut first)
            .await
            .expect("a member");
        assert!(first == whole, "async-compression");
        assert!(whole.ends_with(&[0; 1024]) && whole.len().is_multiple_of(512));
        let documents: u64 = archive.manifest.collections.iter().map(|saved| saved.documents).sum();
        assert!(archive.payload != Payload::Jsonl || documents > 6000);
    }
}

#[test]
fn gzip_tests_the_archive() {
    for archive in archives(Compression::Gzip) {
        let output = Command::new("gzip").arg("-t").arg(&archive.path).output();
        let output = output.expect("gzip is on every machine that tests run on");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaint.is_empty(), "{complaint}");
    }
}

/// Frame by frame with python-zstandard, which checks each one's checksum; and by `zstd -t`, where there is one.
#[test]
fn zstd_tests_the_archive() {
    const FRAMES: &str = r#"
import sys, zstandard
data, frames = open(sys.argv[1], "rb").read(), 0
while data:
    if 0x184D2A50 <= int.from_bytes(data[:4], "little") <= 0x184D2A5F:
        assert len(data) == 8 + int.from_bytes(data[4:8], "little") == 136, "the footer is the one skippable frame, and the last"
        break
    frame = zstandard.ZstdDecompressor().decompressobj()
    frame.decompress(data)
    assert frame.eof
    data, frames = frame.unused_data, frames + 1
print(frames)
"#;
    for archive in archives(Compression::Zstd) {
        let frames = python().stdout(FRAMES, &[archive.path.as_path()], b"");
        let entries = archive.manifest.entries().count();
        let segments: usize = archive.manifest.entries().map(|entry| entry.segments.len()).sum();
        // One for each header and each segment; the trailer adds the manifest's two and the tar's end.
        let expected = entries + segments + 3;
        assert_eq!(String::from_utf8_lossy(&frames).trim(), expected.to_string());
        match Command::new("zstd").arg("-tq").arg(&archive.path).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => println!(
                "no zstd here ({error}): only python-zstandard tested {}",
                archive.path.display()
            ),
        }
    }
}
