//! The users and roles of an archive, planned and put back.

use std::collections::BTreeSet;

use bson::rawdoc;
use serde::Serialize;

use super::has_own_users;
use super::known::{Granted, KnownRole, Privilege, RoomForUsers, Users, list};
use super::planned::{Grants, PlannedUsers, Target, UserAction, all_granted, moved, planned};
use super::rights::missing;
use super::take::users_of;
use crate::archive::UserOrRole;
use crate::backup::Tools;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError, code};
use crate::open::{ArchiveFile, Source, open};
use crate::run::RunStatus;
use crate::wording::{count, first_few, shown};

/// The role is there already.
const ROLE_EXISTS: i32 = 51_002;

/// A restore of users that can be carried out.
#[derive(Debug)]
pub struct UserRestore {
    /// What it will do.
    pub planned: PlannedUsers,
    database: String,
    /// Those that are to be made.
    made: Users,
    missing: Vec<String>,
}

/// What became of users and roles.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredUsers {
    /// Whether everything planned exists as in the archive, and can log in.
    pub equal: bool,
    /// How many users were made.
    pub users: u64,
    /// How many roles.
    pub roles: u64,
    /// What was planned.
    pub planned: PlannedUsers,
    /// What differs from the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

impl UserRestore {
    /// Reads the users of an archive and those in `database`, and plans. Changes nothing.
    ///
    /// # Errors
    /// If the archive has none, they are the cluster's, or those of the target may not be read.
    pub async fn prepare(source: Source<'_>, database: &str, grants: Grants, tools: &Tools) -> Result<Self, Failure> {
        let archive = open(&tools.store, source, tools.memory).await?;
        let (from, archived) = archived(&archive).await?;
        if !has_own_users(database) || !has_own_users(&from) {
            return Err(Failure::invalid(format!(
                "users of {database} would be the whole cluster's: restore them into another database"
            )));
        }
        let mongo = tools.mongo.on_primary();
        if mongo.server().topology == crate::catalog::Topology::Sharded {
            return Err(Failure::invalid(
                "users are not restored into a sharded cluster: leave --users out, and create them by hand",
            ));
        }
        let there = users_of(&mongo, database).await.map_err(|error| {
            let mut failure = Failure::from(error);
            failure.message += &format!(
                ". Restoring users takes find and insert on admin.system.users, and viewRole, createRole and grantRole on {database}: grant the role restore on admin, or leave --users out"
            );
            failure
        })?;
        let wanted = moved(&archived, &from, database);
        let granted = all_granted(&wanted);
        let roles = roles_there(&mongo, &granted).await;
        let mechanisms = mongo.mechanisms().await;
        let target = Target {
            database,
            users: &there,
            roles: roles.as_ref(),
            mechanisms: mechanisms.as_deref(),
        };
        let (planned, made) = planned(wanted, &target, grants);
        Ok(Self {
            missing: missing(&mongo, database, &made).await,
            database: database.to_owned(),
            planned,
            made,
        })
    }

    /// What a person should know of it, a line each.
    pub fn said(&self) -> Vec<String> {
        let refused = self.check().err().map(|failure| failure.message);
        self.planned.said().into_iter().chain(refused).collect()
    }

    /// Refuses if this user may not do what is planned. Call it before the first change.
    ///
    /// # Errors
    /// [`FailureKind::DatabaseUnauthorized`], with the actions that are missing, and on what.
    pub fn check(&self) -> Result<(), Failure> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::DatabaseUnauthorized,
            format!(
                "the user may not restore users, and nothing was changed: {}. Grant the role restore on admin, or leave --users out",
                self.missing.join("; ")
            ),
        ))
    }

    /// Restores users and roles after the collections; if those failed, nobody. The result names what goes wrong.
    pub async fn carry_out(self, collections: RunStatus, tools: &Tools) -> RestoredUsers {
        let mut restored = RestoredUsers {
            equal: false,
            users: 0,
            roles: 0,
            differences: self.planned.notes.clone(),
            planned: self.planned.clone(),
        };
        if collections == RunStatus::Failed {
            restored
                .differences
                .push("users and roles are not restored, since the collections are not".to_owned());
            return restored;
        }
        tools.progress.step("restoring users and roles");
        if let Err(failure) = self.put(&tools.mongo.on_primary(), &mut restored).await {
            restored.differences.push(failure.to_string());
        }
        restored.equal = restored.differences.is_empty();
        restored
    }

    async fn put(&self, mongo: &Mongo, restored: &mut RestoredUsers) -> Result<(), MongoError> {
        let database = self.database.as_str();
        for role in &self.made.roles {
            match make_role(mongo, database, role).await {
                // Somebody else was quicker; whether it is the same is seen below.
                Err(error) if !error.is(ROLE_EXISTS) => restored.differences.push(error.to_string()),
                _ => {}
            }
        }
        for user in &self.made.users {
            let mut document = user.to_document(database);
            // Each server gives users an id of its own.
            document.append(bson::cstr!("userId"), bson::Binary::from(bson::Uuid::new()));
            match mongo.put_user(document).await {
                Err(error) if !error.is(code::DUPLICATE_KEY) => {
                    restored
                        .differences
                        .push(format!("user {}: {error}", shown(&user.name)));
                }
                _ => {}
            }
        }
        let there = users_of(mongo, database).await?;
        for role in &self.made.roles {
            match there.roles.contains(role) {
                true => restored.roles += 1,
                false => restored
                    .differences
                    .push(format!("role {} differs from the archive", shown(&role.name))),
            }
        }
        for user in &self.made.users {
            let name = shown(&user.name);
            if !there.users.contains(user) {
                restored
                    .differences
                    .push(format!("user {name} differs from the archive"));
                continue;
            }
            restored.users += 1;
            if mongo.mechanisms_of(database, &user.name).await?.is_empty() {
                restored.differences.push(format!(
                    "user {name} is restored, but cannot log in: the target offers no mechanism that its password is stored for"
                ));
            }
        }
        Ok(())
    }
}

impl RestoredUsers {
    /// What became of them, a line each.
    pub fn said(&self) -> Vec<String> {
        let how_many = |action| self.planned.how_many(action);
        let made = match (how_many(UserAction::Create), how_many(UserAction::KeepEqual)) {
            (0, there @ 1..) => format!("users and roles that are there already, and as in the archive: {there}"),
            _ => format!(
                "{} and {} were restored",
                count(self.users, "user"),
                count(self.roles, "role")
            ),
        };
        let not_granted = self
            .planned
            .not_granted
            .iter()
            .map(|what| format!("not granted: {what}"));
        let kept = self.planned.kept_different().into_iter();
        let kept = kept.map(|who| format!("{who} existed, differs from the archive, and stays as it was"));
        let differences = self.differences.iter().cloned();
        std::iter::once(made)
            .chain(kept)
            .chain(not_granted)
            .chain(differences)
            .collect()
    }

    /// The same as the end of a sentence.
    pub fn summary(&self) -> String {
        match self.equal {
            true => format!("; {} and {}", count(self.users, "user"), count(self.roles, "role")),
            false => format!(
                "; NOT all users and roles are as in the archive: {}",
                first_few(self.differences.iter().cloned())
            ),
        }
    }
}

/// The users and roles of an archive, and their database.
async fn archived(archive: &ArchiveFile) -> Result<(String, Users), Failure> {
    let (from, found) = archive.users().await?.ok_or_else(|| {
        Failure::invalid(
            "the archive has no users of this database: it was made without --users (mongodump: --dumpDbUsersAndRoles), or they lie in admin/system.users, which is not read. Leave --users out here, too",
        )
    })?;
    let damaged = |reason: String| {
        let reason = format!("its users and roles are invalid: {reason}");
        Failure::new(FailureKind::ArchiveDamaged, reason).at(&archive.object.location)
    };
    let raw = |bson: &[u8]| bson::RawDocumentBuf::from_bytes(bson.to_vec()).map_err(|error| error.to_string());
    let mut from = from;
    let (mut users, mut room) = (Users::default(), RoomForUsers::default());
    for one in found {
        let added = raw(&one.bson).and_then(|document| {
            room.add(one.bson.len())?;
            // A dump that lies in no folder does not say its database otherwise.
            let from = from.get_or_insert_with(|| document.get_str("db").unwrap_or_default().to_owned());
            match one.kind {
                UserOrRole::User => users.add_user(from, &document),
                UserOrRole::Role => users.add_role(from, &document),
            }
        });
        added.map_err(damaged)?;
    }
    Ok((from.unwrap_or_default(), users))
}

/// Which of these roles the target has; `None` if that is not told.
async fn roles_there(mongo: &Mongo, granted: &BTreeSet<Granted>) -> Option<BTreeSet<Granted>> {
    if granted.is_empty() {
        return Some(BTreeSet::new());
    }
    let granted: Vec<Granted> = granted.iter().cloned().collect();
    let there = mongo.roles_there(list(&granted, Granted::to_document)).await.ok()?;
    Some(
        there
            .into_iter()
            .map(|(role, database)| Granted { role, database })
            .collect(),
    )
}

async fn make_role(mongo: &Mongo, database: &str, role: &KnownRole) -> Result<(), MongoError> {
    let create = rawdoc! {
        "createRole": role.name.as_str(),
        "privileges": list(&role.privileges, Privilege::to_document),
        "roles": list(&role.roles, Granted::to_document),
        "authenticationRestrictions": list(&role.restrictions, bson::RawDocumentBuf::clone),
    };
    let action = format!("making the role {}", shown(&role.name));
    mongo.raw_command(database, create, &action).await.map(drop)
}
