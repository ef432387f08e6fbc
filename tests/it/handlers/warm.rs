//! A warm process: clients are made once, and several invocations share them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{BACKUP, RESTORE, answer, shop, text};
use crate::rig;

/// The connections that a client of this name has ever made to the shared server, which logs each with its number.
fn connections(name: &str) -> BTreeSet<String> {
    let log = rig::shared_replica_set().log();
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["msg"] == "client metadata" && line["attr"]["doc"]["application"]["name"] == name)
        .map(|line| text(&line["ctx"]))
        .collect()
}

#[tokio::test]
async fn five_invocations_of_one_process_share_one_mongodb_client() {
    for binary in [BACKUP, RESTORE] {
        let shop = shop().await;
        let archive = shop.archive().await;
        let name = rig::unique_name("warm");
        // A client has its pool of at most two, and two connections that watch the server.
        let uri = format!("{}&appName={name}&maxPoolSize=2", rig::shared_replica_set().uri());
        let function = shop.function(binary, &[("MONGO_URI", &uri)]);
        let mut pids = BTreeSet::new();
        for _ in 0..5 {
            let event = match binary {
                BACKUP => json!({}),
                _ => json!({"archive": archive, "yes": true, "snapshot": false}),
            };
            assert_eq!(answer(&function, event).await["status"], "complete");
            pids.insert(function.warm_pid().expect("it stays warm"));
        }
        assert_eq!(pids.len(), 1, "one cold start");
        let made = connections(&name);
        assert!(
            (1..=4).contains(&made.len()),
            "five clients would have made ten and more: {made:?}"
        );
    }
}

/// Hands out credentials as the container of a function may, and counts how often it is asked.
fn credentials_endpoint() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let s3 = rig::shared_s3();
    let body = json!({
        "AccessKeyId": s3.access_key(), "SecretAccessKey": s3.secret_key(), "Token": "", "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            // A client that has gone away again asks once more, and is counted.
            let _ = (&stream).write_all((head + &body).as_bytes());
        }
    });
    (format!("http://{address}/credentials"), asked)
}

#[tokio::test]
async fn invocations_of_one_process_share_one_s3_client() {
    let shop = shop().await;
    let (endpoint, asked) = credentials_endpoint();
    let more = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.as_str()),
    ];
    let function = shop.function(BACKUP, &more);
    for _ in 0..3 {
        assert_eq!(answer(&function, json!({})).await["status"], "complete");
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "each client asks for credentials of its own"
    );
    // A second cold start is a second client.
    let function = shop.function(BACKUP, &more);
    answer(&function, json!({})).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_one_invocation_was_told_is_forgotten_by_the_next() {
    let (configured, other) = (shop().await, shop().await);
    let function = configured.function(BACKUP, &[]);
    for _ in 0..2 {
        let event = json!({"database": other.database, "include": ["users"], "compression": "none"});
        let report = answer(&function, event).await;
        assert_eq!(report["database"], json!(other.database));
        let report = answer(&function, json!({})).await;
        assert_eq!(report["database"], json!(configured.database));
        assert_eq!(
            (&report["compression"], &report["totals"]["collections"]),
            (&json!("zstd"), &json!(2))
        );
    }
}
