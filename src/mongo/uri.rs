//! A connection string that cannot be printed.

#[cfg(test)]
mod tests;

use std::fmt;

use mongodb::options::ConnectionString;

use super::tls_files;
use super::understood::{Beginning, Understood, form, wrong};
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

    /// Checks that the files that it names for TLS have what they are named for.
    ///
    /// # Errors
    /// Which option, which file, and what it lacks.
    pub fn check_files(&self) -> Result<(), String> {
        let (parsed, _) = self.understood()?;
        tls_files::check(parsed.tls.as_ref())
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
        // The parser panics at some of them, with a piece of the password.
        if before
            .rsplit_once('@')
            .is_some_and(|(userinfo, _)| has_bare_percent(userinfo))
        {
            return Err("user name or password contain a % that must be percent-encoded, as %25".to_owned());
        }
        let understood = match Understood::of(options) {
            Ok(understood) => understood,
            Err(reason) => return Err(self.what_is_wrong(Err(reason))),
        };
        match ConnectionString::parse(with_options(before, &understood.options())) {
            Ok(parsed) => match understood.unmet(self.beginning()) {
                None => Ok((parsed, understood)),
                Some(reason) => Err(reason),
            },
            Err(_) => Err(self.what_is_wrong(Ok(&understood))),
        }
    }

    /// The parser takes half of a password for a host or an option, and its message quotes that half. So where there
    /// may be a password, each piece of the string is tried by itself, and only said which is wrong.
    fn what_is_wrong(&self, options: Result<&Understood, String>) -> String {
        let refused = |text: String| ConnectionString::parse(text).is_err();
        let Some((scheme, rest)) = self.0.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            let inner = self
                .0
                .trim_matches(|edge: char| edge.is_whitespace() || edge == '"' || edge == '\'');
            let around =
                inner.len() < self.0.len() && inner.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
            return match around {
                true => "there are quotes or spaces around it: remove them",
                false => "it does not begin with mongodb:// or mongodb+srv://",
            }
            .to_owned();
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
        if let Some(reason) = understood.unmet(self.beginning()) {
            return reason;
        }
        for (name, option) in understood.each() {
            let with = match name {
                "authMechanismProperties" | "readPreference" | "serverMonitoringMode" => "",
                "readPreferenceTags" => "&readPreference=nearest",
                "proxyPort" => "&proxyHost=h",
                _ => continue,
            };
            if refused(format!("mongodb://h/?{option}{with}")) {
                return wrong(name, form(name));
            }
        }
        if refused(format!("{scheme}://{userinfo}@{hosts}/")) && self.userinfo().is_some() {
            return match userinfo.starts_with(':') || userinfo.is_empty() {
                true => "no user name stands before the @: write one, or leave the @ out",
                false => "user name or password contain a character that must be percent-encoded",
            }
            .to_owned();
        }
        match refused(self.0.split('?').next().unwrap_or_default().to_owned()) {
            true => "the name of its database contains a character that none may have: one of / \\ $ \" or a space",
            false => "its options conflict",
        }
        .to_owned()
    }

    /// What stands before the options, for those that demand something of it.
    fn beginning(&self) -> Beginning {
        let (before, _) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let (scheme, rest) = before.split_once("://").unwrap_or(("", before));
        let (userinfo, after) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = userinfo
            .split_once(':')
            .map_or((userinfo, None), |(user, password)| (user, Some(password)));
        Beginning {
            is_srv: scheme.contains('+'),
            has_user: !user.is_empty(),
            has_password: password.is_some(),
            hosts: after.split('/').next().unwrap_or_default().split(',').count(),
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

/// Whether a `%` is not followed by two digits.
fn has_bare_percent(text: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut behind = text.split('%').skip(1).map(str::as_bytes);
    behind.any(|behind| !is_digit(behind.first()) || !is_digit(behind.get(1)))
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
