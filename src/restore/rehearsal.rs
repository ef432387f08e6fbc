//! The rehearsal: does the target take every planned option, index and view? Asked before the first change, and
//! answered all at once.
//!
//! Only a server knows what it takes, so we ask it: an empty collection under a temporary name gets the options and the
//! indexes, and is dropped again. Equal definitions are rehearsed once, and a collection without options and indexes
//! not at all, so thousands of small collections cost little. For a merge, new indexes are rehearsed beside existing
//! ones, with which they may clash.
//!
//! It does not find an index that fails on the *documents* (a duplicate unique key). The report has that, with the key.
//! A dry run only reads, and does not rehearse.

use std::collections::BTreeMap;

use bson::RawDocumentBuf;
use futures_util::{StreamExt as _, stream};

use super::create::{create, drop_collection, hold_to_constraint, start_expiry};
use super::indexes::{self, Which};
use super::prepare::Prepared;
use super::request::RestoreJob;
use crate::backup::{Tools, cancelled};
use crate::catalog::{Definition, Kind};
use crate::failure::{Failure, FailureKind};
use crate::mongo::{MongoError, code};
use crate::plan::{Action, Conflict, Planned, TEMPORARY_PREFIX, view_reading_from};

/// How many collections are rehearsed at a time.
const AT_ONCE: usize = 8;

/// Lets the target try every definition of the plan.
///
/// # Errors
/// [`FailureKind::PlanConflicts`] with everything that the target refuses, or what kept it from being asked. Nothing
/// has changed, and nothing is left.
pub(super) async fn rehearse(prepared: &Prepared, job: &RestoreJob, tools: &Tools) -> Result<(), Failure> {
    let parts = parts(prepared);
    let views: Vec<&Planned> = prepared
        .plan
        .restored()
        .filter(|row| is_new_view(row, prepared))
        .collect();
    if parts.is_empty() && views.is_empty() {
        return Ok(());
    }
    tools
        .progress
        .step("rehearsing options, indexes and views on the target");
    let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let stage = RehearsalStage {
        tools,
        database: &job.policy.database,
        temporary: format!("{TEMPORARY_PREFIX}{:x}.{nanos:x}.rehearsal", std::process::id()),
    };
    // Who may not drop would leave behind what was rehearsed. (Nothing has this name.)
    if let Err(error) = drop_collection(&tools.mongo, stage.database, &stage.temporary).await {
        return match refusal(error)? {
            Some(error) => Err(error.into()),
            None => Ok(()),
        };
    }
    let mut rehearsals = Vec::with_capacity(parts.len());
    for (number, part) in parts.iter().enumerate() {
        rehearsals.push(stage.part(number, part));
    }
    let mut refused = Vec::new();
    let mut broken = None;
    // To the end, also when one breaks off: each removes what it made.
    for outcome in stream::iter(rehearsals).buffered(AT_ONCE).collect::<Vec<_>>().await {
        match outcome {
            Ok(conflicts) => refused.extend(conflicts),
            Err(failure) => broken = broken.or(Some(failure)),
        }
    }
    if broken.is_none() {
        match stage.views(&views).await {
            Ok(conflicts) => refused.extend(conflicts),
            Err(failure) => broken = Some(failure),
        }
    }
    match (broken, refused.as_slice()) {
        (Some(failure), _) => Err(failure),
        (None, []) => Ok(()),
        (None, refused) => Err(Failure::new(FailureKind::PlanConflicts, told(refused))),
    }
}

/// What one temporary collection stands for.
#[derive(Debug)]
struct RehearsalPart<'a> {
    kind: Kind,
    action: Action,
    /// What it is created with.
    options: Definition,
    /// The indexes that are there already.
    present: &'a [Definition],
    /// Those that are to come.
    indexes: &'a [Definition],
    /// The collections that are defined so.
    names: Vec<&'a str>,
}

/// What is to be rehearsed, each definition once.
fn parts(prepared: &Prepared) -> Vec<RehearsalPart<'_>> {
    let mut parts: BTreeMap<Vec<u8>, RehearsalPart<'_>> = BTreeMap::new();
    for row in prepared.plan.restored().filter(|row| row.kind != Kind::View) {
        let there = match row.action {
            Action::Merge => prepared.target.get(&row.name),
            _ => None,
        };
        let part = RehearsalPart {
            kind: row.kind,
            action: row.action,
            options: there.map_or_else(|| row.options.clone(), |there| telling(&there.options)),
            present: there.map_or(&[], |there| &there.indexes),
            indexes: &row.indexes,
            names: Vec::new(),
        };
        let is_plain = part.indexes.is_empty() && (part.options.is_empty() || row.action == Action::Merge);
        if !is_plain {
            parts.entry(part.key()).or_insert(part).names.push(&row.name);
        }
    }
    parts.into_values().collect()
}

/// The options of an existing collection that decide whether it can take an index.
fn telling(options: &Definition) -> Definition {
    let mut kept = RawDocumentBuf::new();
    for (key, value) in options.as_raw().iter().flatten() {
        if ["collation", "clusteredIndex"].contains(&key.as_str()) {
            kept.append(key, value);
        }
    }
    Definition::new(kept)
}

/// Views are rehearsed unless they are there as they are to be.
fn is_new_view(row: &Planned, prepared: &Prepared) -> bool {
    let is_there = |row: &Planned| {
        let there = prepared.target.get(&row.name);
        there.is_some_and(|there| there.kind == Kind::View && there.options == row.options)
    };
    row.kind == Kind::View && !is_there(row)
}

impl RehearsalPart<'_> {
    /// Equal for those that need only one rehearsal.
    fn key(&self) -> Vec<u8> {
        let mut key = vec![self.kind as u8, self.action as u8];
        let mut add = |definition: &Definition| key.extend_from_slice(definition.as_raw().as_bytes());
        add(&self.options);
        self.present.iter().for_each(&mut add);
        add(&Definition::empty());
        self.indexes.iter().for_each(&mut add);
        key
    }

    fn conflicts(&self, temporary: &str, what: &str, error: &MongoError, way_out: &str) -> Vec<Conflict> {
        let conflict = |name: &&str| Conflict {
            collection: Some((*name).to_owned()),
            problem: format!("the target refuses {what}: {}", error.reason.replace(temporary, name)),
            way_out: way_out.to_owned(),
        };
        self.names.iter().map(conflict).collect()
    }
}

/// Where is rehearsed.
#[derive(Debug)]
struct RehearsalStage<'a> {
    tools: &'a Tools,
    database: &'a str,
    /// What the temporary collections are called, apart from a number.
    temporary: String,
}

impl RehearsalStage<'_> {
    async fn part(&self, number: usize, part: &RehearsalPart<'_>) -> Result<Vec<Conflict>, Failure> {
        if self.tools.cancel.is_cancelled() {
            return Err(cancelled());
        }
        let name = format!("{}.{number:06}", self.temporary);
        let tried = self.try_part(&name, part).await;
        drop_collection(&self.tools.mongo, self.database, &name).await?;
        tried
    }

    async fn try_part(&self, name: &str, part: &RehearsalPart<'_>) -> Result<Vec<Conflict>, Failure> {
        let (mongo, database) = (&self.tools.mongo, self.database);
        if let Err(error) = create(mongo, database, name, &part.options).await {
            // The options of a merge are those that are there: that they cannot be had a second time is no reason not
            // to merge.
            let refused = refusal(error)?.filter(|_| part.action != Action::Merge);
            return Ok(refused.map_or_else(Vec::new, |error| {
                part.conflicts(name, "its options", &error, OPTIONS_WAY_OUT)
            }));
        }
        let mut conflicts = Vec::new();
        if part.action != Action::Merge
            && let Err(error) = start_expiry(mongo, database, name, part.kind, &part.options).await
            && let Some(error) = refusal(error)?
        {
            conflicts.extend(part.conflicts(name, "its time to live", &error, OPTIONS_WAY_OUT));
        }
        if part.action != Action::Merge
            && let Err(error) = hold_to_constraint(mongo, database, name, &part.options).await
            && let Some(error) = refusal(error)?
        {
            conflicts.extend(part.conflicts(name, "its validation level", &error, OPTIONS_WAY_OUT));
        }
        let both = [Which::Lasting, Which::Expiring];
        for which in both {
            // They have been taken before; what matters is how those to come get on with them.
            self.build(name, part, part.present, which).await?;
        }
        for which in both {
            for (index, error) in self.build(name, part, part.indexes, which).await? {
                if let Some(error) = refusal(error)? {
                    conflicts.extend(part.conflicts(
                        name,
                        &format!("its index {index:?}"),
                        &error,
                        index_way_out(part),
                    ));
                }
            }
        }
        Ok(conflicts)
    }

    /// Builds indexes. A build that has to wait for other members does not keep a cancelled run from its end.
    async fn build(
        &self,
        name: &str,
        part: &RehearsalPart<'_>,
        indexes: &[Definition],
        which: Which,
    ) -> Result<Vec<(String, MongoError)>, Failure> {
        let built = indexes::build(&self.tools.mongo, (self.database, name), &part.options, indexes, which);
        let built = self.tools.cancel.run_until_cancelled(built).await;
        Ok(built.ok_or_else(cancelled)??)
    }

    /// One after the other, since they may read from each other.
    async fn views(&self, views: &[&Planned]) -> Result<Vec<Conflict>, Failure> {
        let mut made: BTreeMap<&str, String> = BTreeMap::new();
        let mut conflicts = Vec::new();
        let mut broken = None;
        for (number, view) in views.iter().enumerate() {
            let temporary = format!("{}.v{number:06}", self.temporary);
            match self.try_view(&temporary, view, &made).await {
                Ok(None) => {
                    made.insert(&view.name, temporary);
                }
                Ok(Some(conflict)) => conflicts.push(conflict),
                Err(failure) => {
                    broken = Some(failure);
                    break;
                }
            }
        }
        for temporary in made.values() {
            if let Err(error) = drop_collection(&self.tools.mongo, self.database, temporary).await {
                broken.get_or_insert_with(|| error.into());
            }
        }
        broken.map_or(Ok(conflicts), Err)
    }

    async fn try_view(
        &self,
        temporary: &str,
        view: &Planned,
        made: &BTreeMap<&str, String>,
    ) -> Result<Option<Conflict>, Failure> {
        if self.tools.cancel.is_cancelled() {
            return Err(cancelled());
        }
        // The view that it reads from may not be there yet, or not as it will be.
        let source = view.options.get_str("viewOn").and_then(|source| made.get(source));
        let options = source.map_or_else(
            || view.options.clone(),
            |source| view_reading_from(&view.options, source),
        );
        let Err(error) = create(&self.tools.mongo, self.database, temporary, &options).await else {
            return Ok(None);
        };
        let Some(error) = refusal(error)? else {
            return Ok(None);
        };
        // In the names that people know.
        let named = error.reason.replace(temporary, &view.name);
        let reason = made
            .iter()
            .fold(named, |reason, (name, temporary)| reason.replace(temporary, name));
        Ok(Some(Conflict {
            collection: Some(view.name.clone()),
            problem: format!("the target refuses this view: {reason}"),
            way_out: "exclude it, and create it by hand in a form that this server takes".to_owned(),
        }))
    }
}

const OPTIONS_WAY_OUT: &str = "create it by hand with options that this server takes, and restore without replacing, so that its documents are merged into it; or exclude it";

fn index_way_out(part: &RehearsalPart<'_>) -> &'static str {
    match part.action {
        Action::Merge => {
            "leave the index out (exclude_indexes, --exclude-index), drop the clashing one on the target, or replace the existing collection"
        }
        _ => "leave the index out (exclude_indexes, --exclude-index), and build one by hand that this server takes",
    }
}

/// The error, where it is the server's answer to the definition; none if the user may not rehearse, which does not
/// mean that what is to come is not allowed (a role can be for single collections).
fn refusal(error: MongoError) -> Result<Option<MongoError>, Failure> {
    if error.is(code::UNAUTHORIZED) {
        tracing::warn!(%error, "cannot be rehearsed");
        return Ok(None);
    }
    match error.is_refusal() {
        true => Ok(Some(error)),
        false => Err(error.into()),
    }
}

fn told(refused: &[Conflict]) -> String {
    let head = "the target does not take everything, and nothing was changed:";
    refused
        .iter()
        .fold(head.to_owned(), |text, conflict| format!("{text}\n- {conflict}"))
}
