//! **Doubles** of engines that cannot be had here: a relay before a real `mongod`, by which it answers as the engine
//! does, command by command. What they refuse and what they pass over without a word is known from documents and
//! sources only; each line says from which. A double shows that nothing is needed that the engine is known to lack. It
//! does not show that the engine lacks nothing else.

mod newest;

use mongodb::bson::{self, Bson, Document, doc};

use super::wire::{Passage, Pose, Wire, WireCommand};

/// Which engine is doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineDouble {
    /// Amazon DocumentDB 4.0: its wire version is 7.
    Amazon4,
    /// 5.0. Whether it refuses a snapshot read outside a transaction or passes over it is not documented: both.
    Amazon5 { snapshots: Snapshots },
    /// 8.0, which has views and collations.
    Amazon8,
    /// An elastic cluster of Amazon DocumentDB.
    AmazonElastic,
    /// The open-source DocumentDB over PostgreSQL, the core of Azure DocumentDB and FerretDB 2.
    Documentdb,
    /// Azure Cosmos DB by request units: its wire version is 6.
    CosmosRu,
    /// Atlas M0 and Flex.
    AtlasFlex,
    /// MongoDB 9.0, as far as a relay can play it: what it and 8.2 and 8.3 say and refuse otherwise.
    Newest,
    /// The router of a sharded cluster, which none of the packages has.
    Mongos,
}

/// What becomes of a snapshot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    Refused,
    PassedOver,
}

impl EngineDouble {
    /// Before the server on that port.
    pub fn before(self, port: u16) -> Wire {
        let without: &[&str] = match self {
            Self::Documentdb | Self::CosmosRu => &["operationTime", "$clusterTime"],
            _ => &[],
        };
        Wire::posing(port, self.pose(), without, move |command| self.answer(command, port))
    }

    /// What it says of itself.
    fn pose(self) -> Box<Pose> {
        Box::new(move |hello| {
            let version = match self {
                // Those of MongoDB 3.6 and 4.0, whose protocols they speak.
                Self::CosmosRu => 6,
                Self::Amazon4 => 7,
                Self::Amazon5 { .. } | Self::AmazonElastic => 13,
                Self::Amazon8 => 25,
                Self::Documentdb => 21,
                Self::AtlasFlex => return,
                // The newest that the driver speaks.
                Self::Newest => 29,
                Self::Mongos => hello.get_i32("maxWireVersion").unwrap_or_default(),
            };
            hello.insert("maxWireVersion", version);
            let is_one = matches!(self, Self::Documentdb | Self::AmazonElastic | Self::Mongos);
            if is_one {
                let of_a_set = [
                    "setName",
                    "setVersion",
                    "hosts",
                    "primary",
                    "me",
                    "secondary",
                    "electionId",
                    "lastWrite",
                    "topologyVersion",
                ];
                for field in of_a_set {
                    hello.remove(field);
                }
                // pg_documentdb_gw, process_hello; elastic clusters answer through a router as well.
                hello.insert("msg", "isdbgrid");
            }
            if self == Self::Documentdb {
                hello.insert("internal", doc! {"documentdb_versions": ["0.109"]});
            }
        })
    }

    fn answer(self, command: &WireCommand, port: u16) -> Passage {
        match self {
            Self::Amazon4 | Self::Amazon5 { .. } | Self::Amazon8 | Self::AmazonElastic => self.amazon(command),
            Self::Documentdb | Self::CosmosRu => documentdb(command),
            Self::AtlasFlex => flex(command),
            Self::Mongos => mongos(command),
            Self::Newest => newest::answer(command, port),
        }
    }

    /// Amazon DocumentDB Developer Guide: "Supported MongoDB APIs, operations, and data types", "Functional
    /// differences".
    fn amazon(self, command: &WireCommand) -> Passage {
        let refused = |what: &str| refusal(303, &format!("Feature not supported: {what}"));
        let has = |field: &str| command.body.contains_key(field);
        let newest = self == Self::Amazon8;
        let elastic = self == Self::AmazonElastic;
        let version = match self {
            Self::Amazon4 => "4.0.0",
            Self::Amazon8 => "8.0.0",
            _ => "5.0.0",
        };
        match command.name.as_str() {
            "buildInfo" => Passage::Answered(doc! {"version": version, "bits": 64, "ok": 1.0}),
            name @ ("getCmdLineOpts" | "dbHash" | "replSetGetConfig" | "getParameter") => refused(name),
            "create" => {
                let lacks = ["capped", "timeseries", "clusteredIndex", "changeStreamPreAndPostImages"];
                let lacks = lacks.into_iter().find(|option| has(option));
                let before_8 = ["viewOn", "collation"]
                    .into_iter()
                    .find(|option| !newest && has(option));
                lacks.or(before_8).map_or(Passage::Through, refused)
            }
            "createIndexes" => match index_option(command, if newest { &[] } else { &["collation"] }) {
                Some(option) => refused(&option),
                None if index_kind(command, "hashed") => refused("hashed"),
                None if has("commitQuorum") => refused("commitQuorum"),
                None => Passage::Through,
            },
            // Whether a filter with a type may have a name, documents leave open: one of both clusters refuses it.
            "listCollections"
                if has_filter(command)
                    && self
                        == (Self::Amazon5 {
                            snapshots: Snapshots::PassedOver,
                        }) =>
            {
                refused("listCollections filter")
            }
            "listCollections" if has_filter(command) && !filters(command).contains_key("type") => {
                refused("listCollections filter without type")
            }
            "findAndModify" if command.body.get_array("update").is_ok() && !newest => refused("$replaceWith"),
            "renameCollection" | "collStats" if elastic => refused(&command.name),
            _ if elastic && filters(command).contains_key("$expr") => refused("$expr"),
            _ if has("$_requestResumeToken") => refused("$_requestResumeToken"),
            _ if has("txnNumber") => refusal(301, "Retryable writes are not supported"),
            _ if is_snapshot(command) => match self {
                Self::Amazon5 {
                    snapshots: Snapshots::PassedOver,
                } => Passage::Instead(without(command, &["readConcern"])),
                _ => refused("readConcern level snapshot"),
            },
            _ => Passage::Through,
        }
    }
}

/// The sources of `pg_documentdb` and its gateway: what is not supported, and what is passed over.
fn documentdb(command: &WireCommand) -> Passage {
    let has = |field: &str| command.body.contains_key(field);
    match command.name.as_str() {
        "buildInfo" => Passage::Answered(doc! {"version": "7.0.0", "bits": 64, "ok": 1.0}),
        name @ ("dataSize" | "dbHash" | "getCmdLineOpts" | "replSetGetConfig" | "killOp") => {
            refusal(115, &format!("command {name} not supported"))
        }
        "create" => {
            let refused = [
                "capped",
                "timeseries",
                "clusteredIndex",
                "changeStreamPreAndPostImages",
                "encryptedFields",
            ];
            match refused.into_iter().find(|option| has(option)) {
                Some(option) => refusal(115, &format!("create.{option} is not supported yet")),
                None => Passage::Instead(without(command, &["expireAfterSeconds", "storageEngine"])),
            }
        }
        "createIndexes" => match index_option(command, &["collation"]) {
            Some(option) => refusal(115, &format!("createIndexes.{option} is not implemented yet")),
            None => Passage::Through,
        },
        "find" if has("$_requestResumeToken") => refusal(2, "$_requestResumeToken is not supported"),
        "find" | "aggregate" | "count" => {
            Passage::Instead(without(command, &["readConcern", "min", "max", "collation"]))
        }
        _ => Passage::Through,
    }
}

/// Atlas: "Unsupported commands" of M0 and Flex clusters.
fn flex(command: &WireCommand) -> Passage {
    let refused = || {
        let message = format!("{} is not allowed or the syntax is incorrect", command.name);
        refusal(8000, &message)
    };
    let limit = command.body.get("maxTimeMS").and_then(Bson::as_i64);
    let limit = limit.or_else(|| command.body.get_i32("maxTimeMS").ok().map(i64::from));
    match command.name.as_str() {
        "getCmdLineOpts" | "getParameter" | "currentOp" | "killOp" | "dbHash" | "replSetGetConfig" => refused(),
        "dbStats" | "listCollections" if ["config", "local"].contains(&command.database.as_str()) => refused(),
        _ if limit.is_some_and(|limit| limit > 300_000) => refusal(2, "maxTimeMS is at most 300000"),
        _ => Passage::Through,
    }
}

/// The server's answer, with that change.
fn changed(command: &WireCommand, change: impl FnOnce(&mut Document) + Send + 'static) -> Passage {
    Passage::InsteadAnd(command.body.clone(), Box::new(change))
}

/// The server's sources: its tests of resumed reads ("queries on mongoS may not request or provide a resume token"), the
/// commands that answer "is not supported through mongos", and the router's list of commands.
fn mongos(command: &WireCommand) -> Passage {
    let has = |field: &str| command.body.contains_key(field);
    match command.name.as_str() {
        name @ ("replSetGetStatus" | "replSetGetConfig") => {
            refusal(59, &format!("{name} is not supported through mongos"))
        }
        name @ ("dbHash" | "replSetInitiate") => refusal(59, &format!("no such command: '{name}'")),
        _ if has("$_requestResumeToken") || has("$_resumeAfter") => {
            refusal(2, "Queries on mongos may not request or provide a resume token")
        }
        _ if command.database == "local" => refusal(73, "the local database is each member's own"),
        _ => Passage::Through,
    }
}

fn refusal(code: i32, message: &str) -> Passage {
    Passage::Answered(doc! {"ok": 0.0, "errmsg": message, "code": code})
}

fn without(command: &WireCommand, fields: &[&str]) -> Document {
    let kept = command.body.iter().filter(|(key, _)| !fields.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_snapshot(command: &WireCommand) -> bool {
    let concern = command.body.get_document("readConcern");
    concern.is_ok_and(|concern| matches!(concern.get_str("level"), Ok("snapshot")))
}

fn filters(command: &WireCommand) -> Document {
    command.body.get_document("filter").cloned().unwrap_or_default()
}

fn has_filter(command: &WireCommand) -> bool {
    !filters(command).is_empty()
}

fn indexes(command: &WireCommand) -> impl Iterator<Item = &bson::Document> {
    let indexes = command.body.get_array("indexes").ok();
    indexes.into_iter().flatten().filter_map(Bson::as_document)
}

fn index_option(command: &WireCommand, refused: &[&str]) -> Option<String> {
    let mut found = indexes(command).flat_map(|index| refused.iter().filter(|option| index.contains_key(option)));
    found.next().map(|option| (*option).to_owned())
}

fn index_kind(command: &WireCommand, kind: &str) -> bool {
    let keys = indexes(command).filter_map(|index| index.get_document("key").ok());
    keys.into_iter()
        .any(|key| key.values().any(|value| value.as_str() == Some(kind)))
}
