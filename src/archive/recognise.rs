//! Tells files without a footer apart by their first bytes.

use super::{ArchiveName, Compression, METADATA_ENTRY};

/// How a file is compressed as a whole.
pub fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Whether a file begins as only our archives do: a glue frame whose tar header names `collections_metadata.json` in a
/// folder named like an archive, with the mode that we write. Our archive without its footer is truncated, and must not
/// pass for a foreign one.
pub fn is_ours(head: &[u8]) -> bool {
    let compression = sniff(head);
    let glue = compression.prologue().len() + compression.glue_length(0);
    let Some(block) = head.get(glue..).and_then(|rest| rest.first_chunk::<512>()) else {
        return false;
    };
    let header = tar::Header::from_byte_slice(block);
    let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let named = path
        .split_once('/')
        .is_some_and(|(folder, file)| file == METADATA_ENTRY && ArchiveName::parse(folder).is_some());
    named && header.mode().is_ok_and(|mode| mode == 0o600) && header.username_bytes().is_some_and(<[u8]>::is_empty)
}
