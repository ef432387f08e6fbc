//! Answers that would not fit into what carries them.

use bson::doc;
use mongotar::archive::Extent;
use mongotar::store::Location;
use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, names, shop, text};
use crate::support;

/// What Step Functions takes from one state to the next.
const STEP_FUNCTIONS: usize = 262_144;

async fn stored(report: &Value) -> (String, Value) {
    let store = support::tools().await.store;
    let location: Location = text(&report["report"]).parse().expect("a location");
    let object = store.find(&location).await.expect("it is there");
    let whole = Extent {
        offset: 0,
        length: object.bytes,
    };
    let stored = store.read(&object, whole).await.expect("it is read");
    (location.to_string(), serde_json::from_slice(&stored).expect("JSON"))
}

/// Step Functions fails a state whose result is too large, after all the work was done.
#[tokio::test]
async fn a_report_of_many_collections_is_stored_beside_the_archive_and_the_answer_says_where() {
    let shop = shop().await;
    let db = shop.client.database(&shop.database);
    // Views are made quickly, and stand in every list as collections do.
    for at in 0..600 {
        let name = format!("{}{at}", "a_view_with_a_long_name_".repeat(8));
        let view = doc! {"create": name, "viewOn": "orders", "pipeline": []};
        db.run_command(view).await.expect("created");
    }
    let report = answer(&shop.function(BACKUP, &[]), json!({})).await;
    assert!(report.to_string().len() < STEP_FUNCTIONS);
    assert_eq!(
        (&report["status"], &report["totals"]["collections"]),
        (&json!("complete"), &json!(602))
    );
    assert_eq!((&report["collections"], &report["failed"]), (&json!([]), &json!([])));
    super::schemas::check("backup-report", &report);
    let (place, whole) = stored(&report).await;
    assert_eq!(
        place,
        text(&report["archive"]).replace(".tar.zst", ".report.json"),
        "beside the archive"
    );
    assert_eq!(names(&whole["collections"]).len(), 602);
    let mut same = whole.clone();
    same["collections"] = json!([]);
    same["report"] = report["report"].clone();
    assert_eq!(same, report, "all else is in both");

    let archive = &report["archive"];
    let function = shop.function(RESTORE, &[]);
    for _ in 0..2 {
        let plan = answer(&function, json!({"archive": archive, "dry_run": true})).await;
        assert!(plan.to_string().len() < STEP_FUNCTIONS);
        assert_eq!(plan["status"], "planned");
        assert_eq!(plan["plan"]["collections"], json!([]));
        let (place, whole) = stored(&plan).await;
        assert!(
            place.starts_with(&format!("{}pre-restore/restore_", shop.folder)),
            "{place}"
        );
        assert_eq!(names(&whole["plan"]["collections"]).len(), 602);
        assert_eq!(whole["confirm"], plan["confirm"]);
    }
}
