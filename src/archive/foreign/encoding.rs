//! Text is UTF-8, perhaps behind a byte order mark. Other encodings are refused by name: PowerShell's `>` writes UTF-16.

/// Why a text that begins so is not read; `None` if it may be UTF-8.
pub(super) fn not_utf8(head: &[u8]) -> Option<String> {
    const PLAIN: &[u8] = b"\"{}[] \t\r\n";
    // By the mark, or by the zeros among the first letters of JSON.
    let (how, for_powershell) = match head {
        [0xff, 0xfe, 0, 0, ..] => ("UTF-32LE", "UTF32"),
        [0, 0, 0xfe, 0xff, ..] => ("UTF-32BE", "BigEndianUTF32"),
        [0xff, 0xfe, ..] => ("UTF-16LE", "Unicode"),
        [0xfe, 0xff, ..] => ("UTF-16BE", "BigEndianUnicode"),
        [b'{' | b'[', 0, next, 0, ..] if PLAIN.contains(next) => ("UTF-16LE", "Unicode"),
        [0, b'{' | b'[', 0, next, ..] if PLAIN.contains(next) => ("UTF-16BE", "BigEndianUnicode"),
        _ => return None,
    };
    Some(format!(
        "it is in {how}, and only UTF-8 is read. Convert it: iconv -f {how} -t UTF-8 OLD > NEW, or in PowerShell \
         Get-Content OLD -Encoding {for_powershell} | Set-Content NEW -Encoding utf8"
    ))
}

/// A text without its mark.
///
/// # Errors
/// Why it is none.
pub(super) fn utf8(text: &[u8]) -> Result<&str, String> {
    if let Some(why) = not_utf8(text) {
        return Err(why);
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.trim_start_matches('\u{feff}').trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_mark_or_zeros() {
        for (text, how) in [
            (&b"\xff\xfe{\0}\0"[..], "UTF-16LE"),
            (b"\xfe\xff\0{\0}", "UTF-16BE"),
            (b"{\0\"\0a\0", "UTF-16LE"),
            (b"\0[\0{\0\"", "UTF-16BE"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32LE"),
            (b"\0\0\xfe\xff\0\0\0{", "UTF-32BE"),
        ] {
            let why = utf8(text).expect_err(how);
            assert!(why.contains(&format!("iconv -f {how} -t UTF-8")), "{why}");
            assert!(why.contains("Get-Content OLD -Encoding"), "{why}");
        }
        for text in [&b""[..], b"{", b"{}", b"\xef\xbb\xbf{}", b"\x5b\0\x01\0\x02"] {
            assert_eq!(not_utf8(text), None, "{text:?}");
        }
        assert_eq!(utf8(b"\xef\xbb\xbf {}"), Ok("{}"));
    }
}
