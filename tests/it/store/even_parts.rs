//! Stores that want all parts of an object but the last to have one size, and those that take no tags.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::{Shell, numbered, text};
use crate::handlers::{BACKUP, shop};
use crate::rig::{self, Exchange, LambdaFunction, Proxy};
use crate::support::{bucket, insert_mebibytes};

const SIZE: u64 = 5 << 20;

/// The sizes of each upload's parts, in their order. A copied part is as long as the range that it names.
fn parts(proxy: &Proxy) -> BTreeMap<String, Vec<u64>> {
    let mut sizes: BTreeMap<String, BTreeMap<u32, u64>> = BTreeMap::new();
    for seen in proxy.matching("PUT", "partNumber=") {
        let of = |name: &str| {
            let found = seen
                .query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.expect("it is there").to_owned()
        };
        let number = of("partNumber").parse().expect("a number");
        sizes.entry(of("uploadId")).or_default().insert(number, size(&seen));
    }
    let in_order = sizes.into_iter().map(|(id, parts)| (id, parts.into_values().collect()));
    in_order.collect()
}

fn size(seen: &Exchange) -> u64 {
    let Some((_, range)) = seen.headers.iter().find(|(name, _)| name == "x-amz-copy-source-range") else {
        return seen.request_bytes;
    };
    let range = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let (first, last) = range.expect("a range");
    last.parse::<u64>().expect("a number") - first.parse::<u64>().expect("a number") + 1
}

fn assert_even(proxy: &Proxy, least_parts: usize) {
    let parts = parts(proxy);
    assert!(parts.values().any(|sizes| sizes.len() >= least_parts), "{parts:?}");
    for sizes in parts.values() {
        let (last, others) = sizes.split_last().expect("a part");
        assert!(*last <= SIZE && others.iter().all(|size| *size == SIZE), "{parts:?}");
    }
}

#[tokio::test]
async fn all_parts_but_the_last_have_the_size_that_was_asked_for() {
    let (shell, database) = Shell::with_orders(numbered(0..50)).await;
    let client = rig::shared_replica_set().client().await;
    for collection in ["first", "second", "third"] {
        insert_mebibytes(&client, &database, collection, 6).await;
    }
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let folder = bucket().await.to_string();
    let shell = shell
        .set("AWS_ENDPOINT_URL", &proxy.endpoint())
        .set("MONGOTAR_S3_PART_SIZE", "5")
        .set("MONGOTAR_S3_TAGS", "no");
    let backup = ["backup", "--to", &folder, "--compression", "none", "--run", "nightly"];
    let report = shell.json(0, &backup);
    assert_eq!(report["status"], "complete");
    assert_even(&proxy, 4);
    let tagged = |seen: &Exchange| seen.headers.iter().any(|(name, _)| name == "x-amz-tagging");
    assert!(!proxy.exchanges().iter().any(tagged));
    shell.json(0, &["verify", &text(&report["archive"])]);
    let wrong = shell.set("MONGOTAR_S3_PART_SIZE", "4").json(2, &["list", &folder]);
    assert!(text(&wrong["message"]).contains("MONGOTAR_S3_PART_SIZE"), "{wrong}");
}

#[tokio::test]
async fn lanes_are_joined_in_parts_of_one_size() {
    let shop = shop().await;
    insert_mebibytes(&shop.client, &shop.database, "large", 40).await;
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let mut env = shop.env();
    env.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    env.push(("AWS_ENDPOINT_URL".to_owned(), proxy.endpoint()));
    env.push(("MONGOTAR_S3_PART_SIZE".to_owned(), "5".to_owned()));
    let function = LambdaFunction::builder(&rig::program(BACKUP)).env(env).start();
    let ask = async |event: serde_json::Value| {
        let timeout = std::time::Duration::from_secs(900);
        function.invoke(event, timeout).await.expect("an answer")
    };
    let run = json!({"id": rig::unique_name("even"), "time": "2026-11-21T02:00:00Z"});
    let planned = ask(json!({"action": "plan", "lanes": 2, "run": run})).await;
    let lanes = planned["lanes"].as_array().expect("lanes").clone();
    assert!(lanes.len() > 1, "{planned}");
    for lane in lanes {
        let done = ask(json!({"action": "lane", "lane": lane, "run": run})).await;
        assert_eq!(done["status"], "complete", "{done}");
    }
    let report = ask(json!({"action": "compose", "run": run})).await;
    assert_eq!(report["status"], "complete", "{report}");
    assert_even(&proxy, 8);
    let copied = proxy
        .matching("PUT", "partNumber=")
        .iter()
        .filter(|seen| seen.request_bytes == 0)
        .count();
    assert!(copied >= 4, "the store joins what lies in one lane: {copied}");
    Shell::new().json(0, &["verify", &text(&report["archive"])]);
}
