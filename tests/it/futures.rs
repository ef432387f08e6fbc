//! How much of a thread's stack an operation takes. A future lies on the stack of who awaits it, once for every call
//! that hands it on: where each phase of an operation holds all that follow it, a thread of 2 MiB overflows, and the
//! process dies without a word.
//!
//! So what the AWS SDK makes (12 kB a request) is boxed in the store, and phases are boxed where an operation puts them
//! together.

use mongotar::backup::{abort_run, backup, backup_run, backup_several, compose, jobs, lane, plan_lanes};
use mongotar::config::Environment;
use mongotar::drill::{drill, drill_run};
use mongotar::inspect::{cat, list, show};
use mongotar::open::open;
use mongotar::restore::{begin, carry_out, finish, load, prepare, restore_run};
use mongotar::run::Memory;
use mongotar::secrets::Secrets;
use mongotar::store::{Location, Store, Upload};
use mongotar::verify::{against, verify, verify_run};
use mongotar_shell::lambda::Function;
use serde_json::json;

use crate::{rig, support};

/// What a public operation's future may have.
const LIMIT: usize = 4096;
/// A quarter of what threads have.
const STACK: usize = 512 << 10;

#[test]
fn the_future_of_every_public_operation_is_small() {
    let sizes = [
        ("backup", of_two(backup)),
        ("backup_run", of_three(backup_run)),
        ("backup_several", of_three(backup_several)),
        ("jobs", of_two(jobs)),
        ("plan_lanes", of_four(plan_lanes)),
        ("lane", of_four(lane)),
        ("compose", of_three(compose)),
        ("abort_run", of_three(abort_run)),
        ("prepare", of_two(prepare)),
        ("carry_out", of_three(carry_out)),
        ("restore_run", of_three(restore_run)),
        ("begin", of_four(begin)),
        ("load", of_four(load)),
        ("finish", of_three(finish)),
        (
            "verify",
            of_three(|store, archive: &Location, progress| verify(store, archive, Memory::default(), progress)),
        ),
        ("verify_run", of_four(verify_run)),
        ("against", of_two(against)),
        ("drill", of_two(drill)),
        ("drill_run", of_three(drill_run)),
        (
            "open",
            of_two(|store, archive: &Location| open(store, archive, Memory::default())),
        ),
        ("list", of_two(list)),
        (
            "show",
            of_two(|store, archive: &Location| show(store, archive, Memory::default())),
        ),
        (
            "cat",
            of_four(|store, archive: &Location, name, out: &mut Vec<u8>| {
                cat(store, archive, Memory::default(), name, out)
            }),
        ),
        ("Function::answer_backup", of_two(Function::answer_backup)),
        ("Function::answer_restore", of_two(Function::answer_restore)),
        ("Function::backup", of_four(Function::backup)),
        ("Function::restore", of_four(Function::restore)),
        ("Environment::with_secret", of_two(Environment::with_secret)),
        ("Secrets::connection_string", of_two(Secrets::connection_string)),
        ("Store::read", of_three(Store::read)),
        ("Store::upload", of_three(Store::upload)),
        ("Store::swap", of_four(Store::swap)),
        ("Upload::send", of_two(Upload::send)),
        ("Upload::commit", of_one(Upload::commit)),
        ("Upload::abort", of_one(Upload::abort)),
    ];
    let large: Vec<_> = sizes.iter().filter(|(_, bytes)| *bytes > LIMIT).collect();
    assert!(
        large.is_empty(),
        "box what these await where their phases meet: {large:?}"
    );
}

fn of_one<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

fn of_two<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
    size_of::<F>()
}

fn of_three<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

fn of_four<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_backup_and_its_restore_need_a_quarter_of_a_threads_stack() {
    // The servers are started on a thread of their own kind.
    let (uri, s3) = (rig::shared_replica_set().uri(), rig::shared_s3());
    let work = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(2)
            .thread_stack_size(STACK)
            .build();
        let there_and_back = async {
            let client = rig::shared_replica_set().client().await;
            let (database, target) = (
                rig::fresh_database_name("stack"),
                rig::fresh_database_name("stack_into"),
            );
            let documents = (0..500).map(|id| bson::doc! {"_id": id, "text": "t".repeat(500)});
            support::insert(&client, &database, "orders", documents.collect()).await;
            support::insert(&client, &target, "orders", vec![bson::doc! {"_id": 1}]).await;
            let tools = support::tools_for(&uri, Store::with_client(s3.client().await)).await;
            let archive = support::back_up(&tools, &database, &support::bucket().await)
                .await
                .archive;
            let event = json!({"archive": archive, "database": target, "replace_existing": true});
            support::restore(&tools, event).await.expect("a restore").status
        };
        runtime.expect("a runtime").block_on(there_and_back)
    });
    let status = work.expect("a thread").join().expect("it does not panic");
    assert_eq!(status, mongotar::backup::RunStatus::Complete);
}
