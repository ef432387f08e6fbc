//! A connection string that cannot be printed.

use std::fmt;

use mongodb::options::ConnectionString;

use super::understood::Understood;
use crate::hidden::{HIDDEN, hidden, percent_decoded};

/// From how many characters on a secret is looked for within words, too.
const SHORT: usize = 4;
/// What the resolvers of names say of a host that is none.
const NOT_FOUND: [&str; 3] = ["lookup address", "DNS resolution", "resolve"];
/// A MongoDB connection string. `Debug` and `Display` show nothing of it, so that it can stand in any error.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoUri(String);

impl MongoUri {
    /// Takes a connection string unchecked; connecting checks it.
    pub fn new(uri: impl Into<String>) -> Self {
        Self(uri.into())
    }

    /// The database that the string names after the host, as in `mongodb://host/shop`.
    pub fn database(&self) -> Option<String> {
        let rest = self.0.split_once("://")?.1;
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        // Passwords must have their slashes escaped, so the first one after the last `@` begins the path.
        let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
        let name = hosts.split_once('/')?.1;
        (!name.is_empty()).then(|| percent_decoded(name))
    }

    /// Checks that the string has the form of a connection string, without connecting.
    ///
    /// # Errors
    /// What is wrong, without credentials.
    pub fn check(&self) -> Result<(), String> {
        self.understood().map(drop)
    }

    /// What of the string is ignored, or not done as it asks: for people, without any value.
    pub fn warnings(&self) -> Vec<String> {
        self.understood()
            .map_or_else(|_| Vec::new(), |(_, understood)| understood.warnings)
    }

    /// The string as the driver reads it, and what is done here.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn understood(&self) -> Result<(ConnectionString, Understood), String> {
        let (before, options) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let understood = match Understood::of(options) {
            Ok(understood) => understood,
            Err(reason) => return Err(self.what_is_wrong(Err(reason))),
        };
        match ConnectionString::parse(with_options(before, &understood.options())) {
            Ok(parsed) => Ok((parsed, understood)),
            Err(_) => Err(self.what_is_wrong(Ok(&understood))),
        }
    }

    /// The parser takes half of a password for a host or an option, and its message quotes that half. So where there
    /// may be a password, each piece of the string is tried by itself, and only said which is wrong.
    fn what_is_wrong(&self, options: Result<&Understood, String>) -> String {
        let refused = |text: String| ConnectionString::parse(text).is_err();
        let Some((scheme, rest)) = self.0.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return "it does not begin with mongodb:// or mongodb+srv://".to_owned();
        };
        let (userinfo, after) = match self.userinfo() {
            Some(userinfo) => (userinfo, &rest[userinfo.len() + 1..]),
            None => ("", rest),
        };
        if userinfo.contains(['/', '?', '#', '[', ']', '@']) || userinfo.matches(':').count() > 1 {
            return
                "user name or password contain one of : / ? # [ ] @, which must be written as %3A %2F %3F %23 %5B %5D %40"
                    .to_owned();
        }
        let hosts = after.split(['/', '?']).next().unwrap_or_default();
        if hosts.is_empty() {
            return "it names no host".to_owned();
        }
        if userinfo.is_empty() && !scheme.contains('+') && refused(format!("{scheme}://{hosts}/")) {
            // It may be a user and a password without a host, and the parser's message holds the password.
            return "no list of hosts with ports, such as host:27017,second:27017, follows ://; user and password go before an @ and a host".to_owned();
        }
        if refused(format!("{scheme}://{hosts}/")) {
            return match scheme.contains('+') {
                true => "no single host without a port follows the last @, as mongodb+srv:// requires",
                false => "no list of hosts with ports, such as host:27017,second:27017, follows the last @",
            }
            .to_owned();
        }
        let understood = match options {
            Ok(understood) => understood,
            Err(reason) => return reason,
        };
        match understood.each().find(|(_, option)| refused(format!("{scheme}://{hosts}/?{option}"))) {
            Some((name, _)) => format!("its option {name} has an invalid value, or does not stand alone"),
            None if userinfo.contains(':') && understood.is_without_password() => {
                "its authMechanism takes no password: leave it out".to_owned()
            }
            None => "user name, password or database contain a character that must be percent-encoded, or its options conflict".to_owned(),
        }
    }

    /// A text of the driver's or the server's, such as an error: as it is, or not at all where it holds a piece of the
    /// credentials.
    pub(super) fn redact(&self, text: &str) -> String {
        // A password with an `@` in it, and no host after that: its end was taken for a host, and looked for.
        if self.userinfo().is_some() && NOT_FOUND.iter().any(|words| text.contains(words)) {
            return "no server can be reached: a host of the connection string is not known here. Check its hosts; an @ in a password must be written as %40".to_owned();
        }
        match self.secrets().iter().any(|secret| holds(text, secret)) {
            true => "the answer is not shown, since it contains a piece of the connection string".to_owned(),
            false => hidden(text).into_owned(),
        }
    }

    /// What must not be in any text: the string itself, its credentials, and options that are secrets.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.0.clone()];
        let mut add = |secret: &str| {
            secrets.extend([secret.to_owned(), percent_decoded(secret)]);
        };
        if let Some(userinfo) = self.userinfo() {
            add(userinfo);
            if let Some((_, password)) = userinfo.split_once(':') {
                add(password);
            }
        }
        let options = self.0.split_once('?').map_or("", |(_, options)| options);
        for (name, value) in options.split(['&', ';']).filter_map(|option| option.split_once('=')) {
            let name = name.to_ascii_lowercase();
            if ["pass", "properties", "token"]
                .iter()
                .any(|secret| name.contains(secret))
            {
                add(value);
                value.split([',', ':']).for_each(&mut add);
            }
        }
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    fn userinfo(&self) -> Option<&str> {
        let rest = self.0.split_once("://")?.1;
        rest.rsplit_once('@').map(|(userinfo, _)| userinfo)
    }
}

impl fmt::Display for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even its hosts: of a string without one, the end of a password is taken for it.
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_scheme(text: &str) -> bool {
    matches!(text, "mongodb" | "mongodb+srv")
}

/// The string with these options and no others.
fn with_options(before: &str, options: &str) -> String {
    match options {
        "" => before.to_owned(),
        options => format!("{before}?{options}"),
    }
}

/// Whether the text holds the secret: one of a few letters as a word, since most texts have those letters.
fn holds(text: &str, secret: &str) -> bool {
    let is_apart = |next: Option<char>| next.is_none_or(|next| !next.is_alphanumeric());
    text.match_indices(secret).any(|(at, _)| {
        secret.chars().count() >= SHORT
            || is_apart(text[..at].chars().next_back()) && is_apart(text[at + secret.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The half of a password before its `?` was shown, the half after its `/`, which the parser takes for something
    /// else, and what follows an `@` where no host does.
    #[test]
    fn a_connection_string_that_is_mistyped_shows_no_piece_of_its_password() {
        for wrong in [
            "mongodb://root:half?other@db.example/shop?w=1",
            "mongodb://root:half/other@db.example/shop?w=1",
            "mongodb://root:half@other@db.example/shop?w=1",
            "mongodb://root:ha:f:other@db.example/shop?w=1",
            "mongodb://root:half#other@db.example/shop?w=1",
            "mongodb://root:half[other@db.example/shop?w=1",
        ] {
            let reason = MongoUri::new(wrong).check().expect_err(wrong);
            assert!(!reason.contains("half") && !reason.contains("other"), "{reason}");
            assert!(reason.contains("%40"), "it says what to do: {reason}");
        }
        for (wrong, words) in [
            ("localhost:27017", "mongodb://"),
            ("mysql://h/", "mongodb://"),
            ("root:half@other", "mongodb://"),
            ("mongodb://h:port/", "port"),
            ("mongodb://", "host"),
            ("mongodb://root:half@", "no host"),
            ("mongodb://root:half", "before an @"),
            ("mongodb://root:half/shop", "before an @"),
            ("mongodb://root:half/?replicaSet=rs", "before an @"),
            ("mongodb://root:half,second:27017", "before an @"),
            ("mongodb+srv://root:half", "without a port"),
            ("mongodb://h/?readPreference=half", "option readPreference"),
            ("mongodb://h/?half", "no value"),
            ("mongodb://root:12?half=other@db.example/?w=1", "%40"),
            ("mongodb://h/?half=other@db.example", "%40"),
            ("mongodb://root:half@other:x", "such as host:27017"),
            ("mongodb+srv://root:half@other.half.x:1", "without a port"),
            ("mongodb://root:half@h/?tls=half", "option tls"),
            (
                "mongodb://root:half@h/?readPreference=mongodb://other",
                "option readPreference",
            ),
            ("mongodb://ro%ot:half@h/", "percent-encoded"),
        ] {
            let uri = MongoUri::new(wrong);
            let Err(reason) = uri.check() else {
                panic!("{wrong} was taken")
            };
            assert!(reason.contains(words), "{wrong}: {reason}");
            assert!(
                !reason.contains("half") && !reason.contains("other"),
                "{wrong}: {reason}"
            );
            assert_eq!(format!("{uri} {uri:?}"), format!("{HIDDEN} {HIDDEN}"));
        }
        assert_eq!(MongoUri::new("mongodb://u:p%40@h:27017/shop?w=1").check(), Ok(()));
    }

    /// Where only the password was starred out of a text, the letters that were missing were the password.
    #[test]
    fn a_text_with_a_piece_of_the_credentials_is_not_shown_at_all() {
        let uri = MongoUri::new(
            "mongodb://root:p%40ss@db.example:27017/shop?authSource=admin&tlsCertificateKeyFilePassword=kkkk&authMechanismProperties=AWS_SESSION_TOKEN:tttt",
        );
        assert_eq!(uri.database().as_deref(), Some("shop"));
        for text in [
            "not p%40ss",
            "not p@ss!",
            "at root:p%40ss",
            "key kkkk",
            "xttttx",
            "mongodb://elsewhere/",
        ] {
            let shown = uri.redact(text);
            assert!(
                !shown.contains("ss!") && !shown.contains('*') && shown != text,
                "{shown}"
            );
        }
        for text in [
            "no such host: db.example:27017",
            "not authorized on shop to execute command",
        ] {
            assert_eq!(uri.redact(text), text);
        }
        let short = MongoUri::new("mongodb://root:a@h/");
        assert_eq!(short.redact("a part"), short.redact("(a)"), "as a word");
        assert_eq!(short.redact("Authentication failed."), "Authentication failed.");
        // Its host is the end of a password.
        let mistyped = MongoUri::new("mongodb://root:half@other");
        assert_eq!(mistyped.check(), Ok(()));
        let said = mistyped.redact("other:27017: failed to lookup address information: Name or service not known");
        assert!(!said.contains("other") && said.contains("%40"), "{said}");
        assert_eq!(MongoUri::new("mongodb://a,b/?replicaSet=rs").database(), None);
    }
}
