//! A restore, from a program of your own: `cargo run --example restore -- mongodb://localhost:27017 FILE shop_again`.
use mongotar::restore::{RestoreReport, RestoreRequest, carry_out, prepare};
use mongotar::{backup::Tools, config::Environment, failure::Failure};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", restore(&given[0], &given[1], &given[2]).await?.summary);
    Ok(())
}

pub async fn restore(uri: &str, archive: &str, database: &str) -> Result<RestoreReport, Failure> {
    let event = serde_json::json!({"archive": archive, "database": database, "yes": true});
    let job = RestoreRequest::from_event(event)?.into_job(&Environment::default())?;
    let tools = Tools::connect(uri).await?;
    let prepared = prepare(&job, &tools).await?; // The plan, which can be shown. Nothing is changed before the next line.
    carry_out(prepared, &job, &tools).await
}
