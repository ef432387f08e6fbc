//! An archive's end (FORMAT 6): the manifest as the last entry, the tar's end, the footer.

use super::crc::Crc32;
use super::footer::{Footer, Major};
use super::frame::GluePlace;
use super::tar_header::{END_OF_ARCHIVE, HeaderPlan, padding};
use super::trailing::Trailing;
use super::{Compression, Extent, StoredFrame};

/// What is known of the archive before its end.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) major: Major,
    /// The manifest's path in the tar.
    pub(super) path: String,
    pub(super) compression: Compression,
    pub(super) mtime: u64,
    /// How many bytes there are so far.
    pub(super) offset: u64,
    /// Padding that the last entry still needs.
    pub(super) padding: usize,
    /// Of the tar stream so far.
    pub(super) tar_crc32: Crc32,
    /// What comes before the manifest.
    pub(super) trailing: Trailing,
}

impl Tail {
    /// The trailer and the footer.
    pub(super) fn build(self, manifest: &StoredFrame) -> (Vec<u8>, Vec<u8>) {
        let compression = self.compression;
        let trailing = self.trailing;
        let mut head = vec![0; trailing.padding.unwrap_or(self.padding)];
        let plan = HeaderPlan::new(&[&self.path]);
        head.extend_from_slice(&plan.build(&self.path, manifest.decoded_bytes, self.mtime));
        let end = vec![0; padding(manifest.decoded_bytes) + END_OF_ARCHIVE];

        let mut trailer = match self.offset {
            0 => compression.prologue().to_vec(),
            _ => trailing.stored,
        };
        trailer.extend_from_slice(&compression.glue(&head, GluePlace::Between));
        let manifest_offset = self.offset + trailer.len() as u64;
        trailer.extend_from_slice(&manifest.stored);
        trailer.extend_from_slice(&compression.glue(&end, GluePlace::Last));
        if compression == Compression::Gzip {
            let content = Crc32::of_run(manifest.crc32, manifest.decoded_bytes);
            let tar = self
                .tar_crc32
                .then(trailing.crc32)
                .then(Crc32::of(&head))
                .then(content)
                .then(Crc32::of(&end));
            trailer.extend_from_slice(&tar.gzip_trailer());
        }
        let footer = Footer {
            major: self.major,
            compression,
            trailer: Extent {
                offset: self.offset,
                length: trailer.len() as u64,
            },
            manifest: Extent {
                offset: manifest_offset,
                length: manifest.stored.len() as u64,
            },
            manifest_bytes: manifest.decoded_bytes,
            blake3: blake3::hash(&trailer),
        };
        (trailer, footer.encode())
    }
}
