//! When an invocation must end.
//!
//! It is checked between segments, never inside a call to the database. Near the end, the invocation saves the run's
//! state and answers `continue`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How much of an invocation's time is kept for its end: to let parts arrive and to save the state.
const MARGIN: Duration = Duration::from_secs(30);
/// Of a short invocation no more than this share of it.
const SHARE: u32 = 3;

/// The time at which an invocation should begin to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline {
    stop: Option<Instant>,
    /// Set when somebody asks for the end.
    asked: Option<&'static AtomicBool>,
}

impl Deadline {
    /// None: a command line has all the time it needs.
    pub fn never() -> Self {
        Self::default()
    }

    /// On request: a signal to a command line that keeps its progress.
    pub fn when(asked: &'static AtomicBool) -> Self {
        Self {
            stop: None,
            asked: Some(asked),
        }
    }

    /// For an invocation that is killed after `left`. A given `margin` is kept whatever the time; each invocation then
    /// does as little as it can.
    pub fn within(left: Duration, margin: Option<Duration>) -> Self {
        let margin = margin.unwrap_or_else(|| MARGIN.min(left / SHARE));
        Self {
            stop: Instant::now().checked_add(left.saturating_sub(margin)),
            asked: None,
        }
    }

    /// This one, or an earlier one in so long.
    #[must_use]
    pub fn or_in(self, time: Duration) -> Self {
        let earlier = Instant::now().checked_add(time);
        Self {
            stop: self.stop.into_iter().chain(earlier).min(),
            asked: self.asked,
        }
    }

    /// Whether it is time to stop.
    pub fn is_near(&self) -> bool {
        self.stop.is_some_and(|stop| Instant::now() >= stop)
            || self.asked.is_some_and(|asked| asked.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_near_from_then_on() {
        static ASKED: AtomicBool = AtomicBool::new(false);
        let deadline = Deadline::when(&ASKED);
        assert!(!deadline.is_near() && !deadline.or_in(MARGIN).is_near());
        ASKED.store(true, Ordering::Release);
        assert!(deadline.is_near() && deadline.or_in(MARGIN).is_near());
    }

    #[test]
    fn a_margin_is_kept_but_never_most_of_the_time() {
        let left = |total: u64| {
            let deadline = Deadline::within(Duration::from_secs(total), None);
            deadline
                .stop
                .map(|stop| stop.saturating_duration_since(Instant::now()).as_secs_f64().round())
        };
        assert_eq!(left(900), Some(870.0));
        assert_eq!(left(6), Some(4.0));
        assert!(Deadline::within(Duration::from_secs(9), Some(Duration::from_secs(30))).is_near());
        assert!(!Deadline::never().is_near());
        assert!(Deadline::within(Duration::ZERO, None).is_near());
        assert!(Deadline::never().or_in(Duration::ZERO).is_near());
        assert!(
            Deadline::within(Duration::ZERO, None).or_in(MARGIN).is_near()
                && !Deadline::never().or_in(MARGIN).is_near()
        );
    }
}
