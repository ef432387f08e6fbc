//! Who else learns what came of a command: those in `MONGOTAR_NOTIFY`, and Prometheus by a file.
//!
//! What somebody broke off, or was asked and declined, is no outcome and is not told.

use std::process::ExitCode;
use std::time::Duration;

use mongotar::backup::BackupReport;
use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::restore::RestoreReport;
use mongotar::store::Replacement;
use mongotar_shell::metrics::Metrics;
use mongotar_shell::notify::{NOTIFY, Notice, Notifier, PATIENCE};
use mongotar_shell::prometheus;
use time::OffsetDateTime;

use crate::arguments::{Command, MetricsTo};
use crate::plain::one_line;
use crate::printed::tell;

/// How long telling may take between two increments.
const IN_BETWEEN: Duration = Duration::from_secs(5);

/// How a command ended, and what others are told of it.
#[derive(Debug)]
pub struct CommandEnd {
    pub code: ExitCode,
    /// None of what is no run: a plan, a list.
    pub told: Option<Told>,
}

/// What of a run is told.
#[derive(Debug)]
pub struct Told {
    pub notice: Notice,
    pub metrics: Metrics,
}

impl From<ExitCode> for CommandEnd {
    fn from(code: ExitCode) -> Self {
        Self { code, told: None }
    }
}

impl Told {
    pub fn of_backup(operation: &str, report: &BackupReport) -> Self {
        Self {
            notice: Notice::of_backup(operation, report),
            metrics: Metrics::of_backup(report, OffsetDateTime::now_utc()),
        }
    }

    pub fn of_restore(report: &RestoreReport) -> Self {
        Self {
            notice: Notice::of_restore(report),
            metrics: Metrics::of_restore(report).unwrap_or_default(),
        }
    }
}

/// Those who are told of one command.
#[derive(Debug)]
pub struct Telling {
    operation: &'static str,
    database: Option<String>,
    notifier: Option<Notifier>,
    file: Option<String>,
    patience: Duration,
}

impl Telling {
    /// Checks the addresses and the file, before anything is done; nobody is told of a command that is no run.
    ///
    /// # Errors
    /// [`FailureKind::InvalidRequest`].
    pub fn of(command: &Command) -> Result<Option<Self>, Failure> {
        let (operation, metrics, database): (_, &MetricsTo, _) = match command {
            Command::Backup(given) => ("backup", &given.metrics, given.connection.mongo_db.as_ref()),
            Command::Watch(given) => (
                "backup",
                &given.backup.metrics,
                given.backup.connection.mongo_db.as_ref(),
            ),
            Command::Restore(given) if !given.dry_run => {
                ("restore", &given.metrics, given.connection.mongo_db.as_ref())
            }
            Command::Drill(given) => ("drill", &given.metrics, None),
            Command::Verify(given) => ("verify", &given.metrics, None),
            Command::Compact(given) => ("compact", &given.metrics, None),
            Command::Restore(given) | Command::Plan(given) => {
                return match given.metrics.metrics {
                    None => Ok(None),
                    Some(_) => Err(Failure::invalid("a plan is no run: leave --metrics out")),
                };
            }
            Command::List(_) | Command::Coverage(_) | Command::Show(_) | Command::Cat(_) | Command::Estimate(_) => {
                return Ok(None);
            }
        };
        let file = metrics.metrics.clone();
        if let Some(path) = &file {
            Replacement::begin(path, "the metrics")?.abandon();
        }
        let addresses = std::env::var(NOTIFY).unwrap_or_default();
        Ok(Some(Self {
            operation,
            database: database.cloned(),
            notifier: Notifier::of(&addresses, NOTIFY)?,
            file,
            patience: match command {
                Command::Watch(_) => IN_BETWEEN,
                _ => PATIENCE,
            },
        }))
    }

    /// How the command ended.
    pub async fn of_end(&self, ended: &Result<CommandEnd, Failure>) {
        match ended {
            Ok(CommandEnd { told: Some(told), .. }) => self.of_run(told).await,
            Ok(_) => {}
            Err(failure) => self.of_failure(failure).await,
        }
    }

    /// What came of a run.
    pub async fn of_run(&self, told: &Told) {
        self.write(told.notice.database.as_deref(), &told.metrics);
        self.notify(&told.notice).await;
    }

    /// That nothing came of it.
    pub async fn of_failure(&self, failure: &Failure) {
        let is_no_outcome = matches!(
            failure.kind,
            FailureKind::Cancelled | FailureKind::ConsentMissing | FailureKind::RunPaused
        );
        if is_no_outcome {
            return;
        }
        // By the name that a success would have, or its file loses when the last one was.
        let database = self.database.clone().or_else(|| Environment::read().database);
        self.write(database.as_deref(), &Metrics::lost());
        let notice = Notice::of_failure(self.operation, database.as_deref(), failure);
        self.notify(&notice).await;
    }

    /// Those in `MONGOTAR_NOTIFY` alone: of what is no outcome of the command itself.
    pub async fn notify(&self, notice: &Notice) {
        let Some(notifier) = &self.notifier else { return };
        for fault in notifier.tell(notice, self.patience).await {
            tell(&format!("mongotar: {}\n", one_line(&fault.to_string())));
        }
    }

    fn write(&self, database: Option<&str>, metrics: &Metrics) {
        let Some(path) = &self.file else { return };
        let earlier = std::fs::read_to_string(path).ok();
        let now = OffsetDateTime::now_utc();
        let page = prometheus::page(self.operation, database, metrics, now, earlier.as_deref());
        let written = Replacement::begin(path, "the metrics").and_then(|file| file.finish(page.as_bytes()));
        if let Err(failure) = written {
            tell(&format!("mongotar: {}\n", one_line(&failure.to_string())));
        }
    }
}
