//! The backup function of AWS Lambda: an event in, a report out. See `mongotar::backup`.

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use mongotar::lambda::{Function, answer};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let function = Arc::new(Function::start().await);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        async move { answer(function.backup(event.payload).await?) }
    }))
    .await
}
