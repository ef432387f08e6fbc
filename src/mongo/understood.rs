//! A connection string's options as they were meant: other drivers take more of them, and other names.
//!
//! The driver refuses options it does not know, and most connection strings are copied from a program that knows more.
//! So each option is looked up in the table ([`super::options`]) and handed to the driver, translated, handled here, or
//! left out. As specified, unknown ones are ignored with a warning. A *value* that is not understood is refused all the
//! same: ignoring `tls=ture` would send a password in the clear.
//!
//! No text from here holds a value: after an unescaped `?`, it may be part of a password. So may a name that is not in
//! the table; it is shown only if it is a plain word, and nothing behind the `?` looks like the rest of a password.

mod demands;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::options::{Does, OF_TOOLS, Own, ValueForm, known, meant};
use crate::hidden::percent_decoded;

use demands::Stated;
pub(super) use demands::{Beginning, form};

/// The compressors that the driver speaks.
const COMPRESSORS: &[&str] = if cfg!(feature = "mongodb-zstd") {
    &["snappy", "zlib", "zstd"]
} else {
    &["snappy", "zlib"]
};
/// Whether host names alone can be left unchecked.
const ANY_HOST: bool = cfg!(feature = "tls-invalid-hostnames");
/// The mechanisms that the driver speaks.
const MECHANISMS: [&str; 6] = [
    "MONGODB-AWS",
    "MONGODB-OIDC",
    "MONGODB-X509",
    "PLAIN",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
];
/// What a read can be asked to be.
const LEVELS: [&str; 5] = ["available", "linearizable", "local", "majority", "snapshot"];
/// No replica set has as many members: 50 are the most.
const MOST_MEMBERS: i64 = 51;
/// Pairs that the URI options specification has refused, since one of them is not what was meant.
const CONTRADICT: [(&str, &str); 7] = [
    ("tlsInsecure", "tlsAllowInvalidCertificates"),
    ("tlsInsecure", "tlsAllowInvalidHostnames"),
    ("tlsInsecure", "tlsDisableOCSPEndpointCheck"),
    ("tlsInsecure", "tlsDisableCertificateRevocationCheck"),
    ("tlsAllowInvalidCertificates", "tlsDisableOCSPEndpointCheck"),
    ("tlsAllowInvalidCertificates", "tlsDisableCertificateRevocationCheck"),
    ("tlsDisableOCSPEndpointCheck", "tlsDisableCertificateRevocationCheck"),
];

/// The options of a connection string, for the driver and for here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Understood {
    /// What the driver is handed: names and values as they stand in a connection string.
    driver: Vec<(&'static str, String)>,
    /// For how long a server may say nothing.
    pub(super) call_limit: Option<Duration>,
    /// For how long a server is looked for, at most.
    pub(super) selection_limit: Option<Duration>,
    /// Whether the servers' certificates may name other hosts.
    pub(super) any_host: bool,
    /// What is left out or not done as it was asked for, without any value.
    pub(super) warnings: Vec<String>,
}

impl Understood {
    /// Understands what stands behind the `?`.
    ///
    /// # Errors
    /// What is wrong, without credentials.
    pub(super) fn of(options: &str) -> Result<Self, String> {
        let mut understood = Self::default();
        let mut given: Vec<(&'static str, String)> = Vec::new();
        let separator = if options.contains('&') { '&' } else { ';' };
        let stated = options.split(separator).filter(|option| !option.is_empty());
        for (at, option) in stated.enumerate() {
            let (name, value) = option.split_once('=').ok_or_else(|| match known(option) {
                Some((name, _)) => format!("its {} option has no value ({name})", nth(at)),
                None => format!("its {} option has no value", nth(at)),
            })?;
            match known(name) {
                Some((name, does)) => understood.take(&mut given, name, does, value)?,
                None if OF_TOOLS.iter().any(|tool| name.starts_with(tool)) => {}
                // The rest of a password, behind a `?` in it that was not escaped.
                None if option.contains('@') || !name.chars().all(is_of_name) || name.is_empty() => {
                    return Err("it has an option that is not understood".to_owned());
                }
                None => {
                    let mut says = format!("its {} option is unknown and ignored", nth(at));
                    if is_plain(name) {
                        says += &format!(" ({name})");
                    }
                    if let Some(meant) = meant(name) {
                        says += &format!(": did you mean {meant}?");
                    }
                    understood.warn(says);
                }
            }
        }
        contradictions(&given)?;
        // With nothing but empty sets of tags, any member will do.
        let has_tags = given
            .iter()
            .any(|(name, value)| *name == "readPreferenceTags" && !value.is_empty());
        given.retain(|(name, _)| has_tags || *name != "readPreferenceTags");
        understood.tls(&mut given);
        understood.beside_any_host(&given)?;
        understood.limit(&given);
        let ours = |name: &str| matches!(known(name), Some((_, Does::Hand(_) | Does::Own(_))));
        let kept = given.into_iter().filter(|(name, _)| ours(name) && !is_done_here(name));
        understood.driver = kept.collect();
        Ok(understood)
    }

    /// The options as the driver reads them.
    pub(super) fn options(&self) -> String {
        let pairs = self.driver.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// What an option needs and does not have, and what to do.
    pub(super) fn unmet(&self, beginning: Beginning) -> Option<String> {
        Stated(&self.driver).unmet(beginning)
    }

    /// Each of them by itself.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.driver
            .iter()
            .map(|(name, value)| (*name, format!("{name}={value}")))
    }

    /// Puts one option to what was given, under the name of the specification.
    fn take(
        &mut self,
        given: &mut Vec<(&'static str, String)>,
        name: &'static str,
        does: Does,
        value: &str,
    ) -> Result<(), String> {
        let wrong = || wrong(name, form(name));
        // An empty set of tags is what every member has: the last resort of a list.
        let may_be_empty = does == Does::Nothing || name == "readPreferenceTags";
        if value.is_empty() && !may_be_empty {
            self.warn(format!("its option {name} is empty and is ignored"));
            return Ok(());
        }
        let (name, value) = match does {
            Does::Alias(target) => {
                let already = given.iter().any(|(other, _)| *other == target);
                if already && target != "tls" {
                    self.warn(format!("its option {name} is ignored beside {target}"));
                    return Ok(());
                }
                let (target, does) = known(target).ok_or_else(wrong)?;
                return self.take(given, target, does, value);
            }
            Does::Opposite(target) => (target, opposite(value).ok_or_else(wrong)?.to_owned()),
            Does::Warn(instead) => {
                self.warn(format!("its option {name} is ignored: {instead}"));
                return Ok(());
            }
            Does::Refuse(what) => return Err(format!("its option {name} is refused: {what}")),
            Does::Nothing if name.starts_with("tls") => (name, value.to_owned()),
            Does::Nothing => return Ok(()),
            Does::Hand(ValueForm::Flag) => (name, flag(value).ok_or_else(wrong)?.to_string()),
            Does::Hand(ValueForm::Number) => (name, number(name, value)?.to_string()),
            // The server refuses a longer one, and the driver looks for another server then.
            Does::Hand(_) if name == "appName" && percent_decoded(value).len() > 128 => {
                return Err(self::wrong(name, "it must be at most 128 bytes long"));
            }
            Does::Hand(_) if name == "readConcernLevel" && !LEVELS.contains(&value) => return Err(wrong()),
            Does::Hand(ValueForm::Text | ValueForm::List) => (name, value.to_owned()),
            Does::Own(own) => match self.own(own, name, value)? {
                Some(pair) => pair,
                None => return Ok(()),
            },
        };
        if matches!(known(name), Some((_, Does::Hand(ValueForm::List)))) {
            given.push((name, value));
            return Ok(());
        }
        match given.iter_mut().find(|(other, _)| *other == name) {
            Some((_, before)) if name == "tls" && *before != value => {
                return Err("its options tls and ssl contradict each other: leave one of them out".to_owned());
            }
            Some((_, before)) => {
                if name != "tls" {
                    self.warn(format!(
                        "its option {name} is given more than once: the last one counts"
                    ));
                }
                *before = value;
            }
            None => given.push((name, value)),
        }
        Ok(())
    }

    /// What is not simply handed on.
    fn own(&mut self, own: Own, name: &'static str, value: &str) -> Result<Option<(&'static str, String)>, String> {
        let wrong = || wrong(name, form(name));
        let pair = match own {
            Own::CallLimit => (name, number(name, value)?.to_string()),
            Own::PoolSize => match number(name, value)? {
                0 => return Ok(None),
                size => (name, size.to_string()),
            },
            Own::Acknowledgment => match percent_decoded(value).parse::<i64>() {
                Ok(..0 | MOST_MEMBERS..) => return Err(wrong()),
                Err(_) if is_no_tag(&percent_decoded(value)) => return Err(wrong()),
                Ok(0) => {
                    self.warn("its option w is 0, and w=majority is used: unacknowledged writes cannot be proven");
                    (name, "majority".to_owned())
                }
                _ => (name, value.to_owned()),
            },
            Own::InvalidHostnames => (name, flag(value).ok_or_else(wrong)?.to_string()),
            Own::Requirement => match percent_decoded(value).trim_start_matches("ssl.") {
                "CERT_NONE" => ("tlsAllowInvalidCertificates", "true".to_owned()),
                "CERT_REQUIRED" => return Ok(None),
                _ => return Err(wrong()),
            },
            Own::Compressors => match self.compressors(value) {
                Some(compressors) => (name, compressors),
                None => return Ok(None),
            },
            Own::Mechanism => match percent_decoded(value).to_ascii_uppercase() {
                mechanism if mechanism == "DEFAULT" => return Ok(None),
                mechanism if MECHANISMS.contains(&mechanism.as_str()) => (name, mechanism),
                mechanism if mechanism == "GSSAPI" || mechanism == "MONGODB-CR" => {
                    return Err(format!(
                        "its authMechanism {mechanism} is not supported; these are: {}",
                        MECHANISMS.join(", ")
                    ));
                }
                _ => {
                    return Err(self::wrong(
                        name,
                        &format!("these are known: {}", MECHANISMS.join(", ")),
                    ));
                }
            },
            Own::Connect => match value.to_ascii_lowercase().as_str() {
                "direct" => ("directConnection", "true".to_owned()),
                _ => return Ok(None),
            },
            Own::SlaveOk => match flag(value).ok_or_else(wrong)? {
                true => ("readPreference", "secondaryPreferred".to_owned()),
                false => return Ok(None),
            },
        };
        Ok(Some(pair))
    }

    /// Those of the compressors that are known.
    fn compressors(&mut self, value: &str) -> Option<String> {
        let asked = percent_decoded(value).to_ascii_lowercase();
        let asked = asked.split(',').map(str::trim).filter(|one| !one.is_empty());
        let (spoken, others): (Vec<&str>, Vec<&str>) = asked.partition(|one| COMPRESSORS.contains(one));
        if others.iter().any(|one| !["noop", "none", "disabled"].contains(one)) {
            self.warn(format!(
                "its option compressors names an unsupported one, which is left out; supported: {}",
                COMPRESSORS.join(", ")
            ));
        }
        (!spoken.is_empty()).then(|| spoken.join(","))
    }

    /// The options about TLS, which the driver takes only where TLS is not switched off, and some of which it cannot
    /// follow.
    fn tls(&mut self, given: &mut Vec<(&'static str, String)>) {
        let is =
            |given: &[(&str, String)], name: &str, value: &str| given.iter().any(|(n, v)| *n == name && v == value);
        if is(given, "tls", "false") {
            given.retain(|(name, _)| *name == "tls" || !name.starts_with("tls"));
            return;
        }
        let nothing_checked = ["tlsInsecure", "tlsAllowInvalidCertificates"];
        let nothing_checked = nothing_checked.iter().any(|name| is(given, name, "true"));
        if is(given, "tlsAllowInvalidHostnames", "true") {
            if !given.iter().any(|(name, _)| *name == "tls") {
                given.push(("tls", "true".to_owned()));
            }
            self.any_host = !nothing_checked && ANY_HOST;
            if self.any_host {
                self.warn(
                    "its option tlsAllowInvalidHostnames leaves host names unchecked: whoever has a certificate of a trusted authority can pose as the server",
                );
            } else if !nothing_checked {
                self.warn(
                    "its option tlsAllowInvalidHostnames is ignored, and host names are checked: this program was built without `--features tls-invalid-hostnames`. Build it so, or use a certificate that names the host",
                );
            }
        }
        if is(given, "tlsAllowInvalidCertificates", "true") && !is(given, "tlsAllowInvalidHostnames", "true") {
            self.warn(
                "its option tlsAllowInvalidCertificates leaves host names unchecked, too: anybody in between can pose as the server",
            );
        }
    }

    /// The proxy that leaves names unchecked neither goes through another one, nor decrypts keys.
    fn beside_any_host(&self, given: &[(&'static str, String)]) -> Result<(), String> {
        let others = [
            ("proxyHost", "use a certificate that names the host"),
            (
                "tlsCertificateKeyFilePassword",
                "decrypt the key (`openssl pkey -in key.pem`)",
            ),
        ];
        let beside = others
            .iter()
            .find(|(other, _)| given.iter().any(|(name, _)| name == other));
        match beside.filter(|_| self.any_host) {
            Some((other, instead)) => Err(format!(
                "its options tlsAllowInvalidHostnames and {other} do not work together: {instead}"
            )),
            None => Ok(()),
        }
    }

    /// `timeoutMS` takes the place of `socketTimeoutMS`, and bounds the search for a server, as the specification has
    /// it. 0 means no limit there, and here the usual one.
    fn limit(&mut self, given: &[(&'static str, String)]) {
        let stated = |name: &str| {
            let found = given.iter().find(|(other, _)| *other == name)?;
            found
                .1
                .parse()
                .ok()
                .filter(|limit| *limit > 0)
                .map(Duration::from_millis)
        };
        self.selection_limit = stated("timeoutMS");
        self.call_limit = self.selection_limit.or_else(|| stated("socketTimeoutMS"));
    }

    fn warn(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// What is looked up here, and not by the driver.
fn is_done_here(name: &str) -> bool {
    matches!(name, "timeoutMS" | "socketTimeoutMS" | "tlsAllowInvalidHostnames")
}

fn contradictions(given: &[(&'static str, String)]) -> Result<(), String> {
    let has = |name: &str| given.iter().any(|(other, _)| *other == name);
    match CONTRADICT.iter().find(|(one, other)| has(one) && has(other)) {
        Some((one, other)) => Err(format!(
            "its options {one} and {other} contradict each other: leave one of them out"
        )),
        None => Ok(()),
    }
}

/// Whether a name is a word as options have it, and not like a value: digits and runs of capitals are of keys and
/// passwords.
fn is_plain(name: &str) -> bool {
    let letters = name.as_bytes();
    let capitals = |pair: &[u8]| pair.iter().all(u8::is_ascii_uppercase);
    // `MS` and `CA` are in names.
    (3..=40).contains(&letters.len())
        && letters.iter().all(u8::is_ascii_alphabetic)
        && letters[0].is_ascii_lowercase()
        && letters.windows(3).filter(|three| capitals(three)).count() == 0
        && letters.iter().any(|letter| b"aeiou".contains(letter))
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-')
}

/// `true` and `false`, as other drivers write them too.
fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "t" | "1" => Some(true),
        "false" | "no" | "n" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a write concern that is no whole number is no name either.
fn is_no_tag(value: &str) -> bool {
    let is_like_a_number = value.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    is_like_a_number && value.parse::<f64>().is_ok()
        || ["true", "false"].iter().any(|flag| value.eq_ignore_ascii_case(flag))
}

fn opposite(value: &str) -> Option<&'static str> {
    flag(value).map(|flag| if flag { "false" } else { "true" })
}

/// What is said of a value: what it must be, and not what it is.
pub(super) fn wrong(name: &str, must: &str) -> String {
    format!("its option {name} has an invalid value: {must}")
}

/// A whole number of those that the driver and the specification take.
fn number(name: &str, value: &str) -> Result<i64, String> {
    let (least, most) = match name {
        "heartbeatFrequencyMS" => (500, i64::MAX),
        "maxStalenessSeconds" => (-1, i64::MAX),
        "zlibCompressionLevel" => (-1, 9),
        "maxAdaptiveRetries" | "maxConnecting" | "maxPoolSize" | "minPoolSize" | "srvMaxHosts" => {
            (0, i64::from(u32::MAX))
        }
        _ => (0, i64::MAX),
    };
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        let most = if most < i64::MAX {
            format!(" and at most {most}")
        } else {
            String::new()
        };
        wrong(name, &format!("it must be a whole number, at least {least}{most}"))
    })
}

fn nth(at: usize) -> String {
    let end = match at {
        0 => "st",
        1 => "nd",
        2 => "rd",
        _ => "th",
    };
    format!("{}{end}", at + 1)
}
