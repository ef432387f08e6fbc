//! Signals: the first one asks for the end, the second one is it.
//!
//! SIGINT comes from a terminal, SIGTERM from whatever runs the program (systemd, Docker, ECS): both mean the same. SIGXFSZ, which a file that grows past `ulimit -f` sends, would end the program where it
//! stands; caught, the write that was one too many fails instead, and what was begun is undone.

use std::io::{self, Write as _};
use std::process::exit;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// By POSIX on every architecture that this runs on.
const SIGXFSZ: i32 = 25;
/// What shells add to a signal's number for the exit code of what it ended.
const BY_SIGNAL: i32 = 128;

/// Has the first signal cancel what is done, and the second one end the program at once.
pub fn cancel(cancel: CancellationToken) {
    let (Ok(interrupts), Ok(terminations)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        // A system that gives no handlers ends the program at the first one.
        return;
    };
    tokio::spawn(listen(interrupts, terminations, cancel));
    if let Ok(too_large) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tokio::spawn(swallow(too_large));
    }
}

async fn listen(mut interrupts: Signal, mut terminations: Signal, cancel: CancellationToken) {
    next(&mut interrupts, &mut terminations).await;
    cancel.cancel();
    // Whether anybody reads that or not.
    let _ = writeln!(
        io::stderr(),
        "\nmongotar: interrupted: undoing what was begun (a second interrupt does not wait for that)"
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
