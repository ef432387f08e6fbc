//! Encoder and decoder against each other: cases met in the field by name, and arbitrary documents.

mod arbitrary;
mod foreign;
mod named;

use super::*;

/// Checks that the document survives, and gives how it was carried and its text.
fn round_trip(document: &[u8]) -> (Carried, String) {
    let mut out = b"before".to_vec();
    let carried = Encoder::new(Style::Compact).encode(document, &mut out);
    let line = String::from_utf8(out.split_off(6)).expect("the text is UTF-8");
    assert_eq!(out, b"before");
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line");
    assert_eq!(
        decode(line.as_bytes()).expect("our own text is readable"),
        [document],
        "{line}"
    );

    let mut pretty = Vec::new();
    assert_eq!(Encoder::new(Style::Pretty).encode(document, &mut pretty), carried);
    assert_eq!(decode(&pretty).expect("our own text is readable"), [document]);
    (carried, line)
}

/// All documents of a text.
fn decode(text: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let (mut decoder, mut position) = (Decoder::new(Limits::default()), TextPosition::start());
    let mut documents = Vec::new();
    loop {
        let mut document = Vec::new();
        if !decoder.decode_next(text, &mut position, &mut document)? {
            return Ok(documents);
        }
        documents.push(document);
    }
}

/// A raw document of these elements.
fn raw(elements: &[u8]) -> Vec<u8> {
    let len = elements.len() as u32 + 5;
    [&len.to_le_bytes(), elements, &[0]].concat()
}

/// A raw element.
fn element(kind: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind], key, &[0], value].concat()
}

/// A raw string value.
fn string(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 1).to_le_bytes(), content, &[0]].concat()
}
