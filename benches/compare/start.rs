//! The functions' programs: how large they are, and how soon they ask for their first event.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::Scale;
use crate::measure::median;
use crate::record::Record;

const PROGRAMS: [(&str, &str); 2] = [
    ("backup", env!("CARGO_BIN_EXE_backup")),
    ("restore", env!("CARGO_BIN_EXE_restore")),
];
/// What a program may be at most, bytes.
const LARGEST: u64 = 14_000_000;
/// How long it may take from its start to its first poll, seconds.
const SOON: f64 = 0.010;

pub fn run(scale: Scale) -> Record {
    let mut record = Record::begin("start");
    record.condition(
        "measured",
        "from the start of the process to its first GET …/runtime/invocation/next, on this machine, the program in the page cache",
    );
    let mut rows = Vec::new();
    for (name, path) in PROGRAMS {
        let bytes = std::fs::metadata(path).expect("it was built").len();
        let times: Vec<f64> = (0..scale.repetitions(31)).map(|_| first_poll(path)).collect();
        let middle = median(times.clone());
        rows.push(vec![
            name.to_owned(),
            format!("{:.1}", bytes as f64 / 1e6),
            format!("{:.1}", middle * 1e3),
        ]);
        record.value(json!({"name": name, "bytes": bytes, "median_first_poll_s": middle, "runs": times}));
        record.target(
            bytes <= LARGEST,
            format!(
                "{name} has {:.1} MB; {:.0} are allowed",
                bytes as f64 / 1e6,
                LARGEST as f64 / 1e6
            ),
        );
        record.target(
            middle <= SOON,
            format!(
                "{name} asks for its first event after {:.1} ms; {:.0} are allowed",
                middle * 1e3,
                SOON * 1e3
            ),
        );
    }
    record.table("The functions", &["program", "MB", "ms to the first poll"], rows);
    record
}

/// Plays the Runtime API up to the first poll.
fn first_poll(path: &str) -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let started = Instant::now();
    let mut child = Command::new(path)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "measured"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "log"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("MALLOC_ARENA_MAX", "1"),
            ("MONGO_URI", "mongodb://127.0.0.1:1/shop"),
            ("MONGOTAR_TO", "s3://nowhere/"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&head).contains("/runtime/invocation/next") {
        let count = stream.read(&mut buffer).expect("it asks");
        assert!(count > 0, "it went away: {}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&buffer[..count]);
    }
    let took = started.elapsed().as_secs_f64();
    child.kill().expect("it runs");
    child.wait().expect("ours");
    took
}
