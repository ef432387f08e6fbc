//! This program once more, as one that is measured: what can only be had with the library, and not with `mongotar`.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use bson::{Timestamp, doc};
use mongotar::backup::{BackupJob, ConsistencyDemand, Tools, backup};
use mongotar::catalog::Selection;
use mongotar::mongo::{Mongo, MongoUri, ReadAt};
use mongotar::progress::Progress;
use mongotar::run::{Deadline, Memory};
use mongotar::store::Store;
use tokio::task::JoinSet;

use crate::discard;

/// The argument by which a child is known.
pub const CHILD: &str = "--child";

/// A backup whose bytes are thrown away; of several databases, which are separated by commas, one after the other.
pub fn discarding_backup(uri: &str, database: &str, payload: &str, compression: &str) -> Command {
    command(&["backup", uri, database, payload, compression])
}

/// All documents of a database taken from the server, in several collections at a time, and nothing done with them.
pub fn drain(uri: &str, database: &str) -> Command {
    command(&["drain", uri, database])
}

/// What a backup asks before it reads: definitions and sizes.
pub fn catalog(uri: &str, database: &str) -> Command {
    command(&["catalog", uri, database])
}

/// So many events of a database's change stream since a time, and nothing done with them.
pub fn changes(uri: &str, database: &str, since: Timestamp, events: i64) -> Command {
    let (second, ordinal) = (since.time.to_string(), since.increment.to_string());
    command(&["changes", uri, database, &second, &ordinal, &events.to_string()])
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    // As `mongotar` has it.
    command.arg(CHILD).args(arguments).env("MALLOC_ARENA_MAX", "1");
    command
}

/// What a child does.
pub fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = mongotar_shell::runtime::runtime().expect("a runtime");
    runtime.block_on(async {
        match arguments[..] {
            ["backup", uri, database, payload, compression] => back_up(uri, database, payload, compression).await,
            ["drain", uri, database] => drained(uri, database).await,
            ["changes", uri, database, second, ordinal, events] => {
                let since = Timestamp {
                    time: second.parse().expect("a second"),
                    increment: ordinal.parse().expect("an ordinal"),
                };
                streamed(uri, database, since, events.parse().expect("a number")).await;
            }
            ["catalog", uri, database] => {
                let mongo = connect(uri).await;
                std::hint::black_box(mongo.survey(database).await.expect("a catalog"));
            }
            _ => panic!("unknown child {arguments:?}"),
        }
    });
    ExitCode::SUCCESS
}

async fn connect(uri: &str) -> Mongo {
    let connected = Mongo::connect(&MongoUri::new(uri)).await;
    connected.expect("the rig's mongod answers")
}

async fn back_up(uri: &str, databases: &str, payload: &str, compression: &str) {
    let mut job = BackupJob {
        database: String::new(),
        destination: "s3://discarded/".parse().expect("a location"),
        selection: Selection::default(),
        payload: payload.parse().expect("a payload"),
        compression: compression.parse().expect("a compression"),
        pretty: false,
        consistency: ConsistencyDemand::Auto,
        incremental: false,
        full_every: None,
        no_full: false,
        retention: None,
        users: None,
    };
    let tools = Tools {
        mongo: connect(uri).await,
        store: Store::with_client(discard::client()),
        progress: Arc::new(Progress::default()),
        cancel: tokio_util::sync::CancellationToken::new(),
        deadline: Deadline::never(),
        memory: std::env::var("MONGOTAR_MEMORY")
            .map_or_else(|_| Memory::default(), |text| Memory::parse(&text).expect("a budget")),
    };
    for database in databases.split(',') {
        database.clone_into(&mut job.database);
        let report = backup(&job, &tools).await.expect("a backup");
        println!("{}", serde_json::to_string(&report).expect("a report is JSON"));
    }
}

async fn drained(uri: &str, database: &str) {
    let mongo = connect(uri).await;
    let catalog = mongo.survey(database).await.expect("a catalog");
    let mut reading = JoinSet::new();
    for collection in catalog.collections {
        if reading.len() >= 4 {
            reading.join_next().await;
        }
        let (mongo, database) = (mongo.clone(), database.to_owned());
        reading.spawn(async move {
            let mut batches = mongo
                .read(&database, &collection.name, ReadAt::Local, 1)
                .await
                .expect("a cursor");
            while let Some(batch) = batches.next().await {
                std::hint::black_box(batch.expect("a batch"));
            }
        });
    }
    reading.join_all().await;
    println!("{{}}");
}

async fn streamed(uri: &str, database: &str, since: Timestamp, events: u64) {
    let client = mongodb::Client::with_uri_str(uri).await.expect("a client");
    let since = doc! {"startAtOperationTime": since};
    let command = doc! {"aggregate": 1, "pipeline": [{"$changeStream": since}], "cursor": {"batchSize": 10_000}};
    let database = client.database(database);
    let opened = database.run_cursor_command(command).batch_size(10_000).await;
    let mut cursor = opened.expect("a stream");
    for _ in 0..events {
        assert!(cursor.advance().await.expect("an event"), "a stream has no end");
        std::hint::black_box(cursor.current());
    }
    println!("{{}}");
}
