//! Finds the bytes in a JSON string that need a second look, eight or more at a time.
//!
//! Most keys and strings are ASCII with nothing to escape. Both directions of the codec therefore ask for the longest
//! *plain run* first, and copy it whole. In BSON a string ends in NUL, in JSON in a quote; both end a run, so one scan
//! finds the end and checks the content.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Length of the longest prefix without control characters (NUL among them), `"`, `\` and non-ASCII bytes.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<8>() {
        Some(word) => {
            let special = special(u64::from_le_bytes(*word)) | (u64::from_le_bytes(*word) & HIGHS);
            if special != 0 {
                first_byte(special)
            } else {
                8 + plain_run_long(&bytes[8..])
            }
        }
        None => plain_tail(bytes),
    }
}

fn plain_run_long(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Written as a fold over a fixed block, so that the compiler turns it into vector instructions.
    while let Some(block) = bytes[at..].first_chunk::<32>() {
        let special = block.iter().fold(0, |seen, &b| {
            seen | u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\') | (b & 0x80)
        });
        if special != 0 {
            break;
        }
        at += 32;
    }
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let special = special(word) | (word & HIGHS);
        if special != 0 {
            return at + first_byte(special);
        }
        at += 8;
    }
    at + plain_tail(&bytes[at..])
}

fn plain_tail(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&b| is_special(b) || b >= 0x80)
        .unwrap_or(bytes.len())
}

/// Length of the longest prefix without control characters, `"` and `\`: non-ASCII bytes are passed over.
pub(super) fn unescaped_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + first_byte(special);
        }
        at += 8;
    }
    at + bytes[at..]
        .iter()
        .position(|&b| is_special(b))
        .unwrap_or(bytes.len() - at)
}

/// Appends the first `len` bytes of `source`. Where there are more, short runs are copied as a block and cut to length:
/// a copy of constant length costs a fraction of one of any length.
#[inline]
pub(super) fn append_run(source: &[u8], len: usize, out: &mut Vec<u8>) {
    match source.first_chunk::<16>() {
        Some(block) if len <= 16 => {
            let end = out.len() + len;
            out.extend_from_slice(block);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&source[..len]),
    }
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Marks the high bit of bytes below 0x20 or equal to `"` or `\`. Only the lowest mark is to be trusted: a subtraction
/// may borrow from the bytes above a marked one.
#[inline]
fn special(word: u64) -> u64 {
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & HIGHS
}

#[inline]
fn first_byte(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place() {
        for len in 0..80 {
            for place in 0..len {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'a'; len];
                    bytes[place] = byte;
                    let plain = if is_special(byte) || byte >= 0x80 { place } else { len };
                    let unescaped = if is_special(byte) { place } else { len };
                    assert_eq!((plain_run(&bytes), unescaped_run(&bytes)), (plain, unescaped));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_agree_with_a_plain_loop(bytes in prop::collection::vec(prop_oneof![Just(b'!'), Just(0x20), Just(b'#'), Just(b']'), Just(0x7f), Just(b'"'), Just(0x1f), any::<u8>()], 0..100)) {
            prop_assert_eq!(plain_run(&bytes), plain_tail(&bytes));
            prop_assert_eq!(unescaped_run(&bytes), bytes.iter().position(|&b| is_special(b)).unwrap_or(bytes.len()));
        }
    }
}
