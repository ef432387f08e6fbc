//! Starting MiniStack, and knowing when it serves.

use super::super::background::{block_on, waiting};
use super::super::binaries;
use super::super::ports::free_port;
use super::super::process::{Launch, log_tail};
use super::super::scratch::ScratchDir;
use super::api::Api;
use super::{Server, StepFunctions, Waits};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

impl StepFunctions {
    /// Starts an engine and waits until it answers. Panics with the end of its log when it does not get there within
    /// 90 seconds.
    pub fn start(waits: Waits) -> StepFunctions {
        for _ in 0..5 {
            let engine = StepFunctions::launch(waits);
            if engine.wait_until_it_answers() {
                return engine;
            }
        }
        panic!("MiniStack ended five times at its start, the last time for a taken port");
    }

    fn launch(waits: Waits) -> StepFunctions {
        let scratch = ScratchDir::new("ministack");
        let folder = scratch.path().display().to_string();
        let port = free_port();
        let scale = match waits {
            Waits::AsWritten => "1",
            Waits::Shortened => "0.001",
        };
        let env = [
            ("BIND_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", &port.to_string()),
            ("LAMBDA_EXECUTOR", "local"),
            (
                "SERVICES",
                "lambda,states,sns,sqs,events,scheduler,logs,iam,sts,secretsmanager,monitoring",
            ),
            ("SFN_WAIT_SCALE", scale),
            ("HOME", &folder),
            ("TMPDIR", &folder),
            ("S3_DATA_DIR", &folder),
            ("STATE_DIR", &folder),
            ("PATH", "/usr/bin:/bin"),
            ("PYTHONUTF8", "1"),
            ("LOG_LEVEL", "WARNING"),
        ];
        let process = Launch::new(binaries::ministack())
            .args(["-m", "ministack"])
            .only_env(env)
            .directory(scratch.path())
            .log_to(&scratch.path().join("log"))
            .spawn();
        StepFunctions {
            server: Some(Server { process, scratch }),
            api: Api::new(&format!("http://127.0.0.1:{port}")),
        }
    }

    /// False when the engine ended because its port was taken. Panics when it ended for another reason.
    fn wait_until_it_answers(&self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let api = self.api.clone();
            if block_on(async move { api.is_healthy().await }) {
                return true;
            }
            if let Some(status) = self.server.as_ref().and_then(|server| server.process.exit_status()) {
                let log = self.log_tail();
                assert!(
                    log.contains("already in use"),
                    "MiniStack ended at its start ({status}); {log}"
                );
                return false;
            }
            assert!(
                Instant::now() < deadline,
                "MiniStack does not answer within {START_LIMIT:?}; {}",
                self.log_tail()
            );
            waiting(|| thread::sleep(POLL));
        }
    }

    /// The end of the engine's log, where it was started here.
    pub fn log_tail(&self) -> String {
        let server = self.server.as_ref();
        server.map_or_else(String::new, |server| log_tail(&server.scratch.path().join("log")))
    }
}
