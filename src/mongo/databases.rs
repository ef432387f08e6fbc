//! Which databases there are.

use bson::doc;
use futures_util::{StreamExt as _, future, stream};

use super::{Mongo, MongoError, code};
use crate::catalog::SERVER_DATABASES;

/// Of how many databases it is asked at a time whether they hold anything.
const AT_A_TIME: usize = 8;

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

    /// All databases that hold something, but the server's own, where it knows the difference; on other engines, those
    /// that this user may list.
    ///
    /// # Errors
    /// If this user may not list them all: those that the server keeps to itself would be missing without a word.
    pub async fn all_database_names(&self) -> Result<Vec<String>, MongoError> {
        let listed = match self.databases(Listed::All).await {
            // An engine that does not know the option.
            Err(error) if error.code.is_some_and(|code| code != code::UNAUTHORIZED) => {
                self.databases(Listed::Allowed).await
            }
            listed => listed,
        };
        let looked_at = listed?.into_iter().map(|name| async move {
            let is_nothing = self.holds_nothing(&name).await;
            (name, is_nothing)
        });
        let looked_at = stream::iter(looked_at).buffered(AT_A_TIME);
        let kept = looked_at.filter_map(|(name, is_nothing)| future::ready((!is_nothing).then_some(name)));
        Ok(kept.collect().await)
    }

    /// Whether a database has nothing but what the server keeps for itself: a view that was dropped leaves that.
    async fn holds_nothing(&self, database: &str) -> bool {
        let listed = self.on_primary().list_collections(database).await;
        listed.is_ok_and(|listed| listed.collections.is_empty())
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
            .filter(|name| !SERVER_DATABASES.contains(name))
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
