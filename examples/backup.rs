//! A backup, from a program of your own: `cargo run --example backup -- mongodb://localhost:27017 shop backups`.
use mongotar::backup::{BackupReport, BackupRequest, Tools, backup};
use mongotar::{config::Environment, failure::Failure};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let report = back_up(&given[0], &given[1], &given[2]).await?;
    println!("{}: {:?}", report.archive, report.totals);
    Ok(())
}

pub async fn back_up(uri: &str, database: &str, folder: &str) -> Result<BackupReport, Failure> {
    let event = serde_json::json!({"database": database, "destination": folder});
    let job = BackupRequest::from_event(event)?.into_job(&Environment::default())?;
    backup(&job, &Tools::connect(uri).await?).await
}
