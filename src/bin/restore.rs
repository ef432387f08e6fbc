//! The restore function of AWS Lambda: an event in, a report out. See `mongotar::restore`.

use std::sync::Arc;

use lambda_runtime::{Error, service_fn};
use mongotar::lambda::Function;
use mongotar::runtime::runtime;

fn main() -> Result<(), Error> {
    runtime()?.block_on(async {
        let function = Arc::new(Function::start().await);
        lambda_runtime::run(service_fn(move |event| {
            let function = Arc::clone(&function);
            async move { function.answer_restore(event).await }
        }))
        .await
    })
}
