//! Compressed content as `gzip -t` reads it: one stream after another, perhaps with zeros after the last.
//!
//! Tapes, block devices and some programs that write in blocks pad with zeros. Anything else after the last stream is
//! an error that says where it begins: it may be data.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::packing::{Broken, NOT_BUILT_IN, Packing};

/// How many first bytes tell whether a stream begins: those of [`Packing::of_head`].
const MAGIC: usize = 10;

impl Packing {
    /// What is in it. All members, streams or frames that follow one another are read.
    pub(crate) fn unpack<'a>(self, compressed: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        if self == Self::Plain {
            return Box::new(compressed);
        }
        Box::new(PackedStreams {
            packing: self,
            ended: false,
            state: State::Between(CompressedBytes {
                inner: Box::new(compressed),
                ahead: Vec::new(),
                taken: 0,
            }),
        })
    }

    /// One stream, from here to its end.
    fn one<'a>(self, bytes: CompressedBytes<'a>) -> Box<dyn OneStream<'a> + 'a> {
        match self {
            Self::Gzip => Box::new(GzDecoder::new(bytes)),
            Self::Zstd => match zstd::Decoder::with_buffer(bytes) {
                Ok(decoder) => Box::new(decoder.single_frame()),
                Err(error) => Box::new(Broken(Some(error))),
            },
            #[cfg(feature = "bzip2-xz")]
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(bytes)),
            #[cfg(feature = "bzip2-xz")]
            Self::Xz => Box::new(lzma_rust2::XzReader::new(bytes, false)),
            _ => Box::new(Broken(Some(io::Error::other(NOT_BUILT_IN)))),
        }
    }
}

/// A decoder of one stream, which gives back what follows.
trait OneStream<'a>: Read {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>>;
}

impl<'a> OneStream<'a> for GzDecoder<CompressedBytes<'a>> {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>> {
        Some(self.into_inner())
    }
}

impl<'a> OneStream<'a> for zstd::Decoder<'_, CompressedBytes<'a>> {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>> {
        Some(self.finish())
    }
}

#[cfg(feature = "bzip2-xz")]
impl<'a> OneStream<'a> for bzip2::bufread::BzDecoder<CompressedBytes<'a>> {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>> {
        Some(self.into_inner())
    }
}

#[cfg(feature = "bzip2-xz")]
impl<'a> OneStream<'a> for lzma_rust2::XzReader<CompressedBytes<'a>> {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>> {
        Some(self.into_inner())
    }
}

impl<'a> OneStream<'a> for Broken {
    fn rest(self: Box<Self>) -> Option<CompressedBytes<'a>> {
        None
    }
}

/// Decompresses all streams.
struct PackedStreams<'a> {
    packing: Packing,
    /// Whether a stream has come to its end.
    ended: bool,
    state: State<'a>,
}

enum State<'a> {
    Within(Box<dyn OneStream<'a> + 'a>),
    Between(CompressedBytes<'a>),
    Failed,
}

impl Read for PackedStreams<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Within(mut stream) => {
                    let read = stream.read(into);
                    if let Ok(0) = read {
                        self.ended = true;
                        self.state = stream.rest().map_or(State::Failed, State::Between);
                        continue;
                    }
                    // What failed for a moment goes on where it was.
                    self.state = State::Within(stream);
                    return read;
                }
                State::Between(mut bytes) => {
                    let zeros = match self.ended {
                        true => bytes.skip_zeros()?,
                        false => 0,
                    };
                    if self.ended && bytes.look()?.is_empty() {
                        self.state = State::Between(bytes);
                        return Ok(0);
                    }
                    self.may_begin(zeros, &mut bytes)?;
                    self.state = State::Within(self.packing.one(bytes));
                }
                State::Failed => return Err(io::Error::other("reading the compressed content has failed before")),
            }
        }
    }
}

impl PackedStreams<'_> {
    /// # Errors
    /// If no stream may begin here, behind so many zeros.
    fn may_begin(&self, zeros: u64, bytes: &mut CompressedBytes<'_>) -> io::Result<()> {
        let (how, at) = (self.packing.name(), bytes.taken);
        let head = bytes.look()?;
        let is_one = self.packing.begins(head);
        // Between the streams of xz, zeros in fours are part of the format.
        let may_follow = zeros == 0 || self.packing == Packing::Xz && zeros.is_multiple_of(4);
        let what = match (is_one, self.ended) {
            (true, _) if may_follow => return Ok(()),
            (true, _) => format!("a second {how} stream begins behind zeros, at byte {at}, where no program reads it"),
            (false, true) => format!("bytes that are not {how} follow its {how} stream, from byte {at} on"),
            (false, false) if head.is_empty() => format!("it is empty, and no {how} stream"),
            (false, false) => format!("it is not {how}, though its name says so"),
        };
        let way_out = match self.ended {
            true => format!(". Cut them off (head -c {at}) if they are not part of it, or use another copy"),
            false => String::new(),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, what + &way_out))
    }
}

/// The compressed bytes, counted. A look at the next ones takes none away.
struct CompressedBytes<'a> {
    inner: Box<dyn BufRead + 'a>,
    ahead: Vec<u8>,
    taken: u64,
}

impl CompressedBytes<'_> {
    /// The next bytes; fewer only at the end.
    fn look(&mut self) -> io::Result<&[u8]> {
        while self.ahead.len() < MAGIC {
            let bytes = match self.inner.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => &bytes[..bytes.len().min(MAGIC - self.ahead.len())],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.ahead.extend_from_slice(bytes);
            let count = bytes.len();
            self.inner.consume(count);
        }
        Ok(&self.ahead)
    }

    fn skip_zeros(&mut self) -> io::Result<u64> {
        let before = self.taken;
        while self.look()?.first() == Some(&0) {
            let zeros = self.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
            self.consume(zeros);
        }
        Ok(self.taken - before)
    }
}

impl BufRead for CompressedBytes<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.ahead.is_empty() {
            true => self.inner.fill_buf(),
            false => Ok(&self.ahead),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        match self.ahead.is_empty() {
            true => self.inner.consume(bytes),
            false => drop(self.ahead.drain(..bytes)),
        }
    }
}

impl Read for CompressedBytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(content: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(content: &str) -> Vec<u8> {
        zstd::encode_all(content.as_bytes(), 1).expect("memory")
    }

    /// Each way of compressing, with `content` in it: `one `, or nothing.
    fn each(content: &str) -> Vec<(Packing, Vec<u8>)> {
        let mut all = vec![(Packing::Gzip, gzip(content)), (Packing::Zstd, zstd(content))];
        #[cfg(feature = "bzip2-xz")]
        {
            let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            bz.write_all(content.as_bytes()).expect("memory");
            all.push((Packing::Bzip2, bz.finish().expect("memory")));
            // `printf 'one ' | xz`, and nothing at all.
            let xz: &[u8] = match content {
                "" => {
                    b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x00\x00\x00\x00\x1c\xdfD!\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04\
              YZ"
                }
                _ => {
                    b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\x01\x00\x03one \x00Z\
              \x8c\x83\xa315\xef~\x00\x01\x1c\x04o,\x9c\xc1\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04YZ"
                }
            };
            all.push((Packing::Xz, xz.to_vec()));
        }
        all.retain(|(packing, _)| packing.not_built_in().is_none());
        all
    }

    fn read(packing: Packing, compressed: &[u8]) -> Result<String, String> {
        let mut text = String::new();
        // A small buffer: streams and padding begin anywhere in it.
        let mut content = packing.unpack(io::BufReader::with_capacity(7, compressed));
        content.read_to_string(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn streams_follow_one_another_and_zeros_follow_the_last() {
        for (packing, one) in each("one ") {
            let two = [one.as_slice(), &one].concat();
            for zeros in [0, 1, 8, 512, 10_000] {
                let padded = [two.clone(), vec![0; zeros]].concat();
                assert_eq!(read(packing, &padded).as_deref(), Ok("one one "), "{packing:?} {zeros}");
            }
        }
        for (packing, empty) in each("") {
            assert_eq!(
                read(packing, &[&empty[..], &empty].concat()).as_deref(),
                Ok(""),
                "{packing:?}"
            );
        }
    }

    /// It ended as "unexpected end of file", or as a header that is invalid.
    #[test]
    fn what_follows_and_is_something_else_is_told_with_where_it_begins() {
        for (packing, one) in each("one ") {
            let how = packing.name();
            for (behind, at) in [
                (&b"x"[..], 0),
                (b"Backup finished\n", 0),
                (b"\0\0x", 2),
                (b"\x1f", 0),
                (b"(c) somebody", 0),
            ] {
                let error = read(packing, &[&one, behind].concat()).expect_err("something else");
                let told = format!(
                    "bytes that are not {how} follow its {how} stream, from byte {} on",
                    one.len() + at
                );
                assert!(error.contains(&told), "{error}");
            }
            let error = read(packing, b"{\"_id\": 1}\n").expect_err("JSON");
            assert_eq!(error, format!("it is not {how}, though its name says so"));
            assert!(read(packing, b"").expect_err("empty").contains("empty"));
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        for (packing, one) in each("one ") {
            for end in 1..one.len() {
                assert!(read(packing, &one[..end]).is_err(), "{packing:?} cut at {end}");
                let second = read(packing, &[&one, &one[..end]].concat());
                assert!(second.is_err(), "{packing:?}, the second cut at {end}");
            }
        }
    }

    #[test]
    fn a_stream_behind_zeros_is_read_only_where_the_format_has_it() {
        for (packing, one) in each("one ") {
            for (zeros, is_read) in [(3, false), (512, packing == Packing::Xz)] {
                let behind = read(packing, &[&one[..], &vec![0; zeros], &one].concat());
                assert_eq!(behind.is_ok(), is_read, "{packing:?}: {behind:?}");
                if let Err(error) = behind {
                    assert!(error.contains("behind zeros"), "{error}");
                }
            }
        }
    }
}
