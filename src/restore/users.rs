//! The users and roles of an archive, put back where that is asked for.
//!
//! Roles are made and changed by the server's own commands. Users have only hashed credentials, which no command for
//! users takes: as `mongorestore` does, they go into `admin.tempusers`, from where the server takes them
//! (`_mergeAuthzCollections`). What is there in the end is read and compared.
//!
//! What a server says of a command that holds credentials is shown nowhere: it may repeat them.

use bson::{Document, RawDocumentBuf, doc};

use super::create::drop_collection;
use super::outcome::Committed;
use super::prepare::Prepared;
use super::report::RestoredUsers;
use super::request::RestoreJob;
use super::wanted_users::wanted;
use super::work::Restoring;
use crate::catalog::{USERS_BUILT_IN, Users, name_in};
use crate::failure::{Failure, FailureKind};
use crate::mongo::Mongo;
use crate::plan::{Action, PlannedUsers};
use crate::wording::shown;

/// Where the server takes users from. It is the name that the role `restore` is granted.
pub(super) const TEMPORARY: &str = "tempusers";
/// The role is there already.
const ROLE_EXISTS: i32 = 51_002;
/// So many users go into one command.
const AT_ONCE: usize = 500;

/// Puts users and roles back, as planned; nothing where none are asked for. What goes wrong is in what it gives.
///
/// # Errors
/// Where what went wrong may pass, and the run can be gone on with.
pub(super) async fn restore(run: &Restoring<'_>, committed: Committed) -> Result<Option<RestoredUsers>, Failure> {
    if !USERS_BUILT_IN {
        return Ok(None);
    }
    let Some(planned) = run.prepared.plan.users.as_ref() else {
        return Ok(None);
    };
    if committed == Committed::Nothing {
        let unequal = RestoredUsers::unequal("not restored, since nothing was changed".to_owned());
        return Ok(Some(unequal));
    }
    run.tools.progress.step("restoring users and roles");
    let restored = Box::pin(carry_out(run.mongo(), run.prepared, run.job, planned)).await;
    match restored {
        Err(failure) if failure.passes() && run.record.is_kept() => Err(failure),
        restored => Ok(Some(
            restored.unwrap_or_else(|failure| RestoredUsers::unequal(failure.to_string())),
        )),
    }
}

async fn carry_out(
    mongo: &Mongo,
    prepared: &Prepared,
    job: &RestoreJob,
    planned: &PlannedUsers,
) -> Result<RestoredUsers, Failure> {
    let database = job.policy.database.as_str();
    let (_, wanted) = wanted(&prepared.archive, job, mongo).await?;
    let wanted = Users::of(database, &wanted.users, &wanted.roles);
    let wanted = wanted.map_err(|reason| Failure::new(FailureKind::ArchiveDamaged, reason))?;
    let is_planned = |action: Option<&Action>| action.is_some_and(|&action| action != Action::Skip);
    let mut users = wanted.users;
    users.retain(|user| is_planned(planned.users.get(name_in(user, "user"))));
    let mut roles = wanted.roles;
    roles.retain(|role| is_planned(planned.roles.get(name_in(role, "role"))));
    put_roles(mongo, database, planned, &roles).await?;
    put_users(mongo, database, &users).await?;

    let there = mongo.users(database).await?;
    let mut differences = Vec::new();
    for (key, wanted, there) in [("user", &users, &there.users), ("role", &roles, &there.roles)] {
        let differing = wanted.iter().filter(|wanted| !there.contains(wanted));
        differences.extend(differing.map(|one| format!("{key} {} is not as in the archive", shown(name_in(one, key)))));
    }
    Ok(RestoredUsers {
        equal: differences.is_empty(),
        users: users.len() as u64,
        roles: roles.len() as u64,
        differences,
    })
}

/// All are there before one is granted another.
async fn put_roles(mongo: &Mongo, database: &str, planned: &PlannedUsers, roles: &[Document]) -> Result<(), Failure> {
    let list = |role: &Document, key: &str| role.get_array(key).cloned().unwrap_or_default();
    for role in roles {
        let name = name_in(role, "role");
        if planned.roles.get(name) != Some(&Action::Create) {
            continue;
        }
        let create = doc! {"createRole": name, "privileges": list(role, "privileges"), "roles": []};
        match mongo
            .command(database, create, &format!("creating the role {name}"))
            .await
        {
            Err(error) if error.is(ROLE_EXISTS) => {}
            created => drop(created?),
        }
    }
    for role in roles {
        let name = name_in(role, "role");
        let update = doc! {
            "updateRole": name, "privileges": list(role, "privileges"), "roles": list(role, "roles"),
            "authenticationRestrictions": list(role, "authenticationRestrictions"),
        };
        mongo
            .command(database, update, &format!("changing the role {name}"))
            .await?;
    }
    Ok(())
}

async fn put_users(mongo: &Mongo, database: &str, users: &[Document]) -> Result<(), Failure> {
    if users.is_empty() {
        return Ok(());
    }
    drop_collection(mongo, "admin", TEMPORARY).await?;
    let put = async {
        for some in users.chunks(AT_ONCE) {
            let insert = doc! {"insert": TEMPORARY, "documents": some.iter().map(with_an_id).collect::<Vec<_>>()};
            command(mongo, insert).await?;
        }
        let merge = doc! {
            "_mergeAuthzCollections": 1, "tempUsersCollection": format!("admin.{TEMPORARY}"), "drop": false,
            "db": database,
        };
        command(mongo, merge).await
    };
    let put = put.await;
    // Also where it failed: it holds credentials.
    match (put, drop_collection(mongo, "admin", TEMPORARY).await) {
        (put, Ok(())) => put,
        (put, Err(error)) => {
            let mut failure = put.err().unwrap_or_else(|| error.into());
            failure.message += ". admin.tempusers is still there, with hashed credentials: drop it";
            Err(failure)
        }
    }
}

/// Each server gives users an id of its own.
fn with_an_id(user: &Document) -> Document {
    let id = *uuid();
    let mut with_id = user.clone();
    with_id.insert(
        "userId",
        bson::Binary {
            subtype: bson::spec::BinarySubtype::Uuid,
            bytes: id.to_vec(),
        },
    );
    with_id
}

/// Of version 4, out of what is never the same twice.
fn uuid() -> Box<[u8; 16]> {
    let mut id = [0; 16];
    let seed = bson::oid::ObjectId::new().bytes();
    id.copy_from_slice(&blake3::hash(&seed).as_bytes()[..16]);
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Box::new(id)
}

/// Without the server's words where it fails.
async fn command(mongo: &Mongo, command: Document) -> Result<(), Failure> {
    let action = "putting users in";
    let command = RawDocumentBuf::try_from(&command).map_err(|_| Failure::new(FailureKind::Database, action))?;
    mongo
        .raw_command("admin", command, action)
        .await
        .map(drop)
        .map_err(|error| {
            let code = error
                .code
                .map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            let refused = format!(
                "{action} was refused ({code}); the server's words are not shown, since they may hold credentials"
            );
            Failure::new(FailureKind::Database, refused).passing(error.may_pass())
        })
}
