//! Signed addresses: their query is a key to what they lead to.

use std::borrow::Cow;

/// What stands in the place of a signed query.
const UNSIGNED: &str = "?(a signature, not shown)";
/// The parameters of signed addresses (S3, Google, Azure, CloudFront) that are secrets, or parts of such.
const SIGNED: [&str; 11] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "X-Goog-Credential",
    "AWSAccessKeyId",
    "GoogleAccessId",
    "Signature",
    "Policy",
    "sig",
    "token",
];

/// The text without what follows the `?` of signed addresses: whoever has it, has what the address leads to.
pub(super) fn unsigned(text: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((at, end)) = signed(rest) {
        out.extend([&rest[..at], UNSIGNED]);
        rest = &rest[end..];
    }
    match rest.len() == text.len() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(out + rest),
    }
}

/// From where to where the first query with a signature or a key goes.
pub(super) fn signed(text: &str) -> Option<(usize, usize)> {
    let ends = |c: char| c.is_whitespace() || "\"'`<>\\)".contains(c);
    text.match_indices('?').find_map(|(at, _)| {
        let query = &text[at + 1..];
        let query = &query[..query.find(ends).unwrap_or(query.len())];
        let is_secret = |pair: &str| {
            let name = pair.split(['=', '%']).next().unwrap_or_default();
            SIGNED.iter().any(|secret| secret.eq_ignore_ascii_case(name))
        };
        let pairs = || query.split(['&', ';']);
        pairs().any(is_secret).then(|| (at, at + 1 + query.len()))
    })
}
