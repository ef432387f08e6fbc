//! Full archives of chains by the function: `"action": "compact"`.

use bson::doc;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, refusal, shop, text};
use crate::rig;
use crate::support;

#[tokio::test]
async fn chains_of_several_databases_become_full_archives_without_a_database() {
    let shop = shop().await;
    let backup = shop.function(BACKUP, &[]);
    let other = rig::fresh_database_name("handlers");
    support::insert(&shop.client, &other, "users", vec![doc! {"_id": 1}]).await;
    let both = json!({"database": [shop.database, other], "incremental": true});
    answer(&backup, both.clone()).await;
    // Nothing knows the database.
    let more = [("MONGO_URI", ""), ("MONGO_DB", "")];
    let function = shop.function(BACKUP, &more);
    let nothing = answer(&function, json!({"action": "compact"})).await;
    assert_eq!(
        (&nothing["status"], &nothing["made"]),
        (&json!("complete"), &json!([])),
        "{nothing}"
    );
    shop.insert("orders", 10..12).await;
    let made = answer(&backup, both).await;
    assert_eq!(made["databases"][0]["kind"], "increment", "{made}");
    let event = json!({"action": "compact", "retention": "weekly"});
    let report = answer(&function, event.clone()).await;
    let archives: Vec<&Value> = report["made"].as_array().expect("archives").iter().collect();
    assert_eq!(archives.len(), 2, "{report}");
    assert!(
        archives
            .iter()
            .all(|one| one["kind"] == "full" && one["retention"] == "weekly"),
        "{report}"
    );
    assert_eq!(
        answer(&function, event).await["made"],
        json!([]),
        "there is nothing to put together twice"
    );
    let of_shop = archives
        .iter()
        .find(|one| one["database"] == json!(shop.database))
        .expect("one of the shop");
    let target = rig::fresh_database_name("handlers");
    let restored = json!({"archive": text(&of_shop["archive"]), "database": target, "yes": true});
    let restored = answer(&shop.function(RESTORE, &[]), restored).await;
    assert_eq!(restored["status"], "complete", "{restored}");
    assert_eq!(shop.count(&target, "orders").await, 5);
}

#[tokio::test]
async fn what_it_does_not_take_and_a_chain_that_cannot_be_read_are_failures_that_are_told() {
    let shop = shop().await;
    let function = shop.function(BACKUP, &[]);
    let error = refusal(&function, json!({"action": "compact", "include": ["orders"]})).await;
    assert_eq!(error.error_type, "InvalidRequest");
    assert!(error.error_message.contains("\"destination\""), "{error}");
    answer(&function, json!({"incremental": true})).await;
    shop.insert("orders", 10..12).await;
    let increment = answer(&function, json!({"incremental": true})).await;
    // What its chain begins with is gone.
    let chain: mongotar::store::Location = text(&increment["archive"]).parse().expect("a location");
    let client = rig::shared_s3().client().await;
    let mongotar::store::Location::S3 { bucket, key } = chain
        .parent()
        .above()
        .join(&format!("{}.tar.zst", text(&increment["parent"])))
    else {
        panic!("in S3")
    };
    client
        .delete_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .expect("deleted");
    let error = refusal(&function, json!({"action": "compact"})).await;
    assert_eq!(error.error_type, "ArchiveNotFound", "{error}");
}
