//! A way back before the first change: a backup of the target.

use serde_json::json;

use super::report::SnapshotReport;
use super::{ArchiveChoice, Prepared, RestoreJob, WayBack};
use crate::backup::{BackupJob, ConsistencyDemand, RunStatus, Tools, backup};
use crate::catalog::{Collection, Selection};
use crate::failure::{Failure, FailureKind};
use crate::plan::INTERNAL_PREFIX;
use crate::store::Location;
use crate::verify::verify;

/// The folder of snapshots, beside the archives.
const FOLDER: &str = "pre-restore";

/// Backs the target up, unless that was waived or there is nothing in it, and reads the archive that came of it from end to end: a way back that is
/// found to be damaged when it is needed is none.
///
/// # Errors
/// [`FailureKind::SnapshotFailed`]: no way back, no restore.
pub(super) async fn take(
    prepared: &Prepared,
    job: &RestoreJob,
    tools: &Tools,
) -> Result<Option<SnapshotReport>, Failure> {
    let WayBack::Snapshot(folder) = &job.way_back else {
        return Ok(None);
    };
    // Neither what a dead restore left beside nor our own lock is data, and a backup takes none of it.
    let is_data = |collection: &Collection| !collection.name.starts_with(INTERNAL_PREFIX);
    if !prepared.target.collections.iter().any(is_data) {
        return Ok(None);
    }
    tools.progress.step("taking a snapshot of the target");
    let folder = folder
        .clone()
        .unwrap_or_else(|| folder_for(&prepared.archive.object.location));
    let snapshot = BackupJob {
        database: job.policy.database.clone(),
        destination: folder,
        selection: Selection::default(),
        payload: crate::archive::Payload::default(),
        compression: crate::archive::Compression::default(),
        pretty: false,
        consistency: ConsistencyDemand::Auto,
        // Whoever asked for a restore decides when its way back may go.
        retention: None,
    };
    let refused = |reason: String| {
        Failure::new(
            FailureKind::SnapshotFailed,
            format!(
                "the snapshot of {} before the restore failed, and nothing was changed: {reason}",
                job.policy.database
            ),
        )
    };
    let report = Box::pin(backup(&snapshot, tools))
        .await
        .map_err(|failure| refused(failure.to_string()))?;
    if report.status != RunStatus::Complete {
        let failed: Vec<&str> = report.failed.iter().map(|failed| failed.name.as_str()).collect();
        return Err(refused(format!("{} could not be read whole", failed.join(", "))));
    }
    let checked = verify(&tools.store, &report.archive, &tools.progress).await;
    match checked {
        Ok(checked) if checked.status == RunStatus::Complete => {}
        Ok(checked) => {
            let damaged = checked.damaged.join("; ");
            return Err(refused(format!(
                "{} is not what was written: {damaged}",
                report.archive
            )));
        }
        Err(failure) => return Err(refused(failure.at(&report.archive).to_string())),
    }
    Ok(Some(SnapshotReport {
        verified: true,
        undo: json!({"archive": report.archive, "database": job.policy.database, "replace_existing": true}),
        archive: report.archive,
        documents: report.totals.documents,
        bytes: report.archive_bytes,
        consistency: report.consistency.level,
    }))
}

/// Where what a restore writes goes, if nothing is said: `pre-restore/` beside the archive, and not one within another.
pub(crate) fn folder_for(archive: &Location) -> Location {
    let beside = archive.parent();
    match beside.file_name() == FOLDER || ends_in_folder(&beside) {
        true => beside,
        false => beside.join(FOLDER),
    }
}

/// The same for an archive that is still to be looked for.
///
/// # Errors
/// Where that is no place.
pub(crate) fn folder_for_choice(choice: &ArchiveChoice) -> Result<Location, Failure> {
    Ok(match choice {
        ArchiveChoice::At(archive) => folder_for(&archive.parse()?),
        ArchiveChoice::Latest { latest } => folder_for(&latest.parse::<Location>()?.join("archive")),
    })
}

/// An S3 folder's key ends in a slash.
fn ends_in_folder(location: &Location) -> bool {
    matches!(location, Location::S3 { key, .. } if key.trim_end_matches('/').rsplit('/').next() == Some(FOLDER))
}
