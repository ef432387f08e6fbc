//! The whole of it on one machine, until Ctrl-C: `infra/local/up` (infra/local/README.md).
//!
//! A MongoDB replica set, an S3 server, and MiniStack with both functions, the three state machines and a topic: what
//! the tests use, on the same free ports of 127.0.0.1, with the same definitions as on AWS.

#[path = "../../tests/rig/mod.rs"]
mod rig;

use std::path::PathBuf;

use bson::{Document, doc};
use tokio::signal::unix::{SignalKind, signal};

const BUCKET: &str = "archives";
const DATABASE: &str = "shop";

fn main() {
    // The rig blocks while it starts servers, so it is not called on a runtime's thread.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    eprintln!("Starting MongoDB, S3 and Step Functions; the first time they are downloaded.");
    let services = Services {
        mongod: rig::Mongod::replica_set(),
        s3: rig::S3::start(),
        engine: rig::StepFunctions::start(rig::Waits::AsWritten),
    };
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).expect("signals can be listened for");
        let mut terminated = signal(SignalKind::terminate()).expect("signals can be listened for");
        let deployed = deploy(&services).await;
        print(&services, &deployed);
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        eprintln!("\nStopping; everything is thrown away.");
    });
}

struct Services {
    mongod: rig::Mongod,
    s3: rig::S3,
    engine: rig::StepFunctions,
}

struct Deployed {
    topic: rig::Topic,
    machines: rig::StateMachines,
    functions: [rig::Function; 2],
}

async fn deploy(services: &Services) -> Deployed {
    let client = services.mongod.client().await;
    let orders: Vec<Document> = (0..1000)
        .map(|id| doc! {"_id": id, "item": format!("item {id}")})
        .collect();
    let collection = client.database(DATABASE).collection::<Document>("orders");
    collection.insert_many(orders).await.expect("documents are inserted");
    let bucket = services.s3.client().await.create_bucket().bucket(BUCKET).send().await;
    bucket.expect("a bucket is created");

    let engine = &services.engine;
    let (backup, restore) = (
        engine
            .function("mongotar-backup", &binary("backup"), environment(services))
            .await,
        engine
            .function("mongotar-restore", &binary("restore"), environment(services))
            .await,
    );
    let topic = engine.topic("mongotar").await;
    let machines = engine
        .state_machines("mongotar", backup.arn(), restore.arn(), &topic)
        .await;
    Deployed {
        topic,
        machines,
        functions: [backup, restore],
    }
}

/// A function's environment.
fn environment(services: &Services) -> Vec<(String, String)> {
    let mut environment = services.s3.env();
    let own = [
        ("MONGO_URI", services.mongod.uri()),
        ("MONGO_DB", DATABASE.to_owned()),
        ("MONGOTAR_TO", destination()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    environment
}

fn destination() -> String {
    format!("s3://{BUCKET}/nightly/")
}

/// A function's binary, which lies beside this program's folder.
fn binary(name: &str) -> PathBuf {
    let example = std::env::current_exe().expect("the path of this program");
    let folder = example.ancestors().nth(2).expect("target/<profile>/examples/local");
    folder.join(name)
}

fn print(services: &Services, deployed: &Deployed) {
    let export = |name: &str, value: &str| println!("export {name}='{value}'");
    println!("# Step Functions, Lambda, SNS and SQS");
    export("AWS_ENDPOINT_URL", &services.engine.endpoint());
    println!("# S3");
    export("AWS_ENDPOINT_URL_S3", services.s3.endpoint());
    export("AWS_ACCESS_KEY_ID", services.s3.access_key());
    export("AWS_SECRET_ACCESS_KEY", services.s3.secret_key());
    export("AWS_DEFAULT_REGION", "us-east-1");
    println!("# MongoDB, and what the functions work on");
    export("MONGO_URI", &services.mongod.uri());
    export("MONGO_DB", DATABASE);
    export("MONGOTAR_TO", &destination());
    println!("# State machines, functions, and the queue that listens to the topic");
    export("BACKUP", &deployed.machines.backup);
    export("RESTORE", &deployed.machines.restore);
    export("DRILL", &deployed.machines.drill);
    export("BACKUP_FUNCTION", deployed.functions[0].name());
    export("RESTORE_FUNCTION", deployed.functions[1].name());
    export("TOPIC", deployed.topic.arn());
    export("QUEUE", deployed.topic.queue());
    println!(
        r#"
# Paste the lines above into another shell, and then, for example:
#   aws stepfunctions start-execution --state-machine-arn "$BACKUP" --input '{{}}'
#   aws stepfunctions list-executions --state-machine-arn "$BACKUP"
#   aws sqs receive-message --endpoint-url "$AWS_ENDPOINT_URL" --queue-url "$QUEUE"
#   aws s3 ls "$MONGOTAR_TO"
#   aws stepfunctions start-execution --state-machine-arn "$DRILL" --input '{{"archive": {{"latest": "{to}"}}}}'
# or without the AWS command line, a function by itself and a state machine:
#   curl -d '{{}}' "$AWS_ENDPOINT_URL/2015-03-31/functions/$BACKUP_FUNCTION/invocations"
#   curl -H 'X-Amz-Target: AWSStepFunctions.StartExecution' -H 'Content-Type: application/x-amz-json-1.0' \
#     -d "{{\"stateMachineArn\": \"$BACKUP\", \"input\": \"{{}}\"}}" "$AWS_ENDPOINT_URL"

# Ready. Ctrl-C stops everything."#,
        to = destination()
    );
}
