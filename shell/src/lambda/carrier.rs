//! Answers too large for their carrier: Step Functions takes 256 KiB from state to state, Lambda 6 MB.
//!
//! A database of some thousand collections has a report of megabytes. The whole report is then stored beside the
//! archive, and the answer keeps its shape, so that readers of `status` need not know; its long lists are empty, its
//! long texts cut, and `report` says where the whole is.

use bytes::Bytes;
use serde_json::{Value, json};

use mongotar::store::{Location, Store, StoreError, Tags};

/// The longest answer, in bytes. What Step Functions adds on the way needs room too.
const LIMIT: usize = 200_000;
/// From which length on a list is emptied and a text is cut; the next where that was not enough.
const LONG: [usize; 4] = [16_384, 4_096, 1_024, 128];
/// How deep lists within lists are looked for.
const DEEPEST: usize = 3;

/// Where a report can be stored: the first name that is free.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerPlace {
    pub(super) folder: Location,
    pub(super) names: Vec<String>,
    /// Those of the archive that it is about, which it is not to outlive.
    pub(super) tags: Tags,
}

/// The answer itself, or its short form with the whole one stored.
pub(super) async fn fit(whole: Value, place: Option<AnswerPlace>, store: &Store) -> Value {
    let text = whole.to_string();
    if text.len() <= LIMIT {
        return whole;
    }
    let mut short = shortened(whole);
    match keep(text, place, store).await {
        Ok(location) => {
            tracing::info!(report = %location, "the report is too large for an answer, and was stored");
            short["report"] = json!(location);
        }
        // What the report is about is done, and the answer says how it ended.
        Err(reason) => {
            tracing::error!(reason, "the report is too large for an answer, and could not be stored");
            short["report"] = Value::Null;
            short["report_error"] = json!(reason);
        }
    }
    short
}

async fn keep(text: String, place: Option<AnswerPlace>, store: &Store) -> Result<Location, String> {
    let place = place.ok_or("there is no folder for it")?;
    let text = Bytes::from(text);
    let store = store.tagged(place.tags.clone());
    let mut taken = String::new();
    for name in &place.names {
        let location = place.folder.join(name);
        match store.put(&location, text.clone(), "application/json").await {
            Ok(()) => return Ok(location),
            // The same run has answered before.
            Err(error @ StoreError::Exists(..)) => taken = error.to_string(),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(taken)
}

fn shortened(mut value: Value) -> Value {
    for longest in LONG {
        // Lists within lists first: of several databases each keeps its status as long as that is possible.
        for depth in (1..=DEEPEST).rev() {
            empty_lists(&mut value, longest, depth);
            if value.to_string().len() <= LIMIT {
                return value;
            }
        }
        cut_texts(&mut value, longest);
        if value.to_string().len() <= LIMIT {
            return value;
        }
    }
    // Neither lists nor texts made it that long: what is left is what each of its fields says by itself.
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_array() && !value.is_object());
    }
    value
}

/// Empties the long lists that are within `depth - 1` others.
fn empty_lists(value: &mut Value, longest: usize, depth: usize) {
    match value {
        Value::Array(elements) if depth == 1 => {
            let length: usize = elements.iter().map(|element| element.to_string().len() + 1).sum();
            if length > longest {
                elements.clear();
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| empty_lists(element, longest, depth - 1)),
        Value::Object(fields) => fields.values_mut().for_each(|field| empty_lists(field, longest, depth)),
        _ => {}
    }
}

fn cut_texts(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) if text.len() > longest => {
            let end = text.floor_char_boundary(longest / 2);
            text.truncate(end);
            text.push('…');
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| cut_texts(element, longest)),
        Value::Object(fields) => fields.values_mut().for_each(|field| cut_texts(field, longest)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn place(folder: &tempfile::TempDir) -> AnswerPlace {
        AnswerPlace {
            folder: Location::Local(folder.path().to_owned()),
            names: vec!["a.report.json".to_owned(), "a_2.report.json".to_owned()],
            tags: Tags::default(),
        }
    }

    fn large() -> Value {
        let collections: Vec<Value> = (0..5_000)
            .map(|at| json!({"name": format!("collection {at}"), "equal": true}))
            .collect();
        json!({
            "status": "partial", "summary": "one sentence", "failed": [{"name": "c", "error": "no"}], "collections": collections,
            "plan": {"to_drop": [], "collections": collections}, "markdown": "ü".repeat(300_000),
        })
    }

    #[tokio::test]
    async fn an_answer_that_fits_is_left_alone_and_nothing_is_stored() {
        let folder = folder();
        let small = json!({"status": "complete", "collections": ["a"]});
        assert_eq!(fit(small.clone(), Some(place(&folder)), &Store::new()).await, small);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[tokio::test]
    async fn a_large_answer_keeps_its_shape_and_says_where_the_whole_is() {
        let folder = folder();
        let store = Store::new();
        for name in ["a.report.json", "a_2.report.json"] {
            let short = fit(large(), Some(place(&folder)), &store).await;
            assert!(short.to_string().len() <= LIMIT);
            for field in ["status", "summary", "failed"] {
                assert_eq!(short[field], large()[field]);
            }
            assert_eq!(
                (&short["collections"], &short["plan"]),
                (&json!([]), &json!({"to_drop": [], "collections": []}))
            );
            assert!(
                short["markdown"]
                    .as_str()
                    .is_some_and(|text| text.ends_with("ü…") && text.len() < 16_384)
            );
            let stored = folder.path().join(name);
            assert_eq!(short["report"], json!(stored));
            let stored: Value = serde_json::from_slice(&std::fs::read(stored).expect("it is there")).expect("JSON");
            assert_eq!(stored, large());
        }
        let short = fit(large(), Some(place(&folder)), &store).await;
        assert!(
            short["report"].is_null() && short["report_error"].as_str().is_some_and(|why| why.contains("exists")),
            "{short}"
        );
        assert_eq!(short["status"], "partial");
    }

    #[test]
    fn of_several_databases_each_keeps_what_became_of_it() {
        let database = |at: usize| {
            let collections: Vec<String> = (0..3_000).map(|at| format!("collection {at}")).collect();
            json!({"database": format!("db{at}"), "status": "complete", "failed": ["c"], "collections": collections})
        };
        let short = shortened(json!({"status": "complete", "databases": (0..20).map(database).collect::<Vec<_>>()}));
        let databases = short["databases"].as_array().expect("a list");
        assert_eq!(databases.len(), 20);
        for database in databases {
            assert_eq!(
                (&database["status"], &database["failed"], &database["collections"]),
                (&json!("complete"), &json!(["c"]), &json!([]))
            );
        }
    }

    #[test]
    fn whatever_makes_an_answer_long_it_gets_short() {
        let many_keys: serde_json::Map<String, Value> = (0..50_000).map(|at| (at.to_string(), json!([at]))).collect();
        let many_lists: serde_json::Map<String, Value> =
            (0..100).map(|at| (at.to_string(), json!(vec![at; 4_000]))).collect();
        for (value, status) in [
            (json!({"status": "complete", "map": many_keys}), "complete"),
            (json!({"status": "failed", "map": many_lists}), "failed"),
        ] {
            let short = shortened(value);
            assert!(short.to_string().len() <= LIMIT);
            assert_eq!(short["status"], status);
        }
    }
}
