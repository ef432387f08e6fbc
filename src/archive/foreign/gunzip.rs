//! Gzip as `gzip -t` reads it: one member after another, perhaps with zeros after the last.
//!
//! Tapes, block devices and some programs that write in blocks pad with zeros. Anything else after the last member is
//! an error: it may be data.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decompresses all members.
#[derive(Debug)]
pub(crate) struct Gunzip<R> {
    state: GunzipState<R>,
}

#[derive(Debug)]
enum GunzipState<R> {
    Member(Box<GzDecoder<R>>),
    /// Nothing but zeros may follow.
    Padding(R),
    Failed,
}

impl<R: BufRead> Gunzip<R> {
    pub(crate) fn new(compressed: R) -> Self {
        Self {
            state: GunzipState::Member(Box::new(GzDecoder::new(compressed))),
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, GunzipState::Failed) {
                GunzipState::Member(mut member) => {
                    let read = member.read(into);
                    if let Ok(0) = read {
                        self.state = behind(member.into_inner())?;
                        continue;
                    }
                    // What failed for a moment goes on where it was.
                    self.state = GunzipState::Member(member);
                    return read;
                }
                GunzipState::Padding(mut rest) => {
                    let all_zeros = skip_zeros(&mut rest)?;
                    self.state = GunzipState::Padding(rest);
                    return match all_zeros {
                        true => Ok(0),
                        false => Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "bytes that are not gzip follow the zeros behind a gzip member",
                        )),
                    };
                }
                GunzipState::Failed => return Err(io::Error::other("reading the gzip stream has failed before")),
            }
        }
    }
}

/// What comes behind a member: another one, or padding.
fn behind<R: BufRead>(mut rest: R) -> io::Result<GunzipState<R>> {
    Ok(match peek(&mut rest)? {
        None | Some(0) => GunzipState::Padding(rest),
        Some(_) => GunzipState::Member(Box::new(GzDecoder::new(rest))),
    })
}

fn peek(from: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        match from.fill_buf() {
            Ok(bytes) => return Ok(bytes.first().copied()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn skip_zeros(from: &mut impl BufRead) -> io::Result<bool> {
    while let Some(byte) = peek(from)? {
        if byte != 0 {
            return Ok(false);
        }
        let zeros = from.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
        from.consume(zeros);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn member(content: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    fn read(compressed: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        // A small buffer: members and padding begin anywhere in it.
        Gunzip::new(io::BufReader::with_capacity(7, compressed)).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_follow_one_another_and_zeros_follow_the_last() {
        let two = [member("one "), member("two")].concat();
        assert_eq!(read(&two).expect("two members"), "one two");
        for zeros in [1, 8, 512, 10_000] {
            let padded = [two.clone(), vec![0; zeros]].concat();
            assert_eq!(read(&padded).expect("padding"), "one two", "{zeros}");
        }
    }

    #[test]
    fn what_is_cut_or_followed_by_something_else_is_an_error() {
        let one = member("something to compress");
        for end in 1..one.len() {
            assert!(read(&one[..end]).is_err(), "cut at {end}");
        }
        for behind in [&b"x"[..], b"\0\0x", &one[..5], &[&[0; 512][..], &one].concat()] {
            assert!(read(&[&one, behind].concat()).is_err(), "{behind:?}");
        }
        assert!(read(b"").is_err());
    }
}
