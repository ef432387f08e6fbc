//! Compression frames (FORMAT 3): every run of the tar stream can be decoded alone.
//!
//! The codecs compress segments directly, one at a time on the calling thread, and not through `async-compression`: a
//! frame is a unit of CPU work, not a stream. gzip segments are raw deflate blocks of *one* gzip member, so that
//! readers that stop after the first member still read everything; the price is a CRC-32 over the whole tar stream,
//! combined from those of the runs.

use std::fmt;
use std::io;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor as ZstdCompressor;
use zstd::stream::raw::{CParameter, DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// The longest that a segment may be when decoded: a 16 MiB document can grow sevenfold as text.
pub const MAX_SEGMENT_BYTES: u64 = 256 << 20;

/// The longest that a glue frame may be when stored, the gzip header before the first included.
pub(super) const MAX_GLUE_BYTES: u64 = u16::MAX as u64 + 20;

/// How long a frame of `decoded` bytes can be when it is stored: what does not compress grows by less than a 64th in
/// every form.
pub(super) const fn max_stored(decoded: u64) -> u64 {
    decoded + (decoded >> 6) + (64 << 10)
}

/// gzip's CRC-32.
const CRC32: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc32IsoHdlc;

/// Fast levels: the marginal ratio of higher ones costs more Lambda time than S3 storage (see `benches/`).
const ZSTD_LEVEL: i32 = 1;
/// How far back a match may lie, as a power of two: 256 KiB stay in the processor's cache. The level's own 512 KiB are
/// 4 % slower and find no more (`docs/PERFORMANCE.md`).
const ZSTD_WINDOW: u32 = 18;
const GZIP_LEVEL: u32 = 1;

/// How an archive is compressed; decides the object's ending and the form of its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Plain tar, `.tar`.
    None,
    /// One gzip member made of flushed blocks, `.tar.gz`.
    Gzip,
    /// Zstandard frames one after another, `.tar.zst`.
    #[default]
    Zstd,
}

impl Compression {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// The object's ending.
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => ".tar",
            Self::Gzip => ".tar.gz",
            Self::Zstd => ".tar.zst",
        }
    }

    /// What stands before the first frame.
    pub(super) fn prologue(self) -> &'static [u8] {
        match self {
            Self::None | Self::Zstd => &[],
            Self::Gzip => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
        }
    }

    /// The stored length of a glue frame that holds `n` bytes.
    pub(super) fn glue_length(self, n: usize) -> usize {
        n + match self {
            Self::None => 0,
            Self::Gzip => 5,
            Self::Zstd => 10,
        }
    }

    /// A glue frame. `bytes` must be 512 to 65,535 long, which padding, headers and the tar's end always are.
    pub(super) fn glue(self, bytes: &[u8], place: GluePlace) -> Vec<u8> {
        let n = u16::try_from(bytes.len()).expect("glue is padding and headers, far below 64 KiB");
        let mut out = Vec::with_capacity(self.glue_length(bytes.len()));
        match self {
            Self::None => {}
            Self::Gzip => {
                out.push(u8::from(place == GluePlace::Last));
                out.extend_from_slice(&n.to_le_bytes());
                out.extend_from_slice(&(!n).to_le_bytes());
            }
            Self::Zstd => {
                out.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x60]);
                let size = n.checked_sub(256).expect("glue holds a tar block at least");
                out.extend_from_slice(&size.to_le_bytes());
                // Block header: last block, type raw, size.
                out.extend_from_slice(&((u32::from(n) << 3) | 1).to_le_bytes()[..3]);
            }
        }
        out.extend_from_slice(bytes);
        out
    }

    /// Undoes [`Self::glue`]; `None` if the bytes are not such a frame.
    pub(super) fn unglue(self, stored: &[u8]) -> Option<&[u8]> {
        let overhead = self.glue_length(0);
        let bytes = stored.get(overhead..)?;
        let place = match (self, stored.first()) {
            (Self::Gzip, Some(1)) => GluePlace::Last,
            _ => GluePlace::Between,
        };
        let plausible = (256..=usize::from(u16::MAX)).contains(&bytes.len());
        (plausible && self.glue(bytes, place) == stored).then_some(bytes)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl std::str::FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|compression| compression.to_string() == text)
            .ok_or_else(|| format!("unknown compression {text:?}: use none, gzip or zstd"))
    }
}

/// Whether a glue frame is the tar's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GluePlace {
    Between,
    Last,
}

/// A segment as it will be stored.
#[derive(Clone, Debug)]
pub struct StoredFrame {
    /// The bytes as they go into the object.
    pub stored: Vec<u8>,
    /// How many bytes they decode to.
    pub decoded_bytes: u64,
    /// CRC-32 (gzip's) of the decoded bytes; 0 in the forms that do not need it.
    pub crc32: u32,
    /// BLAKE3 of `stored`.
    pub blake3: blake3::Hash,
}

enum Codec {
    None,
    Gzip(Compress),
    Zstd(ZstdCompressor<'static>),
}

/// Compresses segments one after another; keeps the codec's state and buffer, so a segment costs no set-up.
///
/// A segment is compressed in one go: a codec that is given all of it works on it where it lies, and neither copies it
/// into a window of its own nor has to look in two places for what repeats (a quarter to a third faster than piece by
/// piece; `docs/PERFORMANCE.md`).
pub struct FrameEncoder {
    codec: Codec,
    /// Where the codec writes, before it is known how much that will be.
    out: Vec<u8>,
}

impl fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameEncoder").finish_non_exhaustive()
    }
}

impl FrameEncoder {
    /// The most memory kept from one segment to the next.
    pub const KEPT: usize = 8 << 20;

    /// An encoder for archives of that compression.
    ///
    /// # Errors
    /// If the codec cannot get its memory.
    pub fn new(compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip(Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            Compression::Zstd => {
                let mut compressor = ZstdCompressor::new(ZSTD_LEVEL)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                Codec::Zstd(compressor)
            }
        };
        Ok(Self { codec, out: Vec::new() })
    }

    /// Stores a segment, and leaves `content` empty. If nothing is compressed, its very bytes become the frame.
    ///
    /// # Errors
    /// If the codec fails, which it does only for lack of memory.
    pub fn encode(&mut self, content: &mut Vec<u8>) -> io::Result<StoredFrame> {
        let decoded_bytes = content.len() as u64;
        let mut crc32 = 0;
        let stored = match &mut self.codec {
            Codec::None => {
                // As large as it was: what comes next will be like it.
                let next = Vec::with_capacity(content.capacity().min(Self::KEPT));
                let mut stored = std::mem::replace(content, next);
                stored.shrink_to_fit();
                stored
            }
            Codec::Gzip(deflate) => {
                crc32 = u32::try_from(crc_fast::checksum(CRC32, content)).expect("a CRC-32 has 32 bits");
                run_deflate(deflate, content, FlushCompress::Sync, &mut self.out)?;
                deflate.reset();
                self.take_out()
            }
            Codec::Zstd(compressor) => {
                self.out.reserve(zstd::zstd_safe::compress_bound(content.len()));
                compressor.compress_to_buffer(content, &mut self.out)?;
                self.take_out()
            }
        };
        content.clear();
        content.shrink_to(Self::KEPT);
        Ok(StoredFrame {
            blake3: blake3::hash(&stored),
            stored,
            decoded_bytes,
            crc32,
        })
    }

    fn take_out(&mut self) -> Vec<u8> {
        let stored = self.out.as_slice().to_vec();
        self.out.clear();
        self.out.shrink_to(Self::KEPT);
        stored
    }
}

/// Output is grown in steps of this size.
const STEP: usize = 128 << 10;

fn run_deflate(deflate: &mut Compress, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
    loop {
        if out.capacity() - out.len() < STEP {
            out.reserve(STEP.max(out.len() / 2));
        }
        let before = deflate.total_in();
        let status = deflate.compress_vec(bytes, out, flush).map_err(io::Error::other)?;
        bytes = &bytes[(deflate.total_in() - before) as usize..];
        // All input taken, and room left in the output: nothing is pending.
        if bytes.is_empty() && (out.len() < out.capacity() || status == Status::BufError) {
            return Ok(());
        }
    }
}

/// Decodes one frame that must give exactly `decoded_bytes`.
///
/// # Errors
/// A text that says what is wrong with the frame; never allocates more than `decoded_bytes`, which the caller has
/// bounded.
pub(super) fn decode_frame(
    compression: Compression,
    stored: &[u8],
    decoded_bytes: u64,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let expected = usize::try_from(decoded_bytes).map_err(|_| "too long for this machine".to_owned())?;
    out.clear();
    match compression {
        Compression::None => {
            check_content(stored, decoded_bytes)?;
            out.extend_from_slice(stored);
        }
        Compression::Gzip => inflate(stored, expected, out)?,
        Compression::Zstd => unzstd(stored, expected, out)?,
    }
    Ok(())
}

/// What is not compressed is as long as it was.
pub(super) fn check_content(stored: &[u8], decoded_bytes: u64) -> Result<(), String> {
    match stored.len() as u64 == decoded_bytes {
        true => Ok(()),
        false => Err(format!(
            "holds {} bytes, but {decoded_bytes} were written",
            stored.len()
        )),
    }
}

fn inflate(stored: &[u8], expected: usize, out: &mut Vec<u8>) -> Result<(), String> {
    // One byte more than expected, so that too much is noticed.
    out.reserve_exact(expected + 1);
    let mut inflate = Decompress::new(false);
    loop {
        let (taken, given) = (inflate.total_in(), out.len());
        let rest = &stored[taken as usize..];
        inflate
            .decompress_vec(rest, out, FlushDecompress::None)
            .map_err(|error| format!("is not valid deflate data: {error}"))?;
        if out.len() > expected {
            return Err(format!("decodes to more than the {expected} bytes that were written"));
        }
        let done = inflate.total_in() as usize == stored.len();
        if done && out.len() == expected {
            return Ok(());
        }
        if inflate.total_in() == taken && out.len() == given {
            return Err(format!("decodes to {} bytes, but {expected} were written", out.len()));
        }
    }
}

fn unzstd(stored: &[u8], expected: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let invalid = |error: io::Error| format!("is not a valid zstd frame: {error}");
    out.reserve_exact(expected + 1);
    let mut decoder = ZstdDecoder::new().map_err(invalid)?;
    // 8 MiB windows at most: what level 1 to 19 write, and a bound on a hostile frame's memory.
    decoder.set_parameter(DParameter::WindowLogMax(23)).map_err(invalid)?;
    let mut input = InBuffer::around(stored);
    loop {
        let (taken, given) = (input.pos(), out.len());
        let hint = {
            let mut buffer = OutBuffer::around_pos(out, given);
            decoder.run(&mut input, &mut buffer).map_err(invalid)?
        };
        if out.len() > expected {
            return Err(format!("decodes to more than the {expected} bytes that were written"));
        }
        if hint == 0 && input.pos() == stored.len() && out.len() == expected {
            return Ok(());
        }
        if hint == 0 && input.pos() < stored.len() {
            return Err(format!(
                "ends {} bytes before its extent does",
                stored.len() - input.pos()
            ));
        }
        if input.pos() == taken && out.len() == given {
            return Err(format!("decodes to {} bytes, but {expected} were written", out.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn encode(compression: Compression, pieces: &[&[u8]]) -> Vec<StoredFrame> {
        let mut encoder = FrameEncoder::new(compression).expect("a codec");
        pieces
            .iter()
            .map(|piece| encoder.encode(&mut piece.to_vec()).expect("memory"))
            .collect()
    }

    #[test]
    fn damaged_frames_are_refused() {
        let text = b"some text that repeats, some text that repeats".repeat(50);
        for compression in Compression::ALL {
            let frame = &encode(compression, &[&text])[0];
            let mut out = Vec::new();
            let length = text.len() as u64;
            for wrong in [length - 1, length + 1, 0] {
                assert!(
                    decode_frame(compression, &frame.stored, wrong, &mut out).is_err(),
                    "{compression} {wrong}"
                );
            }
            let cut = &frame.stored[..frame.stored.len() / 2];
            assert!(
                decode_frame(compression, cut, length, &mut out).is_err(),
                "{compression} cut"
            );
        }
    }

    #[test]
    fn joined_gzip_segments_are_one_member() {
        let pieces: [&[u8]; 3] = [b"first ", b"", b"second"];
        let frames = encode(Compression::Gzip, &pieces);
        let mut member = Compression::Gzip.prologue().to_vec();
        let mut crc = flate2::Crc::new();
        for (frame, piece) in frames.iter().zip(pieces) {
            member.extend_from_slice(&frame.stored);
            crc.update(piece);
        }
        let end = [b'.'; 600];
        crc.update(&end);
        member.extend_from_slice(&Compression::Gzip.glue(&end, GluePlace::Last));
        member.extend_from_slice(&crc.sum().to_le_bytes());
        member.extend_from_slice(&crc.amount().to_le_bytes());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&member[..])
            .read_to_end(&mut text)
            .expect("valid");
        assert_eq!(text, [b"first second".as_slice(), &end].concat());
    }

    proptest! {
        #[test]
        fn frames_come_back(data in prop::collection::vec(any::<u8>(), 0..5000), repeat in 1_usize..80) {
            let data = data.repeat(repeat);
            for compression in Compression::ALL {
                for frame in encode(compression, &[&data, &data]) {
                    let mut out = Vec::new();
                    prop_assert_eq!(decode_frame(compression, &frame.stored, frame.decoded_bytes, &mut out), Ok(()));
                    prop_assert_eq!(&out, &data);
                }
            }
        }

        #[test]
        fn glue_has_a_known_length(data in prop::collection::vec(any::<u8>(), 512..9000)) {
            for compression in Compression::ALL {
                let stored = compression.glue(&data, GluePlace::Between);
                prop_assert_eq!(stored.len(), compression.glue_length(data.len()));
                prop_assert_eq!(compression.unglue(&stored), Some(&data[..]));
                if compression == Compression::Zstd {
                    prop_assert_eq!(&zstd::decode_all(&stored[..]).expect("valid"), &data);
                }
            }
        }
    }
}
