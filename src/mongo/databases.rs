//! Which databases there are.

use bson::doc;

use super::{Mongo, MongoError, code};

/// Of which databases the server is to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// Those that this user may know of: the server says nothing of the others.
    Allowed,
    /// All. A server refuses whoever may not list them all.
    All,
}

impl Mongo {
    /// The databases that this user may list, without the server's own; `None` if the server does not say.
    pub async fn database_names(&self) -> Option<Vec<String>> {
        self.databases(Listed::Allowed).await.ok()
    }

    /// All databases but the server's own, where it knows the difference; on other engines, those that this user may
    /// list.
    ///
    /// # Errors
    /// If this user may not list them all: those that the server keeps to itself would be missing without a word.
    pub async fn all_database_names(&self) -> Result<Vec<String>, MongoError> {
        match self.databases(Listed::All).await {
            // An engine that does not know the option.
            Err(error) if error.code.is_some_and(|code| code != code::UNAUTHORIZED) => {
                self.databases(Listed::Allowed).await
            }
            listed => listed,
        }
    }

    async fn databases(&self, listed: Listed) -> Result<Vec<String>, MongoError> {
        const LISTING: &str = "listing the databases";
        let command = doc! {
            "listDatabases": 1, "nameOnly": true, "authorizedDatabases": listed == Listed::Allowed,
        };
        let reply = self.command("admin", command, LISTING).await?;
        let Ok(databases) = reply.get_array("databases") else {
            return Err(MongoError::unexpected(LISTING, "the server's answer has none"));
        };
        let names = databases.iter();
        let names = names.filter_map(|database| database.as_document()?.get_str("name").ok());
        Ok(names
            .filter(|name| !["admin", "config", "local"].contains(name))
            .map(str::to_owned)
            .collect())
    }

    /// A database whose name differs from this one in case only, as far as the user may know of it.
    pub(super) async fn namesake(&self, database: &str) -> Option<String> {
        let names = self.database_names().await?.into_iter();
        let differs = |name: &String| name != database && name.to_lowercase() == database.to_lowercase();
        let mut differing = names.filter(differs);
        differing.next()
    }
}
