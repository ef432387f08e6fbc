//! The users and roles that `mongodump --dumpDbUsersAndRoles` adds to a database's dump: read in a separate walk, and
//! only on request.

use std::io::Read;
use std::ops::ControlFlow;

use super::ForeignError;
use super::documents::{each_document, unpacked};
use super::found::is_chosen;
use super::member::{Member, Role};
use super::walk::{EntryKind, walk};
use crate::archive::{MAX_USERS_BYTES, UserOrRole};

/// A user, or a role, as BSON.
#[derive(Debug)]
pub(crate) struct DumpedUser {
    pub(crate) kind: UserOrRole,
    pub(crate) bson: Vec<u8>,
}

/// Those in the folder of `database`, or wherever they are where it has none; `None` if there is no such member.
///
/// # Errors
/// As [`survey`](super::survey()), and if the members cannot be read, or take too much.
pub(crate) fn dumped_users(tar: impl Read, database: Option<&str>) -> Result<Option<Vec<DumpedUser>>, ForeignError> {
    let (mut found, mut bytes) = (None, 0);
    walk(tar, |header, content| {
        let Some(path) = header.path.as_ref().ok().filter(|_| header.kind == EntryKind::File) else {
            return Ok(ControlFlow::Continue(()));
        };
        let member = Member::of_path(path);
        let Role::Documents { stem, form, .. } = &member.role else {
            return Ok(ControlFlow::Continue(()));
        };
        let kind = match stem.as_str() {
            "$admin.system.users" => UserOrRole::User,
            "$admin.system.roles" => UserOrRole::Role,
            _ => return Ok(ControlFlow::Continue(())),
        };
        if database.is_some_and(|name| !member.folder.is_empty() && !is_chosen(&member.folder, name)) {
            return Ok(ControlFlow::Continue(()));
        }
        let found = found.get_or_insert_with(Vec::new);
        let mut content = unpacked(member.packing, content);
        let read = each_document(*form, &mut content, &mut |document| {
            bytes += document.len() as u64;
            if bytes > MAX_USERS_BYTES {
                return ControlFlow::Break(());
            }
            found.push(DumpedUser {
                kind,
                bson: document.to_vec(),
            });
            ControlFlow::Continue(())
        });
        let read = match bytes > MAX_USERS_BYTES {
            true => Err(format!("users and roles take more than {} MiB", MAX_USERS_BYTES >> 20)),
            false => read,
        };
        match read {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(reason) => Err(ForeignError::Damaged {
                entry: Some(path.clone()),
                offset: header.offset,
                reason,
            }),
        }
    })?;
    Ok(found)
}
