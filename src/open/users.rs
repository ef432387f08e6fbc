//! The users and roles that an archive has, as BSON.

use tokio::sync::oneshot;

use super::foreign::{StoreTrouble, Stored, failure};
use super::threads::{ended_unexpectedly, walk};
use super::{ArchiveFile, Form, budget};
use crate::archive::foreign::{DumpedUser, dumped_users};
use crate::archive::{ROLES_ENTRY, USERS_ENTRY, UserOrRole, check_users};
use crate::failure::{Failure, FailureKind};

impl ArchiveFile {
    /// Its users and roles, with their hashed credentials, and their database where that is said; `None` if it was
    /// made without them.
    ///
    /// # Errors
    /// [`FailureKind::ArchiveDamaged`], or what the store answered.
    pub(crate) async fn users(&self) -> Result<Option<(Option<String>, Vec<DumpedUser>)>, Failure> {
        let opened = match &self.form {
            Form::Native(opened) => opened,
            Form::Chain(chain) => chain.end(),
            Form::Foreign(survey, packing) => {
                let (trouble, done) = (StoreTrouble::default(), oneshot::channel());
                let stored = Stored::of(&self.store, &self.object, budget::range(self.memory), trouble.clone());
                let (packing, database) = (*packing, survey.database.clone());
                walk(move || {
                    // Whoever waited for it may have gone.
                    let _ = done.0.send(dumped_users(packing.unpack(stored), database.as_deref()));
                })?;
                let found = done.1.await.map_err(|_| ended_unexpectedly())?;
                let found = found.map_err(|error| failure(&error, &trouble).at(&self.object.location))?;
                return Ok(found.map(|found| (survey.database.clone(), found)));
            }
        };
        let Some(saved) = &opened.manifest.users else {
            return Ok(None);
        };
        let damaged = |reason: String| Failure::new(FailureKind::ArchiveDamaged, reason).at(&self.object.location);
        check_users(&opened.manifest, &opened.footer).map_err(damaged)?;
        let mut found = Vec::new();
        for entry in &saved.entries {
            let kind = match entry.path.rsplit('/').next() {
                Some(USERS_ENTRY) => UserOrRole::User,
                Some(ROLES_ENTRY) => UserOrRole::Role,
                _ => continue,
            };
            let bytes = self.segment_text(opened, entry, 0).await?;
            let mut rest = bytes.as_slice();
            while let Some(length) = rest.first_chunk::<4>() {
                let length = usize::try_from(i32::from_le_bytes(*length)).unwrap_or(usize::MAX);
                let (bson, behind) = rest
                    .split_at_checked(length)
                    .filter(|_| length > 4)
                    .ok_or_else(|| damaged(format!("{} holds no BSON", entry.path)))?;
                let bson = bson.to_vec();
                found.push(DumpedUser { kind, bson });
                rest = behind;
            }
            if !rest.is_empty() {
                return Err(damaged(format!("{} ends inside a document", entry.path)));
            }
        }
        Ok(Some((Some(opened.manifest.source.database.clone()), found)))
    }
}
