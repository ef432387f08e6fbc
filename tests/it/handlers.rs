//! Both Lambda functions: the real binaries behind the real Runtime API protocol, a real database and a real S3.

mod backup;
mod compact;
mod continued;
mod dry_run;
mod hidden;
mod large;
mod linked;
mod logs;
mod metrics;
mod refusals;
mod restore;
mod schemas;
mod seconds;
mod secret;
mod told;
mod warm;

use std::time::Duration;

use bson::{Document, doc};
use mongotar::store::Location;
use serde_json::{Value, json};

use crate::rig::{self, FunctionError, LambdaFunction};
use crate::support;

pub const BACKUP: &str = env!("CARGO_BIN_EXE_backup");
pub const RESTORE: &str = env!("CARGO_BIN_EXE_restore");

/// What AWS gives a function at the most. Nothing here takes a tenth of it, on a machine that has nothing else to do.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A database with `orders` and `users`, and a folder for its archives.
pub struct Shop {
    pub database: String,
    pub folder: Location,
    pub client: mongodb::Client,
}

pub async fn shop() -> Shop {
    let shop = Shop {
        database: rig::fresh_database_name("handlers"),
        folder: support::bucket().await,
        client: rig::shared_replica_set().client().await,
    };
    shop.insert("orders", 0..3).await;
    shop.insert("users", 0..2).await;
    shop
}

impl Shop {
    pub async fn insert(&self, collection: &str, ids: std::ops::Range<i32>) {
        let documents: Vec<Document> = ids.map(|id| doc! {"_id": id, "text": "x"}).collect();
        support::insert(&self.client, &self.database, collection, documents).await;
    }

    pub async fn collections(&self) -> Vec<String> {
        self.collections_of(&self.database).await
    }

    pub async fn collections_of(&self, database: &str) -> Vec<String> {
        let mut names = self
            .client
            .database(database)
            .list_collection_names()
            .await
            .expect("names");
        names.sort_unstable();
        names
    }

    pub async fn count(&self, database: &str, collection: &str) -> usize {
        support::raw_documents(&self.client, database, collection).await.len()
    }

    /// The environment of a function that is configured for this shop.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = rig::shared_s3().env();
        env.extend([
            ("MONGO_URI".to_owned(), rig::shared_replica_set().uri()),
            ("MONGO_DB".to_owned(), self.database.clone()),
            ("MONGOTAR_TO".to_owned(), self.folder.to_string()),
        ]);
        env
    }

    /// A function in that environment, changed by `more`: the last value of a name rules, and an empty one is none.
    pub fn function(&self, binary: &str, more: &[(&str, &str)]) -> LambdaFunction {
        LambdaFunction::builder(&rig::program(binary))
            .env(self.env())
            .env(more.iter().copied())
            .start()
    }

    /// Backs the shop up by its function; gives the archive's place.
    pub async fn archive(&self) -> String {
        let report = answer(&self.function(BACKUP, &[]), json!({})).await;
        text(&report["archive"])
    }
}

pub async fn answer(function: &LambdaFunction, event: Value) -> Value {
    let answered = function.invoke(event, TIMEOUT).await;
    answered.unwrap_or_else(|error| panic!("{error}\n{}", function.logs().join("\n")))
}

pub async fn refusal(function: &LambdaFunction, event: Value) -> FunctionError {
    let shown = event.to_string();
    match function.invoke(event, TIMEOUT).await {
        Err(error) => error,
        Ok(answer) => panic!("{shown} was not refused: {answer}"),
    }
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

pub fn names(list: &Value) -> Vec<String> {
    let all = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    all.iter().map(|element| text(&element["name"])).collect()
}

/// What EventBridge sends to the target of a rule with a schedule.
pub fn scheduled_event(detail: Value) -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-21T02:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly-backup"],
        "detail": detail
    })
}
