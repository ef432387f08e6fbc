//! Arguments of `estimate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupRequest, Databases, EstimateJob, FunctionSize, Prices};
use mongotar::config::Environment;
use mongotar::failure::Failure;

use super::connection::{Choice, ConnectionArguments};

/// Where an archive would go, if nothing says it: parts of archives in S3 are counted.
const SOMEWHERE: &str = "s3://bucket/";

#[derive(Debug, Args)]
pub struct Estimate {
    #[command(flatten)]
    pub connection: ConnectionArguments,
    #[command(flatten)]
    pub choice: Choice,
    /// How documents would be written: jsonl or bson.
    #[arg(long)]
    pub payload: Option<Payload>,
    /// How the archive would be compressed: zstd, gzip or none.
    #[arg(long)]
    pub compression: Option<Compression>,
    /// For how many seconds the database is read.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// The memory of the function that would make the backups, MB.
    #[arg(long, value_name = "MB", default_value_t = 1769, value_parser = value_parser!(u32).range(128..=10_240))]
    pub function_memory: u32,
    /// The processor of that function: arm64 or x86_64.
    #[arg(long, value_name = "NAME", default_value = "arm64", value_parser = ["arm64", "x86_64"])]
    pub architecture: String,
    /// A file of prices to use instead of those that come along; infra/prices.json shows the form.
    #[arg(long, value_name = "FILE.json")]
    pub prices: Option<PathBuf>,
}

impl Estimate {
    /// What is to be estimated.
    ///
    /// # Errors
    /// What is wrong with the request, or the prices.
    pub fn job(&self, environment: &Environment) -> Result<EstimateJob, Failure> {
        let request = BackupRequest {
            database: self.connection.mongo_db.as_deref().map(Databases::from),
            destination: environment.destination.clone().or(Some(SOMEWHERE.to_owned())),
            include: self.choice.include.clone(),
            exclude: self.choice.exclude.clone(),
            payload: self.payload,
            compression: self.compression,
            ..BackupRequest::default()
        };
        let prices = match &self.prices {
            None => Prices::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Failure::invalid(format!("--prices {}: {error}", path.display())))?;
                Prices::parse(&text)?
            }
        };
        Ok(EstimateJob {
            backup: request.into_order(environment)?.single()?,
            reading: Duration::from_secs(self.seconds),
            function: FunctionSize {
                memory: self.function_memory,
                architecture: self.architecture.clone(),
            },
            prices,
        })
    }
}
