//! Signals in the middle of a run, and what runs leave that could not undo anything.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::ChildStderr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bson::doc;
use serde_json::Value;

use super::{Shell, archive, collections, numbered, text};
use crate::restore::Running;
use crate::rig::{Fault, Passage, Proxy, Rule, Wire, WireCommand, shared_replica_set, shared_s3};
use crate::support;

/// A relay that holds commands until it is told to let go.
pub(super) struct Hold {
    pub(super) wire: Wire,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    holds: bool,
    goes_on: bool,
}

impl Hold {
    /// Holds each `command` about `collection`, or about a temporary one.
    pub(super) fn on(command: &'static str, collection: &'static str) -> Self {
        Self::where_it(move |sent| {
            let is_meant = sent.target() == collection || sent.target().starts_with("mongotar.tmp.");
            sent.name == command && is_meant && !sent.body.contains_key("singleBatch")
        })
    }

    /// Holds each command that is meant.
    fn where_it(is_meant: impl Fn(&WireCommand) -> bool + Send + Sync + 'static) -> Self {
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        let wire = Wire::start(shared_replica_set().port(), move |sent| {
            if is_meant(sent) {
                let (state, changed) = &*shared;
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.holds = true;
                let _let_go = changed
                    .wait_while(state, |state| !state.goes_on)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            Passage::Through
        });
        Self { wire, state }
    }

    pub(super) async fn holds(&self) {
        let holds = || self.state.0.lock().unwrap_or_else(PoisonError::into_inner).holds;
        support::eventually("a command is held", holds).await;
    }

    pub(super) fn let_go(&self) {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner).goes_on = true;
        self.state.1.notify_all();
    }
}

/// Reads what a program says until it says that it was interrupted.
pub(super) fn until_it_heard(running: &mut Running) -> BufReader<ChildStderr> {
    let mut said = BufReader::new(running.0.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("interrupted") {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("text"), 0, "it ended without a word");
    }
    said
}

pub(super) fn files(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

fn unfinished(shell: &Shell) -> usize {
    let names = files(shell.path("to"));
    names.iter().filter(|name| name.ends_with(".unfinished")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_signals_undo_a_backup_that_was_begun() {
    for signal in ["INT", "TERM"] {
        let (shell, _) = Shell::with_orders(numbered(0..30)).await;
        let hold = Hold::on("find", "orders");
        let shell = shell.set("MONGO_URI", &hold.wire.uri());
        let mut running = Running::start(shell.command(&["backup", "--to", "to"]));
        hold.holds().await;
        assert_eq!(unfinished(&shell), 1, "it has begun");
        running.signal(signal);
        let said = until_it_heard(&mut running);
        hold.let_go();
        let code = running.0.wait().expect("a child").code();
        drop(said);
        assert_eq!(code, Some(1), "SIG{signal}");
        assert_eq!(files(shell.path("to")), Vec::<String>::new(), "SIG{signal}");
    }
}

/// It waited for the server's answer, for as long as the server was at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_keeps_no_backup_from_its_end() {
    let (shell, _) = Shell::with_orders(numbered(0..30)).await;
    let hold = Hold::on("find", "orders");
    let shell = shell.set("MONGO_URI", &hold.wire.uri());
    let mut running = Running::start(shell.command(&["backup", "--to", "to"]));
    hold.holds().await;
    running.signal("TERM");
    let said = until_it_heard(&mut running);
    let code = running.0.wait().expect("a child").code();
    drop(said);
    assert_eq!(code, Some(1));
    assert_eq!(files(shell.path("to")), Vec::<String>::new());
    hold.let_go();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_signals_undo_a_restore_that_was_begun() {
    for signal in ["INT", "TERM"] {
        let (shell, database) = Shell::with_orders(numbered(0..30)).await;
        let report = shell.json(0, &["backup", "--to", "to"]);
        let hold = Hold::on("insert", "orders");
        let shell = shell.set("MONGO_URI", &hold.wire.uri());
        let archive = archive(&report);
        let arguments = ["restore", &archive, "--replace-existing", "--yes", "--no-snapshot"];
        let mut running = Running::start(shell.command(&arguments));
        hold.holds().await;
        running.signal(signal);
        let said = until_it_heard(&mut running);
        hold.let_go();
        let code = running.0.wait().expect("a child").code();
        drop(said);
        assert_eq!(code, Some(1), "SIG{signal}");
        assert_eq!(collections(&database).await, ["orders"], "SIG{signal}");
    }
}

/// It waited for the store's first answer until the store had been asked six times, for minutes each.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_keeps_no_backup_from_its_end() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let folder = support::bucket().await.to_string();
    let proxy = Proxy::start(shared_s3().endpoint());
    proxy.inject(Rule::on("*", "").times(usize::MAX).then(Fault::Hold));
    let shell = shell.set("AWS_ENDPOINT_URL", &proxy.endpoint());
    for run in [&[][..], &["--run", "nightly"]] {
        let asked = proxy.exchanges().len();
        let mut running = Running::start(shell.command(&[&["backup", "--to", &folder], run].concat()));
        support::eventually("the store is asked", || proxy.exchanges().len() > asked).await;
        running.signal("TERM");
        let mut said = until_it_heard(&mut running);
        let code = running.0.wait().expect("a child").code();
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert_eq!(code, Some(1), "{run:?}: {rest}");
        assert!(rest.contains("does not answer"), "{run:?}: {rest}");
        // It ends by what is left of that wait, and asks for nothing else more than once.
        assert!(proxy.exchanges().len() - asked < 6, "{run:?}: {:?}", proxy.exchanges());
    }
}

/// An index build can wait for a member that never comes; a service that is stopped is killed after a while.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_that_does_not_end_keeps_no_restore_from_its_end() {
    let (shell, database) = Shell::with_orders(numbered(0..30)).await;
    let index = doc! {"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "by_n"}]};
    let client = shared_replica_set().client().await;
    client.database(&database).run_command(index).await.expect("built");
    let report = shell.json(0, &["backup", "--to", "to"]);
    for rehearsed in [true, false] {
        let hold = Hold::where_it(move |sent| {
            let beside = sent.target().starts_with("mongotar.tmp.");
            sent.name == "createIndexes" && beside && sent.target().contains(".rehearsal") == rehearsed
        });
        let archive = archive(&report);
        let mut restore = shell.command(&["restore", &archive, "--replace-existing", "--yes", "--no-snapshot"]);
        restore.env("MONGO_URI", hold.wire.uri());
        let mut running = Running::start(restore);
        hold.holds().await;
        running.signal("TERM");
        let mut said = until_it_heard(&mut running);
        let code = running.0.wait().expect("a child").code();
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert_eq!(code, Some(1), "{rehearsed}: {rest}");
        assert_eq!(collections(&database).await, ["orders"], "{rehearsed}");
        // Only now: a server makes the collection that it is to build an index of.
        hold.let_go();
    }
}

/// The last one, by which documents expire, was waited for until the server answered; of one that a merge lacks it was
/// said that the run was cancelled, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_a_collection_that_is_in_place_keeps_no_restore_from_its_end() {
    let (shell, database) = Shell::with_orders(numbered(0..30)).await;
    let target = shared_replica_set().client().await.database(&database);
    let archive_with = async |to: &str, index: bson::Document| {
        target
            .run_command(doc! {"createIndexes": "orders", "indexes": [index]})
            .await
            .expect("built");
        archive(&shell.json(0, &["backup", "--to", to]))
    };
    let expiring = doc! {"key": {"n": 1}, "name": "by_n", "expireAfterSeconds": 9000};
    let expiring = archive_with("expiring", expiring).await;
    let unindexed = doc! {"dropIndexes": "orders", "index": "*"};
    target.run_command(unindexed.clone()).await.expect("dropped");
    let lasting = archive_with("lasting", doc! {"key": {"text": 1}, "name": "by_text"}).await;
    target.run_command(unindexed).await.expect("dropped");
    for (archive, replaces, changed, says) in [
        (&expiring, true, "yes", "equal, and do not expire before that is built"),
        (
            &lasting,
            false,
            "unknown",
            "its documents are in, and were not compared",
        ),
    ] {
        let hold = Hold::where_it(|sent| sent.name == "createIndexes" && sent.target() == "orders");
        let more: &[&str] = if replaces { &["--replace-existing"] } else { &[] };
        let mut restore = shell.command(&[&["restore", archive, "--yes", "--no-snapshot", "--json"], more].concat());
        restore.env("MONGO_URI", hold.wire.uri());
        let mut running = Running::start(restore);
        hold.holds().await;
        running.signal("TERM");
        let said = until_it_heard(&mut running);
        // It comes before the command is let go; then connections end the sooner.
        let stdout = running.0.stdout.as_mut().expect("piped");
        let report = serde_json::Deserializer::from_reader(stdout)
            .into_iter::<Value>()
            .next();
        let report = report.expect("a report").expect("JSON");
        hold.let_go();
        let code = running.0.wait().expect("a child").code();
        drop(said);
        assert_eq!(code, Some(3), "{says}: {report}");
        let orders = &report["verification"]["collections"][0];
        let error = text(&orders["error"]);
        assert!(error.contains(says), "{error}");
        assert_eq!(
            (&orders["file_count"], &orders["changed"]),
            (&30.into(), &changed.into()),
            "{orders}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_does_not_wait_for_the_first() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (shell, _) = Shell::with_orders(numbered(0..30)).await;
        let hold = Hold::on("find", "orders");
        let shell = shell.set("MONGO_URI", &hold.wire.uri());
        let mut running = Running::start(shell.command(&["backup", "--to", "to"]));
        hold.holds().await;
        running.signal("TERM");
        let said = until_it_heard(&mut running);
        running.signal(signal);
        assert_eq!(running.0.wait().expect("a child").code(), Some(code));
        drop(said);
        hold.let_go();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_backup_left_is_swept_by_the_next_and_what_a_living_one_writes_is_not() {
    let (shell, _) = Shell::with_orders(numbered(0..30)).await;
    let uri = shared_replica_set().uri();
    let (dead, living) = (Hold::on("find", "orders"), Hold::on("find", "orders"));
    let shell = shell.set("MONGO_URI", &dead.wire.uri());
    let running = Running::start(shell.command(&["backup", "--to", "to"]));
    dead.holds().await;
    running.kill();
    assert_eq!(unfinished(&shell), 1, "a dead one cannot undo anything");
    let shell = shell.set("MONGO_URI", &living.wire.uri());
    let mut running = Running::start(shell.command(&["backup", "--to", "to"]));
    living.holds().await;
    assert_eq!(
        unfinished(&shell),
        1,
        "that of the dead one is gone, that of the living one there"
    );
    let shell = shell.set("MONGO_URI", &uri);
    shell.run(&["backup", "--to", "to"]).expect(0);
    assert_eq!(unfinished(&shell), 1, "the living one's");
    living.let_go();
    assert_eq!(running.0.wait().expect("a child").code(), Some(0));
    assert_eq!(unfinished(&shell), 0);
    dead.let_go();
}

/// A file that may not grow any more sends a signal that would end the program on the spot.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_size_of_files_is_an_error_that_leaves_nothing() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = shared_replica_set().client().await;
    support::insert_mebibytes(&client, &database, "large", 4).await;
    let said = shell.shell("ulimit -f 1000; mongotar backup --to to").expect(1);
    assert!(
        said.err.contains("large") || said.err.contains("writing"),
        "{}",
        said.err
    );
    assert_eq!(files(shell.path("to")), Vec::<String>::new(), "{}", said.err);
}

/// The driver's tasks must not outlive its pool: some hundred quick runs showed a panic once.
#[tokio::test(flavor = "multi_thread")]
async fn quick_runs_end_without_a_word() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.json(0, &["backup", "--to", "to"]));
    for _ in 0..10 {
        let said = shell.run(&["plan", &archive, "--json"]).expect(0);
        assert_eq!(said.err, "");
    }
}
