//! Signals: the first asks the command to end, the second ends it.
//!
//! A named run then keeps its progress, any other one undoes it.
//!
//! SIGINT comes from a terminal, SIGTERM from whatever runs the program (systemd, Docker, ECS): both mean the same.
//! SIGXFSZ, for a file that grows past `ulimit -f`, would end the program at once; once caught, the excess write fails
//! instead, and the command undoes what it began.

use std::io::{self, Write as _};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongotar::backup::Tools;
use mongotar::run::Deadline;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// By POSIX on every architecture that this runs on.
const SIGXFSZ: i32 = 25;
/// What shells add to a signal's number for the exit code of what it ended.
const BY_SIGNAL: i32 = 128;

/// How soon a question ends.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(100);

/// Whether a run that has a name is to pause.
static PAUSE: AtomicBool = AtomicBool::new(false);

/// What the first signal does.
#[derive(Debug)]
pub enum First {
    /// It undoes what was begun.
    Cancels(CancellationToken),
    /// It keeps what was done. What waits for answers of the store stops waiting.
    Pauses(CancellationToken),
}

/// When a signal asks for a pause.
pub fn pause() -> Deadline {
    Deadline::when(&PAUSE)
}

/// Has the first signal do what it is to do, and the second one end the program at once.
pub fn listen_for(first: First) {
    let (Ok(interrupts), Ok(terminations)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        // A system that gives no handlers ends the program at the first one.
        return;
    };
    tokio::spawn(listen(interrupts, terminations, first));
    if let Ok(too_large) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tokio::spawn(swallow(too_large));
    }
}

/// Waits until the first signal has come.
pub async fn interrupted(tools: &Tools) {
    while !tools.cancel.is_cancelled() && !tools.deadline.is_near() {
        tokio::time::sleep(LOOKED_FOR_EVERY).await;
    }
}

async fn listen(mut interrupts: Signal, mut terminations: Signal, first: First) {
    next(&mut interrupts, &mut terminations).await;
    let what = match first {
        First::Cancels(cancel) => {
            cancel.cancel();
            "undoing what can be undone"
        }
        First::Pauses(waits) => {
            PAUSE.store(true, Ordering::Release);
            waits.cancel();
            "keeping what was done"
        }
    };
    // Whether anybody reads that or not.
    let _ = writeln!(
        io::stderr(),
        "\nmongotar: interrupted: {what} (a second interrupt does not wait for that)"
    );
    exit(BY_SIGNAL + next(&mut interrupts, &mut terminations).await.as_raw_value());
}

async fn next(interrupts: &mut Signal, terminations: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupts.recv() => SignalKind::interrupt(),
        _ = terminations.recv() => SignalKind::terminate(),
    }
}

async fn swallow(mut signals: Signal) {
    while signals.recv().await.is_some() {}
}
