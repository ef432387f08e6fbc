//! What the functions really ask of S3, against what their roles allow.

use std::collections::BTreeSet;

use bson::doc;
use serde_json::json;

use super::iam::{Need, allows, needs};
use super::permissions::{Statement, statements};
use super::template::Template;
use crate::handlers::{BACKUP, RESTORE, Shop, answer, shop, text};
use crate::rig::{self, Proxy};

/// What was needed to go through a proxy, by its own.
fn needed(proxy: &Proxy, shop: &Shop) -> Vec<Need> {
    let folder = shop.folder.to_string();
    let folder = folder.strip_prefix("s3://").expect("a folder in S3").to_owned();
    let seen = proxy.exchanges();
    seen.iter().flat_map(|seen| needs(seen, &folder)).collect()
}

fn refused(statements: &[Statement], role: &str, needs: &[Need]) -> Vec<String> {
    let refused = needs.iter().filter(|need| !allows(statements, role, need));
    refused.map(|need| format!("{need:?}")).collect()
}

/// Whether it is within a run's own folder.
fn is_in_progress(need: &Need) -> bool {
    need.key.contains("/.in-progress/")
}

#[tokio::test]
async fn a_backup_needs_what_its_role_allows_and_its_role_writes_over_nothing() {
    let (shop, statements) = (shop().await, statements(&Template::real()));
    // As much as is worth two lanes.
    let megabyte = "x".repeat(1_000_000);
    let large = (0..40).map(|id| doc! {"_id": id, "text": &megabyte}).collect();
    crate::support::insert(&shop.client, &shop.database, "large", large).await;
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let endpoint = proxy.endpoint();
    let function = shop.function(
        BACKUP,
        &[("AWS_ENDPOINT_URL", &endpoint), ("MONGOTAR_RETENTION", "weekly")],
    );
    let run = |id: &str, day: u8| json!({"id": id, "time": format!("2026-11-{day}T02:00:00Z")});
    answer(&function, json!({"run": run("one", 21)})).await;
    answer(&function, json!({"run": run("one", 21)})).await;
    let several = |action: &str, lane: Option<u64>| match lane {
        None => json!({"action": action, "lanes": 2, "run": run("two", 22)}),
        Some(lane) => json!({"action": action, "lane": lane, "lanes": 2, "run": run("two", 22)}),
    };
    let plan = answer(&function, several("plan", None)).await;
    assert!(plan["lanes"].as_array().is_some_and(|lanes| lanes.len() > 1), "{plan}");
    for lane in plan["lanes"].as_array().expect("lanes") {
        answer(&function, several("lane", lane.as_u64())).await;
    }
    assert_eq!(answer(&function, several("compose", None)).await["status"], "complete");
    answer(
        &function,
        json!({"action": "plan", "lanes": 2, "run": run("three", 23)}),
    )
    .await;
    answer(
        &function,
        json!({"action": "abort", "lanes": 2, "run": run("three", 23)}),
    )
    .await;

    let needs = needed(&proxy, &shop);
    assert_eq!(refused(&statements, "BackupRole", &needs), Vec::<String>::new());
    let actions: BTreeSet<&str> = needs.iter().map(|need| need.action).collect();
    for action in ["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:GetObject"] {
        assert!(actions.contains(action), "the proxy saw {actions:?}");
    }
    // The same without its condition, and what else would change what is there.
    let mut looked_at = 0;
    for need in needs.iter().filter(|need| !is_in_progress(need)) {
        let mut without = need.clone();
        without.context.remove("s3:if-none-match");
        let creates = need
            .context
            .get("s3:ObjectCreationOperation")
            .is_some_and(|so| so == "true");
        if need.action == "s3:PutObject" && creates {
            looked_at += 1;
            assert!(!allows(&statements, "BackupRole", &without), "{without:?}");
            let more = [
                ("s3:DeleteObject", vec![]),
                (
                    "s3:PutObjectTagging",
                    vec![("s3:ExistingObjectTag/mongotar-retention", "weekly")],
                ),
                (
                    "s3:PutObjectTagging",
                    vec![("s3:RequestObjectTag/mongotar-in-progress", "true")],
                ),
                ("s3:DeleteObjectTagging", vec![]),
                ("s3:PutObjectVersionTagging", vec![]),
            ];
            for (action, context) in more {
                let other = Need {
                    action,
                    key: need.key.clone(),
                    context: context
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                };
                assert!(!allows(&statements, "BackupRole", &other), "{other:?}");
            }
        }
        // Everything has the class with which nobody can give it another.
        let tags = |need: &Need| need.context.contains_key("s3:RequestObjectTag/mongotar-retention");
        assert!(need.action != "s3:PutObjectTagging" || tags(need), "{need:?}");
    }
    assert!(looked_at >= 4, "two archives and their manifests: {looked_at}");
    assert!(
        needs.iter().any(|need| is_in_progress(need)
            && need.action == "s3:PutObject"
            && !need.context.contains_key("s3:if-none-match")),
        "a run's state is written over"
    );
}

/// From a bucket with copies, which a restore may only read; its state and its way back lie in that of the stack.
#[tokio::test]
async fn a_restore_from_a_second_bucket_writes_nothing_there() {
    let (shop, copies, statements) = (shop().await, shop().await, statements(&Template::real()));
    let archive = copies.archive().await;
    shop.insert("orders", 7..9).await;
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let endpoint = proxy.endpoint();
    let function = shop.function(
        RESTORE,
        &[("AWS_ENDPOINT_URL", &endpoint), ("MONGOTAR_RETENTION", "daily")],
    );
    let snapshots = format!("{}pre-restore/", shop.folder);
    let event = json!({"archive": archive, "yes": true, "replace_existing": true, "snapshot_to": snapshots});
    assert_eq!(text(&answer(&function, event).await["status"]), "complete");
    let in_copies = needed(&proxy, &copies);
    assert!(!in_copies.is_empty(), "the archive was read there");
    for need in &in_copies {
        assert_eq!(need.action, "s3:GetObject", "{need:?}");
    }
    let own = needed(&proxy, &shop);
    assert_eq!(refused(&statements, "RestoreRole", &own), Vec::<String>::new());
    assert!(own.iter().any(|need| need.action == "s3:PutObject"), "the way back");
}

/// The same of a drill and a verification, which write what they keep where they are told.
#[tokio::test]
async fn a_drill_and_a_verification_of_copies_write_nothing_there() {
    let (copies, shop, statements) = (shop().await, shop().await, statements(&Template::real()));
    let archive = copies.archive().await;
    let state_to = format!("{}pre-restore/", shop.folder);
    for (role, action, report) in [("DrillRole", "drill", true), ("RestoreRole", "verify", false)] {
        let proxy = Proxy::start(rig::shared_s3().endpoint());
        let endpoint = proxy.endpoint();
        let function = shop.function(RESTORE, &[("AWS_ENDPOINT_URL", &endpoint)]);
        let event = json!({"action": action, "archive": {"latest": copies.folder.to_string()}, "state_to": state_to,
            "run": {"id": action, "time": "2026-11-21T02:00:00Z"}});
        let said = answer(&function, event).await;
        assert_eq!(text(&said["status"]), "complete");
        assert_eq!(text(&said["archive"]), archive);
        let in_copies = needed(&proxy, &copies);
        assert!(!in_copies.is_empty(), "the archive was read there");
        for need in &in_copies {
            assert_eq!(need.action, "s3:GetObject", "{need:?}");
        }
        let own = needed(&proxy, &shop);
        assert_eq!(refused(&statements, role, &own), Vec::<String>::new());
        let kept = own
            .iter()
            .any(|need| need.key.contains("pre-restore/drill_") && need.action == "s3:PutObject");
        assert_eq!(kept, report, "{action}: {own:?}");
        assert!(own.iter().any(is_in_progress), "{action}: its state");
    }
}

#[tokio::test]
async fn a_restore_and_a_drill_need_what_their_roles_allow() {
    let (shop, statements) = (shop().await, statements(&Template::real()));
    let archive = shop.archive().await;
    shop.insert("orders", 7..9).await;
    for (role, event) in [
        (
            "RestoreRole",
            json!({"archive": archive, "yes": true, "replace_existing": true}),
        ),
        ("DrillRole", json!({"action": "drill", "archive": archive})),
    ] {
        let proxy = Proxy::start(rig::shared_s3().endpoint());
        let endpoint = proxy.endpoint();
        let function = shop.function(
            RESTORE,
            &[("AWS_ENDPOINT_URL", &endpoint), ("MONGOTAR_RETENTION", "daily")],
        );
        let report = answer(&function, event).await;
        assert_eq!(text(&report["status"]), "complete");
        let needs = needed(&proxy, &shop);
        assert_eq!(refused(&statements, role, &needs), Vec::<String>::new());
        let kept: Vec<&Need> = needs
            .iter()
            .filter(|need| need.action == "s3:PutObject" && !is_in_progress(need))
            .collect();
        assert!(!kept.is_empty(), "{role}");
        for need in kept
            .into_iter()
            .filter(|need| need.context.contains_key("s3:if-none-match"))
        {
            let mut without = need.clone();
            without.context.remove("s3:if-none-match");
            assert!(!allows(&statements, role, &without), "{without:?}");
        }
    }
}
