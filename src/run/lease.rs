//! Who is at work on a run: one object, changed only by conditional writes.
//!
//! A live holder renews it every few seconds; from a dead one, whoever comes after [`LEASE`] takes over. Each takeover
//! begins a new **epoch** with its own state: nobody reads what a holder that was only frozen writes after it lost the
//! lease. It finds out at its next look ([`Lease::check`]), and surely before it makes anything visible
//! ([`Lease::confirm`]).
//!
//! Times come from the functions' own clocks, which Lambda keeps within milliseconds. A clock that is wrong by more
//! than the lease can make two invocations work at once; then one loses the lease, and completing the upload refuses
//! parts that overwrote each other, since it names each part's ETag. Nothing wrong is ever committed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::unusable::unusable;
use crate::failure::{Failure, FailureKind};
use crate::store::{Location, Store, StoreError};

/// How long a holder that says nothing is believed to live.
pub const LEASE: Duration = Duration::from_secs(15);
/// How many renewals fit in.
const RENEWALS: u32 = 5;
/// The object's name.
const OBJECT: &str = "lease.json";

/// What the object says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LeaseText {
    /// Random, and another one for each taking.
    owner: String,
    /// How often the run was taken up.
    epoch: u64,
    /// Until when, in Unix milliseconds.
    until: u64,
    /// How often it was renewed, so that no two versions of it are the same.
    renewals: u64,
}

/// The result of an attempt to take a run up.
#[derive(Debug)]
#[non_exhaustive]
pub enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody is at it.
    Running,
}

/// A run that is ours.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    epoch: u64,
    heartbeat: JoinHandle<()>,
    /// Stops the heartbeat, also where the run ends by a panic: the lease then runs out.
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    location: Location,
    lost: AtomicBool,
    held: Mutex<(LeaseText, String)>,
}

impl Lease {
    /// Takes a run up, unless somebody is at it.
    ///
    /// # Errors
    /// What the store answered; [`FailureKind::RunUnusable`] if something else lies there.
    pub async fn take(store: &Store, folder: &Location) -> Result<Taken, Failure> {
        let location = folder.join(OBJECT);
        let (epoch, expected) = match store.load(&location).await? {
            None => (1, None),
            Some((bytes, etag)) => match serde_json::from_slice::<LeaseText>(&bytes) {
                Ok(held) if held.until > now() => return Ok(Taken::Running),
                Ok(held) => (held.epoch + 1, Some(etag)),
                Err(error) => {
                    let why = format!("is not a lease ({error}): remove its folder");
                    return Err(unusable(&location, &why));
                }
            },
        };
        let held = LeaseText {
            owner: random_owner(),
            epoch,
            until: later(),
            renewals: 0,
        };
        let etag = match store.swap(&location, text(&held), expected.as_deref()).await {
            Ok(etag) => etag,
            // Somebody was faster: to take the run up, or to end it.
            Err(StoreError::Exists(..)) => return Ok(Taken::Running),
            Err(StoreError::NotFound(..)) if expected.is_some() => return Ok(Taken::Running),
            Err(error) => return Err(error.into()),
        };
        let shared = Arc::new(Shared {
            store: store.clone(),
            location,
            lost: AtomicBool::new(false),
            held: Mutex::new((held, etag)),
        });
        let stop = CancellationToken::new();
        Ok(Taken::Ours(Self {
            heartbeat: tokio::spawn(beat(Arc::clone(&shared), stop.clone())),
            shared,
            epoch,
            _stop: stop.drop_guard(),
        }))
    }

    /// How often the run was taken up, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the run is still ours, as far as the heartbeat knows.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if it is not.
    pub fn check(&self) -> Result<(), Failure> {
        match self.shared.lost.load(Ordering::Acquire) {
            true => Err(lost()),
            false => Ok(()),
        }
    }

    /// Asks the store whether the run is still ours, and renews the lease.
    ///
    /// # Errors
    /// [`FailureKind::RunTakenOver`] if it is not, or what kept the store from saying so.
    pub async fn confirm(&self) -> Result<(), Failure> {
        self.check()?;
        match self.shared.renew(later()).await {
            Ok(()) => Ok(()),
            Err(StoreError::Exists(..)) => Err(lost()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the lease run out now: the next invocation need not wait.
    pub async fn release(self) {
        let shared = self.stop().await;
        if let Err(error) = shared.renew(0).await {
            tracing::warn!(%error, "the run's lease could not be given back: it expires by itself");
        }
    }

    /// Renews the lease no more. It is still ours until it runs out, for what is left to be done.
    pub(super) async fn stop_renewing(self) {
        self.stop().await;
    }

    async fn stop(self) -> Arc<Shared> {
        let Self {
            shared,
            heartbeat,
            _stop,
            ..
        } = self;
        drop(_stop);
        let ended = heartbeat.await;
        debug_assert!(ended.is_ok(), "a heartbeat does not panic");
        shared
    }
}

impl Shared {
    async fn renew(&self, until: u64) -> Result<(), StoreError> {
        // One renewal at a time: each is conditional on the one before.
        let mut held = self.held.lock().await;
        let next = LeaseText {
            until,
            renewals: held.0.renewals + 1,
            ..held.0.clone()
        };
        let etag = self.store.swap(&self.location, text(&next), Some(&held.1)).await?;
        *held = (next, etag);
        Ok(())
    }
}

/// Renews the lease until it is told to stop, or finds that the run is somebody else's. A renewal that fails is made up
/// for by the next; where none succeeds for as long as the lease is, somebody else may have the run, and it counts as
/// lost.
async fn beat(shared: Arc<Shared>, stop: CancellationToken) {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LEASE / RENEWALS) => {}
        }
        // One that stood still asks once: nobody else may have come.
        let left = LEASE.saturating_sub(renewed.elapsed()).max(LEASE / RENEWALS);
        let asked = Instant::now();
        let is_lost = match tokio::time::timeout(left, shared.renew(later())).await {
            Ok(Ok(())) => {
                renewed = asked;
                false
            }
            Ok(Err(StoreError::Exists(..) | StoreError::NotFound(..))) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the run's lease could not be renewed");
                renewed.elapsed() >= LEASE
            }
            Err(_) => {
                tracing::warn!("the run's lease could not be renewed in time");
                true
            }
        };
        if is_lost {
            shared.lost.store(true, Ordering::Release);
            return;
        }
    }
}

fn lost() -> Failure {
    Failure::new(
        FailureKind::RunTakenOver,
        "this invocation stood still, or could not renew its lease, for longer than the lease: another one may have taken the run over",
    )
}

fn text(held: &LeaseText) -> Bytes {
    Bytes::from(serde_json::to_vec(held).expect("a lease has text keys only"))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn later() -> u64 {
    now() + u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX)
}

fn random_owner() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
