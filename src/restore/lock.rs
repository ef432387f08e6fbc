//! One restore at a time: two that rename and drop in one database would each prove what the other just replaced.
//!
//! The lock is one document in a collection of the target database, taken by one atomic command. It is a *lease*: a
//! live holder renews it; when it has run out, the next restore takes over. All times are the **server's**: the
//! clocks of two functions need not agree.
//!
//! It is advisory, and a process can be frozen for longer than its lease. So [`Lock::confirm`] asks the server again
//! right before the commit: whoever has lost the lock changes nothing. *Not* promised: that the server stops a process
//! frozen in the middle of its commit. It stops by itself when it next looks.
//!
//! A run's lock outlives its invocations: its owner follows from the run, so the next invocation already has it, and
//! its lease is long enough until that one comes.
//!
//! The collection is dropped with the lock, so a restore leaves nothing of it behind. A restore that takes over drops a
//! dead one's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use super::create::drop_collection;
use super::durable;
use super::prepare::Prepared;
use super::request::RestoreJob;
use super::who::who;
use crate::failure::{Failure, FailureKind};
use crate::mongo::{Mongo, MongoError, code};
use crate::plan::LOCK_COLLECTION;
use crate::run::Run;

/// The `_id` of the one document.
const ID: &str = "restore";
/// How often the lock is renewed within a lease: two renewals may get lost.
const RENEWALS: u32 = 3;
/// However long the lease is: who has lost the lock should not find out late.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How often two may put the document in at once.
const TRIES: u32 = 5;
/// A replica set without a majority must not hold a restore up for ever; the lock is then as good as the primary.
const MAJORITY_LIMIT_MS: i32 = 10_000;

/// The lock of a database, held until [`Lock::release`].
#[derive(Debug)]
pub(super) struct Lock {
    held: LockClaim,
    heartbeat: JoinHandle<()>,
    /// Ends the heartbeat, also where a restore ends by a panic: the lease then runs out.
    stop: DropGuard,
}

/// What its holder knows of a lock. Copies of it know the same.
#[derive(Clone, Debug)]
pub(super) struct LockClaim {
    mongo: Mongo,
    database: String,
    owner: String,
    lease: Duration,
    /// Since when the lease lasts at the least.
    renewed: Arc<Mutex<Instant>>,
    /// Whether it is somebody else's.
    lost: Arc<AtomicBool>,
}

/// A lease as it was computed.
struct Term {
    asked: Instant,
    now: DateTime,
    expires: DateTime,
}

impl Term {
    /// Whether any of it is left by now. If the answers took longer, it is set once more.
    fn lasts(&self, lease: Duration) -> bool {
        self.asked.elapsed() < lease
    }
}

impl Lock {
    /// Takes the lock, if it is free or its holder is dead. A run takes the lock that another of its invocations has
    /// left, and keeps it for longer: it must outlive the time between two.
    ///
    /// # Errors
    /// [`FailureKind::RestoreRunning`], with who holds it; or what the server answered.
    pub(super) async fn take(
        prepared: &Prepared,
        (job, run): (&RestoreJob, &Run),
        lease: Duration,
        mongo: &Mongo,
    ) -> Result<Self, Failure> {
        let held = LockClaim::of(job, run, lease, mongo);
        let archive = prepared.archive.named().to_string();
        let holder = held.take(&who(), &archive).await?;
        if holder.get_str("owner").ok() != Some(held.owner.as_str()) {
            return Err(running(&held.database, &holder));
        }
        let lock = Self::held(held);
        let ours = doc! {"_id": ID, "owner": &lock.held.owner};
        if let Err(refused) = durable::check(mongo, &lock.held.database, ours).await {
            lock.release().await;
            return Err(refused);
        }
        Ok(lock)
    }

    /// Goes on with the lock that an earlier invocation of the run has taken, under which it has begun to load. It may
    /// have run out, but nobody else may have had it since.
    ///
    /// # Errors
    /// [`FailureKind::RestoreRunning`] if it is another's, or gone; or what the server answered.
    pub(super) async fn go_on(job: &RestoreJob, run: &Run, mongo: &Mongo) -> Result<Self, Failure> {
        let held = LockClaim::of(job, run, job.run_lease, mongo);
        match held.renew().await? {
            true => Ok(Self::held(held)),
            false => Err(lost(&held.database)),
        }
    }

    fn held(held: LockClaim) -> Self {
        let token = CancellationToken::new();
        Self {
            heartbeat: tokio::spawn(beat(held.clone(), token.clone()).in_current_span()),
            stop: token.drop_guard(),
            held,
        }
    }

    /// What writers ask before they write.
    pub(super) fn claim(&self) -> LockClaim {
        self.held.clone()
    }

    /// Whether the lock is still ours, as far as the heartbeat knows.
    ///
    /// # Errors
    /// [`FailureKind::RestoreRunning`] if it is not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.held.lost.load(Ordering::Acquire) {
            true => Err(lost(&self.held.database)),
            false => Ok(()),
        }
    }

    /// Asks the server whether the lock is still ours, and renews it.
    ///
    /// # Errors
    /// [`FailureKind::RestoreRunning`] if it is not, or what kept the server from saying so.
    pub(super) async fn confirm(&self) -> Result<(), Failure> {
        self.check()?;
        match self.held.renew().await? {
            true => Ok(()),
            false => Err(lost(&self.held.database)),
        }
    }

    /// Leaves the lock to the next invocation of the run: nobody else gets it for as long as the lease is.
    pub(super) async fn leave(self) {
        let Self {
            held, heartbeat, stop, ..
        } = self;
        drop(stop);
        let ended = heartbeat.await;
        debug_assert!(ended.is_ok(), "a heartbeat does not panic");
        if let Err(error) = held.renew().await {
            tracing::warn!(%error, "the restore's lock could not be renewed for the time until the next invocation");
        }
    }

    /// Gives the lock back, if it is still ours. One that cannot be given back runs out by itself.
    pub(super) async fn release(self) {
        let Self {
            held, heartbeat, stop, ..
        } = self;
        drop(stop);
        let ended = heartbeat.await;
        debug_assert!(ended.is_ok(), "a heartbeat does not panic");
        if let Err(error) = held.give_back().await {
            let seconds = held.lease.as_secs();
            tracing::warn!(%error, "the server did not confirm removing the restore's lock; it expires in {seconds} s at the latest");
        }
    }
}

impl LockClaim {
    fn of(job: &RestoreJob, run: &Run, lease: Duration, mongo: &Mongo) -> Self {
        Self {
            mongo: mongo.clone(),
            database: job.policy.database.clone(),
            owner: owner_of(run),
            lease,
            renewed: Arc::new(Mutex::new(Instant::now())),
            lost: Arc::default(),
        }
    }

    /// Asked before each write: a process that was frozen wakes up in the middle of its work, and somebody else may
    /// have taken over. While the lease is young, nobody can; else the server is asked.
    ///
    /// # Errors
    /// If somebody has, or what kept the server from saying so.
    pub(super) async fn holds(&self) -> Result<(), MongoError> {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = self.lost.load(Ordering::Acquire);
        if !is_lost && renewed.elapsed() < self.lease / 2 {
            return Ok(());
        }
        match !is_lost && self.renew().await? {
            true => Ok(()),
            false => Err(MongoError::unexpected(
                self.action(),
                "the lock was lost: another restore has taken over",
            )),
        }
    }

    /// The lock as it is after an attempt to take it: with our owner if that succeeded. Repeating the attempt is
    /// harmless.
    async fn take(&self, holder: &str, archive: &str) -> Result<Document, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let term = self.term().await?;
            let free = doc! {"_id": ID, "$or": [{"owner": &self.owner}, {"expiresAt": {"$not": {"$gt": term.now}}}]};
            let set = doc! {"$set": {
                "owner": &self.owner, "holder": holder, "archive": archive,
                "startedAt": term.now, "expiresAt": term.expires,
            }};
            let found = match self.find_and_modify(free, set, true).await {
                // One is there that is not free; or somebody else has put one in at the same time. An update that
                // changes nothing shows it.
                Err(error) if error.is(code::DUPLICATE_KEY) => {
                    let nothing = doc! {"$unset": {"nothing": ""}};
                    self.find_and_modify(doc! {"_id": ID}, nothing, false).await?
                }
                taken => {
                    let taken = taken?;
                    self.renewed_at(term.asked);
                    // What took longer than the lease may have been taken over in the meantime: once more.
                    taken.filter(|_| term.lasts(self.lease))
                }
            };
            match found {
                Some(lock) => return Ok(lock),
                None if tries < TRIES => tokio::time::sleep(Duration::from_millis(50 << tries)).await,
                None => {
                    let message = format!("{}: no lock came back", self.namespace());
                    return Err(Failure::new(FailureKind::Database, message));
                }
            }
        }
    }

    /// Makes the lease begin anew. One that ran out is still ours as long as nobody has taken over. What is once lost
    /// stays lost.
    async fn renew(&self) -> Result<bool, MongoError> {
        for _ in 0..TRIES {
            let term = self.term().await?;
            let ours = doc! {"_id": ID, "owner": &self.owner};
            let set = doc! {"$set": {"expiresAt": term.expires}};
            if self.find_and_modify(ours, set, false).await?.is_none() {
                self.lost.store(true, Ordering::Release);
                return Ok(false);
            }
            self.renewed_at(term.asked);
            if term.lasts(self.lease) {
                return Ok(true);
            }
        }
        let reason = "the server takes longer to answer than the lock lasts";
        Err(MongoError::unexpected(self.action(), reason))
    }

    fn renewed_at(&self, time: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// A lease from now on, by the server's clock: not every engine computes one from `$$NOW`.
    async fn term(&self) -> Result<Term, MongoError> {
        let asked = Instant::now();
        let hello = self.command(doc! {"hello": 1}).await?;
        let now = hello.get_datetime("localTime").copied();
        let now = now.map_err(|error| MongoError::unexpected(self.action(), error.to_string()))?;
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        let expires = DateTime::from_millis(now.timestamp_millis().saturating_add(lease));
        Ok(Term { asked, now, expires })
    }

    /// Renewed first, so that nobody takes over between the look and the drop. Whoever may not drop collections may
    /// still remove documents.
    async fn give_back(&self) -> Result<(), MongoError> {
        if !self.renew().await? {
            return Ok(());
        }
        match drop_collection(&self.mongo, &self.database, LOCK_COLLECTION).await {
            Err(error) if error.is(code::UNAUTHORIZED) => {
                let ours = doc! {"q": {"_id": ID, "owner": &self.owner}, "limit": 1};
                let command = doc! {"delete": LOCK_COLLECTION, "deletes": [ours]};
                match self.command(command).await {
                    Err(error) if error.is(code::UNAUTHORIZED) => self.expire().await,
                    removed => removed.map(|_| ()),
                }
            }
            dropped => dropped,
        }
    }

    /// Lets the lease end now, for whoever may remove nothing at all.
    async fn expire(&self) -> Result<(), MongoError> {
        let ours = doc! {"_id": ID, "owner": &self.owner};
        let set = doc! {"$set": {"expiresAt": self.term().await?.now}};
        self.find_and_modify(ours, set, false).await.map(drop)
    }

    async fn find_and_modify(
        &self,
        query: Document,
        update: Document,
        upsert: bool,
    ) -> Result<Option<Document>, MongoError> {
        let command = doc! {
            "findAndModify": LOCK_COLLECTION, "query": query, "update": update, "upsert": upsert, "new": true,
            "writeConcern": {"w": "majority", "wtimeout": MAJORITY_LIMIT_MS},
        };
        let reply = self.command(command).await?;
        Ok(reply.get_document("value").ok().cloned())
    }

    fn action(&self) -> String {
        format!("locking {} for this restore", self.namespace())
    }

    async fn command(&self, command: Document) -> Result<Document, MongoError> {
        self.mongo.command(&self.database, command, &self.action()).await
    }

    fn namespace(&self) -> String {
        format!("{}.{LOCK_COLLECTION}", self.database)
    }
}

/// Renews the lock until it is told to stop, or finds that the lock is somebody else's. A renewal that fails is made up
/// for by the next.
async fn beat(held: LockClaim, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep((held.lease / RENEWALS).min(RENEWED_EVERY)) => {}
        }
        match held.renew().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "the restore's lock could not be renewed"),
        }
    }
}

fn running(database: &str, holder: &Document) -> Failure {
    let text = |field| holder.get_str(field).unwrap_or("(not said)").to_owned();
    let time = |field| match holder.get_datetime(field) {
        Ok(time) => time.try_to_rfc3339_string().unwrap_or_else(|_| time.to_string()),
        Err(_) => "(not said)".to_owned(),
    };
    Failure::new(
        FailureKind::RestoreRunning,
        format!(
            "another restore into {database} is running: {} has been restoring {} since {}. Nothing was changed. Wait for its end and make a new plan; \
             if it is dead, its lock can be taken over from {} on, by the server's clock",
            text("holder"),
            text("archive"),
            time("startedAt"),
            time("expiresAt"),
        ),
    )
}

fn lost(database: &str) -> Failure {
    Failure::new(
        FailureKind::RestoreRunning,
        format!(
            "the lock of {database} was lost: this restore stood still for longer than its lease, and another one has taken over. Check what that one did, and start again"
        ),
    )
}

/// The same in each invocation of a run.
fn owner_of(run: &Run) -> String {
    let hash = blake3::hash(format!("{}\n{}", run.time, run.id).as_bytes()).to_hex();
    hash.as_str()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_no_data() {
        assert!(LOCK_COLLECTION.starts_with(crate::plan::INTERNAL_PREFIX));
        assert!(!LOCK_COLLECTION.starts_with(crate::plan::TEMPORARY_PREFIX));
    }

    #[test]
    fn who_is_kept_waiting_learns_by_whom_and_how_long() {
        let at = |text: &str| bson::DateTime::parse_rfc3339_str(text).expect("a time");
        let holder = doc! {
            "_id": ID, "owner": "x", "holder": "process 7 on db1", "archive": "s3://b/a.tar",
            "startedAt": at("2026-11-21T02:00:00Z"), "expiresAt": at("2026-11-21T02:00:30Z"),
        };
        let said = running("shop", &holder).to_string();
        for part in [
            "RestoreRunning: ",
            "shop",
            "process 7 on db1",
            "s3://b/a.tar",
            "02:00:00Z",
            "02:00:30Z",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn no_two_owners_are_the_same() {
        assert_ne!(owner_of(&Run::nameless()), owner_of(&Run::nameless()));
        let run = |id: &str| Run {
            id: id.to_owned(),
            time: "2026-11-21T02:00:00Z".to_owned(),
        };
        assert_ne!(owner_of(&run("a")), owner_of(&run("b")));
        assert_eq!(owner_of(&run("a")), owner_of(&run("a")));
    }
}
