//! Which users and roles of an archive are to be on the target, and how.

use super::request::RestoreJob;
use crate::catalog::{Users, has_own_users, users_built_in};
use crate::failure::Failure;
use crate::mongo::Mongo;
use crate::open::ArchiveFile;
use crate::plan::{PlannedUsers, RestorePlan, UserPolicy};

/// Plans what becomes of users and roles, or says that the archive has some.
///
/// # Errors
/// Where it has none and they are asked for, or they are the cluster's, or those of the target cannot be read.
pub(super) async fn plan(
    archive: &ArchiveFile,
    job: &RestoreJob,
    mongo: &Mongo,
    plan: &mut RestorePlan,
) -> Result<(), Failure> {
    let saved = archive.manifest().and_then(|manifest| manifest.users.as_ref());
    if job.policy.users == UserPolicy::Leave {
        plan.warnings.extend(saved.map(|saved| {
            format!(
                "the archive has users ({}) and roles ({}), which are not restored: users (--users) asks for them",
                saved.users, saved.roles
            )
        }));
        return Ok(());
    }
    let (planned, _) = wanted(archive, job, mongo).await?;
    plan.warnings.extend(planned.said());
    plan.users = Some(planned);
    Ok(())
}

/// What is planned of users, and how they are to be.
///
/// # Errors
/// As [`plan`].
pub(super) async fn wanted(
    archive: &ArchiveFile,
    job: &RestoreJob,
    mongo: &Mongo,
) -> Result<(PlannedUsers, Users), Failure> {
    users_built_in()?;
    let database = &job.policy.database;
    let (source, archived) = archive.users().await?.ok_or_else(|| {
        Failure::invalid(
            "the archive has no users that are read: it was not made with \"users\" (--users), or is a file of mongodump --archive. Leave \"users\" (--users) out here, too",
        )
    })?;
    if !has_own_users(database) || !has_own_users(&source) {
        return Err(Failure::invalid(format!(
            "users of {database} would be the whole cluster's: restore them into another database"
        )));
    }
    let there = mongo.users(database).await.map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message += &format!(". To restore users, grant readWrite on {database} and the role restore on admin");
        failure
    })?;
    Ok(PlannedUsers::plan(&archived, &source, &there, &job.policy))
}
