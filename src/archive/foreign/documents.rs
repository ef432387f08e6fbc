//! The documents of one entry, one after the other, as raw BSON.

use std::io::{self, BufReader, Cursor, Read};
use std::ops::ControlFlow;

use super::encoding::not_utf8;
use super::member::Written;
use super::packing::{Broken, Packing};
use crate::elements::Elements;
use crate::extjson::{Decoder, Limits, Splitter};

/// How much of a text is taken at a time.
const PIECE: usize = 256 << 10;

/// An entry's content, decompressed.
pub(super) fn unpacked<'a>(packing: Packing, content: &'a mut dyn Read) -> Box<dyn Read + 'a> {
    match packing {
        Packing::Plain => Box::new(content),
        _ => packing.unpack(BufReader::with_capacity(PIECE, content)),
    }
}

/// Looks at the first bytes; gives them, and the content as if they had not been read. A fault that it meets is met
/// again.
pub(super) fn peek<'a>(mut content: Box<dyn Read + 'a>, most: usize) -> (Vec<u8>, Box<dyn Read + 'a>) {
    let mut head = Vec::new();
    let again = |head: &Vec<u8>| Cursor::new(head.clone());
    match read_up_to(&mut content, most, &mut head) {
        Ok(_) => (head.clone(), Box::new(again(&head).chain(content))),
        Err(error) => (head.clone(), Box::new(again(&head).chain(Broken(Some(error))))),
    }
}

/// Calls `take` with each document of a decompressed content. Documents before a fault have been handed out when it is
/// found.
///
/// # Errors
/// Where and why an entry's content cannot be read, as half a sentence: line and byte for JSON, document and byte for
/// BSON.
pub(super) fn each_document(
    form: Written,
    content: &mut dyn Read,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), String> {
    match form {
        Written::Json => each_json(content, take),
        Written::Bson => each_bson(content, take),
    }
}

fn each_json(content: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), String> {
    let mut splitter = Splitter::default();
    let mut decoder = Decoder::new(Limits::default());
    let mut piece = vec![0; PIECE];
    let mut document = Vec::new();
    let mut read = 0_u64;
    loop {
        let count = read_some(content, &mut piece).map_err(|error| format!("byte {read}: {error}"))?;
        if count == 0 {
            return splitter.finish().map_err(|error| error.to_string());
        }
        if let Some(why) = not_utf8(&piece[..count]).filter(|_| read == 0) {
            return Err(format!("byte 0: {why}"));
        }
        read += count as u64;
        splitter.push(&piece[..count]);
        while let Some(found) = splitter.next_document().map_err(|error| error.to_string())? {
            let mut position = found.position;
            document.clear();
            decoder
                .decode_next(found.text, &mut position, &mut document)
                .map_err(|error| error.to_string())?;
            if take(&document).is_break() {
                return Ok(());
            }
        }
    }
}

fn each_bson(content: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), String> {
    let largest = Limits::default().max_document_bytes;
    let (mut number, mut byte) = (0_u64, 0_u64);
    let mut document = Vec::new();
    loop {
        number += 1;
        let fault = |problem: String| format!("document {number}, byte {byte}: {problem}");
        document.clear();
        let prefix = read_up_to(content, 4, &mut document).map_err(|error| fault(error.to_string()))?;
        if prefix == 0 {
            return Ok(());
        }
        let Some(&length) = document.first_chunk::<4>() else {
            return Err(fault("the entry ends inside a document's length".to_owned()));
        };
        let length = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0);
        if !(5..=largest).contains(&length) {
            return Err(fault(format!(
                "no document has the length {}",
                i32::from_le_bytes(*document.first_chunk().unwrap_or(&[0; 4]))
            )));
        }
        read_up_to(content, length - 4, &mut document).map_err(|error| fault(error.to_string()))?;
        if document.len() < length {
            return Err(fault(format!(
                "the entry ends inside a document: {} of its {length} bytes are there",
                document.len()
            )));
        }
        // A server refuses what is broken deeper down; here it is about noticing that bytes have been lost or altered.
        if document.last() != Some(&0) || Elements::of(&document).any(|element| element.is_err()) {
            return Err(fault("the document is not well-formed BSON".to_owned()));
        }
        byte += length as u64;
        if take(&document).is_break() {
            return Ok(());
        }
    }
}

/// Reads a small decompressed content whole.
///
/// # Errors
/// As [`each_document`]; also if the content is longer than `most`.
pub(super) fn read_whole(content: &mut dyn Read, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match read_up_to(content, most + 1, &mut bytes).map_err(|error| error.to_string())? {
        count if count > most => Err(format!("it has more than {most} bytes")),
        _ => Ok(bytes),
    }
}

/// Appends `most` bytes, or fewer at the end. Memory grows with what comes, not with what is announced.
fn read_up_to(content: &mut dyn Read, most: usize, out: &mut Vec<u8>) -> io::Result<usize> {
    content.take(most as u64).read_to_end(out)
}

fn read_some(content: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match content.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn read(form: Written, mut content: &[u8]) -> (Vec<Vec<u8>>, Result<(), String>) {
        let mut documents = Vec::new();
        let result = each_document(form, &mut content, &mut |document| {
            documents.push(document.to_vec());
            ControlFlow::Continue(())
        });
        (documents, result)
    }

    #[test]
    fn a_fault_in_json_is_located() {
        let (documents, result) = read(Written::Json, b"{\"a\": 1}\n{\"b\": {\"c\": nope}}\n");
        assert_eq!(documents, [rawdoc! { "a": 1 }.into_bytes()]);
        let fault = result.expect_err("malformed");
        assert!(fault.starts_with("line 2, byte 21, at b.c:"), "{fault}");
        assert!(
            read(Written::Json, b"{\"a\": 1")
                .1
                .expect_err("cut")
                .contains("ends inside")
        );
    }

    #[test]
    fn a_fault_in_bson_is_located() {
        let one = rawdoc! { "a": 1 }.into_bytes();
        for cut in 1..one.len() {
            let (documents, result) = read(Written::Bson, &[one.as_slice(), &one[..cut]].concat());
            assert_eq!(documents.len(), 1);
            assert!(result.expect_err("cut").starts_with("document 2, byte 12:"));
        }
        for length in [-1, 0, 4, i32::MAX] {
            let (_, result) = read(Written::Bson, &length.to_le_bytes());
            assert!(result.expect_err("impossible").contains("no document has the length"));
        }
    }

    #[test]
    fn a_small_entry_stays_small() {
        assert_eq!(read_whole(&mut &b"abc"[..], 3), Ok(b"abc".to_vec()));
        assert!(read_whole(&mut &b"abcd"[..], 3).is_err());
        for packing in [Packing::Gzip, Packing::Zstd] {
            assert!(read_whole(&mut unpacked(packing, &mut &b"abcd"[..]), 3).is_err());
        }
    }

    #[test]
    fn a_look_at_the_first_bytes_takes_none_away() {
        let mut content = &b"abcdef"[..];
        let (head, mut rest) = peek(unpacked(Packing::Plain, &mut content), 3);
        assert_eq!(
            (head.as_slice(), read_whole(&mut rest, 9)),
            (&b"abc"[..], Ok(b"abcdef".to_vec()))
        );
        let mut broken = &b"not gzip at all"[..];
        let (head, mut rest) = peek(unpacked(Packing::Gzip, &mut broken), 3);
        assert!(head.is_empty() && read_whole(&mut rest, 9).is_err(), "met again");
    }
}
