//! The command line's words: those of the events, with dashes.

use clap::{Args, Parser, Subcommand};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupRequest, ConsistencyDemand, Databases, Retention};
use mongotar::choice::ArchiveChoice;
use mongotar::drill::DrillRequest;
use mongotar::restore::RestoreRequest;

/// MongoDB backups as one standard tar, in S3 or a folder, that come back proven equal.
#[derive(Debug, Parser)]
#[command(name = "mongotar", version, about, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// One JSON document instead of text on standard output.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Back a database up into one archive.
    Backup(Backup),
    /// Restore an archive into a database, and verify it by reading it back.
    Restore(Restore),
    /// Say what a restore would do, and change nothing (the same as restore --dry-run).
    Plan(Restore),
    /// Prove that an archive restores: into a scratch database, which is compared and dropped again.
    Drill(Drill),
    /// Read every byte of an archive and check it, without a database; with --against, compare it with a live database.
    ///
    /// By itself, the archive is read from end to end: exit code 0 where every byte is as it was written, 3 where it is
    /// sound but the backup was partial, 1 where it is damaged.
    ///
    /// With --against, nothing is changed either, and read rights suffice. Each collection that is chosen is read from
    /// the archive (each segment is checked on the way) and from the database. Compared are kind, number of documents,
    /// their digest, options and indexes; views by their definitions, time series with their top-level fields sorted.
    /// Not compared are the order of documents, and what an archive of other tools does not say (the report names it).
    /// Exit code 0 only where all is equal; 3 where a collection has drifted, is missing, is extra or could not be
    /// compared (the backup of it failed, or this user may not read it), or where expiry is off in the database and
    /// --park-ttl is not given; 1 where the archive is damaged or the
    /// comparison could not be done. Collections that are written to meanwhile are read as they come, so compare a
    /// database that stands still. Parts of the archive that were not chosen are not read: only verify without
    /// --against checks them.
    Verify(Verify),
    /// List the archives in a folder.
    List(FolderArguments),
    /// Show what is in an archive.
    Show(OneArchive),
    /// Write the documents of one collection as Extended JSON lines.
    Cat(Cat),
}

#[derive(Debug, Args)]
pub struct ConnectionArguments {
    /// The connection string; MONGO_URI in the environment or in .env is the safer place for it.
    #[arg(long, value_name = "URI")]
    pub mongo_uri: Option<String>,
    /// The database; else MONGO_DB, else the one that the connection string names. A backup takes several with commas
    /// between them, or '*' for all, into a folder each.
    #[arg(long, value_name = "NAME")]
    pub mongo_db: Option<String>,
    /// How much memory the run may take, in MB; else MONGOTAR_MEMORY, else what keeps the cores of this machine busy
    /// (190 for two). At least 64. A document of several MB, or a part of an archive of more than 56 GB, takes what it
    /// takes.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
}

#[derive(Debug, Args)]
pub struct Choice {
    /// Only collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not the collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The folder for the archive: s3://bucket/prefix/ or a path; else MONGOTAR_TO.
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<String>,
    #[command(flatten)]
    pub choice: Choice,
    /// How documents are written: jsonl or bson.
    #[arg(long)]
    pub payload: Option<Payload>,
    /// How the archive is compressed: zstd, gzip or none.
    #[arg(long)]
    pub compression: Option<Compression>,
    /// Spread each document over several lines.
    #[arg(long)]
    pub pretty: bool,
    /// Take the users and roles of the database along, with their hashed credentials. Whoever may read the archive may
    /// then try to guess passwords.
    #[arg(long)]
    pub users: bool,
    /// auto: one cluster time for all collections where that can be had; require: that, or no archive.
    #[arg(long)]
    pub consistency: Option<ConsistencyDemand>,
    /// The class that objects in S3 are tagged with, for the bucket's lifecycle rules: auto, daily, weekly, monthly or
    /// yearly; else MONGOTAR_RETENTION.
    #[arg(long, value_name = "CLASS")]
    pub retention: Option<Retention>,
    #[command(flatten)]
    pub name: RunName,
    #[command(flatten)]
    pub output: CountsTo,
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path.
    #[arg(required_unless_present = "latest", conflicts_with = "latest")]
    pub archive: Option<String>,
    /// The newest archive in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub latest: Option<String>,
    #[command(flatten)]
    pub source: SourceDatabase,
    #[command(flatten)]
    pub choice: Choice,
    /// Restore a collection under another name: orders=orders_copy; can be repeated.
    #[arg(long, value_name = "FROM=TO")]
    pub rename: Vec<String>,
    /// Leave indexes out: places.near, or a glob: 'places.*' (collection.index, by the names in the archive); can be
    /// repeated.
    #[arg(long, value_name = "COLLECTION.INDEX")]
    pub exclude_index: Vec<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Do not ask, if the plan is still the one with this token.
    #[arg(long, value_name = "TOKEN")]
    pub confirm: Option<String>,
    /// Put documents in past the collections' validators; violations are counted.
    #[arg(long)]
    pub force: bool,
    /// Collections that are there become what the archive holds, instead of being merged into by _id.
    #[arg(long)]
    pub replace_existing: bool,
    /// Keep collections that are not in the archive.
    #[arg(long)]
    pub keep_extra: bool,
    /// Drop collections that are not in the archive, even if it does not say that it is whole, as a dump of mongodump.
    /// Without this, only mongotar's own archives of a whole database (and those of the scripts before it) drop
    /// anything.
    #[arg(long)]
    pub drop_missing: bool,
    /// Leave expiry off: indexes, time series and clustered collections are made without time to live, and the plan
    /// and the report have the commands that switch it on.
    #[arg(long)]
    pub park_ttl: bool,
    /// Restore the users and roles that the archive has, where there are none of their names. Those that are there are
    /// not changed.
    #[arg(long)]
    pub users: bool,
    /// Grant restored users their roles on other databases, too.
    #[arg(long, requires = "users")]
    pub grant_elsewhere: bool,
    /// Do not take collections without metadata for time series.
    #[arg(long)]
    pub no_infer_timeseries: bool,
    /// No backup of the target first: there is then no way back.
    #[arg(long)]
    pub no_snapshot: bool,
    /// The folder for that backup; pre-restore/ beside the archive where it is left out.
    #[arg(long, value_name = "FOLDER")]
    pub snapshot_to: Option<String>,
    /// How many documents go into one insert command at most.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub batch_size: u32,
    /// How many documents the sample hash covers.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_size: u32,
    #[command(flatten)]
    pub name: RunName,
    #[command(flatten)]
    pub output: CountsTo,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub archive: OneArchive,
    /// Compare with this database, and change nothing: a connection string that names it, mongodb://host/db?options (a
    /// user of another database needs ?authSource=), or the database's name alone where MONGO_URI is set, which is the
    /// safer place for a password.
    #[arg(long, value_name = "URI/DB")]
    pub against: Option<String>,
    /// How much memory it may take, in MB; else MONGOTAR_MEMORY. At least 64.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
    /// Compare only collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB", requires = "against")]
    pub include: Vec<String>,
    /// Do not compare the collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB", requires = "against")]
    pub exclude: Vec<String>,
    /// Expiry that is off in the database, as restore --park-ttl leaves it, is as it is to be: exit code 0 where
    /// nothing else differs. It is said all the same.
    #[arg(long, requires = "against")]
    pub park_ttl: bool,
    /// Keep what is checked under this name: after an interrupt, a kill or a reboot the same command goes on where it
    /// was.
    #[arg(long, value_name = "NAME", conflicts_with = "against")]
    pub run: Option<String>,
    #[command(flatten)]
    pub output: CountsTo,
}

#[derive(Debug, Args)]
pub struct RunName {
    /// Keep what is done under this name: after an interrupt, a kill or a reboot the same command goes on where it was.
    /// The state lies below the folder of the archives, in .in-progress/, and goes away at the end; the same name then
    /// begins anew.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct CountsTo {
    /// Write a row for each collection to this CSV file (RFC 4180; a file of that name is replaced), or to standard
    /// output with -, where the text then goes to standard error. Names are written as they are: a spreadsheet may take
    /// one for a formula.
    #[arg(long, value_name = "FILE.csv")]
    pub counts: Option<String>,
}

#[derive(Debug, Args)]
pub struct Drill {
    /// The connection string; MONGO_URI in the environment or in .env is the safer place for it.
    #[arg(long, value_name = "URI")]
    pub mongo_uri: Option<String>,
    /// How much memory it may take, in MB; else MONGOTAR_MEMORY. At least 64.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path; else the newest in --latest, else the newest in
    /// MONGOTAR_TO.
    #[arg(conflicts_with = "latest")]
    pub archive: Option<String>,
    /// The newest archive in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub latest: Option<String>,
    #[command(flatten)]
    pub source: SourceDatabase,
    #[command(flatten)]
    pub choice: Choice,
    /// Leave indexes out: places.near, or a glob: 'places.*' (collection.index, by the names in the archive); can be
    /// repeated.
    #[arg(long, value_name = "COLLECTION.INDEX")]
    pub exclude_index: Vec<String>,
    /// Leave expiry off in the scratch database, however long the drill takes.
    #[arg(long)]
    pub park_ttl: bool,
    /// The scratch database, which must not exist; a fresh name where it is left out.
    #[arg(long, value_name = "NAME")]
    pub scratch: Option<String>,
    /// How many documents the sample hash covers.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_size: u32,
    #[command(flatten)]
    pub name: RunName,
}

#[derive(Debug, Args)]
pub struct OneArchive {
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path.
    pub archive: String,
    #[command(flatten)]
    pub source: SourceDatabase,
}

#[derive(Debug, Args)]
pub struct SourceDatabase {
    /// Which database (or folder) of the archive, where a dump of other tools holds several.
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

impl Backup {
    /// The event that means the same.
    pub fn request(&self) -> BackupRequest {
        BackupRequest {
            database: self.connection.mongo_db.as_deref().map(databases),
            destination: self.to.clone(),
            include: self.choice.include.clone(),
            exclude: self.choice.exclude.clone(),
            payload: self.payload,
            compression: self.compression,
            pretty: self.pretty,
            consistency: self.consistency,
            retention: self.retention,
            ..BackupRequest::default()
        }
    }
}

/// One name, several with commas between them, or a star.
fn databases(given: &str) -> Databases {
    match given.contains(',') {
        true => Databases::Several(given.split(',').map(|name| name.trim().to_owned()).collect()),
        false => Databases::from(given),
    }
}

impl Drill {
    /// The event that means the same.
    pub fn request(&self) -> DrillRequest {
        let latest = || self.latest.clone().map(|latest| ArchiveChoice::Latest { latest });
        DrillRequest {
            archive: self.archive.clone().map(ArchiveChoice::At).or_else(latest),
            source_database: self.source.source_database.clone(),
            scratch: self.scratch.clone(),
            include: self.choice.include.clone(),
            exclude: self.choice.exclude.clone(),
            exclude_indexes: self.exclude_index.clone(),
            park_ttl: self.park_ttl,
            verify_sample_size: Some(self.verify_sample_size),
            run: None,
        }
    }
}

impl Restore {
    /// The event that means the same.
    pub fn request(&self) -> RestoreRequest {
        let latest = || self.latest.clone().map(|latest| ArchiveChoice::Latest { latest });
        RestoreRequest {
            archive: self.archive.clone().map(ArchiveChoice::At).or_else(latest),
            source_database: self.source.source_database.clone(),
            database: self.connection.mongo_db.clone(),
            rename: self.rename.clone(),
            include: self.choice.include.clone(),
            exclude: self.choice.exclude.clone(),
            exclude_indexes: self.exclude_index.clone(),
            dry_run: self.dry_run,
            confirm: self.confirm.clone(),
            yes: self.yes,
            force: self.force,
            replace_existing: self.replace_existing,
            keep_extra: self.keep_extra,
            drop_missing: self.drop_missing,
            park_ttl: self.park_ttl,
            snapshot: Some(!self.no_snapshot),
            snapshot_to: self.snapshot_to.clone(),
            infer_timeseries: Some(!self.no_infer_timeseries),
            batch_size: Some(self.batch_size),
            verify_sample_size: Some(self.verify_sample_size),
            ..RestoreRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_program_has_its_own_name_and_not_its_packages() {
        assert_eq!(Arguments::command().get_name(), "mongotar");
    }
}
