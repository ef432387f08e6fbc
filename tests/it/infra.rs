//! What `template.yaml` and the runbook promise, read from the files themselves. Each check is a function that lists
//! findings; it is run on the real template, which must have none, and on copies that are broken on purpose, which must
//! not get through.

mod alarms;
mod approval;
mod bindings;
mod bucket;
mod cloudwatch;
mod copies;
mod endpoints;
mod existing;
mod functions;
mod iam;
mod lives;
mod localstack;
mod machines;
mod mutations;
mod permissions;
mod release;
mod requests;
mod rules;
mod runbook;
mod schedules;
mod template;
mod versions;

use template::Template;

/// A check: what is wrong with a template, one sentence each.
type Check = fn(&Template) -> Vec<String>;

/// All checks of the template that need no other file.
const CHECKS: [Check; 12] = [
    permissions::findings,
    functions::findings,
    machines::findings,
    bucket::findings,
    alarms::findings,
    schedules::findings,
    approval::findings,
    rules::findings,
    existing::findings,
    versions::findings,
    endpoints::findings,
    copies::findings,
];

fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "template.yaml:\n- {}", findings.join("\n- "));
}

#[test]
fn no_role_may_more_than_it_needs_and_backups_cannot_be_read_by_who_makes_them() {
    assert_none(&permissions::findings(&Template::real()));
}

#[test]
fn the_functions_run_within_lambdas_limits_and_write_logs() {
    assert_none(&functions::findings(&Template::real()));
}

#[test]
fn the_state_machines_have_logs_and_call_only_what_they_are_given() {
    assert_none(&machines::findings(&Template::real()));
}

#[test]
fn every_state_machine_uses_every_substitution_and_no_other() {
    assert_none(&machines::definition_findings(&Template::real()));
}

#[test]
fn the_bucket_is_private_encrypted_and_empties_itself() {
    assert_none(&bucket::findings(&Template::real()));
}

#[test]
fn every_alarm_tells_the_topic_of_a_metric_that_exists() {
    assert_none(&alarms::findings(&Template::real()));
}

#[test]
fn who_asks_for_a_restore_does_not_approve_it() {
    assert_none(&approval::findings(&Template::real()));
}

#[test]
fn the_schedules_start_the_state_machines_with_a_run_that_stays_the_same() {
    assert_none(&schedules::findings(&Template::real()));
}

#[test]
fn parameters_that_contradict_one_another_are_refused() {
    assert_none(&rules::findings(&Template::real()));
}

#[test]
fn a_bucket_a_key_and_a_topic_that_are_there_can_be_used_and_all_that_is_made_has_a_tag() {
    assert_none(&existing::findings(&Template::real()));
}

#[test]
fn a_release_is_a_version_that_takes_over_as_was_asked_for() {
    assert_none(&versions::findings(&Template::real()));
}

#[test]
fn archives_are_copied_by_their_class_and_copies_are_only_read() {
    assert_none(&copies::findings(&Template::real()));
}

#[test]
fn endpoints_lead_the_functions_and_nobody_else() {
    assert_none(&endpoints::findings(&Template::real()));
}

/// In China and in GovCloud, ARNs begin in another way.
#[test]
fn no_arn_says_in_which_partition_it_is() {
    let machines = ["backup", "restore", "drill", "watch", "increment", "unfinished"]
        .map(|name| format!("infra/statemachines/{name}.asl.json"));
    let others = ["template.yaml", "infra/runbook/restore.yaml"].map(str::to_owned);
    for file in machines.into_iter().chain(others) {
        let text = template::text_of(&file);
        assert!(!text.contains("arn:aws:"), "{file} is for one partition");
        assert!(!text.contains(".amazonaws.com'"), "{file} is for one partition");
    }
}
