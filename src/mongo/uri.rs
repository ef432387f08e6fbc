//! A connection string that cannot be printed.

use std::fmt;

use mongodb::error::ErrorKind;
use mongodb::options::ConnectionString;

/// A MongoDB connection string. `Debug` and `Display` show neither user nor password, so that it can stand in any error.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoUri(String);

impl MongoUri {
    /// Takes a connection string as it is; connecting is what checks it.
    pub fn new(uri: impl Into<String>) -> Self {
        Self(uri.into())
    }

    /// The secret itself.
    pub(super) fn expose(&self) -> &str {
        &self.0
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

    /// Whether the string has the form of a connection string; nobody is asked whether it is right.
    ///
    /// # Errors
    /// What is wrong, without credentials.
    pub fn check(&self) -> Result<(), String> {
        let Err(error) = ConnectionString::parse(&self.0) else {
            return Ok(());
        };
        let userinfo = self.userinfo().unwrap_or_default();
        if userinfo.contains(['/', '?', '#', '[', ']', '@']) || userinfo.matches(':').count() > 1 {
            // Where the parser takes half of a password for a host, its message holds that half.
            return Err(
                "user name or password hold one of : / ? # [ ] @, which must be written as %3A %2F %3F %23 %5B %5D %40"
                    .to_owned(),
            );
        }
        let reason = match error.kind.as_ref() {
            ErrorKind::InvalidArgument { message, .. } => message.clone(),
            kind => kind.to_string(),
        };
        Err(self.redact(&reason))
    }

    /// Takes every trace of the credentials out of a text, such as a driver's error.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut clean = text.replace(&self.0, &self.to_string());
        if let Some(userinfo) = self.userinfo() {
            clean = clean.replace(userinfo, "***");
            if let Some((_, password)) = userinfo.split_once(':').filter(|(_, password)| !password.is_empty()) {
                clean = clean
                    .replace(password, "***")
                    .replace(&percent_decoded(password), "***");
            }
        }
        clean
    }

    fn userinfo(&self) -> Option<&str> {
        let rest = self.0.split_once("://")?.1;
        rest.rsplit_once('@').map(|(userinfo, _)| userinfo)
    }
}

impl fmt::Display for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options can hold secrets too (AWS session tokens, key file passwords), so nothing after the hosts is shown.
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str("(not a connection string)");
        };
        // The last `@` first, and then the `?`: a password may wrongly hold either.
        let (hidden, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, hosts)| ("***@", hosts));
        let hosts = rest.split_once('?').map_or(rest, |(before, _)| before);
        write!(f, "{scheme}://{hidden}{hosts}")
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn percent_decoded(text: &str) -> String {
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

    /// The half of a password before its `?` was shown, and the half after its `/`, which the parser takes for something else.
    #[test]
    fn a_password_that_should_have_been_escaped_does_not_show_either() {
        for password in [
            "half?other",
            "half/other",
            "half@other",
            "ha:f:other",
            "half#other",
            "half[other",
        ] {
            let uri = MongoUri::new(format!("mongodb://root:{password}@db.example/shop?w=1"));
            assert_eq!(uri.to_string(), "mongodb://***@db.example/shop");
            if let Err(reason) = uri.check() {
                assert!(!reason.contains("half") && !reason.contains("other"), "{reason}");
                assert!(reason.contains("%40"), "it says what to do: {reason}");
            }
        }
        assert_eq!(MongoUri::new("mongodb://u:p%40@h:27017/shop?w=1").check(), Ok(()));
        for wrong in ["localhost:27017", "mongodb://h:port/", "mongodb://", "mysql://h/"] {
            assert!(MongoUri::new(wrong).check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_never_show() {
        let uri = MongoUri::new(
            "mongodb://root:p%40ss@db.example:27017/shop?authSource=admin&tlsCertificateKeyFilePassword=k",
        );
        assert_eq!(uri.to_string(), "mongodb://***@db.example:27017/shop");
        assert_eq!(format!("{uri:?}"), uri.to_string());
        assert_eq!(uri.database().as_deref(), Some("shop"));
        let text = uri.redact("cannot authenticate root:p%40ss with p@ss at mongodb://root:p%40ss@db.example:27017/shop?authSource=admin&tlsCertificateKeyFilePassword=k");
        assert!(!text.contains("p%40ss") && !text.contains("p@ss"), "{text}");
        assert_eq!(MongoUri::new("mongodb://a,b/?replicaSet=rs").database(), None);
        assert_eq!(
            MongoUri::new("mongodb+srv://u:p@c.example/").to_string(),
            "mongodb+srv://***@c.example/"
        );
    }
}
