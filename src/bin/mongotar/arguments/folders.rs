//! Arguments of the commands that work on archives alone, without a database.

use clap::Args;
use mongotar::backup::Retention;

use super::outputs::MetricsTo;

#[derive(Debug, Args)]
pub struct OneArchive {
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path.
    pub archive: String,
    #[command(flatten)]
    pub source: SourceDatabase,
}

#[derive(Debug, Args)]
pub struct SourceDatabase {
    /// Which database (or folder) of the archive, if another tool's dump holds several.
    #[arg(long, value_name = "NAME")]
    pub source_database: Option<String>,
}

#[derive(Debug, Args)]
pub struct FolderArguments {
    /// The folder: s3://bucket/prefix/ or a path; else MONGOTAR_TO.
    pub folder: Option<String>,
}

#[derive(Debug, Args)]
pub struct Cat {
    /// The archive.
    pub archive: String,
    /// The collection.
    pub collection: String,
    #[command(flatten)]
    pub source: SourceDatabase,
}

#[derive(Debug, Args)]
pub struct Compact {
    #[command(flatten)]
    pub folder: FolderArguments,
    /// The retention class, a tag of objects in S3 for the bucket's lifecycle rules: auto, daily, weekly, monthly or
    /// yearly; else MONGOTAR_RETENTION.
    #[arg(long, value_name = "CLASS")]
    pub retention: Option<Retention>,
    /// Memory budget of the run in MB; else MONGOTAR_MEMORY, else enough to keep this machine's cores busy.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
    #[command(flatten)]
    pub metrics: MetricsTo,
}
