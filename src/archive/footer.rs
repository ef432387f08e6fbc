//! The footer (FORMAT 6): the fixed-size end of an archive, from which everything else is found.

use super::error::ArchiveError;
use super::frame::{MAX_GLUE_BYTES, max_stored};
use super::table::MAX_MANIFEST_BYTES;
use super::trailing::MAX_STORED_USERS;
use super::{Compression, Extent};

/// How many bytes of an object's end hold the footer in every form.
pub const FOOTER_SUFFIX: u64 = 512;

const MAGIC: &[u8; 8] = b"MONGOTAR";
const PAYLOAD: usize = 128;
/// The longest trailer: the manifest between two glue frames, and users and roles before it. It is read whole, so this bounds what a footer can make a
/// reader take into memory.
const MAX_TRAILER_BYTES: u64 = max_stored(MAX_MANIFEST_BYTES) + 2 * MAX_GLUE_BYTES + MAX_STORED_USERS;
const SIGNED: usize = 96;

const GZIP_HEAD: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 132, 0, b'M', b'T', 128, 0];
const GZIP_TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const ZSTD_HEAD: [u8; 8] = [0x5d, 0x2a, 0x4d, 0x18, 128, 0, 0, 0];

/// The major version of an archive's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Major {
    /// The manifest lists every segment.
    One = 1,
    /// It may list pages of a table that does.
    Two = 2,
}

impl Major {
    /// The minor version that is written of it.
    fn minor(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Two => 0,
        }
    }
}

/// Where the manifest is, and what the trailer's bytes must hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// What a reader must know.
    pub major: Major,
    /// The archive's form.
    pub compression: Compression,
    /// The trailer: the manifest's header, the manifest and the tar's end.
    pub trailer: Extent,
    /// The manifest's segment, within the trailer.
    pub manifest: Extent,
    /// The manifest's length when decoded.
    pub manifest_bytes: u64,
    /// BLAKE3 of the trailer.
    pub blake3: blake3::Hash,
}

impl Footer {
    /// The footer's own length.
    pub(super) fn length(compression: Compression) -> usize {
        let (head, tail) = carrier(compression);
        head.len() + PAYLOAD + tail.len()
    }

    /// The bytes, which go right behind the trailer.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(PAYLOAD);
        payload.extend_from_slice(MAGIC);
        payload.extend_from_slice(&(self.major as u16).to_le_bytes());
        payload.extend_from_slice(&self.major.minor().to_le_bytes());
        payload.extend_from_slice(&[code(self.compression), 0, 0, 0]);
        for number in [
            self.trailer.offset,
            self.manifest.offset,
            self.manifest.length,
            self.manifest_bytes,
            self.trailer.offset + self.trailer.length,
            0,
        ] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(self.blake3.as_bytes());
        let own = blake3::hash(&payload);
        payload.extend_from_slice(own.as_bytes());

        let (head, tail) = carrier(self.compression);
        [head, &payload, tail].concat()
    }

    /// Finds the footer in the last bytes of an object that is `object_bytes` long.
    ///
    /// # Errors
    /// [`ArchiveError::NoFooter`] if there is none (truncated, or not an archive of ours), [`ArchiveError::Footer`]
    /// if it is damaged, [`ArchiveError::Version`] if it is of a later major version.
    pub fn find(suffix: &[u8], object_bytes: u64) -> Result<Self, ArchiveError> {
        for compression in Compression::ALL {
            let (head, tail) = carrier(compression);
            let Some(start) = suffix.len().checked_sub(Self::length(compression)) else {
                continue;
            };
            let carried = &suffix[start..];
            let payload = &carried[head.len()..head.len() + PAYLOAD];
            if !carried.starts_with(head) || payload[..8] != *MAGIC {
                continue;
            }
            if !carried.ends_with(tail) {
                return Err(ArchiveError::Footer("the bytes that carry it are damaged".to_owned()));
            }
            return Self::decode(payload, compression, object_bytes);
        }
        Err(ArchiveError::NoFooter)
    }

    fn decode(payload: &[u8], compression: Compression, object_bytes: u64) -> Result<Self, ArchiveError> {
        let damaged = |what: &str| ArchiveError::Footer(what.to_owned());
        let number = |at: usize| {
            payload[at..at + 8]
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let hash = |at: usize| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(&payload[at..at + 32]);
            blake3::Hash::from_bytes(bytes)
        };
        if blake3::hash(&payload[..SIGNED]) != hash(SIGNED) {
            return Err(damaged("its checksum does not match"));
        }
        let major = match u16::from_le_bytes([payload[8], payload[9]]) {
            1 => Major::One,
            2 => Major::Two,
            later => {
                let minor = u16::from_le_bytes([payload[10], payload[11]]);
                return Err(ArchiveError::Version(format!("{later}.{minor}")));
            }
        };
        let footer_offset = number(48);
        let found_at = object_bytes.checked_sub(Self::length(compression) as u64);
        if payload[12] != code(compression) || found_at != Some(footer_offset) {
            return Err(damaged("it belongs to an object of another length or form"));
        }
        let (trailer, manifest) = (
            number(16),
            Extent {
                offset: number(24),
                length: number(32),
            },
        );
        let inside = trailer <= manifest.offset && manifest.end().is_some_and(|end| end <= footer_offset);
        if !inside {
            return Err(damaged("the manifest lies outside the object"));
        }
        let manifest_bytes = number(40);
        if manifest_bytes > MAX_MANIFEST_BYTES || footer_offset - trailer > MAX_TRAILER_BYTES {
            return Err(damaged("the manifest claims to be longer than any can be"));
        }
        Ok(Self {
            major,
            compression,
            trailer: Extent {
                offset: trailer,
                length: footer_offset - trailer,
            },
            manifest,
            manifest_bytes,
            blake3: hash(64),
        })
    }
}

fn code(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Zstd => 2,
    }
}

/// What stands before and behind the payload.
fn carrier(compression: Compression) -> (&'static [u8], &'static [u8]) {
    const ZEROS: [u8; 512 - PAYLOAD] = [0; 512 - PAYLOAD];
    match compression {
        Compression::None => (&[], &ZEROS),
        Compression::Gzip => (&GZIP_HEAD, &GZIP_TAIL),
        Compression::Zstd => (&ZSTD_HEAD, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(compression: Compression) -> Footer {
        Footer {
            major: Major::Two,
            compression,
            trailer: Extent {
                offset: 1000,
                length: 700,
            },
            manifest: Extent {
                offset: 1100,
                length: 500,
            },
            manifest_bytes: 900,
            blake3: blake3::hash(b"trailer"),
        }
    }

    #[test]
    fn a_footer_is_found_at_the_end() {
        for (compression, length) in [
            (Compression::None, 512),
            (Compression::Gzip, 154),
            (Compression::Zstd, 136),
        ] {
            let footer = footer(compression);
            let bytes = footer.encode();
            assert_eq!(bytes.len(), length);
            let mut object = vec![7; 1700];
            object.extend_from_slice(&bytes);
            let total = object.len() as u64;
            let suffix = &object[object.len() - FOOTER_SUFFIX as usize..];
            assert_eq!(Footer::find(suffix, total).expect("found"), footer);
            // The same bytes at the end of a longer object: something was inserted before them.
            assert!(matches!(Footer::find(suffix, total + 1), Err(ArchiveError::Footer(_))));
            // Something was added behind them.
            object.push(0);
            let suffix = &object[object.len() - FOOTER_SUFFIX as usize..];
            assert!(matches!(Footer::find(suffix, total + 1), Err(ArchiveError::NoFooter)));
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        for compression in Compression::ALL {
            let bytes = footer(compression).encode();
            let total = 1700 + bytes.len() as u64;
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    assert!(
                        Footer::find(&damaged, total).is_err(),
                        "{compression}, byte {at}, bit {bit}"
                    );
                }
            }
        }
    }
}
