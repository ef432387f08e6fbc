//! Spreads compact JSON over lines.

use super::scan::unescaped_run;

/// Appends `compact` (valid JSON without spaces between its tokens) to `out`, laid out as Python's
/// `json.dumps(indent=2)` does.
pub(super) fn indent(compact: &[u8], out: &mut Vec<u8>) {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = compact.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if let Some(&close @ (b'}' | b']')) = compact.get(at) {
                    out.push(close);
                    at += 1;
                } else {
                    depth += 1;
                    new_line(depth, out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                let len = string_len(&compact[at..]);
                out.extend_from_slice(&compact[at - 1..at + len]);
                at += len;
            }
            _ => out.push(byte),
        }
    }
}

/// Bytes to the end of a string whose opening quote was just read, the closing quote included.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += unescaped_run(&rest[at..]);
        match rest.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') if at + 2 <= rest.len() => at += 2,
            _ => return rest.len(),
        }
    }
}

fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laid_out_as_python_does() {
        let mut out = Vec::new();
        indent(br#"{"a":[],"b":{},"c":[1,{"d":"x, \"y\": {\\"}],"e":"\\"}"#, &mut out);
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, \\\"y\\\": {\\\\\"\n    }\n  ],\n  \"e\": \"\\\\\"\n}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
