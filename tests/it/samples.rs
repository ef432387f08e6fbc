//! A small fixed sample of every campaign. Many seeds: `cargo bench --bench campaign` (`benches/README.md`).

use crate::campaigns::{CAMPAIGNS, tried};

async fn sample(name: &str) {
    let campaign = CAMPAIGNS.iter().find(|campaign| campaign.name == name);
    let campaign = campaign.unwrap_or_else(|| panic!("{name} is in no line of CAMPAIGNS"));
    let trials = campaign
        .sample
        .iter()
        .map(|&seed| async move { (seed, tried(campaign, seed).await) });
    for (seed, came_to) in futures_util::future::join_all(trials).await {
        if let Err(broken) = came_to {
            panic!("seed {seed} broke the promise that {}:\n{broken}", campaign.promise);
        }
    }
}

/// Every line of the registry has a test here.
#[test]
fn every_campaign_has_a_sample() {
    let here = include_str!("samples.rs");
    for campaign in CAMPAIGNS {
        let call = format!("sample(\"{}\")", campaign.name);
        assert!(here.contains(&call), "{} is tried by no test", campaign.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chains() {
    sample("chains").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands() {
    sample("commands").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failover() {
    sample("failover").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill() {
    sample("kill").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moments() {
    sample("moments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    sample("requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback() {
    sample("rollback").await;
}
