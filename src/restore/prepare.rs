//! What comes before a restore: archive, target and plan, and the consent to it.

use super::privileges;
use super::request::{Consent, RestoreJob};
use crate::backup::Tools;
use crate::catalog::Catalog;
use crate::choice::find_archive;
use crate::failure::{Failure, FailureKind};
use crate::open::{ArchiveFile, Source, open};
use crate::plan::{RestorePlan, TokenPart, plan};
use crate::run::Running;
use crate::wording::USERS_RESTORED;

/// A restore that could be carried out.
#[derive(Debug)]
pub struct Prepared {
    /// The archive.
    pub archive: ArchiveFile,
    /// The target as it is now.
    pub target: Catalog,
    /// What would be done.
    pub plan: RestorePlan,
}

/// Opens the archive, surveys the target, and plans. Changes nothing.
///
/// # Errors
/// If the archive or the target cannot be read, or [`FailureKind::PlanConflicts`] with all that is in the way.
pub fn prepare<'a>(job: &'a RestoreJob, tools: &'a Tools) -> Running<'a, Prepared> {
    Box::pin(async move {
        let location = find_archive(&job.archive, &tools.store).await?;
        tools.progress.step(format!("opening {location}"));
        let source = Source {
            location: &location,
            database: job.source_database.as_deref(),
        };
        let archive = open(&tools.store, source, tools.memory).await?;
        let database = &job.policy.database;
        let seen = tools.mongo.on_primary().survey_what_may_be_seen(database).await;
        let (target, unseen) = seen.map_err(|error| privileges::granting(error, database))?;
        let plan = plan(&archive.contents(), &target, &job.policy);
        if let Some(error) = unseen {
            let error = Box::pin(privileges::unseen(error, plan.as_ref().ok(), job, &tools.mongo)).await;
            return Err(error.into());
        }
        let mut plan = plan.map_err(|conflicts| Failure::new(FailureKind::PlanConflicts, conflicts.to_string()))?;
        plan.warn_of_expired(&target, time::OffsetDateTime::now_utc().unix_timestamp());
        let shown = archive
            .manifest()
            .and_then(|manifest| manifest.consistency.cluster_time);
        let distance = job.archive.distance(shown);
        plan.warnings.extend(distance.map_err(|failure| failure.at(&location))?);
        plan.warnings.extend(archive.warnings());
        if let Some(saved) = archive.manifest().and_then(|manifest| manifest.users.as_ref()) {
            plan.warnings.push(format!(
                "the archive has users ({}) and roles ({}): {USERS_RESTORED}",
                saved.users, saved.roles
            ));
        }
        plan.warnings.extend(tools.mongo.warnings());
        Ok(Prepared { archive, target, plan })
    })
}

/// The target as it is now that nobody else restores into it; it must be what was planned for.
pub(super) async fn look_again(prepared: &Prepared, job: &RestoreJob, tools: &Tools) -> Result<Catalog, Failure> {
    let target = tools.mongo.on_primary().survey(&job.policy.database).await?;
    let now = plan(&prepared.archive.contents(), &target, &job.policy);
    match now.is_ok_and(|now| now.confirm == prepared.plan.confirm) {
        true => Ok(target),
        false => Err(Failure::new(
            FailureKind::ConsentStale,
            "the target changed after the plan was made, before this restore could begin; nothing was changed by it. Make a new plan",
        )),
    }
}

pub(super) fn check_consent(plan: &RestorePlan, consent: &Consent) -> Result<(), Failure> {
    match consent {
        Consent::Yes => Ok(()),
        Consent::Token(token) => match plan.changed_since(token) {
            Ok(changed) if changed.is_empty() => Ok(()),
            Ok(changed) => Err(stale(plan, &changed)),
            Err(error) => Err(Failure::invalid(format!(
                "\"confirm\" (--confirm) is {error}. Nothing was changed"
            ))),
        },
        Consent::None => Err(Failure::new(
            FailureKind::ConsentMissing,
            format!(
                "a restore changes the database: make a dry run, look at its plan, and give \"confirm\": \"{}\" (--confirm), or \"yes\": true (--yes). Nothing was changed",
                plan.confirm
            ),
        )),
    }
}

fn stale(plan: &RestorePlan, changed: &[TokenPart]) -> Failure {
    let elsewhere = changed.contains(&TokenPart::Cluster);
    // The collections of another cluster are others, and saying that they have changed would lead astray.
    let told = changed
        .iter()
        .filter(|&&part| !(elsewhere && part == TokenPart::Target));
    let told: Vec<String> = told.map(ToString::to_string).collect();
    Failure::new(
        FailureKind::ConsentStale,
        format!(
            "{}; nothing was changed. Make a new dry run, look at its plan, and confirm it with {}",
            told.join("; and "),
            plan.confirm
        ),
    )
}
