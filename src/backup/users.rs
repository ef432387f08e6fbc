//! The users and roles of the database, where they are to be taken along.

use bson::{Document, doc};

use super::metadata::out_of_memory;
use super::request::{BackupJob, TakeUsers};
use super::tools::Tools;
use crate::archive::{
    ArchiveWriter, FrameEncoder, Manifest, ROLES_ENTRY, SavedUsers, USERS_ENTRY, USERS_VERSION_ENTRY,
};
use crate::catalog::{MAX_USERS_BYTES, has_own_users, users_built_in};
use crate::failure::{Failure, FailureKind};

/// How users and roles are kept (`authSchema`) by every server since MongoDB 3.0.
const SCHEMA: i32 = 5;

/// Whether they can be had: found out before anything is read.
///
/// # Errors
/// Where they are the cluster's, or this user may not read them.
pub(super) async fn check(job: &BackupJob, tools: &Tools) -> Result<(), Failure> {
    match job.users {
        TakeUsers::No => Ok(()),
        TakeUsers::Yes => contents(job, tools).await.map(drop),
    }
}

/// Adds them to an archive that has everything else.
pub(super) async fn add(
    archive: &mut ArchiveWriter,
    manifest: &mut Manifest,
    (job, tools): (&BackupJob, &Tools),
    small: &mut FrameEncoder,
) -> Result<(), Failure> {
    if job.users == TakeUsers::No {
        return Ok(());
    }
    let (users, roles, contents) = contents(job, tools).await?;
    let mut entries = Vec::new();
    for (file, content) in contents.iter().filter(|(_, content)| !content.is_empty()) {
        let entry = archive.trailing(file, content, small);
        entries.push(entry.map_err(|error| out_of_memory(&error))?);
    }
    manifest.users = Some(SavedUsers { users, roles, entries });
    Ok(())
}

/// How many users and roles, and the entries that hold them.
async fn contents(job: &BackupJob, tools: &Tools) -> Result<(u64, u64, [(&'static str, Vec<u8>); 3]), Failure> {
    users_built_in()?;
    let database = &job.database;
    if !has_own_users(database) {
        return Err(Failure::invalid(format!(
            "the users of {database} are the whole cluster's, and are not taken along: leave \"users\" (--users) out"
        )));
    }
    let read = tools.mongo.users(database).await.map_err(|error| {
        let mut failure = Failure::from(error);
        if failure.kind == FailureKind::DatabaseUnauthorized {
            failure.message += &format!(
                ". To take users along, grant the role backup on admin, or userAdmin on {database}; or leave \"users\" (--users) out"
            );
        }
        failure
    })?;
    let version = [doc! {"_id": "authSchema", "currentVersion": SCHEMA}];
    let contents = [
        (USERS_ENTRY, bson_of(&read.users)?),
        (ROLES_ENTRY, bson_of(&read.roles)?),
        (USERS_VERSION_ENTRY, bson_of(&version)?),
    ];
    Ok((read.users.len() as u64, read.roles.len() as u64, contents))
}

/// One behind the other.
fn bson_of(documents: &[Document]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for document in documents {
        let document = bson::serialize_to_vec(document);
        bytes.extend(document.map_err(|error| Failure::invalid(error.to_string()))?);
    }
    match bytes.len() as u64 <= MAX_USERS_BYTES {
        true => Ok(bytes),
        false => Err(Failure::invalid(
            "users and roles take more room than an archive has for them: leave \"users\" (--users) out",
        )),
    }
}
