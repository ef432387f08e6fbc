//! What options demand: of each other, of the scheme, of the hosts and of the credentials.
//!
//! The driver's words for it quote values, or it says nothing until it connects. So all of it is checked here, before
//! the driver, and no text from here holds a value that is a secret.

use crate::hidden::percent_decoded;

/// What of a connection string stands before its options.
#[derive(Clone, Copy, Debug)]
pub(in crate::mongo) struct Beginning {
    pub(in crate::mongo) is_srv: bool,
    pub(in crate::mongo) has_user: bool,
    pub(in crate::mongo) has_password: bool,
    pub(in crate::mongo) hosts: usize,
}

/// The least `maxStalenessSeconds`, and how much it must be above the time between two heartbeats: as specified.
const LEAST_STALENESS: i64 = 90;
const IDLE_WRITES: i64 = 10;
/// The driver's `heartbeatFrequencyMS`.
const HEARTBEAT: i64 = 10_000;

/// What options are given, as the driver is handed them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated<'a>(pub(super) &'a [(&'static str, String)]);

impl<'a> Stated<'a> {
    /// The first demand that is not met, and what to do.
    pub(super) fn unmet(self, beginning: Beginning) -> Option<String> {
        self.unmet_by_hosts(beginning)
            .or_else(|| self.unmet_by_reads())
            .or_else(|| self.unmet_by_credentials(beginning))
            .or_else(|| self.unmet_by_proxy())
    }

    fn unmet_by_hosts(self, beginning: Beginning) -> Option<String> {
        let only_srv = ["srvMaxHosts", "srvServiceName"];
        if let Some(name) = only_srv.iter().find(|name| !beginning.is_srv && self.has(name)) {
            return Some(format!(
                "its option {name} works only with mongodb+srv://: leave it out"
            ));
        }
        let limited = self.number("srvMaxHosts").is_some_and(|hosts| hosts > 0);
        let direct = self.is("directConnection", "true");
        let balanced = self.is("loadBalanced", "true");
        let alone = |what: &str, other: &str| {
            Some(format!(
                "{what} and {other} do not work together: leave one of them out"
            ))
        };
        match () {
            () if limited && self.has("replicaSet") => alone("its options srvMaxHosts", "replicaSet"),
            () if limited && balanced => alone("its options srvMaxHosts", "loadBalanced=true"),
            () if direct && balanced => alone("its options directConnection=true", "loadBalanced=true"),
            () if balanced && self.has("replicaSet") => alone("its options loadBalanced=true", "replicaSet"),
            () if direct && beginning.is_srv => alone("its option directConnection=true", "mongodb+srv://"),
            () if direct && beginning.hosts > 1 => alone("its option directConnection=true", "several hosts"),
            () if balanced && beginning.hosts > 1 => alone("its option loadBalanced=true", "several hosts"),
            () => None,
        }
    }

    fn unmet_by_reads(self) -> Option<String> {
        let staleness = self.number("maxStalenessSeconds").filter(|seconds| *seconds >= 0);
        let of_secondaries = match staleness {
            Some(_) => "maxStalenessSeconds",
            None if self.has("readPreferenceTags") => "readPreferenceTags",
            None => return None,
        };
        let preference = self.value("readPreference").unwrap_or("primary");
        if preference.eq_ignore_ascii_case("primary") {
            return Some(format!(
                "its option {of_secondaries} needs a readPreference other than primary, such as secondaryPreferred: add one, or leave {of_secondaries} out"
            ));
        }
        let heartbeat = self.number("heartbeatFrequencyMS").unwrap_or(HEARTBEAT);
        let least = LEAST_STALENESS.max(heartbeat.div_euclid(1000) + IDLE_WRITES + i64::from(heartbeat % 1000 > 0));
        staleness.filter(|seconds| *seconds < least).map(|_| {
            format!("its option maxStalenessSeconds has an invalid value: here it must be at least {least}, or -1 for no limit")
        })
    }

    fn unmet_by_credentials(self, beginning: Beginning) -> Option<String> {
        let Some(mechanism) = self.value("authMechanism") else {
            return (beginning.has_user && !beginning.has_password).then(|| {
                "it names a user without a password: write user:password@ before the hosts, or an authMechanism that needs none, such as MONGODB-X509"
                    .to_owned()
            });
        };
        let its = format!("its authMechanism {mechanism}");
        let external = self
            .value("authSource")
            .is_none_or(|source| percent_decoded(source) == "$external");
        let (user, password) = (beginning.has_user, beginning.has_password);
        match mechanism {
            "MONGODB-X509" | "MONGODB-OIDC" if password => Some(format!("{its} takes no password: leave it out")),
            "MONGODB-X509" | "MONGODB-OIDC" if !external => {
                Some(format!("{its} takes no authSource but $external: leave authSource out"))
            }
            "MONGODB-OIDC" => {
                let properties = self.value("authMechanismProperties").map(percent_decoded);
                (properties.as_deref() != Some("ENVIRONMENT:k8s")).then(|| {
                    format!(
                        "{its} needs authMechanismProperties=ENVIRONMENT:k8s, and no other property: tokens come from Kubernetes alone"
                    )
                })
            }
            "MONGODB-AWS" if user && !password => Some(format!(
                "{its} needs the secret key with the key's id: write both before the @, or none, to use the environment's"
            )),
            "PLAIN" | "SCRAM-SHA-1" | "SCRAM-SHA-256" if !(user && password) => Some(format!(
                "{its} needs a user and a password: write user:password@ before the hosts"
            )),
            _ => None,
        }
    }

    fn unmet_by_proxy(self) -> Option<String> {
        let of_proxy = ["proxyPort", "proxyUsername", "proxyPassword"];
        match of_proxy.iter().find(|name| self.has(name)) {
            Some(name) if !self.has("proxyHost") => Some(format!(
                "its option {name} needs proxyHost: add it, or leave {name} out"
            )),
            _ if self.has("proxyUsername") != self.has("proxyPassword") => Some(
                "its options proxyUsername and proxyPassword need each other: write both, or none of them".to_owned(),
            ),
            _ => None,
        }
    }

    fn value(self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.as_str())
    }

    fn has(self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn is(self, name: &str, value: &str) -> bool {
        self.value(name) == Some(value)
    }

    fn number(self, name: &str) -> Option<i64> {
        self.value(name)?.parse().ok()
    }
}

/// What the value of an option must be, where its name does not say it.
pub(in crate::mongo) fn form(name: &str) -> &'static str {
    match name {
        "authMechanismProperties" => "it must be a list such as NAME:value,OTHER:value, without those of programs",
        "readConcernLevel" => "it must be local, majority, available, linearizable or snapshot",
        "readPreference" => "it must be primary, primaryPreferred, secondary, secondaryPreferred or nearest",
        "readPreferenceTags" => "it must be a list such as dc:ny,rack:1",
        "serverMonitoringMode" => "it must be auto, stream or poll",
        "proxyPort" => "it must be a port, from 0 to 65535",
        "ssl_cert_reqs" => "it must be CERT_NONE or CERT_REQUIRED",
        "w" => "it must be a number of members, majority, or a name that the replica set defines",
        _ => "it must be true or false",
    }
}
