//! Commands on the primary: sent, repeated if that is harmless, and their replies read completely.

use bson::{Document, RawDocumentBuf};

use super::asked;
use super::concern::{WriteErrors, failure_in};
use super::{Mongo, MongoError};

impl Mongo {
    /// Runs a command on the primary that may run twice: passing faults are waited out. `action` names it in errors,
    /// with the namespace. A command that changes something has the connection's write concern.
    ///
    /// # Errors
    /// What the server answered, `writeConcernError` and `writeErrors` included.
    pub async fn command(&self, database: &str, command: Document, action: &str) -> Result<Document, MongoError> {
        let command =
            RawDocumentBuf::try_from(&command).map_err(|error| MongoError::unexpected(action, error.to_string()))?;
        self.raw_command(database, command, action).await
    }

    /// As [`Self::command`], for a command in raw BSON, whose fields keep their order and exact types.
    ///
    /// # Errors
    /// As there.
    pub async fn raw_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> Result<Document, MongoError> {
        self.repeated(database, command, action).await.0
    }

    /// As [`Self::raw_command`], once: for commands whose effect must be checked before a retry, and for callers who
    /// need no answer.
    ///
    /// # Errors
    /// As there.
    pub async fn once(&self, database: &str, command: RawDocumentBuf, action: &str) -> Result<Document, MongoError> {
        self.send(database, command, action, WriteErrors::Fatal).await
    }

    /// As [`Self::once`], with `writeErrors` as they are meant.
    pub(super) async fn send(
        &self,
        database: &str,
        mut command: RawDocumentBuf,
        action: &str,
        errors: WriteErrors,
    ) -> Result<Document, MongoError> {
        self.concern().add_to(&mut command);
        asked::limit(&mut command, self.silence);
        let answered = self.reply(None, database, command, action).await?;
        let reply = answered.or_else(|error| self.readable(action, &error))?;
        self.patience.answered();
        match failure_in(&reply, action, errors) {
            None => Ok(reply),
            Some(error) => Err(MongoError {
                reason: self.uri.redact(&error.reason),
                ..error
            }),
        }
    }

    /// A reply can quote what no decoder takes: a duplicate key that is no UTF-8, say. The driver then reports that it
    /// could not read it, but it is a reply all the same, and most of it can be read.
    fn readable(&self, action: &str, error: &mongodb::error::Error) -> Result<Document, MongoError> {
        let reply = error
            .server_response()
            .filter(|_| !matches!(*error.kind, mongodb::error::ErrorKind::Command(_)))
            .and_then(|reply| bson::Utf8Lossy::<Document>::try_from(reply.as_ref()).ok());
        let unreadable = self.error(action, error);
        match reply {
            Some(bson::Utf8Lossy(reply)) if is_ok(&reply) => Ok(reply),
            Some(bson::Utf8Lossy(reply)) if reply.contains_key("errmsg") => Err(MongoError {
                reason: self.uri.redact(reply.get_str("errmsg").unwrap_or_default()),
                code: reply.get_i32("code").ok(),
                ..unreadable
            }),
            _ => Err(unreadable),
        }
    }
}

fn is_ok(reply: &Document) -> bool {
    match reply.get("ok") {
        Some(bson::Bson::Double(ok)) => *ok == 1.0,
        Some(bson::Bson::Int32(ok)) => *ok == 1,
        _ => false,
    }
}
