//! How a file or a member of an archive is compressed, by its name or its first bytes.

use std::io::{self, Read};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packing {
    /// It is not.
    Plain,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
    /// `.bz2`: only in programs that are built with the feature `bzip2-xz`.
    Bzip2,
    /// `.xz`: only in programs that are built with the feature `bzip2-xz`.
    Xz,
}

/// What to do where a program is built without the feature `bzip2-xz`.
pub(crate) const NOT_BUILT_IN: &str = "this program is built without it: use a command line built with --features bzip2-xz, decompress it, or compress it as .gz or .zst";

const ENDINGS: [(&str, Packing); 4] = [
    (".gz", Packing::Gzip),
    (".zst", Packing::Zstd),
    (".bz2", Packing::Bzip2),
    (".xz", Packing::Xz),
];

/// A file's name without that ending, whatever the case of its letters: `ORDERS.BSON`.
pub(super) fn without_ending<'a>(file: &'a str, ending: &str) -> Option<&'a str> {
    let (stem, found) = file.split_at_checked(file.len().checked_sub(ending.len())?)?;
    found.eq_ignore_ascii_case(ending).then_some(stem)
}

impl Packing {
    /// By the first bytes of a file.
    pub(crate) fn of_head(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // The digit is the level; what follows is the magic of the first block.
            [b'B', b'Z', b'h', b'0'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// A file's name without the ending that tells how it is compressed, and how.
    pub(super) fn of_name(file: &str) -> (&str, Self) {
        let found = ENDINGS
            .iter()
            .find_map(|(ending, packing)| Some((without_ending(file, ending)?, *packing)));
        found.unwrap_or((file, Self::Plain))
    }

    /// Its name, where this program cannot decompress it.
    pub(crate) fn not_built_in(self) -> Option<&'static str> {
        match self {
            Self::Bzip2 | Self::Xz if !cfg!(feature = "bzip2-xz") => Some(self.name()),
            _ => None,
        }
    }

    /// What the format is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// Whether bytes are the beginning of a stream of it.
    pub(super) fn begins(self, head: &[u8]) -> bool {
        // One of bzip2 without content has no block, and so not the magic of one.
        Self::of_head(head) == self || self == Self::Bzip2 && head.starts_with(b"BZh")
    }
}

/// A content that cannot be read.
pub(super) struct Broken(pub(super) Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self
            .0
            .take()
            .unwrap_or_else(|| io::Error::other("the content cannot be read")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_bytes_tell() {
        assert_eq!(Packing::of_name("a.bson.gz"), ("a.bson", Packing::Gzip));
        assert_eq!(Packing::of_name("a.json.bz2"), ("a.json", Packing::Bzip2));
        assert_eq!(Packing::of_name("a.jsonl.xz"), ("a.jsonl", Packing::Xz));
        assert_eq!(Packing::of_name("a.bson"), ("a.bson", Packing::Plain));
        assert_eq!(Packing::of_head(b"\xfd7zXZ\0\0\x04"), Packing::Xz);
        assert_eq!(Packing::of_head(b"BZh91AY&SYrQ"), Packing::Bzip2);
        assert_eq!(Packing::of_head(b"BZhello wor"), Packing::Plain);
    }
}
