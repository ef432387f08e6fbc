//! Servers that keep the connection open and say nothing.
//!
//! The driver waits for an answer for as long as its connection is open, and a connection can be open to nobody: a
//! frozen member, a gateway that forgot it. So every call has a limit. When a server has been silent for that long
//! ([`SILENCE`](super::asked::SILENCE), or the connection string's `socketTimeoutMS`), it is asked over another
//! connection what it is doing (`currentOp`):
//!
//! * it is working on the command: an index build takes as long as it takes. We wait, and log and progress say so; but
//!   for the reply of a cursor only [`PATIENCE`] times as long;
//! * it is not, and its answer does not come within another such time; or it does not answer this either: the
//!   connection is closed, and the caller learns that the command's outcome is unknown ([`MongoError::transient`]);
//! * it does not say (another vendor's engine, a missing privilege): we wait [`PATIENCE`] times as long.
//!
//! Commands that a server can answer at once also carry the limit (`maxTimeMS`), so that it drops what nobody waits
//! for.
//!
//! A driver's future must not be dropped half-way (its README, "cancellation"), so each call is a separate task, and
//! goes on if its caller does not.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, rawdoc};
use futures_util::future::BoxFuture;
use mongodb::options::SelectionCriteria;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::asked::Asked;
use super::{Mongo, MongoError};

/// How long that question may take.
const QUESTION: Duration = Duration::from_secs(15);
/// How many times a server is waited for that does not say what it is doing, or is at a reply.
const PATIENCE: u32 = 15;
/// What a server says that it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// What it was asked.
    This,
    /// Something else, or nothing.
    Other,
    /// It will not say.
    NotSaid,
    /// It does not answer.
    Silent,
}

impl Mongo {
    /// What the driver answers to a command on a server that is selected, or else on the primary. It is sent once.
    ///
    /// # Errors
    /// If nobody is at it.
    pub(super) async fn reply(
        &self,
        selection: Option<SelectionCriteria>,
        database: &str,
        command: RawDocumentBuf,
        action: &str,
    ) -> Result<mongodb::error::Result<Document>, MongoError> {
        let asked = Asked::of(database, &command, action);
        let call = self.call(selection.clone(), database, command);
        self.answered(selection.as_ref(), &asked, call).await
    }

    /// The driver's call, which has no limit: whoever makes it sets one.
    fn call(
        &self,
        selection: Option<SelectionCriteria>,
        database: &str,
        command: RawDocumentBuf,
    ) -> BoxFuture<'static, mongodb::error::Result<Document>> {
        let database = self.database(database);
        Box::pin(async move {
            let mut sent = database.run_raw_command(command);
            if let Some(selection) = selection {
                sent = sent.selection_criteria(selection);
            }
            sent.await
        })
    }

    /// Waits for what the driver answers to a call, as long as somebody is at it.
    pub(super) async fn answered<T: Send + 'static>(
        &self,
        selection: Option<&SelectionCriteria>,
        asked: &Asked,
        call: BoxFuture<'static, T>,
    ) -> Result<T, MongoError> {
        let mut call = self.calls.spawn(call.in_current_span());
        let (mut waited, mut missed) = (0, 0);
        loop {
            match tokio::time::timeout(self.silence, &mut call).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => {
                    return Err(MongoError::unexpected(
                        &asked.action,
                        format!("the call to the database ended: {error}"),
                    ));
                }
                Err(_) => waited += 1,
            }
            let doing = self.doing(selection, asked).await;
            let why = match doing {
                Doing::This if waited < PATIENCE || !asked.is_reply() => {
                    missed = 0;
                    self.tell(asked, waited);
                    continue;
                }
                // Its answer may be on the way.
                Doing::Other if missed == 0 => {
                    missed = 1;
                    continue;
                }
                Doing::NotSaid if waited < PATIENCE => {
                    self.tell(asked, waited);
                    continue;
                }
                Doing::This => "though it is at it: it may itself be waiting, as for a majority",
                Doing::Other => "and is not working on it",
                Doing::NotSaid => "nor what it is doing",
                Doing::Silent => "and does not answer other questions either",
            };
            // The driver gives up a connection in the middle of an answer.
            call.abort();
            let seconds = (self.silence * waited).as_secs_f64();
            let mut said = format!(
                "the server has said nothing for {seconds} s, {why}: the connection was closed, and the command's outcome is unknown"
            );
            if let Some(option) = self.limited_by() {
                said +=
                    &format!(". {option} of the connection string limits how long it may: allow more, or leave it out");
            }
            return Err(MongoError::silent(&asked.action, said));
        }
    }

    fn tell(&self, asked: &Asked, waited: u32) {
        let (action, seconds) = (&asked.action, (self.silence * waited).as_secs());
        tracing::info!(action, seconds, "waiting for the server");
        if let Some(progress) = &self.progress {
            progress.step(format!("{action}: waited {seconds} s so far"));
        }
    }

    async fn doing(&self, selection: Option<&SelectionCriteria>, asked: &Asked) -> Doing {
        let command = rawdoc! {"currentOp": 1, "$ownOps": true, "active": true};
        let question = self.call(selection.cloned(), "admin", command);
        let question = AbortOnDropHandle::new(self.calls.spawn(question.in_current_span()));
        let Ok(answered) = tokio::time::timeout(QUESTION.min(self.silence), question).await else {
            return Doing::Silent;
        };
        match answered {
            Ok(Ok(reply)) => match reply.get_array("inprog") {
                Ok(all) if all.iter().filter_map(|one| one.as_document()).any(|one| asked.is(one)) => Doing::This,
                Ok(_) => Doing::Other,
                Err(_) => Doing::NotSaid,
            },
            Ok(Err(error)) if self.error("", &error).code.is_some() => Doing::NotSaid,
            _ => Doing::Silent,
        }
    }
}
