//! Every known option of connection strings, and what becomes of it.
//!
//! They are those of the URI options specification, and of other drivers and tools: most connection strings are copied
//! from another program. `docs/COMPATIBILITY.md` has the same table; a test keeps the two equal.

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Handed to the driver.
    Hand(ValueForm),
    /// The same under the name that the specification gives it.
    Alias(&'static str),
    /// The opposite of another option.
    Opposite(&'static str),
    /// Done here, or turned into other options.
    Own(Own),
    /// About values in programs, about pools of other drivers, about what is always done here: nothing depends on it.
    Nothing,
    /// It asks for something that is not done; what is done instead.
    Warn(&'static str),
    /// It cannot be left out without doing something else than what was asked for; what to do.
    Refuse(&'static str),
}

/// How the value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueForm {
    Text,
    Flag,
    Number,
    /// May be given several times, as a list.
    List,
}

/// What is done here with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// For how long a server may say nothing.
    CallLimit,
    /// Compressors that are known here are asked for, others are left out.
    Compressors,
    /// 0 becomes `majority`: what is not acknowledged cannot be proven.
    Acknowledgment,
    /// A mechanism that the driver does not speak is refused by its name.
    Mechanism,
    /// `direct` asks for one server alone.
    Connect,
    /// Reads may go to secondaries.
    SlaveOk,
    /// 0 means no limit elsewhere.
    PoolSize,
    /// Cannot be had alone.
    InvalidHostnames,
    /// `CERT_NONE` checks nothing.
    Requirement,
}

const ONE_FILE: &str = "put certificate and key into one file, and name it as tlsCertificateKeyFile";
const NOT_REVOKED: &str = "revocation lists are not read: a revoked certificate is accepted";
const NOT_FIPS: &str = "this TLS library has no FIPS mode";
const PROXY: Does = match cfg!(feature = "socks5") {
    true => Does::Hand(ValueForm::Text),
    false => Does::Refuse(
        "this program was built without SOCKS5: build it with `--features socks5`, or reach the servers directly",
    ),
};
const KEY_PASSWORD: Does = match cfg!(feature = "tls-key-password") {
    true => Does::Hand(ValueForm::Text),
    false => Does::Warn(
        "this program was built without `--features tls-key-password`: an encrypted key must be decrypted first (`openssl pkey -in key.pem`)",
    ),
};

use Does::{Alias, Hand, Nothing, Opposite, Own as Here, Refuse, Warn};
use ValueForm::{Flag, List, Number, Text};

/// The options, by the name that is shown.
#[rustfmt::skip]
pub(super) const OPTIONS: &[(&str, Does)] = &[
    // The URI options specification.
    ("appName", Hand(Text)),
    ("authMechanism", Here(Own::Mechanism)),
    ("authMechanismProperties", Hand(Text)),
    ("authSource", Hand(Text)),
    ("compressors", Here(Own::Compressors)),
    ("connectTimeoutMS", Hand(Number)),
    ("directConnection", Hand(Flag)),
    ("enableOverloadRetargeting", Hand(Flag)),
    ("heartbeatFrequencyMS", Hand(Number)),
    ("journal", Hand(Flag)),
    ("loadBalanced", Hand(Flag)),
    ("localThresholdMS", Hand(Number)),
    ("maxAdaptiveRetries", Hand(Number)),
    ("maxConnecting", Here(Own::PoolSize)),
    ("maxIdleTimeMS", Hand(Number)),
    ("maxPoolSize", Here(Own::PoolSize)),
    ("maxStalenessSeconds", Hand(Number)),
    ("minPoolSize", Hand(Number)),
    ("proxyHost", PROXY),
    ("proxyPassword", PROXY),
    ("proxyPort", PROXY),
    ("proxyUsername", PROXY),
    ("readConcernLevel", Hand(Text)),
    ("readPreference", Hand(Text)),
    ("readPreferenceTags", Hand(List)),
    ("replicaSet", Hand(Text)),
    ("retryReads", Hand(Flag)),
    ("retryWrites", Hand(Flag)),
    ("serverMonitoringMode", Hand(Text)),
    ("serverSelectionTimeoutMS", Hand(Number)),
    ("serverSelectionTryOnce", Nothing),
    ("socketTimeoutMS", Here(Own::CallLimit)),
    ("srvMaxHosts", Hand(Number)),
    ("srvServiceName", Hand(Text)),
    ("ssl", Alias("tls")),
    ("timeoutMS", Here(Own::CallLimit)),
    ("tls", Hand(Flag)),
    ("tlsAllowInvalidCertificates", Hand(Flag)),
    ("tlsAllowInvalidHostnames", Here(Own::InvalidHostnames)),
    ("tlsCAFile", Hand(Text)),
    ("tlsCertificateKeyFile", Hand(Text)),
    ("tlsCertificateKeyFilePassword", KEY_PASSWORD),
    ("tlsDisableCertificateRevocationCheck", Nothing),
    ("tlsDisableOCSPEndpointCheck", Nothing),
    ("tlsInsecure", Hand(Flag)),
    ("w", Here(Own::Acknowledgment)),
    ("waitQueueTimeoutMS", Nothing),
    ("wTimeoutMS", Hand(Number)),
    ("zlibCompressionLevel", Hand(Number)),
    // Other names of the same.
    ("acceptableLatencyMS", Alias("localThresholdMS")),
    ("heartbeatIntervalMS", Alias("heartbeatFrequencyMS")),
    ("j", Alias("journal")),
    ("poolSize", Alias("maxPoolSize")),
    ("secondaryAcceptableLatencyMS", Alias("localThresholdMS")),
    ("sslAllowInvalidCertificates", Alias("tlsAllowInvalidCertificates")),
    ("sslAllowInvalidHostnames", Alias("tlsAllowInvalidHostnames")),
    ("sslCA", Alias("tlsCAFile")),
    ("sslCAFile", Alias("tlsCAFile")),
    ("sslCertificateAuthorityFile", Alias("tlsCAFile")),
    ("sslClientCertificateKeyFile", Alias("tlsCertificateKeyFile")),
    ("sslClientCertificateKeyPassword", Alias("tlsCertificateKeyFilePassword")),
    ("sslInsecure", Alias("tlsInsecure")),
    ("sslInvalidHostNameAllowed", Alias("tlsAllowInvalidHostnames")),
    ("sslPass", Alias("tlsCertificateKeyFilePassword")),
    ("sslPEMKeyFile", Alias("tlsCertificateKeyFile")),
    ("sslPEMKeyPassword", Alias("tlsCertificateKeyFilePassword")),
    ("sslValidate", Opposite("tlsAllowInvalidCertificates")),
    ("ssl_ca_certs", Alias("tlsCAFile")),
    ("ssl_cert_reqs", Here(Own::Requirement)),
    ("ssl_match_hostname", Opposite("tlsAllowInvalidHostnames")),
    ("ssl_pem_passphrase", Alias("tlsCertificateKeyFilePassword")),
    ("tlsClientCertificateKeyPassword", Alias("tlsCertificateKeyFilePassword")),
    ("wtimeout", Alias("wTimeoutMS")),
    // Turned into another option.
    ("connect", Here(Own::Connect)),
    ("slaveOk", Here(Own::SlaveOk)),
    ("slave_okay", Here(Own::SlaveOk)),
    // Asked for, and not done.
    ("gssapiServiceName", Refuse("Kerberos (GSSAPI) is not supported")),
    ("sslCert", Warn(ONE_FILE)),
    ("sslKey", Warn(ONE_FILE)),
    ("ssl_certfile", Warn(ONE_FILE)),
    ("ssl_keyfile", Warn(ONE_FILE)),
    ("tlsCertificateFile", Warn(ONE_FILE)),
    ("tlsPrivateKeyFile", Warn(ONE_FILE)),
    ("sslCRL", Warn(NOT_REVOKED)),
    ("sslCRLFile", Warn(NOT_REVOKED)),
    ("ssl_crlfile", Warn(NOT_REVOKED)),
    ("tlsCRLFile", Warn(NOT_REVOKED)),
    ("sslFIPSMode", Warn(NOT_FIPS)),
    ("tlsFIPSMode", Warn(NOT_FIPS)),
    ("fsync", Warn("use journal=true to wait for the journal")),
    // Of PyMongo and Motor.
    ("auto_encryption_opts", Nothing),
    ("datetime_conversion", Nothing),
    ("document_class", Nothing),
    ("event_listeners", Nothing),
    ("safe", Nothing),
    ("server_api", Nothing),
    ("server_selector", Nothing),
    ("type_registry", Nothing),
    ("tz_aware", Nothing),
    ("tzinfo", Nothing),
    ("unicode_decode_error_handler", Nothing),
    ("uuidRepresentation", Nothing),
    ("waitQueueMultiple", Nothing),
    // Of Node and Mongoose.
    ("autoIndex", Nothing),
    ("autoReconnect", Nothing),
    ("auto_reconnect", Nothing),
    ("bsonRegExp", Nothing),
    ("bufferCommands", Nothing),
    ("bufferMaxEntries", Nothing),
    ("checkKeys", Nothing),
    ("checkServerIdentity", Opposite("tlsAllowInvalidHostnames")),
    ("connectWithNoPrimary", Nothing),
    ("domainsEnabled", Nothing),
    ("enableUtf8Validation", Nothing),
    ("family", Nothing),
    ("forceServerObjectId", Nothing),
    ("ha", Nothing),
    ("haInterval", Nothing),
    ("ignoreUndefined", Nothing),
    ("keepAlive", Nothing),
    ("keepAliveInitialDelay", Nothing),
    ("loggerLevel", Nothing),
    ("monitorCommands", Nothing),
    ("native_parser", Nothing),
    ("noDelay", Nothing),
    ("numberOfRetries", Nothing),
    ("promoteBuffers", Nothing),
    ("promoteLongs", Nothing),
    ("promoteValues", Nothing),
    ("raw", Nothing),
    ("reconnectInterval", Nothing),
    ("reconnectTries", Nothing),
    ("serializeFunctions", Nothing),
    ("useBigInt64", Nothing),
    ("useNewUrlParser", Nothing),
    ("useRecoveryToken", Nothing),
    ("useUnifiedTopology", Nothing),
    ("validateOptions", Nothing),
    // Of Java, .NET, C and Go.
    ("canonicalizeHostname", Nothing),
    ("guids", Nothing),
    ("ipv6", Nothing),
    ("maxConnectionLifeTime", Nothing),
    ("maxLifeTimeMS", Nothing),
    ("socketCheckIntervalMS", Nothing),
    ("socketKeepAlive", Nothing),
    ("streamType", Nothing),
    ("waitQueueSize", Nothing),
];

/// What other tools write about themselves, by how it begins.
pub(super) const OF_TOOLS: &[&str] = &["3t."];

/// The option of that name, in whatever case.
pub(super) fn known(name: &str) -> Option<(&'static str, Does)> {
    let found = OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.copied()
}

/// A known option that may have been meant: one or two letters are different.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let allowed = if name.len() < 8 { 1 } else { 2 };
    let near = OPTIONS
        .iter()
        .filter(|(known, _)| known.len() > 3)
        .map(|(known, _)| (distance(&known.to_ascii_lowercase(), &name), *known))
        .min()?;
    (near.0 <= allowed).then_some(near.1)
}

/// How many letters must be put in, taken out or changed to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, its) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *its);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_and_leads_somewhere() {
        for (at, (name, does)) in OPTIONS.iter().enumerate() {
            let again = OPTIONS[at + 1..]
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name));
            assert_eq!(again, None, "{name} stands twice");
            if let Alias(target) | Opposite(target) = does {
                let (_, its) = known(target).expect(target);
                assert!(!matches!(its, Alias(_) | Opposite(_)), "{name} leads to {target}");
            }
        }
    }

    /// `docs/COMPATIBILITY.md` has each of them, and says of each what becomes of it.
    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../docs/COMPATIBILITY.md");
        let section = page
            .split("\n## ")
            .find(|section| section.starts_with("Connection strings"));
        let section = section
            .expect("the section")
            .split("\n### ")
            .next()
            .expect("its beginning");
        let mut documented = Vec::new();
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let names = cells[0].trim_start_matches("| ").split(", ");
            documented.extend(names.map(|name| (name.trim_matches('`').to_owned(), cells[1].to_owned())));
        }
        let becomes = |name: &str, does: Does| match does {
            _ if name.starts_with("proxy") => "driver, with `--features socks5`".to_owned(),
            _ if name == "tlsCertificateKeyFilePassword" => "driver, with `--features tls-key-password`".to_owned(),
            Hand(_) => "driver".to_owned(),
            Alias(target) => format!("`{target}`"),
            Opposite(target) => format!("the opposite of `{target}`"),
            Does::Own(_) => "here".to_owned(),
            Nothing => "no meaning".to_owned(),
            Warn(_) => "warning".to_owned(),
            Refuse(_) => "refused".to_owned(),
        };
        let mut expected: Vec<_> = OPTIONS
            .iter()
            .map(|(name, does)| ((*name).to_owned(), becomes(name, *does)))
            .collect();
        expected.sort();
        documented.sort();
        assert_eq!(documented, expected);
    }

    #[test]
    fn what_is_nearly_an_option_is_recognised() {
        for (typed, expected) in [
            ("retryWrite", Some("retryWrites")),
            ("replicaset", Some("replicaSet")),
            ("maxPolSize", Some("maxPoolSize")),
            ("nonsense", None),
            ("zq7XkW", None),
        ] {
            assert_eq!(meant(typed), expected, "{typed}");
        }
    }
}
