//! Which engine answers: asked once, when a run connects.
//!
//! A real `mongod` tells itself by its `buildInfo`, so that it costs no further question. Others speak as one does; an
//! SSH tunnel hides what they are called, and only what they refuse gives them away.

use bson::{Document, doc};
use mongodb::Database;
use mongodb::error::ErrorKind;

use super::code;
use crate::catalog::{Engine, Topology};

/// By the addresses and by what a server says of itself; `None` if that does not tell.
pub(super) fn told(addresses: &[String], hello: &Document, build: &Document) -> Option<Engine> {
    let any_ends = |suffix: &str| {
        let hosts = addresses
            .iter()
            .map(|address| address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host));
        hosts
            .into_iter()
            .any(|host| host.to_ascii_lowercase().ends_with(suffix))
    };
    let has = |document: &Document, field: &str| document.contains_key(field);
    let versions = hello
        .get_document("internal")
        .is_ok_and(|internal| has(internal, "documentdb_versions"));
    match () {
        () if versions || has(build, "ferretdb") || has(build, "ferretdbVersion") => Some(Engine::Documentdb),
        () if any_ends(".mongocluster.cosmos.azure.com") => Some(Engine::Documentdb),
        () if any_ends(".docdb.amazonaws.com") || any_ends(".docdb-elastic.amazonaws.com") => {
            Some(Engine::AmazonDocumentdb)
        }
        // `mongod` lists its storage engines, and `mongos` its modules.
        () if has(build, "storageEngines") || has(build, "modules") => Some(Engine::Mongodb),
        () => None,
    }
}

/// By its answer to a command that `mongod` and `mongos` have, and no other engine.
pub(super) async fn by_refusal(admin: &Database) -> Engine {
    match refuses(admin, doc! {"getCmdLineOpts": 1}).await {
        true => Engine::AmazonDocumentdb,
        false => Engine::Mongodb,
    }
}

/// Whether Amazon's engine is an elastic cluster, which knows neither `renameCollection` nor `$expr`. It is asked to
/// rename what is not there.
pub(super) async fn is_elastic(admin: &Database) -> bool {
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let name = format!("mongotar.{nanos:x}.not_there");
    let command = doc! {"renameCollection": &name, "to": format!("{name}_either")};
    refuses(admin, command).await
}

/// Whether a command is one that Amazon's engine does not have.
async fn refuses(admin: &Database, command: Document) -> bool {
    let refused = admin.run_command(command).await.err().map(|error| *error.kind);
    matches!(refused, Some(ErrorKind::Command(refused)) if refused.code == code::FEATURE_NOT_SUPPORTED)
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
