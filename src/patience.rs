//! How long passing faults are waited out: one policy for all retries.
//!
//! A connection breaks, a primary steps down, a member restarts: within a minute or so somebody else answers, and the
//! request is retried. The waits grow exponentially, with jitter, so that a fleet of functions does not come back all
//! at once. Whatever fails for longer than the limit has failed; the limit counts from the first failure, and any
//! success ends the count. An invocation near its deadline does not wait: its state is kept, and the next one goes on.
//! Nor does a cancelled run. Once one thing was given up, nothing else waits until something is answered again: the
//! cleanup may concern many collections.
//!
//! Only the caller knows what may be retried, and what must be looked up first.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::deadline::Deadline;

/// Something may fail for this many server selection timeouts. An election takes some ten seconds, a member's restart
/// up to a minute.
const TIMES: u32 = 8;
/// After which part of that it is better to go elsewhere.
const LONG: u32 = 4;
/// The first wait.
const SHORTEST: Duration = Duration::from_millis(100);
/// No wait is longer, so that a server that is back is soon noticed.
const LONGEST: Duration = Duration::from_secs(5);

/// How long, and until when, something is retried. Its copies share what was given up.
#[derive(Clone, Debug)]
pub struct Patience {
    limit: Duration,
    deadline: Deadline,
    cancel: CancellationToken,
    gave_up: Arc<AtomicBool>,
}

impl Patience {
    /// For 8 times the server selection timeout.
    pub fn by(selection: Duration) -> Self {
        Self {
            limit: selection.saturating_mul(TIMES),
            deadline: Deadline::never(),
            cancel: CancellationToken::new(),
            gave_up: Arc::default(),
        }
    }

    /// One of its own, for an invocation that has to end at some time, and a run that may be cancelled.
    #[must_use]
    pub fn until(&self, deadline: Deadline, cancel: &CancellationToken) -> Self {
        Self {
            limit: self.limit,
            deadline,
            cancel: cancel.clone(),
            gave_up: Arc::default(),
        }
    }

    /// For how long something may fail.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Before the first attempt at something.
    pub fn attempts(&self) -> Attempts {
        Attempts {
            patience: self.clone(),
            failing_since: None,
            failed: 0,
            in_a_row: 0,
        }
    }

    /// Something was answered: whatever fails next is worth waiting for.
    pub fn answered(&self) {
        self.gave_up.store(false, Ordering::Relaxed);
    }
}

/// The attempts at something.
#[derive(Debug)]
pub struct Attempts {
    patience: Patience,
    failing_since: Option<Instant>,
    failed: u32,
    in_a_row: u32,
}

impl Attempts {
    /// How many have failed.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether it has been failing for a quarter of the limit: long enough to go elsewhere, if possible.
    pub fn is_long(&self) -> bool {
        let limit = self.patience.limit / LONG;
        self.failing_since.is_some_and(|since| since.elapsed() >= limit)
    }

    /// Some of it has succeeded: what fails next is another failure.
    pub fn succeeded(&mut self) {
        self.failing_since = None;
        self.in_a_row = 0;
    }

    /// Counts an attempt that failed for a passing reason, and waits before the next; false if there is none.
    pub async fn again(&mut self) -> bool {
        self.failed = self.failed.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if self.is_over(since) {
            return false;
        }
        tokio::select! {
            () = self.patience.cancel.cancelled() => {}
            () = tokio::time::sleep(wait(self.in_a_row, random())) => {}
        }
        !self.is_over(since)
    }

    fn is_over(&self, since: Instant) -> bool {
        let Patience {
            limit,
            deadline,
            cancel,
            gave_up,
        } = &self.patience;
        if since.elapsed() >= *limit {
            gave_up.store(true, Ordering::Relaxed);
        }
        gave_up.load(Ordering::Relaxed) || deadline.is_near() || cancel.is_cancelled()
    }
}

/// Between half and all of an exponentially growing time: `random` is between 0 and 1.
fn wait(in_a_row: u32, random: f64) -> Duration {
    let grown = SHORTEST.saturating_mul(2_u32.saturating_pow(in_a_row.saturating_sub(1)));
    grown.min(LONGEST).mul_f64(0.5 + random / 2.0)
}

/// Between 0 and 1.
fn random() -> f64 {
    // Keys of a new map's hasher are random, and that is all that jitter needs.
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_no_two_are_the_same() {
        let longest: Vec<u128> = (1..9).map(|n| wait(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(wait(2, 0.0), Duration::from_millis(100));
        assert_eq!(wait(u32::MAX, 0.0), LONGEST / 2);
        let some: std::collections::BTreeSet<u64> = (0..8).map(|_| (random() * 1e9) as u64).collect();
        assert!(some.len() > 4, "{some:?}");
        assert!((0..64).all(|_| (0.0..=1.0).contains(&random())));
    }

    #[tokio::test]
    async fn what_fails_for_longer_than_the_limit_has_failed() {
        let patience = Patience::by(Duration::from_millis(125));
        let mut attempts = patience.attempts();
        let mut tries = 0;
        assert!(!attempts.is_long());
        while attempts.again().await {
            tries += 1;
        }
        assert!(attempts.is_long());
        // The first waits add up to between 50 ms and a second: some are made, and not many.
        assert!((1..8).contains(&tries), "{tries}");
        assert!(!attempts.again().await);
        assert!(!patience.attempts().again().await, "nothing else is waited for then");
        assert!(
            patience
                .until(Deadline::never(), &CancellationToken::new())
                .attempts()
                .again()
                .await
        );
        patience.answered();
        attempts.succeeded();
        assert!(attempts.again().await, "another failure");
        assert_eq!(attempts.failed(), tries + 3);
    }

    #[tokio::test]
    async fn neither_a_deadline_nor_a_cancelled_run_is_kept_waiting() {
        let near = Deadline::within(Duration::ZERO, None);
        let cancel = CancellationToken::new();
        let patience = Patience::by(Duration::from_secs(15));
        assert!(!patience.until(near, &cancel).attempts().again().await);
        let mut attempts = patience.until(Deadline::never(), &cancel).attempts();
        assert!(attempts.again().await);
        cancel.cancel();
        assert!(!attempts.again().await);
    }
}
