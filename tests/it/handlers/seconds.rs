//! How long a run took: to the millisecond, and the same whenever its event is delivered.

use serde_json::{Value, json};

use super::{BACKUP, RESTORE, answer, shop};
use crate::rig;

/// A run's times were kept in whole seconds: a backup of half a second took none, and its event's second delivery got
/// another answer than the first.
#[tokio::test]
async fn a_short_run_takes_some_time_and_its_second_answer_is_the_first() {
    let shop = shop().await;
    let (backup, restore) = (shop.function(BACKUP, &[]), shop.function(RESTORE, &[]));
    let run = json!({"id": rig::unique_name("run"), "time": "2026-11-21T02:00:00Z"});
    let twice = async |function, event: Value| {
        let first = answer(function, event.clone()).await;
        let seconds = first["seconds"].as_f64().unwrap_or_else(|| panic!("{first}"));
        assert!(seconds > 0.0, "{first}");
        assert_eq!(answer(function, event).await.to_string(), first.to_string());
        (first, seconds)
    };
    let (first, seconds) = twice(&backup, json!({"run": run})).await;
    let archive = first["archive"].clone();
    let (_, restored) = twice(
        &restore,
        json!({"archive": archive, "replace_existing": true, "yes": true, "run": run}),
    )
    .await;
    let (_, drilled) = twice(&restore, json!({"action": "drill", "archive": archive, "run": run})).await;
    // Whole numbers of seconds, all three of them, would be a wonder.
    assert!(
        [seconds, restored, drilled]
            .iter()
            .any(|seconds| seconds.fract() != 0.0)
    );
    let logged = backup.logs();
    let metrics: Value = logged
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line.get("Seconds").is_some())
        .expect("metrics");
    assert_eq!(metrics["Seconds"], json!(seconds));
}
