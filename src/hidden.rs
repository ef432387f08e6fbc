//! Hides connection strings whole, wherever they occur.
//!
//! A connection string in the wrong field brings its password along, and whatever quotes the field shows it. There are
//! two defences:
//!
//! * [`misplaced`] finds one in a request before anybody reads it. It is refused by the name of its field;
//! * [`hidden`] takes one out of every text that leaves the process: errors, log lines, panics.
//!
//! Nothing is starred out *within* a string: a hole shows a password's length, and a short one by its missing letters.

mod signed;

use std::borrow::Cow;

use serde_json::Value;

use signed::{signed, unsigned};

/// What stands in the place of a connection string.
pub const HIDDEN: &str = "(a connection string, not shown)";
/// What begins one.
const SCHEME: &str = "mongodb";
/// How often a text may have been percent-encoded.
const ENCODED: usize = 3;
/// Those that this program shows itself, so that people see what one looks like.
const EXAMPLES: [&str; 2] = [
    "mongodb://user:password@host:27017/?replicaSet=name",
    "mongodb://host:27017/shop?authSource=admin",
];

/// Whether the text holds a connection string: one of MongoDB, in capitals and percent-encoded too, or any address with
/// credentials in it.
pub fn holds_one(text: &str) -> bool {
    let mut text = Cow::Borrowed(text);
    for _ in 0..=ENCODED {
        if find(&text).is_some() {
            return true;
        }
        match percent_decoded(&text) {
            decoded if decoded == *text => return false,
            decoded => text = Cow::Owned(decoded),
        }
    }
    false
}

/// The text with each connection string hidden, and what is signed of each address.
pub fn hidden(text: &str) -> Cow<'_, str> {
    match unsigned(text) {
        Cow::Borrowed(text) => without_strings(text),
        Cow::Owned(text) => Cow::Owned(without_strings(&text).into_owned()),
    }
}

/// As [`hidden`], of connection strings alone.
fn without_strings(text: &str) -> Cow<'_, str> {
    if !holds_one(text) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = find(rest) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        out.push_str(HIDDEN);
        rest = &found[length(found, before.chars().next_back())..];
    }
    out.push_str(rest);
    // What is left is percent-encoded, and then it has no spaces in it.
    if holds_one(&out) {
        let words = out
            .split_inclusive(char::is_whitespace)
            .map(|word| match holds_one(word) {
                true => format!("{HIDDEN} "),
                false => word.to_owned(),
            });
        out = words.collect::<String>().trim_end().to_owned();
    }
    match holds_one(&out) {
        true => Cow::Borrowed(HIDDEN),
        false => Cow::Owned(out),
    }
}

/// As [`hidden`], for a line that may be a JSON document, and then stays one.
pub fn hidden_line(line: &str) -> Cow<'_, str> {
    if !holds_one(line) && signed(line).is_none() {
        return Cow::Borrowed(line);
    }
    let end = if line.ends_with('\n') { "\n" } else { "" };
    match serde_json::from_str::<Value>(line) {
        Ok(mut document @ (Value::Object(_) | Value::Array(_))) => {
            hide_within(&mut document);
            Cow::Owned(format!("{document}{end}"))
        }
        _ => Cow::Owned(format!("{}{end}", hidden(line.trim_end_matches('\n')))),
    }
}

fn hide_within(value: &mut Value) {
    match value {
        // An event that is logged is a document within a text.
        Value::String(text) => *text = hidden_line(text).into_owned(),
        Value::Array(elements) => elements.iter_mut().for_each(hide_within),
        Value::Object(fields) => {
            let all = std::mem::take(fields).into_iter();
            *fields = all
                .map(|(name, mut value)| {
                    hide_within(&mut value);
                    (hidden(&name).into_owned(), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Which field of a request holds a connection string, if any. No request has a field for one.
pub fn misplaced(request: &Value) -> Option<String> {
    let within = |name: String, value: &Value| {
        let found = misplaced(value)?;
        Some(match found.is_empty() || name.is_empty() {
            true => format!("{name}{found}"),
            false => format!("{name}.{found}"),
        })
    };
    match request {
        Value::String(text) => holds_one(text).then(String::new),
        Value::Array(elements) => elements.iter().find_map(|element| within(String::new(), element)),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match holds_one(name) {
            true => Some("(a field's name)".to_owned()),
            false => within(name.clone(), value),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Where the first connection string begins, as it stands there.
fn find(text: &str) -> Option<usize> {
    let of_mongodb = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|&at| is_one_of_mongodb(&text[at..]));
    let with_credentials = text
        .match_indices("://")
        .map(|(colon, _)| scheme_start(text, colon))
        .find(|&at| has_credentials(&text[at..]));
    let without_scheme = text.match_indices('@').find_map(|(at, _)| before_host(text, at));
    [of_mongodb, with_credentials, without_scheme]
        .into_iter()
        .flatten()
        .min()
}

/// Where credentials begin that end at this `@`, if what stands behind it can only be a host: `user:password@host:27017`,
/// a connection string whose beginning was forgotten.
fn before_host(text: &str, at: usize) -> Option<usize> {
    let (before, after) = (&text[..at], &text[at + 1..]);
    let separates = |c: char| c.is_whitespace() || "\"'`=(,".contains(c);
    let start = before
        .rfind(separates)
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    let login = &before[start..];
    let login = login.strip_prefix("//").unwrap_or(login);
    let (user, password) = login.split_once(':')?;
    // Paths and addresses with a scheme have slashes there.
    let is_login = !user.is_empty() && !password.is_empty() && !login.contains(['/', '\\']);
    let host_ends = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-.[]_".contains(c)))
        .unwrap_or(after.len());
    let (host, behind) = after.split_at(host_ends);
    let goes_on = |c: char| behind.strip_prefix(c).is_some();
    let is_port = behind
        .strip_prefix(':')
        .is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
    let is_host =
        host == "localhost" || host.trim_end_matches('.').contains('.') || is_port || goes_on('/') || goes_on('?');
    (is_login && !host.is_empty() && is_host).then_some(start)
}

fn is_one_of_mongodb(text: &str) -> bool {
    let Some(after) = without(text, SCHEME) else {
        return false;
    };
    let after = without(after, "+srv").unwrap_or(after);
    let slashes = ['/', '\\'];
    // The scheme by itself is none: "it begins with mongodb://", or "mongodb+srv://. It …".
    let goes_on = |rest: &str| {
        let word = rest.trim_start_matches(slashes).split(char::is_whitespace).next();
        word.is_some_and(|word| !word.trim_end_matches(['.', ',', ';', ':', ')', '"', '\'']).is_empty())
    };
    let is_one = || {
        after
            .strip_prefix(':')
            .is_some_and(|rest| rest.starts_with(slashes) && goes_on(rest))
    };
    // Mistyped: `mongodb:user:password@host`, `mongodb//user:password@host`.
    let is_nearly_one = || {
        let word = after.split(char::is_whitespace).next().unwrap_or_default();
        word.starts_with([':', '/', '\\']) && word.contains('@')
    };
    (is_one() || is_nearly_one()) && !is_example(text)
}

/// The rest of a text that begins so, in whatever case.
fn without<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let begins = text.get(..start.len())?.eq_ignore_ascii_case(start);
    begins.then(|| &text[start.len()..])
}

fn is_example(text: &str) -> bool {
    EXAMPLES.iter().any(|example| {
        text.strip_prefix(example)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || "&@:/%".contains(next)))
    })
}

fn scheme_start(text: &str, colon: usize) -> usize {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "+-.%".contains(c);
    let before = &text[..colon];
    before
        .rfind(|c: char| !belongs(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8))
}

/// Whether an address has a user or keys before its host.
fn has_credentials(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let rest = rest.split(char::is_whitespace).next().unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '"']).next().unwrap_or_default();
    // A password with a slash in it ends the authority early; then what looks like a port is none.
    let is_no_port = || {
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| !port.is_empty() && !port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    !scheme.is_empty() && rest.contains('@') && (authority.contains('@') || is_no_port()) && !is_example(text)
}

/// How long the connection string is that the text begins with, `quote` being what stands before it. Its password may
/// hold spaces and quotes, which it should not; so it does not end before the last `@`.
fn length(text: &str, quote: Option<char>) -> usize {
    let line = text.split('\n').next().unwrap_or_default();
    let credentials = line.rfind('@').map_or(0, |at| at + 1);
    let ends = |c: char| c.is_whitespace() || "\"'`<>\\)".contains(c);
    let plain = line[credentials..].find(ends).map_or(line.len(), |at| credentials + at);
    let quoted = quote
        .filter(|quote| "\"'`".contains(*quote))
        .and_then(|quote| closing(line, quote));
    let end = quoted.filter(|&quoted| quoted >= credentials).unwrap_or(plain);
    end - (line[..end].len() - line[..end].trim_end_matches([':', ';', ',', '.']).len())
}

/// Where the quote closes; what a backslash stands before closes nothing.
fn closing(line: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    line.char_indices().find_map(|(at, c)| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// The text with its percent-escapes decoded.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// In each of them the secret is `zq7X`.
    const NASTY: &[&str] = &[
        "mongodb://clerk:zq7X@localhost:1/shop",
        "MongoDB://clerk:zq7X@localhost",
        "mongodb+srv://clerk:zq7X@c.example/",
        "MONGODB+SRV://clerk:zq7X@c.example/?w=1",
        "mongodb://clerk:p@zq7X",
        "mongodb://clerk:a/zq7X?b#c@h/",
        "mongodb://clerk:a zq7X@h/",
        "mongodb://clerk:a\"zq7X'`\\)@h/",
        "mongodb:/clerk:zq7X@h",
        "mongodb:clerk:zq7X@h",
        "mongodb//clerk:zq7X@h",
        "mongodb://h/?tlsCertificateKeyFilePassword=zq7X",
        "mongodb%3A%2F%2Fclerk%3Azq7X%40h",
        "mongodb%253a%252F%252Fclerk%253Azq7X%2540h",
        "%6d%6fngodb://clerk:zq7X@h",
        "postgres://clerk:zq7X@db/",
        "s3://AKIA:zq7X@bucket/",
        "s3://AKIA:a/zq7X@bucket/",
        "https://zq7X@example.org/",
        "clerk:zq7X@db.example",
        "clerk:zq7X@db:27017",
        "clerk:zq7X@127.0.0.1/shop",
        "//clerk:zq7X@h/shop",
        "clerk%3Azq7X%40db.example%2Fshop",
    ];

    #[test]
    fn a_connection_string_is_hidden_whole_in_whatever_text() {
        for nasty in NASTY {
            assert!(holds_one(nasty), "{nasty}");
            assert_eq!(hidden(nasty), HIDDEN, "{nasty}");
            for text in [
                format!("{nasty:?} is no database name"),
                format!("uri={nasty}: it cannot be read"),
                format!("one\nconnecting to {nasty}\nthree"),
                format!("{nasty} and {nasty}"),
                json!({"message": nasty}).to_string(),
            ] {
                let said = hidden(&text);
                assert!(!said.contains("zq7X") && said.contains(HIDDEN), "{text}: {said}");
            }
            let event = json!({"id": nasty, "time": nasty, "of": "x@y"}).to_string();
            let line =
                json!({"level": "INFO", "fields": {"message": format!("{nasty:?}"), "event": event, "to": "a@b"}});
            let said = hidden_line(&format!("{line}\n")).into_owned();
            let parsed: Value = serde_json::from_str(&said).expect("it is still JSON");
            assert!(!said.contains("zq7X") && said.ends_with('\n'), "{said}");
            assert_eq!(parsed["fields"]["to"], "a@b");
        }
    }

    #[test]
    fn what_is_signed_of_an_address_is_hidden() {
        for signed in [
            "https://b.s3.amazonaws.com/k.tar?X-Amz-Algorithm=A&X-Amz-Credential=zq7X&X-Amz-Signature=zq7X",
            "https://a.blob.core.windows.net/c/k.tar?sv=2024-01-01&sig=zq7X%3D",
            "https://storage.googleapis.com/b/k?x-goog-signature=zq7X",
            "b/k.tar?AWSAccessKeyId=zq7X&Signature=zq7X&Expires=1",
        ] {
            for text in [
                format!("{signed:?} is no location"),
                format!("reading {signed}: denied"),
            ] {
                let said = hidden(&text);
                assert!(
                    !said.contains("zq7X") && said.contains("?(a signature, not shown)"),
                    "{said}"
                );
                assert_eq!(hidden(&said), said, "once is enough");
            }
            let line = json!({"fields": {"message": signed}}).to_string();
            let said = hidden_line(&line).into_owned();
            assert!(
                !said.contains("zq7X") && serde_json::from_str::<Value>(&said).is_ok(),
                "{said}"
            );
        }
        let plain = "is this right? see http://h/k?versionId=3&x=1";
        assert!(matches!(hidden(plain), Cow::Borrowed(_)));
    }

    #[test]
    fn what_stands_around_it_is_left() {
        assert_eq!(
            hidden("\"mongodb://u:p@h/\" is no location: use s3://bucket/prefix/"),
            format!("\"{HIDDEN}\" is no location: use s3://bucket/prefix/")
        );
        assert_eq!(
            hidden("reading mongodb://h/: it is away"),
            format!("reading {HIDDEN}: it is away")
        );
    }

    #[test]
    fn what_is_none_is_shown() {
        for text in [
            "s3://bucket/prefix/backup_20261121_020000.tar.zst",
            "s3://bucket/someone@example.org/",
            "http://127.0.0.1:8333/bucket/a@b",
            "mongodb",
            "it begins with mongodb:// or mongodb+srv://",
            "it does not begin with mongodb:// or mongodb+srv://. It looks like \"mongodb://\"",
            "/var/lib/mongodb/backup.tar",
            "orders 100%",
            "écrit à 5 % de ½",
            "it looks like mongodb://user:password@host:27017/?replicaSet=name",
            "write it as in mongodb://host:27017/shop?authSource=admin.",
            "orders:eu@home",
            "someone@example.org: the owner",
            "to: someone@example.org, at 12:30@noon",
            "/backups/host:eu@site.org/",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/mongodb-AbCdEf",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn the_field_that_holds_one_is_named_and_not_shown() {
        let uri = "mongodb://clerk:zq7X@h/";
        for (request, field) in [
            (json!({"include": ["a", uri]}), Some("include")),
            (json!({"archive": {"latest": uri}}), Some("archive.latest")),
            (json!({"run": {"id": uri}}), Some("run.id")),
            (json!({uri: 1}), Some("(a field's name)")),
            (json!({"detail": {"x": {uri: 1}}}), Some("detail.x.(a field's name)")),
            (json!(uri), Some("")),
            (
                json!({"include": ["a"], "pretty": true, "archive": "s3://b/x.tar"}),
                None,
            ),
        ] {
            assert_eq!(misplaced(&request).as_deref(), field, "{request}");
        }
    }
}
