//! The users and roles that an archive has.

use bson::Document;

use super::{ArchiveFile, Form};
use crate::archive::{ROLES_ENTRY, USERS_ENTRY};
use crate::catalog::{Users, user_of_archive};
use crate::failure::{Failure, FailureKind};

impl ArchiveFile {
    /// Its users and roles, with their hashed credentials, and their database; `None` where it was made without them.
    ///
    /// # Errors
    /// [`FailureKind::ArchiveDamaged`], or what the store answered.
    pub(crate) async fn users(&self) -> Result<Option<(String, Users)>, Failure> {
        let damaged = |reason: &str| {
            let location = &self.object.location;
            Failure::new(
                FailureKind::ArchiveDamaged,
                format!("its users are not as they should be: {reason}"),
            )
            .at(location)
        };
        let (opened, saved) = match &self.form {
            Form::Native(opened) => match &opened.manifest.users {
                Some(saved) => (opened, saved),
                None => return Ok(None),
            },
            Form::Foreign(survey, _) => {
                let Some(users) = &survey.users else { return Ok(None) };
                let database = survey.database.clone().unwrap_or_default();
                let users = Users::of(&database, &users.users, &users.roles).map_err(|reason| damaged(&reason))?;
                return Ok(Some((database, users)));
            }
        };
        let mut read = [Vec::new(), Vec::new()];
        for entry in &saved.entries {
            let file = entry.path.rsplit('/').next();
            let Some(place) = [USERS_ENTRY, ROLES_ENTRY].iter().position(|&name| file == Some(name)) else {
                continue;
            };
            let text = self.segment_text(opened, entry, 0).await?;
            read[place] = documents(&text).ok_or_else(|| damaged("BSON is expected"))?;
        }
        let database = opened.manifest.source.database.clone();
        let users = Users::of(&database, &read[0], &read[1]).map_err(|reason| damaged(&reason))?;
        Ok(Some((database, users)))
    }
}

/// One behind the other.
fn documents(mut bytes: &[u8]) -> Option<Vec<Document>> {
    let mut documents = Vec::new();
    while let Some(length) = bytes.first_chunk::<4>() {
        let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
        let (document, rest) = bytes.split_at_checked(length)?;
        documents.push(user_of_archive(document)?);
        bytes = rest;
    }
    bytes.is_empty().then_some(documents)
}
