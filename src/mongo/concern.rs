//! How durable a write must be, and what its reply says of that.
//!
//! The driver adds no write concern to raw commands, and does not look for `writeConcernError` in replies: a primary
//! that is cut off answers `ok: 1` to a rename that it rolls back a moment later. So every write carries the connection
//! string's write concern, or `majority`, and every reply is checked beyond its `ok`.
//!
//! `writeErrors` of a single document are an outcome to whoever sent documents ([`WriteErrors::Returned`]), and an
//! error to everybody else.

use std::time::Duration;

use bson::{Bson, Document, RawDocument, RawDocumentBuf, cstr, doc};
use mongodb::options::{Acknowledgment, WriteConcern};

use super::MongoError;

/// Commands that change something (`supportsWriteConcern` in the server's commands), as far as any is sent from here.
const WRITES: [&str; 12] = [
    "collMod",
    "create",
    "createIndexes",
    "createRole",
    "delete",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "findAndModify",
    "insert",
    "renameCollection",
    "update",
];
/// For how long the members are waited for where the connection string does not say: a set that has lost its majority
/// must not hold a restore up for ever.
const WAIT: Duration = Duration::from_secs(60);

/// The write concern of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Concern {
    document: RawDocumentBuf,
    /// How many voting members an index build waits for: as many as a write does.
    quorum: Bson,
}

impl Concern {
    /// That of a connection string. What it leaves out is `majority`, waited for up to [`WAIT`].
    pub(super) fn of(asked: Option<&WriteConcern>) -> Self {
        let asked = asked.cloned().unwrap_or_default();
        let w = match asked.w {
            Some(Acknowledgment::Nodes(nodes @ 1..)) => Bson::Int32(i32::try_from(nodes).unwrap_or(i32::MAX)),
            Some(Acknowledgment::Custom(name)) => Bson::from(name),
            _ => Bson::from("majority"),
        };
        let wait = asked.w_timeout.filter(|wait| !wait.is_zero()).unwrap_or(WAIT);
        let mut document = RawDocumentBuf::new();
        match &w {
            Bson::Int32(nodes) => document.append(cstr!("w"), *nodes),
            Bson::String(name) => document.append(cstr!("w"), name.as_str()),
            _ => document.append(cstr!("w"), "majority"),
        }
        if let Some(journal) = asked.journal {
            document.append(cstr!("j"), journal);
        }
        document.append(cstr!("wtimeout"), i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        Self { document, quorum: w }
    }

    /// As the field of a command.
    pub(super) fn to_document(&self) -> Document {
        Document::try_from(&*self.document).unwrap_or_else(|_| doc! {"w": "majority"})
    }

    /// `commitQuorum` of an index build. The server's own choice is every voting member, and one that is down is waited
    /// for until it is back.
    pub(super) fn quorum(&self) -> &Bson {
        &self.quorum
    }

    /// Whether it is that of the majority.
    pub(super) fn is_majority(&self) -> bool {
        self.quorum == Bson::from("majority")
    }

    /// Adds the concern to a command that changes something and has none.
    pub(super) fn add_to(&self, command: &mut RawDocumentBuf) {
        let is_write = name_of(command).is_some_and(|name| WRITES.contains(&name));
        if is_write && !matches!(command.get("writeConcern"), Ok(Some(_))) {
            command.append(cstr!("writeConcern"), self.document.clone());
        }
    }
}

impl Default for Concern {
    fn default() -> Self {
        Self::of(None)
    }
}

/// What a command is.
pub(super) fn name_of(command: &RawDocument) -> Option<&str> {
    command.iter().next()?.ok().map(|(key, _)| key.as_str())
}

/// What `writeErrors` in a reply are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteErrors {
    /// A failure of the command.
    Fatal,
    /// Part of the answer.
    Returned,
}

/// What a reply with `ok: 1` says went wrong.
pub(super) fn failure_in(reply: &Document, action: &str, errors: WriteErrors) -> Option<MongoError> {
    if let Ok(unmet) = reply.get_document("writeConcernError") {
        let message = unmet.get_str("errmsg").unwrap_or("no reason was given");
        let name = unmet.get_str("codeName").unwrap_or_default();
        let code = unmet.get_i32("code").ok();
        let instead = match code {
            Some(100) => {
                ". The replica set has fewer members than w of the connection string asks for: write a lower one, or w=majority, or add members"
            }
            Some(79) => ". The replica set does not know w of the connection string: write w=majority",
            _ => "",
        };
        return Some(MongoError::answered(
            action,
            format!(
                "the server did it, but less durably than asked, and may undo it: {message} ({} {name}){instead}",
                code.unwrap_or(0)
            ),
            code,
        ));
    }
    let refused = reply.get_array("writeErrors").ok()?.first()?.as_document()?;
    (errors == WriteErrors::Fatal).then(|| {
        let message = refused.get_str("errmsg").unwrap_or("refused");
        MongoError::answered(action, message, refused.get_i32("code").ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn asked(uri: &str) -> Document {
        let parsed = mongodb::options::ConnectionString::parse(uri).expect("a connection string");
        let concern = Concern::of(parsed.write_concern.as_ref());
        concern.to_document()
    }

    #[test]
    fn the_connection_string_decides_and_majority_is_what_it_leaves_out() {
        for (options, expected) in [
            ("", doc! {"w": "majority", "wtimeout": 60_000_i64}),
            ("?w=1", doc! {"w": 1, "wtimeout": 60_000_i64}),
            ("?w=0", doc! {"w": "majority", "wtimeout": 60_000_i64}),
            ("?w=far", doc! {"w": "far", "wtimeout": 60_000_i64}),
            (
                "?w=majority&journal=true&wtimeoutMS=5000",
                doc! {"w": "majority", "j": true, "wtimeout": 5_000_i64},
            ),
            (
                "?journal=false",
                doc! {"w": "majority", "j": false, "wtimeout": 60_000_i64},
            ),
        ] {
            assert_eq!(asked(&format!("mongodb://h/{options}")), expected, "{options}");
        }
    }

    #[test]
    fn every_write_carries_it_and_no_read_does() {
        let concern = Concern::default();
        for (mut command, carries) in [
            (rawdoc! {"renameCollection": "a.b", "to": "a.c"}, true),
            (rawdoc! {"findAndModify": "c"}, true),
            (rawdoc! {"find": "c"}, false),
            (rawdoc! {"ping": 1}, false),
        ] {
            concern.add_to(&mut command);
            assert_eq!(command.get_document("writeConcern").is_ok(), carries, "{command:?}");
            let once = command.clone();
            concern.add_to(&mut command);
            assert_eq!(command, once);
        }
        let mut own = rawdoc! {"insert": "c", "writeConcern": {"w": 1}};
        concern.add_to(&mut own);
        assert_eq!(own, rawdoc! {"insert": "c", "writeConcern": {"w": 1}});
    }

    #[test]
    fn ok_is_not_all_that_a_reply_says() {
        let unmet = |code: i32| doc! {"ok": 1, "n": 1, "writeConcernError": {"code": code, "codeName": "X", "errmsg": "operation was interrupted"}};
        let failed = failure_in(&unmet(11602), "renaming", WriteErrors::Returned).expect("a failure");
        assert!(failed.is(11602) && failed.transient, "{failed}");
        assert!(failed.reason.contains("operation was interrupted"), "{failed}");
        let never = failure_in(&unmet(100), "renaming", WriteErrors::Fatal).expect("a failure");
        assert!(
            never.is(100) && !never.transient,
            "a set that can never do it is not asked again: {never}"
        );
        assert!(
            never.reason.contains("a lower one") && !failed.reason.contains("a lower one"),
            "{never}"
        );
        let refused = doc! {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 121, "errmsg": "no"}]};
        assert!(failure_in(&refused, "x", WriteErrors::Returned).is_none());
        assert!(failure_in(&refused, "x", WriteErrors::Fatal).is_some_and(|error| error.is(121)));
        assert!(failure_in(&doc! {"ok": 1}, "x", WriteErrors::Fatal).is_none());
    }
}
