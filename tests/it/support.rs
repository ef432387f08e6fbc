//! What the integration tests share: operations against the rig, and comparison of raw BSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupJob, BackupReport, ConsistencyDemand, Tools, backup};
use mongotar::catalog::{Catalog, Selection};
use mongotar::config::Environment;
use mongotar::failure::Failure;
use mongotar::mongo::{Mongo, MongoUri};
use mongotar::plan::Ttl;
use mongotar::progress::Progress;
use mongotar::restore::{RestoreReport, RestoreRequest, carry_out, prepare};
use mongotar::run::{Deadline, Memory};
use mongotar::store::{Location, Store};
use mongotar::verify::{AgainstJob, AgainstReport, against as against_job};
use tokio_util::sync::CancellationToken;

use crate::rig;

/// The tools of an operation against the shared replica set and the shared S3 server.
pub async fn tools() -> Tools {
    tools_for(
        &rig::shared_replica_set().uri(),
        Store::with_client(rig::shared_s3().client().await),
    )
    .await
}

/// The tools of an operation against any server and store.
pub async fn tools_for(uri: &str, store: Store) -> Tools {
    Tools {
        mongo: Mongo::connect(&MongoUri::new(uri))
            .await
            .expect("the rig's mongod answers"),
        store,
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
        deadline: Deadline::never(),
        memory: Memory::default(),
    }
}

/// Whether a test tries everything that it is about, or a sample of it: all of it with the programs that ship, as CI
/// does, and with `MONGOTAR_TRY_ALL=1`. It takes many minutes, which is too long to wait for after every edit.
pub fn all_is_tried() -> bool {
    [rig::PROGRAMS, "MONGOTAR_TRY_ALL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A folder of its own on this machine, for tests that make thousands of requests to the store and are not about S3.
pub fn folder() -> Location {
    static SHARED: std::sync::OnceLock<rig::ScratchDir> = std::sync::OnceLock::new();
    let shared = SHARED.get_or_init(|| rig::ScratchDir::new("folders"));
    Location::Local(shared.path().join(rig::unique_name("folder")))
}

/// A folder in a bucket of its own.
pub async fn bucket() -> Location {
    let bucket = rig::shared_s3().fresh_bucket("it").await;
    format!("s3://{bucket}/nightly/").parse().expect("a location")
}

/// A whole database into `destination`, with the defaults.
pub fn job(database: &str, destination: &Location) -> BackupJob {
    BackupJob {
        database: database.to_owned(),
        destination: destination.clone(),
        selection: Selection::default(),
        payload: Payload::default(),
        compression: Compression::default(),
        pretty: false,
        consistency: ConsistencyDemand::Auto,
        incremental: false,
        full_every: None,
        no_full: false,
        retention: None,
        users: None,
    }
}

/// Backs up with the defaults and expects an archive.
pub async fn back_up(tools: &Tools, database: &str, destination: &Location) -> BackupReport {
    backup(&job(database, destination), tools).await.expect("a backup")
}

/// Restores as an event would, with `"yes": true` unless the event consents otherwise.
pub async fn restore(tools: &Tools, mut event: serde_json::Value) -> Result<RestoreReport, Failure> {
    if event.get("confirm").is_none() && event.get("yes").is_none() {
        event["yes"] = true.into();
    }
    let request = RestoreRequest::from_event(event)?;
    let dry_run = request.dry_run;
    let job = request.into_job(&Environment::default())?;
    let prepared = prepare(&job, tools).await?;
    match dry_run {
        true => Ok(RestoreReport::planned(prepared)),
        false => carry_out(prepared, &job, tools).await,
    }
}

/// What a comparison of an archive with a database says.
pub async fn against(tools: &Tools, archive: &str, database: &str) -> AgainstReport {
    let job = AgainstJob {
        archive: archive.parse().expect("a location"),
        source_database: None,
        database: database.to_owned(),
        selection: Selection::default(),
        ttl: Ttl::On,
    };
    against_job(&job, tools).await.expect("compared")
}

/// Every document of a collection as raw BSON, sorted: what "identical" means.
pub async fn raw_documents(client: &mongodb::Client, database: &str, collection: &str) -> Vec<Vec<u8>> {
    let cursor = client
        .database(database)
        .collection::<RawDocumentBuf>(collection)
        .find(doc! {})
        .await;
    let mut documents: Vec<Vec<u8>> = cursor
        .expect("a cursor")
        .map_ok(RawDocumentBuf::into_bytes)
        .try_collect()
        .await
        .expect("documents");
    documents.sort_unstable();
    documents
}

/// All of a database: each collection's raw documents.
pub async fn raw_database(client: &mongodb::Client, tools: &Tools, database: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for collection in tools.mongo.survey(database).await.expect("a survey").collections {
        all.insert(
            collection.name.clone(),
            raw_documents(client, database, &collection.name).await,
        );
    }
    all
}

/// The definitions of a database, without what differs between any two: UUIDs, sizes.
pub fn definitions(catalog: &Catalog) -> Vec<String> {
    catalog
        .collections
        .iter()
        .map(|collection| {
            format!(
                "{} {} {} {:?}",
                collection.name, collection.kind, collection.options, collection.indexes
            )
        })
        .collect()
}

/// Inserts documents through the driver.
pub async fn insert(client: &mongodb::Client, database: &str, collection: &str, documents: Vec<Document>) {
    client
        .database(database)
        .collection::<Document>(collection)
        .insert_many(documents)
        .await
        .expect("documents are inserted");
}

/// A store before which a [`rig::Proxy`] stands. It tries as often as the one that a process makes for itself, only
/// sooner.
pub fn store_through(proxy: &rig::Proxy) -> Store {
    let retry = aws_sdk_s3::config::retry::RetryConfig::standard()
        .with_max_attempts(6)
        .with_initial_backoff(std::time::Duration::from_millis(10));
    let client = rig::shared_s3().client_at(&proxy.endpoint());
    Store::with_client(aws_sdk_s3::Client::from_conf(
        client.config().to_builder().retry_config(retry).build(),
    ))
}

/// Which of the unfinished multipart uploads in a folder of a bucket hold any part.
pub async fn unfinished_parts(folder: &Location) -> Vec<String> {
    let Location::S3 { bucket, key } = folder else {
        panic!("{folder} is in no bucket");
    };
    let client = rig::shared_s3().client().await;
    let listed = client.list_multipart_uploads().bucket(bucket).prefix(key).send().await;
    let mut found = Vec::new();
    for upload in listed.expect("the rig lists uploads").uploads() {
        let (key, id) = (upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default());
        let parts = client.list_parts().bucket(bucket).key(key).upload_id(id).send().await;
        if !parts.expect("the rig lists parts").parts().is_empty() {
            found.push(key.to_owned());
        }
    }
    found
}

/// What is under way or was left behind at a location: keys of unfinished multipart uploads, or unfinished files.
pub async fn unfinished(folder: &Location) -> Vec<String> {
    match folder {
        Location::S3 { bucket, .. } => {
            let client = rig::shared_s3().client().await;
            let listed = client.list_multipart_uploads().bucket(bucket).send().await;
            let uploads = listed.expect("the rig lists uploads");
            uploads
                .uploads()
                .iter()
                .filter_map(|upload| upload.key().map(str::to_owned))
                .collect()
        }
        Location::Local(path) => std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".unfinished"))
            .collect(),
    }
}

/// The names of everything that can be seen in a folder.
pub async fn visible(store: &Store, folder: &Location) -> Vec<String> {
    let objects = store.list(folder, "").await.expect("a listing");
    objects.iter().map(|object| object.location.file_name()).collect()
}

/// Bytes that no compression makes smaller.
pub fn incompressible(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Inserts documents of a mebibyte that no compression makes smaller.
pub async fn insert_mebibytes(client: &mongodb::Client, database: &str, collection: &str, count: u64) {
    for id in 0..count {
        let bytes = bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: incompressible(id, 1 << 20),
        };
        let document = doc! {"_id": i64::try_from(id).expect("few"), "bytes": bytes};
        insert(client, database, collection, vec![document]).await;
    }
}

/// When a test that waits gives up, so that it ends with a message. No test is meant to take a part of that, however
/// busy the machine.
const GIVEN_UP: std::time::Duration = std::time::Duration::from_secs(600);

/// Waits until something is so, and says what never came to be.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + GIVEN_UP;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "never came to be: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A replica set that asks for credentials, shared like the one that does not. Users belong to the test that made them.
pub fn shared_authenticated() -> &'static rig::Mongod {
    static SHARED: std::sync::OnceLock<rig::Mongod> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| rig::Mongod::builder().authentication().start())
}

/// A database on [`shared_authenticated`] with `open` and `secret`, and the connection string of a user who may read
/// all but `secret`: what it backs up is partial.
pub async fn half_readable() -> (String, String) {
    let mongod = shared_authenticated();
    let database = rig::fresh_database_name("half");
    let client = mongod.client().await;
    for collection in ["open", "secret"] {
        insert(&client, &database, collection, vec![bson::doc! {"_id": 1}]).await;
    }
    let role = bson::doc! {"createRole": &database, "roles": [], "privileges": [
        {"resource": {"db": &database, "collection": ""}, "actions": ["listCollections", "listIndexes", "collStats"]},
        {"resource": {"db": &database, "collection": "open"}, "actions": ["find"]},
    ]};
    client.database("admin").run_command(role).await.expect("a role");
    let uri = mongod.create_user(&database, vec![bson::doc! {"role": &database, "db": "admin"}]);
    (uri, database)
}

/// What stands between the user and the host of a connection string.
pub fn password_of(uri: &str) -> String {
    let (userinfo, _) = uri.rsplit_once('@').expect("credentials");
    userinfo.rsplit_once(':').expect("a password").1.to_owned()
}

/// As [`eventually`], for what must be asked of a server.
pub async fn eventually_so(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = std::time::Instant::now() + GIVEN_UP;
    while !is_so().await {
        assert!(std::time::Instant::now() < deadline, "never came to be: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The tags of an object in S3.
pub async fn tags(location: &Location) -> Vec<(String, String)> {
    let Location::S3 { bucket, key } = location else {
        panic!("{location} is not in S3")
    };
    let client = rig::shared_s3().client().await;
    let tagged = client.get_object_tagging().bucket(bucket).key(key).send().await;
    let tagged = tagged.expect("the rig gives tags");
    let tags = tagged.tag_set().iter();
    tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}
