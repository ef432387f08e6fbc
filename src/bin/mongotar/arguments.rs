//! The command line's words: those of the events, with dashes.

mod connection;
mod estimate;
mod folders;
mod outputs;

use clap::{Args, Parser, Subcommand};
use mongotar::archive::{Compression, Payload};
use mongotar::backup::{BackupRequest, ConsistencyDemand, Databases, Retention};
use mongotar::choice::ArchiveChoice;
use mongotar::drill::DrillRequest;
use mongotar::restore::RestoreRequest;

pub use connection::{Choice, ConnectionArguments};
pub use estimate::Estimate;
pub use folders::{Cat, Compact, FolderArguments, OneArchive, SourceDatabase};
pub use outputs::{CountsTo, MetricsTo};

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
    /// Show what a restore would do, without changes (the same as restore --dry-run).
    Plan(Restore),
    /// Prove that an archive restores: into a scratch database, compared and then dropped.
    Drill(Drill),
    /// Read every byte of an archive and check it, without a database; with --against, compare it with a live database.
    ///
    /// By itself, it reads the archive from end to end: exit code 0 if every byte is as written, 3 if the archive is
    /// sound but the backup was partial, 1 if it is damaged.
    ///
    /// With --against, it changes nothing either, and needs only read rights. It reads each chosen collection from the
    /// archive (checking each segment) and from the database, and compares kind, number of documents, digest, options
    /// and indexes; views by their definitions, time series with their top-level fields sorted. It does not compare the
    /// order of documents, nor what another tool's archive does not state (the report names it). Exit code 0 only if
    /// all is equal; 3 if a collection has drifted, is missing, is extra or could not be compared (its backup failed,
    /// or this user may not read it), or if expiry is off in the database without --park-ttl; 1 if the archive is
    /// damaged or the comparison failed. Writes during the comparison show up in it, so compare a quiet database. Parts
    /// of the archive that were not chosen are not read: only verify without --against checks them.
    Verify(Verify),
    /// List the archives in a folder.
    List(FolderArguments),
    /// Show from when to when the archives in a folder reach, and how close their moments are.
    Coverage(FolderArguments),
    /// Make a full archive of the newest chain in a folder, without its database.
    ///
    /// It shows the moment of the chain's newest increment, and later increments continue from it. Nothing is committed
    /// unless every collection has the digest that the increment states. The chain stays where it is.
    Compact(Compact),
    /// Make increments for as long as it runs: one every so often, a full backup now and then.
    Watch(Watch),
    /// Estimate what backups of a database take and cost, by reading some of it.
    ///
    /// Each collection is read for its share of the time, encoded and compressed as a backup does it, and thrown away.
    /// Nothing is written anywhere. Prices are published ones of a day and a region, which --prices replaces.
    Estimate(Estimate),
    /// Show what is in an archive.
    Show(OneArchive),
    /// Write the documents of one collection as Extended JSON lines.
    Cat(Cat),
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
    /// Also save the database's users and roles, with their hashed credentials. Whoever can read the archive may then
    /// try to guess passwords.
    #[arg(long)]
    pub users: bool,
    /// auto: one cluster time for all collections if possible; require: that, or no archive.
    #[arg(long)]
    pub consistency: Option<ConsistencyDemand>,
    /// Save only what changed since the newest archive in the folder, as an increment of its chain (in
    /// backup_….chain/ beside it); a full backup if there is none to continue. Needs a replica set.
    #[arg(long)]
    pub incremental: bool,
    /// With increments: make a full backup where the chain's full one is older than this (7d, 12h).
    #[arg(long, value_name = "TIME")]
    pub full_every: Option<String>,
    /// With --incremental: fail where there is no chain to continue, instead of making a full backup.
    #[arg(long)]
    pub no_full: bool,
    /// The retention class, a tag of objects in S3 for the bucket's lifecycle rules: auto, daily, weekly, monthly or
    /// yearly; else MONGOTAR_RETENTION.
    #[arg(long, value_name = "CLASS")]
    pub retention: Option<Retention>,
    #[command(flatten)]
    pub name: RunName,
    #[command(flatten)]
    pub output: CountsTo,
    #[command(flatten)]
    pub metrics: MetricsTo,
}

#[derive(Debug, Args)]
pub struct Watch {
    /// How often: 30s, 5m, 1h. What fails is tried again at the next turn. A failure that does not pass by itself (a
    /// folder that cannot be written, a role without rights) ends the watch: at once in the first turn, later when it
    /// comes 5 times in a row.
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub every: String,
    /// Make one and end: for cron and timers.
    #[arg(long)]
    pub once: bool,
    /// Make a full archive of the chain, without reading the database, where its full archive is older than this (1d).
    #[arg(long, value_name = "TIME", conflicts_with = "once")]
    pub compact_every: Option<String>,
    #[command(flatten)]
    pub backup: Backup,
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path.
    #[arg(required_unless_present = "latest", conflicts_with = "latest")]
    pub archive: Option<String>,
    /// The newest archive in this folder, increments included.
    #[arg(long, value_name = "FOLDER")]
    pub latest: Option<String>,
    /// With --latest: as of this moment, where increments tell of it, or else the nearest before it. A second,
    /// 2026-11-25T14:03:27Z, up to its end, or a cluster time, 1795633407.31.
    #[arg(long, value_name = "MOMENT", requires = "latest", conflicts_with = "archive")]
    pub at: Option<String>,
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
    /// Show the plan, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Do not ask if the plan still has this token.
    #[arg(long, value_name = "TOKEN")]
    pub confirm: Option<String>,
    /// Insert documents past the collections' validators; violations are counted.
    #[arg(long)]
    pub force: bool,
    /// Replace existing collections with the archive's, instead of merging into them by _id.
    #[arg(long)]
    pub replace_existing: bool,
    /// Keep collections that are not in the archive.
    #[arg(long)]
    pub keep_extra: bool,
    /// Drop collections that are not in the archive, even if it does not claim to be whole, like a mongodump dump.
    /// Without this, only mongotar's own archives of a whole database (and those of the old scripts) drop anything.
    #[arg(long)]
    pub drop_missing: bool,
    /// Leave expiry off: create indexes, time series and clustered collections without time to live; plan and report
    /// have the commands that switch it on.
    #[arg(long)]
    pub park_ttl: bool,
    /// Restore the archive's users and roles, unless their names are taken. Existing ones are not changed.
    #[arg(long)]
    pub users: bool,
    /// Grant restored users their roles on other databases, too.
    #[arg(long, requires = "users")]
    pub grant_elsewhere: bool,
    /// Do not take collections without metadata for time series.
    #[arg(long)]
    pub no_infer_timeseries: bool,
    /// Take no backup of the target first: then there is no way back.
    #[arg(long)]
    pub no_snapshot: bool,
    /// The folder for that backup; by default pre-restore/ beside the archive.
    #[arg(long, value_name = "FOLDER")]
    pub snapshot_to: Option<String>,
    /// Maximum number of documents in one insert command.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub batch_size: u32,
    /// How many documents the sample hash covers.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_size: u32,
    #[command(flatten)]
    pub name: RunName,
    #[command(flatten)]
    pub output: CountsTo,
    #[command(flatten)]
    pub metrics: MetricsTo,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub archive: OneArchive,
    /// Compare with this database, and change nothing: a connection string that names it, mongodb://host/db?options (a
    /// user of another database needs ?authSource=), or only its name if MONGO_URI is set, the safer place for a
    /// password.
    #[arg(long, value_name = "URI/DB")]
    pub against: Option<String>,
    /// Memory budget in MB; else MONGOTAR_MEMORY. At least 64.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
    /// Compare only collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB", requires = "against")]
    pub include: Vec<String>,
    /// Do not compare the collections that match this glob; can be repeated.
    #[arg(long, value_name = "GLOB", requires = "against")]
    pub exclude: Vec<String>,
    /// Accept expiry that is off in the database, as restore --park-ttl leaves it: exit code 0 if nothing else differs.
    /// The report still names it.
    #[arg(long, requires = "against")]
    pub park_ttl: bool,
    /// Keep progress under this name: after an interrupt, a kill or a reboot, the same command resumes.
    #[arg(long, value_name = "NAME", conflicts_with = "against")]
    pub run: Option<String>,
    /// The folder for the state of a --run; by default pre-restore/ beside the archive.
    #[arg(long, value_name = "FOLDER", requires = "run")]
    pub state_to: Option<String>,
    #[command(flatten)]
    pub output: CountsTo,
    #[command(flatten)]
    pub metrics: MetricsTo,
}

#[derive(Debug, Args)]
pub struct RunName {
    /// Keep progress under this name: after an interrupt, a kill or a reboot, the same command resumes. The state lies
    /// below the archives' folder, in .in-progress/, and is removed at the end; the same name then begins anew.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct Drill {
    /// The connection string; MONGO_URI in the environment or in .env is the safer place for it.
    #[arg(long, value_name = "URI")]
    pub mongo_uri: Option<String>,
    /// Memory budget in MB; else MONGOTAR_MEMORY. At least 64.
    #[arg(long, value_name = "MB")]
    pub memory: Option<String>,
    /// The archive: s3://bucket/prefix/backup_….tar.zst or a path; else the newest in --latest, else the newest in
    /// MONGOTAR_TO.
    #[arg(conflicts_with = "latest")]
    pub archive: Option<String>,
    /// The newest archive in this folder, increments included.
    #[arg(long, value_name = "FOLDER")]
    pub latest: Option<String>,
    /// With --latest: as of this moment, where increments tell of it, or else the nearest before it. A second,
    /// 2026-11-25T14:03:27Z, up to its end, or a cluster time, 1795633407.31.
    #[arg(long, value_name = "MOMENT", requires = "latest", conflicts_with = "archive")]
    pub at: Option<String>,
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
    /// The scratch database, which must not exist; by default a fresh name.
    #[arg(long, value_name = "NAME")]
    pub scratch: Option<String>,
    /// The folder for the state of a --run and its report; by default pre-restore/ beside the archive.
    #[arg(long, value_name = "FOLDER", requires = "run")]
    pub state_to: Option<String>,
    /// How many documents the sample hash covers.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub verify_sample_size: u32,
    #[command(flatten)]
    pub name: RunName,
    #[command(flatten)]
    pub metrics: MetricsTo,
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
            incremental: self.incremental,
            full_every: self.full_every.clone(),
            no_full: self.no_full,
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
        let at = self.at.clone();
        let latest = || self.latest.clone().map(|latest| ArchiveChoice::Latest { latest, at });
        DrillRequest {
            archive: self.archive.clone().map(ArchiveChoice::At).or_else(latest),
            source_database: self.source.source_database.clone(),
            scratch: self.scratch.clone(),
            include: self.choice.include.clone(),
            exclude: self.choice.exclude.clone(),
            exclude_indexes: self.exclude_index.clone(),
            state_to: self.state_to.clone(),
            park_ttl: self.park_ttl,
            verify_sample_size: Some(self.verify_sample_size),
            run: None,
        }
    }
}

impl Restore {
    /// The event that means the same.
    pub fn request(&self) -> RestoreRequest {
        let at = self.at.clone();
        let latest = || self.latest.clone().map(|latest| ArchiveChoice::Latest { latest, at });
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
