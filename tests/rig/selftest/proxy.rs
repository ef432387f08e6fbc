//! The proxy: signed requests pass, bytes are counted, faults strike where they are told to.

use super::super::{Fault, Proxy, Rule, shared_s3};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use std::time::{Duration, Instant};

const SIZE: usize = 3_000_000;

/// A proxy, a client through it that never retries, and a bucket with the object `big`.
async fn set_up() -> (Proxy, Client, String) {
    let s3 = shared_s3();
    let proxy = Proxy::start(s3.endpoint());
    let config = s3
        .client_at(&proxy.endpoint())
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled());
    let client = Client::from_conf(config.build());
    let bucket = s3.fresh_bucket("rig").await;
    let body = ByteStream::from(vec![7; SIZE]);
    client
        .put_object()
        .bucket(&bucket)
        .key("big")
        .body(body)
        .send()
        .await
        .expect("a signed put through the proxy");
    (proxy, client, bucket)
}

async fn get(client: &Client, bucket: &str) -> Result<usize, String> {
    let got = client
        .get_object()
        .bucket(bucket)
        .key("big")
        .send()
        .await
        .map_err(|e| format!("{e:?}"))?;
    Ok(got
        .body
        .collect()
        .await
        .map_err(|e| format!("{e:?}"))?
        .into_bytes()
        .len())
}

#[tokio::test]
async fn requests_ranges_and_bytes_are_counted() {
    let (proxy, client, bucket) = set_up().await;
    assert_eq!(proxy.request_bytes("PUT", "/big"), SIZE as u64);
    let ranged = client
        .get_object()
        .bucket(&bucket)
        .key("big")
        .range("bytes=1000-1999")
        .send()
        .await
        .expect("get");
    assert_eq!(ranged.body.collect().await.expect("body").into_bytes().len(), 1000);
    client
        .head_object()
        .bucket(&bucket)
        .key("big")
        .send()
        .await
        .expect("head");

    let gets = proxy.matching("GET", "/big");
    assert_eq!(
        (gets.len(), gets[0].status, gets[0].response_bytes),
        (1, Some(206), 1000)
    );
    assert_eq!(gets[0].range.as_deref(), Some("bytes=1000-1999"));
    assert_eq!(
        (proxy.count("HEAD", "/big"), proxy.response_bytes("HEAD", "/big")),
        (1, 0)
    );
    assert_eq!(proxy.count("*", &bucket), 3);
    proxy.reset();
    assert_eq!(proxy.count("*", ""), 0);
}

#[tokio::test]
async fn the_nth_matching_request_fails_as_told() {
    let (proxy, client, bucket) = set_up().await;
    proxy.inject(Rule::on("GET", "/big").nth(2).times(2).then(Fault::Status(503)));
    assert_eq!(get(&client, &bucket).await, Ok(SIZE));
    for _ in 0..2 {
        let refusal = get(&client, &bucket).await.expect_err("told to fail");
        assert!(refusal.contains("SlowDown"), "{refusal}");
    }
    assert_eq!(get(&client, &bucket).await, Ok(SIZE));

    for cut in [
        Fault::CutBeforeForwarding,
        Fault::CutAfterForwarding,
        Fault::CutAnswerAfter(10_000),
    ] {
        proxy.inject(Rule::on("GET", "/big").then(cut));
        get(&client, &bucket).await.expect_err("told to cut");
        assert_eq!(proxy.exchanges().pop().and_then(|last| last.fault), Some(cut));
        assert_eq!(get(&client, &bucket).await, Ok(SIZE), "only one request was to be cut");
    }
}

#[tokio::test]
async fn a_request_cut_after_forwarding_took_effect_and_one_cut_before_did_not() {
    let (proxy, client, bucket) = set_up().await;
    for (fault, key, there) in [
        (Fault::CutAfterForwarding, "after", true),
        (Fault::CutBeforeForwarding, "before", false),
    ] {
        proxy.inject(Rule::on("PUT", key).then(fault));
        let body = ByteStream::from_static(b"x");
        client
            .put_object()
            .bucket(&bucket)
            .key(key)
            .body(body)
            .send()
            .await
            .expect_err("told to cut");
        let direct = shared_s3().client().await;
        assert_eq!(
            direct.head_object().bucket(&bucket).key(key).send().await.is_ok(),
            there,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn latency_is_added() {
    let (proxy, client, bucket) = set_up().await;
    let latency = Duration::from_millis(200);
    proxy.set_latency(latency);
    proxy.inject(Rule::on("GET", "/big").then(Fault::Delay(latency)));
    let start = Instant::now();
    get(&client, &bucket).await.expect("slow, but whole");
    assert!(start.elapsed() >= 2 * latency, "{:?}", start.elapsed());
}
