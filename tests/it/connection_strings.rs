//! Connection strings as people mistype and misplace them, and a look for what is shown of them.

/// The password. No word of any message has a piece of it.
const SECRET: &str = "zq7XkWv9JmT4";
/// From how many characters on a piece counts.
const PIECE: usize = 4;

/// Each with [`SECRET`] in it, whole or in two halves with `zq7XkW` as the first.
pub const NASTY: &[&str] = &[
    "mongodb://clerk:zq7XkWv9JmT4@127.0.0.1:1/shop?serverSelectionTimeoutMS=100",
    // No host, and an `@` in the password: its end is taken for a host.
    "mongodb://clerk:zq7XkW@v9JmT4",
    "mongodb://clerk:zq7XkW@v9JmT4@",
    "mongodb+srv://clerk:zq7XkW@v9JmT4",
    "MONGODB://clerk:zq7XkWv9JmT4@127.0.0.1:1",
    "mongodb://clerk:zq7XkW/v9JmT4@127.0.0.1:1/",
    "mongodb://clerk:zq7XkW?v9JmT4@127.0.0.1:1/",
    "mongodb://clerk:zq7XkW#v9JmT4@127.0.0.1:1/",
    "mongodb://clerk:zq7XkW\"v9JmT4@127.0.0.1:1/",
    "mongodb://clerk:zq7XkW v9JmT4@127.0.0.1:1/",
    "mongodb://clerk:zq7XkW%v9JmT4@127.0.0.1:1/",
    "mongodb://127.0.0.1:1/?tlsCertificateKeyFilePassword=zq7XkWv9JmT4&serverSelectionTimeoutMS=100",
    "mongodb://clerk:a@127.0.0.1:1/?zq7XkW=v9JmT4",
    "mongodb%3A%2F%2Fclerk%3Azq7XkWv9JmT4%40127.0.0.1%2F",
    "see mongodb://clerk:zq7XkWv9JmT4@127.0.0.1:1/ there",
    "postgres://clerk:zq7XkWv9JmT4@127.0.0.1/shop",
    "s3://AKIA:zq7XkW/v9JmT4@bucket/",
    "clerk:zq7XkWv9JmT4@db.example",
    "clerk:zq7XkWv9JmT4@db:27017",
    "clerk:zq7XkWv9JmT4@127.0.0.1/shop",
    "//clerk:zq7XkWv9JmT4@h/shop",
];

/// Fails where a piece of the secret is in what was said.
pub fn assert_hidden(said: &str, by: &str) {
    let pieces = SECRET.as_bytes().windows(PIECE);
    for piece in pieces.map(|piece| std::str::from_utf8(piece).expect("ASCII")) {
        assert!(!said.contains(piece), "{by} showed {piece:?}: {said}");
    }
}
