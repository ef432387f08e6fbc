//! The users and roles of a database: read, asked for, and inserted.
//!
//! No server command creates a user from hashed credentials. The role `restore` may insert one where the server keeps
//! users: that is one document, there or not. Nothing is staged, so other restores cannot collide.

use bson::{Document, RawArrayBuf, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::{Mongo, MongoError, code};
use crate::archive::UserOrRole;

/// So many are asked for at a time. A reply holds no more than 16 MB of them.
const AT_ONCE: i32 = 100;
/// Where a server keeps users, for which it has no command.
const USERS: &str = "system.users";

/// What takes a user or role that was read; its error ends the reading.
pub(crate) type TakeUser<'a> = &'a mut (dyn FnMut(&RawDocument) -> Result<(), String> + Send);

impl Mongo {
    /// Reads the users or roles of a database, users with their hashed credentials: where they lie, which the role
    /// `backup` allows, or else by asking for them one by one, which the roles `restore` and `userAdmin` allow.
    ///
    /// # Errors
    /// What the server answered, or why no more were taken.
    pub(crate) async fn read_users(
        &self,
        database: &str,
        which: UserOrRole,
        take: TakeUser<'_>,
    ) -> Result<(), MongoError> {
        match which {
            UserOrRole::User => {
                let action = format!("reading the users of {database}");
                match self.find_users(database, USERS, &action, take).await {
                    Err(error) if error.is(code::UNAUTHORIZED) => {
                        self.ask_for_users(database, ("usersInfo", "user"), &action, take).await
                    }
                    found => found,
                }
            }
            UserOrRole::Role => {
                let action = format!("reading the roles of {database}");
                match self.find_users(database, "system.roles", &action, take).await {
                    Err(error) if error.is(code::UNAUTHORIZED) => {
                        self.ask_for_users(database, ("rolesInfo", "role"), &action, take).await
                    }
                    found => found,
                }
            }
        }
    }

    async fn find_users(
        &self,
        database: &str,
        collection: &str,
        action: &str,
        take: TakeUser<'_>,
    ) -> Result<(), MongoError> {
        let mut last = String::new();
        loop {
            let find = doc! {
                "find": collection, "filter": {"_id": {"$gt": &last}, "db": database}, "sort": {"_id": 1},
                "limit": AT_ONCE, "singleBatch": true,
            };
            let found = self.collect("admin", find, action).await?;
            for document in &found {
                take(document).map_err(|reason| MongoError::unexpected(action, reason))?;
            }
            let Some(id) = found.last().and_then(|last| last.get_str("_id").ok()) else {
                return Ok(());
            };
            id.clone_into(&mut last);
        }
    }

    /// By their names, since only then a server gives everything; one by one, since a reply is a tree, and what people
    /// put into users can be large.
    async fn ask_for_users(
        &self,
        database: &str,
        (info, name): (&str, &str),
        action: &str,
        take: TakeUser<'_>,
    ) -> Result<(), MongoError> {
        let list = format!("{name}s");
        let documents = |reply: Document| {
            let all = reply.get_array(&list).cloned().unwrap_or_default();
            all.into_iter().filter_map(|one| one.as_document().cloned())
        };
        let all = self
            .command(database, doc! {info: 1, "showCustomData": false}, action)
            .await;
        let all = match all {
            // `rolesInfo` knows no such field.
            Err(error) if !error.is(code::UNAUTHORIZED) => self.command(database, doc! {info: 1}, action).await?,
            all => all?,
        };
        for one in documents(all) {
            let exactly = doc! {name: one.get_str(name).unwrap_or_default(), "db": database};
            let mut ask = doc! {info: exactly, "showAuthenticationRestrictions": true};
            match name {
                "user" => ask.extend(doc! {"showCredentials": true, "showCustomData": true}),
                _ => ask.extend(doc! {"showPrivileges": true}),
            }
            for document in documents(self.command(database, ask, action).await?) {
                let document = RawDocumentBuf::try_from(&document).map_err(|error| error.to_string());
                let taken = document.and_then(|document| take(&document));
                taken.map_err(|reason| MongoError::unexpected(action, reason))?;
            }
        }
        Ok(())
    }

    /// Which of these roles, each with its database, are there.
    ///
    /// # Errors
    /// What the server answered.
    pub(crate) async fn roles_there(&self, roles: RawArrayBuf) -> Result<Vec<(String, String)>, MongoError> {
        let ask = rawdoc! {"rolesInfo": roles};
        let reply = self
            .raw_command("admin", ask, "looking for the roles that are granted")
            .await?;
        let there = reply.get_array("roles").into_iter().flatten();
        let named = there.filter_map(|role| {
            let role = role.as_document()?;
            Some((
                role.get_str("role").ok()?.to_owned(),
                role.get_str("db").ok()?.to_owned(),
            ))
        });
        Ok(named.collect())
    }

    /// By which mechanisms somebody who is called so can log in.
    ///
    /// # Errors
    /// What the server answered.
    pub(crate) async fn mechanisms_of(&self, database: &str, user: &str) -> Result<Vec<String>, MongoError> {
        let hello = doc! {"hello": 1, "saslSupportedMechs": format!("{database}.{user}")};
        let reply = self.command("admin", hello, "asking how a user can log in").await?;
        Ok(texts(&reply, "saslSupportedMechs"))
    }

    /// Which mechanisms the server offers; `None` if it does not say.
    pub(crate) async fn mechanisms(&self) -> Option<Vec<String>> {
        let ask = doc! {"getParameter": 1, "authenticationMechanisms": 1};
        let reply = self.command("admin", ask, "asking how users can log in").await.ok()?;
        Some(texts(&reply, "authenticationMechanisms"))
    }

    /// Puts a user in, whose `_id` nobody has. Nothing that the server says of it is told, since it may repeat
    /// credentials.
    ///
    /// # Errors
    /// [`DUPLICATE_KEY`](code::DUPLICATE_KEY) if there is one of that name; the server's code.
    pub(crate) async fn put_user(&self, user: RawDocumentBuf) -> Result<(), MongoError> {
        let insert = rawdoc! {"insert": USERS, "documents": [user]};
        let put = self.raw_command("admin", insert, "putting a user in").await;
        put.map(drop).map_err(|error| MongoError {
            reason: match error.code {
                Some(code) => format!("the server refused it (code {code}); its message may hold credentials"),
                None => "no answer came".to_owned(),
            },
            ..error
        })
    }
}

fn texts(reply: &Document, key: &str) -> Vec<String> {
    let all = reply.get_array(key).into_iter().flatten();
    all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
