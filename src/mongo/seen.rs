//! What the driver sees of the servers while it selects one: if none fits, this says why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bson::Document;
use mongodb::error::ErrorKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{ConnectionString, ReadPreference};

use super::reason;

/// The servers as they were seen last, and what the connection string asks of them.
#[derive(Debug, Default)]
pub(super) struct SeenServers {
    servers: Mutex<BTreeMap<String, Sight>>,
    /// Why a proxy of this process did not reach a server: the driver sees only that it did not.
    beyond: Mutex<BTreeMap<String, Sight>>,
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
#[derive(Clone, Copy, Debug)]
struct Preference {
    name: &'static str,
    /// What to do then.
    advice: &'static str,
    /// Whether any secondary would do.
    any_secondary: bool,
    /// Whether one that does not fit now may do so later: it lags.
    passes: bool,
}

/// What a server was last seen as.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// It answers, as a member of this set or of none.
    Answers { set: Option<String>, role: &'static str },
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
            servers: Mutex::default(),
            beyond: Mutex::default(),
            set: parsed.replica_set.clone(),
            preference: parsed.read_preference.as_ref().and_then(strict),
            credentials,
        }
    }

    /// What the driver is to call.
    pub(super) fn watch(self: &Arc<Self>) -> EventHandler<SdamEvent> {
        let seen = Arc::clone(self);
        EventHandler::callback(move |event: SdamEvent| seen.take(&event))
    }

    fn take(&self, event: &SdamEvent) {
        let (address, sight) = match event {
            SdamEvent::ServerHeartbeatSucceeded(event) => (&event.server_address, answered(&event.reply)),
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
            Sight::Answers { set, role } if self.set.is_none() || self.set == *set => Some(*role),
            _ => None,
        });
        let roles: Vec<&str> = roles.collect();
        let others = servers.values().any(|sight| matches!(sight, Sight::Answers { .. }));
        let primary = roles.contains(&PRIMARY) || roles.contains(&ROUTER);
        match self.preference {
            // Whatever is read from, the primary is asked first what it is.
            _ if !roles.is_empty() && !primary => {
                format!(
                    "no server is the primary: {said}. Wait until one is elected, and try again; or back up one member as it is, by its address and directConnection=true"
                )
            }
            Some(Preference { name, advice, .. }) if primary => {
                format!("no server fits readPreference={name}: {said}. {advice}")
            }
            _ if others => format!("no server fits the connection string: {said}"),
            _ => format!(
                "no server can be reached: {said}. Check the connection string, the network and the credentials"
            ),
        }
    }

    /// Whether it makes no difference to look again: every server has answered, none of them is on its way to another
    /// role, and none is what the read preference asks for.
    pub(super) fn none_will_fit(&self) -> bool {
        let Some(preference) = self.preference.filter(|preference| !preference.passes) else {
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
            && roles.all(|role| settled.contains(&role) && !(preference.any_secondary && role == SECONDARY))
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
const ROUTER: &str = "a router of a sharded cluster";

/// How servers say, in small letters, that they do not have a mechanism.
const NOT_OFFERED: [&str; 5] = ["not enabled", "unknown", "unsupported", "not supported", "unavailable"];

/// A read preference for which there may be no server.
fn strict(preference: &ReadPreference) -> Option<Preference> {
    match preference {
        ReadPreference::Secondary { options: None } => Some(Preference {
            name: "secondary",
            advice: "Leave readPreference out, or write readPreference=secondaryPreferred",
            any_secondary: true,
            passes: false,
        }),
        ReadPreference::Secondary { options: Some(options) } => Some(Preference {
            name: "secondary",
            advice: "Check its tags and staleness, or write readPreference=secondaryPreferred",
            any_secondary: false,
            passes: options.max_staleness.is_some(),
        }),
        ReadPreference::Nearest { options: Some(options) } => Some(Preference {
            name: "nearest",
            advice: "Check its tags and staleness, or leave them out",
            any_secondary: false,
            passes: options.max_staleness.is_some(),
        }),
        _ => None,
    }
}

fn answered(hello: &Document) -> Sight {
    let is = |field: &str| hello.get_bool(field).unwrap_or(false);
    let set = hello.get_str("setName").ok().map(str::to_owned);
    let role = match hello.get_str("msg") {
        Ok("isdbgrid") => ROUTER,
        _ if is("isWritablePrimary") || is("ismaster") => PRIMARY,
        _ if is("secondary") => SECONDARY,
        _ if is("arbiterOnly") => ARBITER,
        _ if is("isreplicaset") => "a server whose replica set is not initiated",
        _ => "a member that is neither primary nor secondary now",
    };
    Sight::Answers { set, role }
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

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn where_no_server_fits_it_is_said_why() {
        let seen = |uri: &str, sights: Vec<(&str, Sight)>| {
            let seen = SeenServers::of(&ConnectionString::parse(uri).expect("a connection string"));
            let sights = sights.into_iter().map(|(address, sight)| (address.to_owned(), sight));
            seen.servers.lock().expect("alone").extend(sights);
            seen.why()
        };
        let member = answered(&doc! {"setName": "rs7", "secondary": true});
        let said = seen("mongodb://a/?replicaSet=rs0", vec![("a:1", member.clone())]);
        assert!(said.contains("\"rs7\"") && said.contains("replicaSet=rs7"), "{said}");
        let said = seen(
            "mongodb://a/?replicaSet=rs0",
            vec![("a:1", answered(&doc! {"ismaster": true}))],
        );
        assert!(said.contains("leave replicaSet out"), "{said}");
        let gone = Sight::Fails("nothing listens there (connection refused)".to_owned());
        let said = seen("mongodb://a,b/?replicaSet=rs7", vec![("a:1", member), ("b:1", gone)]);
        assert_eq!(
            said,
            "no server is the primary: a:1 answers, as a secondary; b:1: nothing listens there (connection refused). Wait until one is elected, and try again; or back up one member as it is, by its address and directConnection=true"
        );
        let primary = answered(&doc! {"setName": "rs7", "isWritablePrimary": true});
        let said = seen("mongodb://a/?readPreference=secondary", vec![("a:1", primary.clone())]);
        assert_eq!(
            said,
            "no server fits readPreference=secondary: a:1 answers, as the primary. Leave readPreference out, or write readPreference=secondaryPreferred"
        );
        let said = seen(
            "mongodb://a/?readPreference=nearest&readPreferenceTags=dc:x",
            vec![("a:1", primary.clone())],
        );
        assert!(
            said.contains("readPreference=nearest") && said.contains("tags"),
            "{said}"
        );
        let said = seen("mongodb://a/", vec![("a:1", primary)]);
        assert!(said.starts_with("no server fits the connection string: a:1"), "{said}");
        let said = seen("mongodb://a/", vec![]);
        assert!(
            said.starts_with("no server can be reached: none has answered in time. Check"),
            "{said}"
        );
        let said = seen("mongodb://half/", vec![("half:1", Sight::Nameless)]);
        assert!(!said.contains("half"), "{said}");
    }

    #[test]
    fn where_all_have_answered_and_none_fits_nobody_waits() {
        let vain = |options: &str, hellos: &[&Document], gone: bool| {
            let uri = format!("mongodb://a/?{options}");
            let seen = SeenServers::of(&ConnectionString::parse(uri).expect("a connection string"));
            let mut servers = seen.servers.lock().expect("alone");
            let sights = hellos.iter().enumerate();
            servers.extend(sights.map(|(at, hello)| (format!("h{at}:1"), answered(hello))));
            if gone {
                servers.insert("gone:1".to_owned(), Sight::Fails("nothing listens there".to_owned()));
            }
            drop(servers);
            seen.none_will_fit()
        };
        let primary = doc! {"setName": "rs", "isWritablePrimary": true};
        let secondary = doc! {"setName": "rs", "secondary": true};
        let starting = doc! {"setName": "rs"};
        let arbiter = doc! {"setName": "rs", "arbiterOnly": true};
        let wants = "readPreference=secondary";
        let tagged = "readPreference=nearest&readPreferenceTags=dc:x";
        assert!(vain(wants, &[&primary], false));
        assert!(vain(wants, &[&primary, &arbiter], false));
        assert!(vain(tagged, &[&primary, &secondary], false));
        // Each of these may pass.
        assert!(!vain(wants, &[&primary], true));
        assert!(!vain(wants, &[&primary, &starting], false));
        assert!(!vain(wants, &[&primary, &secondary], false));
        assert!(!vain(wants, &[&secondary], false));
        assert!(!vain(
            &format!("{tagged}&maxStalenessSeconds=120"),
            &[&primary, &secondary],
            false
        ));
        assert!(!vain("", &[&primary], false));
    }

    #[test]
    fn refused_credentials_are_said_with_their_database_and_mechanism() {
        let refused = |uri: &str| SeenServers::of(&ConnectionString::parse(uri).expect(uri)).refused("failed");
        for (uri, words) in [
            (
                "mongodb://u:secret@h/",
                "authSource admin, since the connection string names none",
            ),
            ("mongodb://u:secret@h/shop", "authSource shop, since"),
            ("mongodb://u:secret@h/shop?authSource=users", "authSource users)"),
            (
                "mongodb://u:secret@h/?authMechanism=SCRAM-SHA-1",
                "authMechanism SCRAM-SHA-1, authSource admin",
            ),
        ] {
            let said = refused(uri);
            assert!(said.contains(words) && !said.contains("secret"), "{said}");
        }
    }
}
