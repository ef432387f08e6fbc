//! Which of the restore function's events it is, and whether it may change anything.

use std::path::Component;

use serde_json::Value;

use mongotar::config::{Environment, read_action};
use mongotar::drill::DrillRequest;
use mongotar::failure::Failure;
use mongotar::hidden::misplaced;
use mongotar::restore::RestoreRequest;
use mongotar::store::Location;
use mongotar::verify::VerifyRequest;

/// A request to the restore function: `"action"` says which, `restore` by default.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreEvent {
    /// To say what a restore would do (`dry_run` of `restore` and `begin`).
    Plan(RestoreRequest),
    /// To restore.
    Restore(RestoreRequest),
    /// To prove that an archive restores.
    Drill(DrillRequest),
    /// To prove that an archive is as written.
    Verify(VerifyRequest),
    /// To divide a restore among workers.
    Begin(RestoreRequest),
    /// To load one worker's share.
    Load(RestoreRequest),
    /// To finish what the workers have loaded.
    Finish(RestoreRequest),
}

impl RestoreEvent {
    /// Reads an event: a request, or an EventBridge event whose `detail` is one. Its `dry_run` is decided here: no
    /// other event than [`Self::Plan`] has it.
    ///
    /// # Errors
    /// [`InvalidRequest`](mongotar::failure::FailureKind::InvalidRequest), with the name of the field or action that is
    /// not known.
    pub fn read(event: Value) -> Result<Self, Failure> {
        let (action, event) = read_action(event)?;
        let planned_or = |meant: fn(RestoreRequest) -> Self, event| {
            let request = RestoreRequest::from_event(event)?;
            Ok(match request.dry_run {
                true => Self::Plan(request),
                false => meant(request),
            })
        };
        let of_workers = |meant: fn(RestoreRequest) -> Self, action: &str, event| {
            let request = RestoreRequest::from_event(event)?;
            match request.dry_run {
                true => Err(Failure::invalid(format!(
                    "\"dry_run\": the action {action:?} continues a run, and has no plan to show. Nothing was changed: \
                     leave \"dry_run\" out, or send it with the action \"begin\" or \"restore\""
                ))),
                false => Ok(meant(request)),
            }
        };
        match action.as_deref() {
            None | Some("restore") => planned_or(Self::Restore, event),
            Some("drill") => {
                has_no_dry_run(&event, "a drill restores into a scratch database and drops it")?;
                DrillRequest::from_event(event).map(Self::Drill)
            }
            Some("verify") => {
                has_no_dry_run(&event, "a verification only reads")?;
                VerifyRequest::from_event(event).map(Self::Verify)
            }
            Some("begin") => planned_or(Self::Begin, event),
            Some("load") => of_workers(Self::Load, "load", event),
            Some("finish") => of_workers(Self::Finish, "finish", event),
            Some(other) => Err(Failure::invalid(format!(
                "unknown action {other:?}: use \"restore\" (or leave it out), \"verify\", \"drill\", \"begin\", \"load\" or \"finish\""
            ))),
        }
    }
}

/// Refuses `dry_run` where there is no plan that could be the answer; an event that asks for one is never carried out
/// instead.
pub(super) fn has_no_dry_run(request: &Value, why: &str) -> Result<(), Failure> {
    match request.get("dry_run") {
        None => Ok(()),
        Some(_) => Err(Failure::invalid(format!(
            "\"dry_run\": {why}, so there is no plan to show. Nothing was done: leave \"dry_run\" out. \
             The restore function's actions \"restore\" and \"begin\" take it"
        ))),
    }
}

/// Whether this invocation is to get along with half the memory, since an earlier one was killed (`"memory": "half"`).
/// Takes the word out of the event: it is of this invocation, and not of the request that a run remembers.
///
/// # Errors
/// [`InvalidRequest`](mongotar::failure::FailureKind::InvalidRequest) for any other word.
pub(super) fn is_thrifty(event: &mut Value) -> Result<bool, Failure> {
    let request = match event.get("detail") {
        Some(_) => &mut event["detail"],
        None => event,
    };
    let Some(fields) = request.as_object_mut() else {
        return Ok(false);
    };
    match fields.get("memory") {
        None => Ok(false),
        Some(word) if word == "half" => {
            fields.remove("memory");
            Ok(true)
        }
        // It is refused as what it is, where all of the event is read.
        Some(word) if misplaced(word).is_some() => Ok(false),
        Some(_) => Err(Failure::invalid(
            "\"memory\": leave it out, or write \"half\". How much the whole is, MONGOTAR_MEMORY says",
        )),
    }
}

/// A function's disk goes with it: a backup into a local folder would be `complete`, and nowhere.
///
/// # Errors
/// [`InvalidRequest`](mongotar::failure::FailureKind::InvalidRequest), with what is no place in S3.
pub(super) fn only_in_s3(event: &Value, environment: &Environment) -> Result<(), Failure> {
    let event = event.get("detail").unwrap_or(event);
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let latest = event.get("archive").and_then(|archive| archive.get("latest")?.as_str());
    let destination = text("destination").or(environment.destination.as_deref());
    for (what, place) in [
        ("archive", text("archive")),
        ("latest", latest),
        ("destination", destination),
        ("snapshot_to", text("snapshot_to")),
        ("state_to", text("state_to")),
    ] {
        let Some(Ok(Location::Local(path))) = place.map(str::parse) else {
            continue;
        };
        let is_within =
            |mount: &String| path.starts_with(mount) && !path.components().any(|step| step == Component::ParentDir);
        if !environment.mount.as_ref().is_some_and(is_within) {
            return Err(Failure::invalid(format!(
                "{what:?} is {path:?}, on the function's own disk, which goes with the function: use s3://BUCKET/FOLDER/, \
                 or name the file system that is mounted there (MONGOTAR_MOUNT)"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn half_the_memory_is_of_an_invocation_and_not_of_its_request() {
        for (mut event, thrifty, left) in [
            (json!({"database": "shop"}), false, json!({"database": "shop"})),
            (
                json!({"database": "shop", "memory": "half"}),
                true,
                json!({"database": "shop"}),
            ),
            (
                json!({"detail": {"memory": "half"}, "id": "x"}),
                true,
                json!({"detail": {}, "id": "x"}),
            ),
            (Value::Null, false, Value::Null),
        ] {
            assert_eq!(is_thrifty(&mut event).ok(), Some(thrifty), "{event}");
            assert_eq!(event, left);
        }
        let refused = is_thrifty(&mut json!({"memory": 64})).expect_err("a number");
        assert!(refused.message.contains("MONGOTAR_MEMORY"), "{}", refused.message);
    }
}
