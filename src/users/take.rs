//! Reading the users and roles of a database, for its archive.

use super::has_own_users;
use super::known::{RoomForUsers, Users};
use crate::archive::{ROLES_ENTRY, TakenUsers, USERS_ENTRY, USERS_VERSION_ENTRY, UserOrRole};
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError};

/// How users and roles are kept (`authSchema`) by every server since MongoDB 3.0.
const SCHEMA: i32 = 5;

/// Reads the users and roles of a database as they are now, for a backup to take along.
///
/// # Errors
/// If they are the cluster's, are more than an archive has room for, or this user may not read them.
pub async fn take(mongo: &Mongo, database: &str) -> Result<TakenUsers, Failure> {
    if !has_own_users(database) {
        return Err(Failure::invalid(format!(
            "the users of {database} are the whole cluster's, and are not saved: leave --users out"
        )));
    }
    let users = users_of(mongo, database).await.map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message += &match failure.kind {
            FailureKind::DatabaseUnauthorized => format!(
                ". Reading users takes find on admin.system.users and admin.system.roles (the role backup on admin), or viewUser and viewRole on {database} (the role userAdmin on it). Grant one of them, or leave --users out"
            ),
            _ => ". To back up without users, leave --users out".to_owned(),
        };
        failure
    })?;
    let version = bson::rawdoc! {"_id": "authSchema", "currentVersion": SCHEMA};
    let contents = [
        (
            USERS_ENTRY,
            joined(users.users.iter().map(|user| user.to_document(database))),
        ),
        (
            ROLES_ENTRY,
            joined(users.roles.iter().map(|role| role.to_document(database))),
        ),
        (USERS_VERSION_ENTRY, version.into_bytes()),
    ];
    Ok(TakenUsers::new(
        users.users.len() as u64,
        users.roles.len() as u64,
        contents,
    ))
}

/// One behind the other.
fn joined(documents: impl Iterator<Item = bson::RawDocumentBuf>) -> Vec<u8> {
    documents.flat_map(bson::RawDocumentBuf::into_bytes).collect()
}

/// Those of a server, no more than an archive has room for.
pub(super) async fn users_of(mongo: &Mongo, database: &str) -> Result<Users, MongoError> {
    let (mut users, mut room) = (Users::default(), RoomForUsers::default());
    mongo
        .read_users(database, UserOrRole::User, &mut |user| {
            room.add(user.as_bytes().len())?;
            users.add_user(database, user)
        })
        .await?;
    mongo
        .read_users(database, UserOrRole::Role, &mut |role| {
            room.add(role.as_bytes().len())?;
            users.add_role(database, role)
        })
        .await?;
    Ok(users)
}
