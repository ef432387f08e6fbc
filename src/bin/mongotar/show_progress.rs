//! Progress on standard error, when that is a terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mongotar::progress::Progress;
use tokio::task::JoinHandle;

use crate::plain::one_line;
use crate::printed::tell;

/// A line that is written anew every half second.
#[derive(Debug)]
pub struct ShownProgress(Option<JoinHandle<()>>);

impl ShownProgress {
    /// Begins to show, if somebody is looking.
    pub fn start(progress: &Arc<Progress>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let progress = Arc::clone(progress);
        Self(Some(tokio::spawn(async move {
            let started = Instant::now();
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            loop {
                tick.tick().await;
                let (documents, bytes, step) = progress.now();
                let step = one_line(&step);
                let megabytes = bytes as f64 / 1e6;
                let speed = megabytes / started.elapsed().as_secs_f64().max(0.001);
                tell(&format!(
                    "\r\x1b[K{step}: {documents} documents, {megabytes:.0} MB, {speed:.0} MB/s"
                ));
            }
        })))
    }

    /// Wipes the line.
    pub fn stop(self) {
        if let Some(task) = self.0 {
            task.abort();
            tell("\r\x1b[K");
        }
    }
}
