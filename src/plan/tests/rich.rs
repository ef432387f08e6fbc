//! One plan with a little of everything, as JSON and as text: both are read by others, so a change of either is a decision.

use super::*;
use crate::archive::Status;

fn rich() -> RestorePlan {
    let readings = Saved {
        kind: Kind::Timeseries,
        options: rawdoc! { "timeseries": { "timeField": "ts", "metaField": "meta", "granularity": "minutes" }, "expireAfterSeconds": 3600_i64 }.into(),
        indexes: Vec::new(),
        hashing: Hashing::SortedFields,
        ..saved("readings")
    };
    let mut users = saved("users");
    users
        .indexes
        .push(rawdoc! { "v": 2, "key": { "b": 1, "a": -1 }, "name": "b_1_a_-1" }.into());
    let lost = Saved {
        status: SavedStatus::Failed,
        error: Some("Interrupted".to_owned()),
        documents: 0,
        bytes: 0,
        ..saved("lost")
    };
    let archive = Contents {
        status: Status::Partial,
        ..contents([lost, saved("new"), saved_view("recent", "readings"), readings, users])
    };
    let mut present = collection("users");
    present.options = rawdoc! { "validator": { "a": { "$type": "int" } } }.into();
    let target = catalog([collection("lost"), collection("old"), present]);
    let policy = Policy {
        existing: Existing::Replace,
        ..Policy::new("shop")
    };
    let mut plan = plan(&archive, &target, &policy).expect("a plan");
    // What it is made of has a test of its own.
    plan.confirm = "c0ffee".to_owned();
    plan
}

#[test]
fn as_json() {
    let json = serde_json::to_string_pretty(&rich()).expect("JSON");
    assert_eq!(json, include_str!("rich.json").trim_end(), "now:\n{json}");
}

#[test]
fn as_text() {
    let text = rich().to_string();
    assert_eq!(text, include_str!("rich.txt"), "now:\n{text}");
}
