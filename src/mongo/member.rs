//! Which member of a replica set is read from, and whether it is still the same.
//!
//! Each member numbers its records in its own way, and a killed one numbers them anew: when it starts, it replays its
//! log in another order. So a member is known by its address and its process (`hello.topologyVersion.processId`,
//! MongoDB 4.4), written `host:port#process`.
//!
//! **Whose numbers they are** is asked in the safe order. A cursor's places count as those of the process that answered
//! *before* the cursor was opened: if the server restarted in between, they are refused later, for nothing, but none is
//! taken for another's. Whether a cursor opened at a place really resumes there is asked *afterwards*: the process that
//! answers then also opened it.

use std::sync::Arc;

use bson::{Document, rawdoc};
use mongodb::options::{SelectionCriteria, ServerAddress};

use super::{Mongo, MongoError, code, patiently};
use crate::catalog::Topology;

impl Mongo {
    /// Where cursors are opened.
    pub(super) fn read_selection(&self) -> Option<SelectionCriteria> {
        let Some(member) = self.member.as_deref().filter(|_| !self.direct) else {
            return self.selection.clone();
        };
        // The driver writes the addresses of members as they write them themselves.
        let name = member.split('#').next().unwrap_or_default().to_owned();
        let address = ServerAddress::parse(&name).ok();
        Some(SelectionCriteria::Predicate(Arc::new(move |server| {
            address.as_ref() == Some(server.address()) || server.address().to_string().eq_ignore_ascii_case(&name)
        })))
    }

    /// The replica set member that currently serves reads by the connection string's read preference. `None` if there
    /// is no choice: a single server, or `mongos`.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn member_to_read(&self) -> Result<Option<String>, MongoError> {
        if self.server().topology != Topology::ReplicaSet {
            return Ok(None);
        }
        let hello = patiently!(self, self.hello(self.selection.clone()))?;
        Ok(member(&hello))
    }

    /// Another member than the one read from, which currently serves reads; `None` if there is none. A restarted one is
    /// another.
    pub async fn another_member(&self) -> Option<String> {
        let present = self.member.as_deref()?;
        let hello = Box::pin(self.hello(self.selection.clone())).await.ok()?;
        member(&hello).filter(|other| other != present)
    }

    /// The same connection, with cursors at one member only: reads that go by its numbers can resume nowhere else.
    #[must_use]
    pub fn reading_from(&self, member: &str) -> Self {
        let mut there = self.clone();
        there.member = Some(member.into());
        there
    }

    /// The only member that is read from.
    pub fn member(&self) -> Option<&Arc<str>> {
        self.member.as_ref()
    }

    /// Call it after opening a cursor by a member's numbers: checks that this member opened it.
    ///
    /// # Errors
    /// [`code::PLACE_LOST`] if it was not; what the server answered.
    pub async fn confirm(&self, member_then: &str) -> Result<(), MongoError> {
        if !member_then.contains('#') {
            return Ok(());
        }
        let hello = Box::pin(self.hello(self.read_selection())).await?;
        match member(&hello) {
            Some(now) if now != member_then => Err(MongoError {
                code: Some(code::PLACE_LOST),
                ..MongoError::unexpected(
                    format!("resuming at {member_then}"),
                    format!("it is {now} now: a restarted server may number its records differently"),
                )
            }),
            _ => Ok(()),
        }
    }

    /// What a server says of itself.
    async fn hello(&self, selection: Option<SelectionCriteria>) -> Result<Document, MongoError> {
        let action = "choosing a member to read from";
        let answered = self.reply(selection, "admin", rawdoc! {"hello": 1}, action).await?;
        answered.map_err(|error| self.error(action, &error))
    }
}

/// Who has answered.
fn member(hello: &Document) -> Option<String> {
    let address = hello.get_str("me").ok()?;
    let version = hello.get_document("topologyVersion");
    let process = version.and_then(|version| version.get_object_id("processId"));
    Some(match process {
        Ok(process) => format!("{address}#{process}"),
        Err(_) => address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn a_member_is_its_address_and_its_process() {
        let process = bson::oid::ObjectId::from_bytes([7; 12]);
        let hello = doc! {"me": "db1.example:27017", "topologyVersion": {"processId": process, "counter": 6_i64}};
        assert_eq!(
            member(&hello).as_deref(),
            Some("db1.example:27017#070707070707070707070707")
        );
        assert_eq!(
            member(&doc! {"me": "db1.example:27017"}).as_deref(),
            Some("db1.example:27017")
        );
        assert_eq!(member(&doc! {"isWritablePrimary": true}), None);
    }
}
