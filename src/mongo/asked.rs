//! What a server was asked, and for how long it may say nothing.

use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, cstr};

use super::concern::name_of;

/// For how long a server may say nothing before it is asked what it is doing, where the connection string has no
/// `socketTimeoutMS`.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Commands that a server answers out of its catalog.
const AT_ONCE: [&str; 9] = [
    "collStats",
    "connectionStatus",
    "count",
    "dataSize",
    "dbStats",
    "hello",
    "listCollections",
    "listDatabases",
    "listIndexes",
];

/// What a server was asked, so that it can be found among what it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The command.
    name: String,
    /// What it is about: mostly a collection.
    target: String,
    database: String,
    /// What it is for, in errors.
    pub(super) action: String,
}

impl Asked {
    pub(super) fn of(database: &str, command: &RawDocument, action: &str) -> Self {
        let target = command.iter().next().and_then(Result::ok);
        Self {
            name: name_of(command).unwrap_or_default().to_owned(),
            target: target
                .and_then(|(_, value)| value.as_str().map(str::to_owned))
                .unwrap_or_default(),
            database: database.to_owned(),
            action: action.to_owned(),
        }
    }

    /// The next replies of a cursor that was opened so.
    pub(super) fn more(&self) -> Self {
        Self {
            name: "getMore".to_owned(),
            ..self.clone()
        }
    }

    /// Whether it is a reply of a cursor, which no server works on for minutes: it waits for something itself.
    pub(super) fn is_reply(&self) -> bool {
        ["find", "getMore"].contains(&self.name.as_str())
    }

    /// Whether an entry of `currentOp` is this.
    pub(super) fn is(&self, doing: &Document) -> bool {
        let of_namespace = doing.get_str("ns").is_ok_and(|namespace| {
            namespace == format!("{}.{}", self.database, self.target)
                || namespace == format!("{}.$cmd", self.database)
                || namespace.ends_with(&self.target)
        });
        let Ok(command) = doing.get_document("command") else {
            return false;
        };
        // One that is too long to be shown is shown as the beginning of its text.
        let begins = |text: &str| {
            text.trim_start_matches(['{', ' '])
                .starts_with(&format!("{}:", self.name))
        };
        let is_command = command.keys().next() == Some(&self.name) || command.get_str("$truncated").is_ok_and(begins);
        // By that, every client's driver watches the server, all the time.
        let is_watching = command.contains_key("maxAwaitTimeMS");
        of_namespace && is_command && !is_watching
    }
}

/// The limit in a command that is answered at once, unless it has a closer one.
pub(super) fn limit(command: &mut RawDocumentBuf, silence: Duration) {
    let is_limited = matches!(command.get("maxTimeMS"), Ok(Some(_)));
    if !is_limited && name_of(command).is_some_and(|name| AT_ONCE.contains(&name)) {
        command.append(
            cstr!("maxTimeMS"),
            i64::try_from(silence.as_millis()).unwrap_or(i64::MAX),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};

    #[test]
    fn a_command_is_found_among_what_a_server_is_doing() {
        let insert = Asked::of("shop", &rawdoc! {"insert": "orders"}, "inserting");
        let doing = |namespace: &str, command: Document| doc! {"ns": namespace, "command": command};
        assert!(insert.is(&doing("shop.orders", doc! {"insert": "orders", "$db": "shop"})));
        assert!(insert.is(&doing(
            "shop.orders",
            doc! {"$truncated": "{ insert: \"orders\", ordered: false, documents: [ { _id: 1"}
        )));
        assert!(!insert.is(&doing("shop.orders", doc! {"find": "orders"})));
        assert!(!insert.is(&doing("other.users", doc! {"insert": "users"})));
        let hello = Asked::of("admin", &rawdoc! {"hello": 1}, "greeting");
        assert!(hello.is(&doing("admin.$cmd", doc! {"hello": 1})));
        assert!(!hello.is(&doing("admin.$cmd", doc! {"hello": 1, "maxAwaitTimeMS": 10_000_i64})));
        let more = Asked::of("shop", &rawdoc! {"find": "orders"}, "reading").more();
        assert!(more.is(&doing("shop.orders", doc! {"getMore": 5_i64, "collection": "orders"})));
        let rename = Asked::of(
            "admin",
            &rawdoc! {"renameCollection": "shop.a", "to": "shop.b"},
            "renaming",
        );
        assert!(rename.is(&doing("shop.a", doc! {"renameCollection": "shop.a", "to": "shop.b"})));
    }

    #[test]
    fn only_what_is_answered_at_once_is_limited_by_the_server() {
        for (mut command, limited) in [
            (rawdoc! {"listIndexes": "c"}, true),
            (rawdoc! {"createIndexes": "c"}, false),
            (rawdoc! {"find": "c"}, false),
        ] {
            limit(&mut command, Duration::from_secs(2));
            assert_eq!(command.get_i64("maxTimeMS").is_ok(), limited, "{command:?}");
        }
    }
}
