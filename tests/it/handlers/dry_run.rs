//! `dry_run` of every action of both functions: nothing is changed, whatever is asked for.

use std::collections::{BTreeMap, BTreeSet};

use mongotar::store::Location;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, Shop, answer, refusal, shop};
use crate::{rig, support};

/// What a dry run comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// To the plan.
    Planned,
    /// To a refusal that names the field.
    Refused,
}

/// Each action, and more of its event.
type Actions = [(&'static str, fn(&str) -> Value, Comes)];

const OF_BACKUPS: &Actions = &[
    ("backup", |_| json!({}), Comes::Refused),
    ("databases", |_| json!({}), Comes::Refused),
    ("plan", |_| json!({"lanes": 2}), Comes::Refused),
    ("lane", |_| json!({"lane": 0}), Comes::Refused),
    ("compose", |_| json!({}), Comes::Refused),
    ("abort", |_| json!({}), Comes::Refused),
    ("compact", |_| json!({}), Comes::Refused),
];

const OF_RESTORES: &Actions = &[
    ("restore", asked, Comes::Planned),
    ("verify", |archive| json!({"archive": archive}), Comes::Refused),
    ("drill", |archive| json!({"archive": archive}), Comes::Refused),
    ("begin", asked, Comes::Planned),
    (
        "load",
        |archive| with(asked(archive), json!({"load": 0})),
        Comes::Refused,
    ),
    ("finish", asked, Comes::Refused),
];

/// A restore that would replace, drop, and keep a way back.
fn asked(archive: &str) -> Value {
    json!({"archive": archive, "replace_existing": true, "yes": true, "workers": 2})
}

fn with(mut event: Value, more: Value) -> Value {
    let fields = event.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    event
}

/// Everything that an invocation could change: all databases of this test, and all objects of its bucket with their
/// content.
async fn everything(shop: &Shop) -> (BTreeMap<String, Vec<Vec<u8>>>, Vec<String>, Vec<(String, String)>) {
    let tools = support::tools().await;
    let documents = support::raw_database(&shop.client, &tools, &shop.database).await;
    let catalog = tools.mongo.survey(&shop.database).await.expect("a survey");
    let Location::S3 { bucket, .. } = &shop.folder else {
        panic!("{} is not in S3", shop.folder)
    };
    let client = rig::shared_s3().client().await;
    let listed = client.list_objects_v2().bucket(bucket).send().await.expect("a listing");
    let objects = listed.contents().iter().map(|object| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (text(object.key()), text(object.e_tag()))
    });
    let uploads = client.list_multipart_uploads().bucket(bucket).send().await;
    let uploads = uploads.expect("a listing").uploads().len();
    assert_eq!(uploads, 0, "an upload was begun");
    (documents, support::definitions(&catalog), objects.collect())
}

/// Databases of drills are no test's own.
async fn scratch_databases(shop: &Shop) -> BTreeSet<String> {
    let names = shop.client.list_database_names().await.expect("names");
    names.into_iter().filter(|name| name.contains(&shop.database)).collect()
}

/// `begin` took the lock, made collections and kept a plan; `load` and `finish` did all that they do without it.
#[tokio::test]
async fn no_action_changes_anything_under_dry_run() {
    let shop = shop().await;
    let archive = shop.archive().await;
    shop.insert("orders", 7..9).await;
    shop.insert("extra", 0..1).await;
    let run = json!({"id": rig::unique_name("run"), "time": "2026-11-21T02:00:00Z"});
    let (backup, restore) = (shop.function(BACKUP, &[]), shop.function(RESTORE, &[]));
    for begun in [false, true] {
        if begun {
            // What a dry run must not go on with.
            let event = with(asked(&archive), json!({"action": "begin", "run": run}));
            assert_eq!(answer(&restore, event).await["status"], "loading");
        }
        let before = everything(&shop).await;
        let databases = scratch_databases(&shop).await;
        for (function, actions) in [(&backup, OF_BACKUPS), (&restore, OF_RESTORES)] {
            for &(action, event, comes) in actions {
                for run in [None, Some(&run)] {
                    let mut event = with(event(&archive), json!({"action": action, "dry_run": true}));
                    if let Some(run) = run {
                        event["run"] = run.clone();
                    }
                    let shown = event.to_string();
                    match comes {
                        Comes::Planned => {
                            let planned = answer(function, event).await;
                            assert_eq!(planned["status"], "planned", "{shown}: {planned}");
                            assert_eq!(planned["plan"]["to_drop"], json!(["extra"]), "{shown}");
                        }
                        Comes::Refused => {
                            let refused = refusal(function, event).await;
                            assert_eq!(refused.error_type, "InvalidRequest", "{shown}: {refused}");
                            assert!(
                                refused.error_message.contains("\"dry_run\"")
                                    && refused.error_message.contains("leave \"dry_run\" out"),
                                "{shown}: {refused}"
                            );
                        }
                    }
                    assert!(everything(&shop).await == before, "{shown} changed something");
                    assert_eq!(scratch_databases(&shop).await, databases, "{shown}");
                }
            }
        }
    }
    // And the run that was begun is as it was.
    for load in 0..2 {
        let event = with(
            asked(&archive),
            json!({"action": "load", "load": load, "run": run, "dry_run": false}),
        );
        assert_eq!(answer(&restore, event).await["status"], "complete");
    }
    let event = with(asked(&archive), json!({"action": "finish", "run": run}));
    assert_eq!(answer(&restore, event).await["status"], "complete");
    assert_eq!(shop.collections().await, ["orders", "users"]);
}

/// An action that is added later is in these tables, too.
#[tokio::test]
async fn the_tables_have_every_action() {
    let shop = shop().await;
    for (binary, actions) in [(BACKUP, OF_BACKUPS), (RESTORE, OF_RESTORES)] {
        let error = refusal(&shop.function(binary, &[]), json!({"action": "nonsense"})).await;
        let (_, known) = error
            .error_message
            .split_once(": use")
            .expect("it says which there are");
        let known: BTreeSet<&str> = known.split('"').skip(1).step_by(2).collect();
        let tried: BTreeSet<&str> = actions.iter().map(|(action, _, _)| *action).collect();
        assert_eq!(known, tried, "{binary}");
    }
}
