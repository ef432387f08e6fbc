//! The main job, on real servers: `cargo run --example demo`.
//!
//! A shop's database on a real MongoDB replica set is backed up by the backup function, started as AWS Lambda starts it
//! by a schedule, straight into a multipart upload to a real S3 API; then the restore function plans a restore into
//! another database, carries it out with the plan's consent token, and verifies it. At the end the demo compares the
//! two databases itself, document by document, with the driver and none of the project's code.

mod compare;
mod shop;

#[path = "../../tests/rig/mod.rs"]
mod rig;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What AWS gives a function at the most.
const TIMEOUT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    // The rig blocks while it starts servers, so it is not called on a runtime's thread.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    step("Building the two functions");
    let functions = functions();
    step("Starting MongoDB (a replica set) and an S3 server on free ports; the first time they are downloaded");
    let mongod = rig::Mongod::replica_set();
    let s3 = rig::S3::start();
    let equal = runtime.block_on(demo(&functions, &mongod, &s3));
    if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn demo(functions: &Functions, mongod: &rig::Mongod, s3: &rig::S3) -> bool {
    let client = mongod.client().await;
    let bucket = s3.fresh_bucket("demo").await;

    step("Filling the database `shop`");
    let seeded = Instant::now();
    shop::fill(&client, "shop").await;
    println!("  done in {:.1} s", seeded.elapsed().as_secs_f64());

    let environment = |database: &str| {
        let mut environment = s3.env();
        environment.extend([
            ("MONGO_URI".to_owned(), mongod.uri()),
            ("MONGO_DB".to_owned(), database.to_owned()),
            ("MONGOTAR_TO".to_owned(), format!("s3://{bucket}/nightly/")),
        ]);
        environment
    };

    step("02:00 — the schedule fires: EventBridge invokes the backup function");
    let backup = rig::LambdaFunction::start(&functions.backup, environment("shop"));
    let report = invoke(&backup, scheduled_event()).await;
    print_backup(&report);

    step("03:00 — somebody needs it back: the restore function plans, and changes nothing");
    let restore = rig::LambdaFunction::start(&functions.restore, environment("shop_restored"));
    let plan = invoke(&restore, json!({"archive": report["archive"], "dry_run": true})).await;
    print_plan(&plan);

    step("03:01 — the plan is confirmed: the restore function carries it out, and reads everything back");
    let event = json!({"archive": report["archive"], "confirm": plan["confirm"]});
    let restored = invoke(&restore, event).await;
    print_verification(&restored);

    step("One collection out of the archive, into another database");
    let event = json!({"archive": {"latest": format!("s3://{bucket}/nightly/")}, "database": "scratch", "include": ["users"], "yes": true});
    let one = invoke(&restore, event).await;
    print_verification(&one);

    step("And now without the project's own code: both databases, document by document");
    let equal = compare::databases(&client, "shop", "shop_restored").await;
    let complete = [&report, &restored, &one]
        .iter()
        .all(|report| report["status"] == "complete");
    println!(
        "\n{}",
        if equal && complete {
            "Everything is equal."
        } else {
            "NOT EQUAL: see above."
        }
    );
    equal && complete
}

struct Functions {
    backup: PathBuf,
    restore: PathBuf,
}

/// Builds the functions beside this example, in its profile. The rig may be told to take others: `MONGOTAR_PROGRAMS`.
fn functions() -> Functions {
    let example = std::env::current_exe().expect("the path of this program");
    let folder = example
        .ancestors()
        .nth(2)
        .expect("target/<profile>/examples/demo")
        .to_owned();
    if std::env::var_os(rig::PROGRAMS).is_none() {
        build(folder.ends_with("release"));
    }
    Functions {
        backup: rig::program(folder.join("backup")),
        restore: rig::program(folder.join("restore")),
    }
}

fn build(release: bool) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With the example itself, which is there already: so the dependencies are those that have just been built for it,
    // and not built anew with other features.
    cargo.args([
        "build",
        "--quiet",
        "--bin",
        "backup",
        "--bin",
        "restore",
        "--example",
        "demo",
    ]);
    if release {
        cargo.arg("--release");
    }
    let built = cargo
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .expect("cargo can be started");
    assert!(built.success(), "the functions could not be built");
}

/// What EventBridge sends to the target of a schedule.
fn scheduled_event() -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-21T02:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly-backup"],
        "detail": {}
    })
}

async fn invoke(function: &rig::LambdaFunction, event: Value) -> Value {
    match function.invoke(event, TIMEOUT).await {
        Ok(report) => report,
        Err(error) => panic!("the function failed: {error}\n{}", function.logs().join("\n")),
    }
}

fn step(what: &str) {
    println!("\n== {what}");
}

fn megabytes(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0) / 1e6
}

fn print_backup(report: &Value) {
    println!("  archive      {}", report["archive"].as_str().unwrap_or("?"));
    println!(
        "  status       {}, consistency {}",
        report["status"], report["consistency"]["level"]
    );
    println!(
        "  {:<24}{:>10}{:>12}{:>14}  digest",
        "collection", "documents", "BSON MB", "in the tar MB"
    );
    for saved in report["collections"].as_array().into_iter().flatten() {
        println!(
            "  {:<24}{:>10}{:>12.1}{:>14.1}  {}",
            saved["name"].as_str().unwrap_or("?"),
            saved["documents"],
            megabytes(&saved["bytes"]),
            megabytes(&saved["stored_bytes"]),
            saved["digest"].as_str().unwrap_or("?"),
        );
    }
    let (bytes, seconds) = (
        megabytes(&report["totals"]["bytes"]),
        report["seconds"].as_f64().unwrap_or(1.0),
    );
    println!(
        "  {bytes:.1} MB of BSON in {:.1} MB of archive, {seconds:.2} s: {:.0} MB/s",
        megabytes(&report["archive_bytes"]),
        bytes / seconds.max(0.001)
    );
}

fn print_plan(report: &Value) {
    let plan = &report["plan"];
    for set in ["to_create", "to_restore", "to_drop"] {
        println!("  {set:<12} {}", plan[set]);
    }
    for planned in plan["collections"].as_array().into_iter().flatten() {
        println!(
            "  {:<24}{:<10}{:>10} documents: {}",
            planned["name"].as_str().unwrap_or("?"),
            planned["action"].as_str().unwrap_or("?"),
            planned["documents"].to_string(),
            planned["reason"].as_str().unwrap_or("?"),
        );
    }
    println!("  status {}, confirm {}", report["status"], report["confirm"]);
}

fn print_verification(report: &Value) {
    println!(
        "  {:<24}{:>10}{:>10}  {:<34}equal",
        "collection", "archive", "database", "digest read back"
    );
    for verified in report["verification"]["collections"].as_array().into_iter().flatten() {
        println!(
            "  {:<24}{:>10}{:>10}  {:<34}{}",
            verified["name"].as_str().unwrap_or("?"),
            verified["file_count"].to_string(),
            verified["db_count"].to_string(),
            verified["digest_database"].as_str().unwrap_or("?"),
            if verified["equal"] == true { "yes" } else { "NO" },
        );
    }
    println!(
        "  status {}, {:.1} s with verification",
        report["status"],
        report["seconds"].as_f64().unwrap_or(0.0)
    );
}
