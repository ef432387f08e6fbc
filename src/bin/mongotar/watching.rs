//! `watch`: an increment every so often, for as long as the process runs.
//!
//! What fails is told, and tried again at the next turn: the changes are still there then. That a database or a store
//! cannot be reached may pass, however long it takes. What does not pass by itself ends the watch: at once in the first
//! turn, and later when it has failed [`IN_A_ROW`] times in a row, since nobody may read what a program says for weeks.
//! A signal ends it, too; what is being written is undone, since the next increment has it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mongotar::backup::{BackupJob, BackupReport, RunStatus, Tools, backup, span};
use mongotar::failure::{Failure, FailureKind};
use mongotar::store::Location;

use crate::arguments::Watch;
use crate::compacting::compacted;
use crate::failed::told;
use crate::plain::one_line;
use crate::printed::{print_raw, tell};
use crate::session::{code, environment, tools};
use crate::signals;
use crate::telling::{CommandEnd, Telling, Told};
use crate::text::unsaid;

/// After how many failures in a row, of those that do not pass by themselves, the watch ends.
const IN_A_ROW: u32 = 5;

/// Increments until a signal comes, or one.
pub async fn run_watch(arguments: &Watch, json: bool, telling: Option<&Telling>) -> Result<CommandEnd, Failure> {
    let every = span(&arguments.every)?;
    let compact_every = arguments.compact_every.as_deref().map(span).transpose()?;
    let given = &arguments.backup;
    if given.users || given.name.run.is_some() || given.output.counts.is_some() {
        return Err(Failure::invalid(
            "watch makes archives again and again: leave --users, --run and --counts out",
        ));
    }
    let environment = environment(&given.connection).await?;
    let mut request = given.request();
    request.incremental = true;
    let job = request.into_order(&environment)?.single()?;
    let tools = tools(&environment, None).await?;
    if arguments.once {
        let report = made(&job, &tools, json).await?;
        return Ok(CommandEnd {
            code: code(report.status),
            told: Some(Told::of_backup("backup", &report)),
        });
    }
    let mut heard = Heard { telling, fails: false };
    let (mut has_made, mut in_a_row) = (false, 0);
    loop {
        let begun = Instant::now();
        match made(&job, &tools, json).await {
            Ok(report) if cannot_be_continued(&report) => {
                let why = "the full backup cannot be continued (see what is said of it), and the next turn would make another: mend that, and begin \
                           again";
                return Err(Failure::new(FailureKind::NoChain, why));
            }
            Ok(report) => {
                (has_made, in_a_row) = (true, 0);
                heard.of_made(&report).await;
                if let Some(age) = compact_every {
                    match compacted(&job, &report, age, &tools).await {
                        Ok(None) => {}
                        Ok(Some(report)) => {
                            print_line(&report, json)?;
                            heard.of_compacted(&report).await;
                        }
                        Err(_) if tools.cancel.is_cancelled() => break,
                        // Increments go on without it.
                        Err(failure) => tell(&format!(
                            "mongotar: {}. Tried again in {}\n",
                            told(&failure),
                            said(every)
                        )),
                    }
                }
            }
            Err(failure) if failure.kind == FailureKind::Cancelled || tools.cancel.is_cancelled() => break,
            // It will be the same at the next turn, and the one after that.
            Err(failure) if !may_change(&failure) => return Err(failure),
            Err(failure) if may_pass(&failure, &job.destination) => {
                heard.of_failure(&failure).await;
                tell(&format!(
                    "mongotar: {}. Tried again in {}\n",
                    told(&failure),
                    said(every)
                ));
            }
            Err(failure) => {
                in_a_row += 1;
                if !has_made || in_a_row == IN_A_ROW {
                    return Err(failure);
                }
                heard.of_failure(&failure).await;
                tell(&format!(
                    "mongotar: {}. Tried again in {}: {in_a_row} of {IN_A_ROW} failures in a row \
                     that do not pass by themselves\n",
                    told(&failure),
                    said(every)
                ));
            }
        }
        let rest = every.saturating_sub(begun.elapsed());
        tokio::select! {
            () = signals::interrupted(&tools) => break,
            () = tokio::time::sleep(rest) => {}
        }
    }
    tell("mongotar: watching ends\n");
    Ok(ExitCode::SUCCESS.into())
}

/// What others hear of a watch: of failures the first in a row, and that it goes on.
struct Heard<'a> {
    telling: Option<&'a Telling>,
    fails: bool,
}

impl Heard<'_> {
    async fn of_made(&mut self, report: &BackupReport) {
        let mut told = Told::of_backup("backup", report);
        if std::mem::take(&mut self.fails) {
            told.notice = told.notice.after_failures();
        }
        self.tell(&told).await;
    }

    async fn of_compacted(&self, report: &BackupReport) {
        if let Some(telling) = self.telling {
            telling.notify(&Told::of_backup("compact", report).notice).await;
        }
    }

    async fn of_failure(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.fails, true)
            && let Some(telling) = self.telling
        {
            telling.of_failure(failure).await;
        }
    }

    async fn tell(&self, told: &Told) {
        if let Some(telling) = self.telling {
            telling.of_run(told).await;
        }
    }
}

async fn made(job: &BackupJob, tools: &Tools, json: bool) -> Result<BackupReport, Failure> {
    let report = Box::pin(backup(job, tools)).await?;
    print_line(&report, json)?;
    Ok(report)
}

fn print_line(report: &BackupReport, json: bool) -> Result<(), Failure> {
    let line = match json {
        true => serde_json::to_string(report).map_err(|error| Failure::invalid(error.to_string()))?,
        false => {
            let said = report.warnings.iter().filter(unsaid);
            let said: Vec<&str> = said.map(String::as_str).chain([report.summary.as_str()]).collect();
            one_line(&said.join("; ")).into_owned()
        }
    };
    print_raw(&format!("{line}\n"))
}

/// Whether increments can go on from what was made.
fn cannot_be_continued(report: &BackupReport) -> bool {
    report.status != RunStatus::Complete || report.consistency.cluster_time.is_none()
}

/// Whether time can mend it.
fn may_change(failure: &Failure) -> bool {
    !matches!(
        failure.kind,
        FailureKind::InvalidRequest | FailureKind::ConfigurationMissing
    )
}

/// Whether it may pass by itself, as what happens on the way to a server does. A file system does not mend itself.
fn may_pass(failure: &Failure, destination: &Location) -> bool {
    let of_this_machine = failure.kind == FailureKind::Store && matches!(destination, Location::Local(_));
    failure.passes() && !of_this_machine
}

fn said(every: Duration) -> String {
    format!("{} s", every.as_secs())
}
