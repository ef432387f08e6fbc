//! Which engine answers: asked once, when a run connects.
//!
//! A real `mongod` tells itself by its `buildInfo`, so that it costs no further question. Others speak as one does; an
//! SSH tunnel hides what they are called, and only what they refuse gives them away.

use bson::{Document, doc};

use super::{MongoError, code};
use crate::catalog::{Engine, Topology};

/// Parts of the names that services give their hosts.
const HOSTS: [(&str, Engine); 3] = [
    (".mongocluster.cosmos.azure.com", Engine::Documentdb),
    (".docdb.amazonaws.com", Engine::AmazonDocumentdb),
    (".docdb-elastic.amazonaws.com", Engine::AmazonDocumentdb),
];

/// By the addresses and by what a server says of itself; `None` if that does not tell.
pub(super) fn told(addresses: &[String], hello: &Document, build: &Document) -> Option<Engine> {
    for (part, engine) in HOSTS {
        if addresses.iter().any(|address| address.contains(part)) {
            return Some(engine);
        }
    }
    let has = |document: &Document, field: &str| document.contains_key(field);
    let versions = hello
        .get_document("internal")
        .is_ok_and(|internal| has(internal, "documentdb_versions"));
    match () {
        () if versions || has(build, "ferretdb") || has(build, "ferretdbVersion") => Some(Engine::Documentdb),
        // `mongod` lists its storage engines, and `mongos` its modules.
        () if has(build, "storageEngines") || has(build, "modules") => Some(Engine::Mongodb),
        () => None,
    }
}

/// A command that `mongod` and `mongos` have, and Amazon's engine has not.
pub(super) fn ask_for_options() -> Document {
    doc! {"getCmdLineOpts": 1}
}

/// By the answer to [`ask_for_options`].
pub(super) fn by_refusal(answer: &Result<Document, MongoError>) -> Engine {
    match refuses(answer) {
        true => Engine::AmazonDocumentdb,
        false => Engine::Mongodb,
    }
}

/// A command for what a server keeps to.
pub(super) fn ask_for_compatibility() -> Document {
    doc! {"getParameter": 1, "featureCompatibilityVersion": 1}
}

/// By the answer to [`ask_for_compatibility`]; `None` if this user may not ask, or is not answered.
pub(super) fn compatibility(answer: &Document) -> Option<&str> {
    let compatibility = answer.get_document("featureCompatibilityVersion").ok()?;
    compatibility.get_str("version").ok()
}

/// A command that renames what is not there.
pub(super) fn rename_nothing() -> Document {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let name = format!("mongotar.{nanos:x}.not_there");
    doc! {"renameCollection": &name, "to": format!("{name}_either")}
}

/// Whether Amazon's engine is an elastic cluster, which knows neither `renameCollection` nor `$expr`: by the answer to
/// [`rename_nothing`].
pub(super) fn is_elastic(answer: &Result<Document, MongoError>) -> bool {
    refuses(answer)
}

fn refuses(answer: &Result<Document, MongoError>) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.is(code::FEATURE_NOT_SUPPORTED))
}

/// How the deployment is built up. DocumentDB over PostgreSQL says that it is a `mongos`, and is one server.
pub(super) fn topology(engine: Engine, hello: &Document) -> Topology {
    match (engine, hello.get_str("msg")) {
        (Engine::Documentdb, _) => Topology::Standalone,
        (_, Ok("isdbgrid")) => Topology::Sharded,
        _ if hello.contains_key("setName") => Topology::ReplicaSet,
        _ => Topology::Standalone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_told_apart_by_what_they_say() {
        let mongod = doc! {"version": "6.0.5", "modules": [], "storageEngines": ["wiredTiger"]};
        let other = doc! {"version": "5.0.0"};
        let plain = doc! {"setName": "rs0"};
        let documentdb = doc! {"msg": "isdbgrid", "internal": {"documentdb_versions": ["0.106"]}};
        let local = ["127.0.0.1:27017".to_owned()];
        let at = |host: &str| [format!("{host}:27017")];
        assert_eq!(told(&local, &plain, &mongod), Some(Engine::Mongodb));
        assert_eq!(told(&local, &plain, &other), None);
        assert_eq!(told(&local, &documentdb, &other), Some(Engine::Documentdb));
        let ferret = doc! {"version": "7.0.77", "ferretdb": {"version": "2.0"}};
        assert_eq!(told(&local, &plain, &ferret), Some(Engine::Documentdb));
        let amazon = at("c.node.eu-central-1.docdb.amazonaws.com");
        assert_eq!(told(&amazon, &plain, &mongod), Some(Engine::AmazonDocumentdb));
        let azure = at("c.mongocluster.cosmos.azure.com");
        assert_eq!(told(&azure, &plain, &mongod), Some(Engine::Documentdb));

        assert_eq!(topology(Engine::Mongodb, &documentdb), Topology::Sharded);
        assert_eq!(topology(Engine::Documentdb, &documentdb), Topology::Standalone);
        assert_eq!(topology(Engine::Mongodb, &plain), Topology::ReplicaSet);
    }
}
