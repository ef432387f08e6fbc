//! The users and roles of a database.

use bson::{Bson, Document, doc};

use super::{Mongo, MongoError, code};
use crate::catalog::Users;

impl Mongo {
    /// With their hashed credentials. Read where they lie, which the role `backup` allows, or else asked for, which the
    /// roles `restore` and `userAdmin` allow.
    ///
    /// # Errors
    /// What the server answered.
    pub(crate) async fn users(&self, database: &str) -> Result<Users, MongoError> {
        let action = format!("reading the users and roles of {database}");
        let mut read = [Vec::new(), Vec::new()];
        for (read, (collection, info, name)) in read.iter_mut().zip([
            ("system.users", "usersInfo", "user"),
            ("system.roles", "rolesInfo", "role"),
        ]) {
            let find = doc! {"find": collection, "filter": {"db": database}};
            *read = match self.collect("admin", find, &action).await {
                Ok(found) => {
                    let documents = found.iter().map(|found| Document::try_from(found.as_ref()));
                    let documents = documents.collect::<Result<_, _>>();
                    documents.map_err(|error| MongoError::unexpected(&action, error.to_string()))?
                }
                Err(error) if error.is(code::UNAUTHORIZED) => self.info(database, (info, name), &action).await?,
                Err(error) => return Err(error),
            };
        }
        let [users, roles] = read;
        Users::of(database, &users, &roles).map_err(|error| MongoError::unexpected(&action, error))
    }

    /// Of all by their names, since only then a server gives everything.
    async fn info(
        &self,
        database: &str,
        (info, name): (&str, &str),
        action: &str,
    ) -> Result<Vec<Document>, MongoError> {
        let list = format!("{name}s");
        let listed = |reply: Document| {
            let all = reply.get_array(&list).cloned().unwrap_or_default();
            all.into_iter().filter_map(|one| match one {
                Bson::Document(one) => Some(one),
                _ => None,
            })
        };
        let all = listed(self.command(database, doc! {info: 1}, action).await?);
        let names: Vec<Document> = all
            .map(|one| doc! {name: one.get_str(name).unwrap_or_default(), "db": database})
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut exactly = doc! {info: names, "showAuthenticationRestrictions": true};
        match name {
            "user" => exactly.extend(doc! {"showCredentials": true, "showCustomData": true}),
            _ => exactly.extend(doc! {"showPrivileges": true}),
        }
        Ok(listed(self.command(database, exactly, action).await?).collect())
    }
}
