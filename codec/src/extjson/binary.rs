//! Bytes from hexadecimal digits and base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Reads what other encoders leave behind: missing padding, bits beyond the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An ObjectId in 24 digits.
pub(super) fn object_id(digits: &[u8]) -> Option<[u8; 12]> {
    hex(digits.first_chunk::<24>().filter(|chunk| chunk.len() == digits.len())?)
}

/// The bytes that twice as many hexadecimal digits stand for.
#[inline]
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong < 16).then_some(bytes)
}

/// What each hexadecimal digit is worth, and 0xFF for other bytes.
const HEX: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        table[digit as usize] = value;
        table[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    table
};

/// A UUID in 32 digits, with dashes and braces or without.
pub(super) fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text = text
        .strip_prefix(b"{")
        .and_then(|text| text.strip_suffix(b"}"))
        .unwrap_or(text);
    let digits: Vec<u8> = text.iter().copied().filter(|&b| b != b'-').collect();
    if digits.len() == 32 { hex(&digits) } else { None }
}

/// A subtype in hexadecimal digits. Old mongoexport writes those from 80 up as negative numbers: `ffffff80`.
pub(super) fn hex_subtype(text: &[u8]) -> Option<u8> {
    let digits = text
        .strip_prefix(b"ffffff")
        .filter(|rest| rest.len() == 2)
        .unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends what `text` stands for, if it is base64.
pub(super) fn base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.resize(start + base64::decoded_len_estimate(text.len()), 0);
    let len = BASE64.decode_slice(text, &mut out[start..]).ok()?;
    out.truncate(start + len);
    Some(())
}

/// Leaves room for a binary's length and subtype.
pub(super) fn binary_start(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 5]);
    out.len() - 5
}

/// Ends a binary whose data was appended.
pub(super) fn binary_end(start: usize, subtype: u8, out: &mut Vec<u8>) {
    let data_len = (out.len() - start - 5) as u32;
    let mut len = data_len;
    if subtype == 2 {
        // The old subtype repeats the length inside.
        out.splice(start + 5..start + 5, data_len.to_le_bytes());
        len += 4;
    }
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4] = subtype;
}
