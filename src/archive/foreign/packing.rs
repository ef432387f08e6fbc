//! How a file or a member of an archive is compressed, by its name or its first bytes.

use std::io::{self, BufRead, Read};

use super::gunzip::Gunzip;

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
            .find_map(|(ending, packing)| Some((file.strip_suffix(ending)?, *packing)));
        found.unwrap_or((file, Self::Plain))
    }

    /// Its name, where this program cannot decompress it.
    pub(crate) fn not_built_in(self) -> Option<&'static str> {
        match self {
            _ if cfg!(feature = "bzip2-xz") => None,
            Self::Bzip2 => Some("bzip2"),
            Self::Xz => Some("xz"),
            Self::Plain | Self::Gzip | Self::Zstd => None,
        }
    }

    /// What is in it. All members, streams or frames that follow one another are read.
    pub(crate) fn unpack<'a>(self, compressed: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        match self {
            Self::Plain => Box::new(compressed),
            // As `gzip -t` reads it: members, then perhaps zeros.
            Self::Gzip => Box::new(Gunzip::new(compressed)),
            Self::Zstd => match zstd::Decoder::with_buffer(compressed) {
                Ok(decoder) => Box::new(decoder),
                Err(error) => Box::new(Broken(Some(error))),
            },
            #[cfg(feature = "bzip2-xz")]
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(compressed)),
            #[cfg(feature = "bzip2-xz")]
            Self::Xz => Box::new(lzma_rust2::XzReader::new(compressed, true)),
            #[cfg(not(feature = "bzip2-xz"))]
            Self::Bzip2 | Self::Xz => {
                drop(compressed);
                Box::new(Broken(Some(io::Error::other(NOT_BUILT_IN))))
            }
        }
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

    #[cfg(feature = "bzip2-xz")]
    #[test]
    fn streams_that_follow_one_another_are_read() {
        use std::io::Write as _;
        let twice = |one: Vec<u8>| [one.clone(), one].concat();
        let read = |packing: Packing, bytes: &[u8]| {
            let mut text = String::new();
            packing.unpack(bytes).read_to_string(&mut text).map(|_| text)
        };
        let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz.write_all(b"one ").expect("memory");
        let bz = twice(bz.finish().expect("memory"));
        // `printf 'one ' | xz`
        let xz = twice(
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x0c\0\0\0\x8f\x98\x41\x9c\x01\0\x03one \0\x5a\x8c\x83\xa3\
              \x31\x35\xef\x7e\0\x01\x1c\x04\x6f\x2c\x9c\xc1\x1f\xb6\xf3\x7d\x01\0\0\0\0\x04YZ"
                .to_vec(),
        );
        assert_eq!(read(Packing::Bzip2, &bz).expect("two streams"), "one one ");
        assert!(read(Packing::Bzip2, &bz[..bz.len() - 3]).is_err(), "cut");
        assert_eq!(read(Packing::Xz, &xz).expect("two streams"), "one one ");
        assert!(read(Packing::Xz, &xz[..20]).is_err(), "cut");
    }
}
