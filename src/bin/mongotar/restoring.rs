//! Restores by hand: the plan, the question, the collections, and users and roles on request.

use std::process::ExitCode;

use mongotar::backup::{RunStatus, Tools};
use mongotar::failure::{Failure, FailureKind};
use mongotar::open::Source;
use mongotar::plan::RestorePlan;
use mongotar::restore::{Consent, RestoreJob, RestoreReport, begun_plan, carry_out, prepare, restore_run};
use mongotar::store::Location;
use mongotar::users::{Grants, RestoredUsers, UserRestore};
use mongotar_shell::counts::Counts;

use crate::arguments::Restore;
use crate::counts_to::{Output, counted};
use crate::printed::print;
use crate::runs::as_named;
use crate::session::{code, environment, tools};
use crate::show_progress::ShownProgress;
use crate::telling::{CommandEnd, Told};
use crate::text::Along;
use crate::{ask, signals, text};

/// Says what would be done.
pub async fn run_plan(arguments: &Restore, json: bool) -> Result<ExitCode, Failure> {
    if arguments.output.counts.is_some() {
        return Err(Failure::invalid("a plan counts nothing: leave --counts out"));
    }
    let environment = environment(&arguments.connection).await?;
    let job = arguments.request().into_job(&environment)?;
    let tools = tools(&environment, None).await?;
    let shown = ShownProgress::start(&tools.progress);
    let prepared = prepare(&job, &tools).await;
    shown.stop();
    let prepared = prepared?;
    let mut prepared = prepared;
    let users = planned_users(arguments, &job, &prepared.plan, &tools).await?;
    let said = said(users.as_ref());
    if users.is_some() {
        prepared.plan.with_users();
    }
    let planned = Along {
        report: RestoreReport::planned(prepared),
        users: users.map(|users| users.planned),
    };
    print(json, &planned, |Along { report, .. }| {
        format!(
            "{}{said}\nTo carry it out: --confirm {}\n",
            text::plan(&report.plan),
            report.confirm
        )
    })?;
    Ok(code(planned.report.status))
}

/// Carries it out.
pub async fn run_restore(arguments: &Restore, json: bool) -> Result<CommandEnd, Failure> {
    let environment = environment(&arguments.connection).await?;
    let mut job = arguments.request().into_job(&environment)?;
    let output = Output::begin(json, &arguments.output)?;
    let counts = |restored: &RestoredAlong| Counts::of_restore(&restored.report);
    let restored = counted(output, counts, text::restore_along, async {
        let name = arguments.name.run.as_deref();
        let tools = tools(&environment, name).await?;
        if let Some(name) = name {
            return restore_named(arguments, job, name, &tools).await;
        }
        let shown = ShownProgress::start(&tools.progress);
        let prepared = prepare(&job, &tools).await;
        shown.stop();
        let prepared = prepared?;
        let users = checked_users(arguments, &job, &prepared.plan, &tools).await?;
        ask_for_consent(&mut job, &prepared.plan, &said(users.as_ref()), &tools).await?;
        let shown = ShownProgress::start(&tools.progress);
        let report = carry_out(prepared, &job, &tools).await;
        let restored = along(report, users, &tools).await;
        shown.stop();
        restored
    })
    .await?;
    Ok(CommandEnd {
        code: code(restored.report.status),
        told: Some(Told::of_restore(&restored.report)),
    })
}

type RestoredAlong = Along<RestoreReport, RestoredUsers>;

/// A restore that resumes under its name. It asks for consent to the plan that it was begun with.
async fn restore_named(
    arguments: &Restore,
    mut job: RestoreJob,
    name: &str,
    tools: &Tools,
) -> Result<RestoredAlong, Failure> {
    let folder = job.folder()?;
    let mut users = None;
    let report = as_named((&tools.store, &folder), name, async |run| {
        if job.consent == Consent::None || arguments.users && users.is_none() {
            let plan = match begun_plan(&job, run, tools).await? {
                Some(plan) => plan,
                None => prepare(&job, tools).await?.plan,
            };
            users = checked_users(arguments, &job, &plan, tools).await?;
            ask_for_consent(&mut job, &plan, &said(users.as_ref()), tools).await?;
        }
        let shown = ShownProgress::start(&tools.progress);
        let answer = restore_run(&job, run, tools).await;
        shown.stop();
        answer
    })
    .await;
    along(report, users, tools).await
}

/// What becomes of users and roles, on request.
async fn planned_users(
    arguments: &Restore,
    job: &RestoreJob,
    plan: &RestorePlan,
    tools: &Tools,
) -> Result<Option<UserRestore>, Failure> {
    if !arguments.users {
        return Ok(None);
    }
    let location: Location = plan.archive.location.parse()?;
    let source = Source {
        location: &location,
        database: job.source_database.as_deref(),
    };
    let grants = match arguments.grant_elsewhere {
        true => Grants::Elsewhere,
        false => Grants::Within,
    };
    let users = UserRestore::prepare(source, &plan.database, grants, tools);
    Box::pin(users).await.map(Some)
}

/// The same, if it is allowed.
async fn checked_users(
    arguments: &Restore,
    job: &RestoreJob,
    plan: &RestorePlan,
    tools: &Tools,
) -> Result<Option<UserRestore>, Failure> {
    let users = planned_users(arguments, job, plan, tools).await?;
    users.as_ref().map_or(Ok(()), UserRestore::check)?;
    Ok(users)
}

/// Users and roles, when the collections are there.
async fn along(
    report: Result<RestoreReport, Failure>,
    users: Option<UserRestore>,
    tools: &Tools,
) -> Result<RestoredAlong, Failure> {
    let mut report = report?;
    let Some(users) = users else {
        return Ok(Along { report, users: None });
    };
    let users = Box::pin(users.carry_out(report.status, tools)).await;
    report.plan.with_users();
    if !users.equal && report.status == RunStatus::Complete {
        report.status = RunStatus::Partial;
    }
    report.summary += &users.summary();
    Ok(Along {
        report,
        users: Some(users),
    })
}

fn said(users: Option<&UserRestore>) -> String {
    text::lines(users.map(UserRestore::said).unwrap_or_default())
}

/// If none was given, and somebody is there to ask.
async fn ask_for_consent(job: &mut RestoreJob, plan: &RestorePlan, users: &str, tools: &Tools) -> Result<(), Failure> {
    if job.consent == Consent::None && asked(plan, users, tools).await? {
        job.consent = Consent::Token(plan.confirm.to_string());
    }
    Ok(())
}

/// Asks on a thread of its own, so that an interrupt ends the question too.
async fn asked(plan: &RestorePlan, users: &str, tools: &Tools) -> Result<bool, Failure> {
    let (plan, users) = (plan.clone(), users.to_owned());
    let answer = tokio::task::spawn_blocking(move || ask::consents(&plan, &users));
    tokio::select! {
        answer = answer => Ok(answer.unwrap_or(false)),
        () = signals::interrupted(tools) => Err(Failure::new(FailureKind::Cancelled, "interrupted before anything was changed")),
    }
}
