//! Arguments of the commands that work on a database.

use clap::Args;

#[derive(Debug, Args)]
pub struct ConnectionArguments {
    /// The connection string; MONGO_URI in the environment or in .env is the safer place for it.
    #[arg(long, value_name = "URI")]
    pub mongo_uri: Option<String>,
    /// The database; else MONGO_DB, else the one in the connection string. A backup takes several, separated by commas,
    /// or '*' for all, into a folder each.
    #[arg(long, value_name = "NAME")]
    pub mongo_db: Option<String>,
    /// Memory budget of the run in MB; else MONGOTAR_MEMORY, else enough to keep this machine's cores busy (190 for
    /// two). At least 64. A document of several MB, or a part of an archive of more than 56 GB, may exceed it.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
}

#[derive(Debug, Args)]
pub struct Choice {
    /// Only collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Skip collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}
