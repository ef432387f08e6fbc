//! What the driver sees of the servers while it selects one: if none fits, this says why.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::Document;
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{ConnectionString, ReadPreference, TagSet};
use tokio::sync::Notify;

use super::reason;

/// The servers as they were seen last, and what the connection string asks of them.
#[derive(Debug, Default)]
pub(super) struct SeenServers {
    servers: Mutex<BTreeMap<String, Sight>>,
    /// Why a proxy of this process did not reach a server: the driver sees only that it did not.
    beyond: Mutex<BTreeMap<String, Sight>>,
    /// All members, as the primary names them.
    members: Mutex<Vec<String>>,
    /// Tells of each answer.
    changed: Notify,
    /// The replica set that is asked for.
    set: Option<String>,
    /// The read preference that is asked for, unless it is the usual one.
    preference: Option<Preference>,
    /// How one proves who one is; nothing if nobody does.
    credentials: Option<Credentials>,
}

/// How one proves who one is.
#[derive(Debug)]
struct Credentials {
    /// In words.
    said: String,
    mechanism: Option<String>,
    /// Whether they are looked for in `$external`, which has no passwords of users.
    external: bool,
}

/// A read preference for which there may be no server.
#[derive(Debug)]
struct Preference {
    name: &'static str,
    /// What to do then.
    advice: &'static str,
    /// Whether the primary would do.
    any_role: bool,
    /// What a member must have of one of these; nothing if it need not have any.
    tags: Vec<TagSet>,
}

/// What a server was last seen as.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// It answers, as a member of this set or of none.
    Answers {
        set: Option<String>,
        role: &'static str,
        tags: Document,
    },
    /// It does not, and why.
    Fails(String),
    /// Its name is not known. It is not shown: of a connection string without a host, the end of a password is taken
    /// for it.
    Nameless,
}

impl SeenServers {
    /// For a connection string.
    pub(super) fn of(parsed: &ConnectionString) -> Self {
        let credentials = parsed.credential.as_ref().map(|credential| {
            let mechanism = credential
                .mechanism
                .as_ref()
                .map(|mechanism| mechanism.as_str().to_owned());
            let source = match (&credential.source, &parsed.default_database) {
                (None, _) if mechanism.as_ref().is_some_and(|name| !name.starts_with("SCRAM")) => {
                    "authSource $external".to_owned()
                }
                (Some(source), _) => format!("authSource {source}"),
                (None, Some(database)) => {
                    format!("authSource {database}, since the connection string names that database and no authSource")
                }
                (None, None) => "authSource admin, since the connection string names none".to_owned(),
            };
            Credentials {
                said: match &mechanism {
                    Some(mechanism) => format!("authMechanism {mechanism}, {source}"),
                    None => source,
                },
                mechanism,
                external: credential.source.as_deref() == Some("$external"),
            }
        });
        Self {
            set: parsed.replica_set.clone(),
            preference: parsed.read_preference.as_ref().and_then(strict),
            credentials,
            ..Self::default()
        }
    }

    /// What the driver is to call.
    pub(super) fn watch(self: &Arc<Self>) -> EventHandler<SdamEvent> {
        let seen = Arc::clone(self);
        EventHandler::callback(move |event: SdamEvent| seen.take(&event))
    }

    fn take(&self, event: &SdamEvent) {
        let (address, sight) = match event {
            SdamEvent::ServerHeartbeatSucceeded(event) => {
                let sight = answered(&event.reply);
                if matches!(sight, Sight::Answers { role: PRIMARY, .. }) {
                    let named = ["hosts", "passives", "arbiters"].map(|list| event.reply.get_array(list));
                    let named = named.into_iter().flatten().flatten();
                    let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
                    *members = named.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                }
                (&event.server_address, sight)
            }
            SdamEvent::ServerHeartbeatFailed(event) => {
                let beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
                let sight = match event.failure.kind.as_ref() {
                    ErrorKind::DnsResolve { .. } => Sight::Nameless,
                    ErrorKind::Io(error) => failed(error),
                    kind => {
                        let said = beyond.get(&event.server_address.to_string()).cloned();
                        said.unwrap_or_else(|| Sight::Fails(reason::of(kind)))
                    }
                };
                (&event.server_address, sight)
            }
            _ => return,
        };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.insert(address.to_string(), sight);
        drop(servers);
        self.changed.notify_waiters();
    }

    /// Returns when each of these has been heard of, and `holds` of it.
    async fn heard_of(&self, addresses: impl Fn() -> Vec<String>, holds: impl Fn(&Sight) -> bool) {
        loop {
            let changed = self.changed.notified();
            let all = addresses().iter().all(|address| {
                let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
                let mut seen = servers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(address));
                seen.any(|(_, sight)| holds(sight))
            });
            if all {
                return;
            }
            changed.await;
        }
    }

    /// Returns when all members have answered, or failed to; at once if any would do.
    pub(super) async fn all_members(&self) {
        let members = || match &self.preference {
            Some(_) => self.members.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => Vec::new(),
        };
        self.heard_of(members, |_| true).await;
    }

    /// Returns when it is certain that none of these belongs to the replica set that is asked for.
    pub(super) async fn another_set(&self, addresses: &[String]) {
        let is_another = |sight: &Sight| match sight {
            Sight::Answers { set, role, .. } => self.set.is_some() && *set != self.set && *role != NOT_INITIATED,
            _ => false,
        };
        self.heard_of(|| addresses.to_vec(), is_another).await;
    }

    /// Takes down why a server could not be reached by a proxy of this process.
    #[cfg(feature = "tls-invalid-hostnames")]
    pub(super) fn not_reached(&self, address: &mongodb::options::ServerAddress, error: &std::io::Error) {
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        beyond.insert(address.to_string(), failed(error));
    }

    /// Why no server fits.
    pub(super) fn why(&self) -> String {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let said = servers.iter().map(|(address, sight)| self.about(address, sight));
        let mut said: Vec<String> = said.collect();
        said.dedup();
        let said = match said.is_empty() {
            true => "none has answered in time".to_owned(),
            false => said.join("; "),
        };
        // Those of the set that is asked for, if one is.
        let roles = servers.values().filter_map(|sight| match sight {
            Sight::Answers { set, role, .. } if self.set.is_none() || self.set == *set => Some(*role),
            _ => None,
        });
        let roles: Vec<&str> = roles.collect();
        let others = servers.values().any(|sight| matches!(sight, Sight::Answers { .. }));
        let primary = roles.contains(&PRIMARY) || roles.contains(&ROUTER);
        match &self.preference {
            // Whatever is read from, the primary is asked first what it is.
            _ if !roles.is_empty() && !primary => {
                format!(
                    "no server is the primary: {said}. Wait until one is elected, and try again; or back up one member as it is, by its address and directConnection=true"
                )
            }
            Some(Preference { name, advice, .. }) if primary => {
                format!("no server fits readPreference={name}: {said}. {advice}")
            }
            // It fits, but was found too late.
            None if primary && self.set.is_none() => format!(
                "no server fits the connection string: {said}. It was given too little time for that: allow more (serverSelectionTimeoutMS)"
            ),
            _ if others => format!("no server fits the connection string: {said}"),
            _ => {
                // Whoever gives a millisecond hears of nobody.
                let limits = match servers.is_empty() {
                    true => ", and for how long servers are waited for (serverSelectionTimeoutMS, timeoutMS)",
                    false => "",
                };
                format!(
                    "no server can be reached: {said}. Check the connection string, the network and the credentials{limits}"
                )
            }
        }
    }

    /// Whether it makes no difference to look again: every server has answered, none of them is on its way to another
    /// role, and none is what the read preference asks for. One that only lags may be later.
    pub(super) fn none_will_fit(&self) -> bool {
        let Some(preference) = &self.preference else {
            return false;
        };
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let role = |sight: &Sight| match sight {
            Sight::Answers { role, .. } => *role,
            _ => "",
        };
        let settled = [PRIMARY, ROUTER, ARBITER, SECONDARY];
        let mut roles = servers.values().map(role);
        roles.clone().any(|role| role == PRIMARY)
            && roles.all(|role| settled.contains(&role))
            && !servers.values().any(|sight| preference.fits(sight))
    }

    fn about(&self, address: &str, sight: &Sight) -> String {
        match (sight, &self.set) {
            (Sight::Answers { set: Some(its), .. }, Some(asked)) if its != asked => {
                format!(
                    "{address} is a member of the replica set {its:?}, not of the one in the connection string: write replicaSet={its}"
                )
            }
            (Sight::Answers { set: None, .. }, Some(_)) => {
                format!("{address} is not in a replica set: leave replicaSet out")
            }
            (Sight::Answers { role, .. }, _) => format!("{address} answers, as {role}"),
            (Sight::Fails(reason), _) => format!("{address}: {reason}"),
            // These words are looked for by who must not show a host.
            (Sight::Nameless, _) => "the name of a host cannot be resolved (failed to lookup address)".to_owned(),
        }
    }

    /// What it means that the credentials were refused.
    pub(super) fn refused(&self, reason: &str) -> String {
        let Some(Credentials {
            said,
            mechanism,
            external,
        }) = &self.credentials
        else {
            return format!("the credentials were refused ({reason})");
        };
        let lower = reason.to_lowercase();
        let is_unknown = lower.contains("mechanism") && NOT_OFFERED.iter().any(|words| lower.contains(words));
        match mechanism.as_deref().filter(|name| !name.starts_with("SCRAM")) {
            None if *external => format!(
                "no user with a password is in authSource $external ({reason}; {said}). Write authSource=admin, or the database in which the user was created"
            ),
            name if is_unknown => format!(
                "the server does not offer {} ({reason}; {said}). For a user with a password, leave authMechanism out, and write authSource=admin, or the database in which the user was created",
                name.or(mechanism.as_deref())
                    .map_or_else(|| "the mechanism".to_owned(), |name| format!("authMechanism={name}")),
            ),
            _ => format!(
                "the credentials were refused ({reason}; {said}). Check user and password, and that authSource is the database in which the user was created"
            ),
        }
    }
}

const PRIMARY: &str = "the primary";
const SECONDARY: &str = "a secondary";
const ARBITER: &str = "an arbiter";
const NOT_INITIATED: &str = "a server whose replica set is not initiated";
const ROUTER: &str = "a router of a sharded cluster";

/// How servers say, in small letters, that they do not have a mechanism.
const NOT_OFFERED: [&str; 5] = ["not enabled", "unknown", "unsupported", "not supported", "unavailable"];

impl Preference {
    /// Whether a server is what is asked for, however far it lags.
    fn fits(&self, sight: &Sight) -> bool {
        let Sight::Answers { role, tags, .. } = sight else {
            return false;
        };
        let has = |set: &TagSet| {
            set.iter()
                .all(|(name, value)| tags.get_str(name).is_ok_and(|its| its == value))
        };
        let by_role = *role == SECONDARY || *role == ROUTER || self.any_role && *role == PRIMARY;
        by_role && (self.tags.is_empty() || self.tags.iter().any(has))
    }
}

/// A read preference for which there may be no server.
fn strict(preference: &ReadPreference) -> Option<Preference> {
    let (any_role, options) = match preference {
        ReadPreference::Secondary { options } => (false, options),
        ReadPreference::Nearest {
            options: options @ Some(_),
        } => (true, options),
        _ => return None,
    };
    Some(Preference {
        name: if any_role { "nearest" } else { "secondary" },
        advice: match (any_role, options) {
            (true, _) => "Check its tags and staleness, or leave them out",
            (false, Some(_)) => "Check its tags and staleness, or write readPreference=secondaryPreferred",
            (false, None) => "Leave readPreference out, or write readPreference=secondaryPreferred",
        },
        any_role,
        tags: options
            .as_ref()
            .and_then(|options| options.tag_sets.clone())
            .unwrap_or_default(),
    })
}

fn answered(hello: &Document) -> Sight {
    let is = |field: &str| hello.get_bool(field).unwrap_or(false);
    let set = hello.get_str("setName").ok().map(str::to_owned);
    let role = match hello.get_str("msg") {
        Ok("isdbgrid") => ROUTER,
        _ if is("isWritablePrimary") || is("ismaster") => PRIMARY,
        _ if is("secondary") => SECONDARY,
        _ if is("arbiterOnly") => ARBITER,
        _ if is("isreplicaset") => NOT_INITIATED,
        _ => "a member that is neither primary nor secondary now",
    };
    let tags = hello.get_document("tags").cloned().unwrap_or_default();
    Sight::Answers { set, role, tags }
}

/// What a failure of the network makes of a server.
fn failed(error: &std::io::Error) -> Sight {
    match is_nameless(&error.to_string()) {
        true => Sight::Nameless,
        false => Sight::Fails(reason::network(error)),
    }
}

/// Whether the resolver did not find a host.
fn is_nameless(said: &str) -> bool {
    ["lookup address", "resolve"].iter().any(|words| said.contains(words))
}
