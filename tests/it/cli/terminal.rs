//! At a terminal: progress, the question before a restore, and an interrupt.

use std::process::{Command, Stdio};

use bson::doc;
use serde_json::json;

use super::{Said, Shell, archive, collections, numbered, said};
use crate::rig::{self, Fault, Proxy, Rule};
use crate::support;

/// Runs a command with a terminal for standard input and standard error, and standard output piped. Each `answer` is
/// typed when its question is seen. Prints `{"code", "out", "err"}`.
const TERMINAL: &str = r#"
import json, os, pty, select, subprocess, sys, time
command, answers = json.loads(sys.argv[1]), json.loads(sys.argv[2])
ours, theirs = pty.openpty()
def leader():
    os.setsid()
    import fcntl, termios
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
child = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=theirs if sys.argv[3] == "all" else subprocess.PIPE, preexec_fn=leader)
os.close(theirs)
seen, read, deadline = b"", 0, time.time() + 60
while time.time() < deadline:
    if not select.select([ours], [], [], 0.05)[0]:
        if child.poll() is not None: break
        continue
    try: more = os.read(ours, 65536)
    except OSError: break
    if not more: break
    seen += more
    if answers and answers[0][0].encode() in seen[read:]:
        read = len(seen)
        os.write(ours, answers.pop(0)[1].encode())
out = child.stdout.read() if child.stdout else b""
print(json.dumps({"code": child.wait(10), "out": out.decode(), "err": seen.decode()}))
"#;

fn at_a_terminal(shell: &Shell, arguments: &[&str], answers: &[(&str, &str)]) -> Said {
    with_a_terminal(shell, arguments, answers, "not standard output")
}

fn with_a_terminal(shell: &Shell, arguments: &[&str], answers: &[(&str, &str)], which: &str) -> Said {
    let command: Command = shell.command(arguments);
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_str().expect("UTF-8").to_owned())
        .collect();
    let mut python = Command::new(rig::python().interpreter());
    python
        .args([
            "-c",
            TERMINAL,
            &json!(words).to_string(),
            &json!(answers).to_string(),
            which,
        ])
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().expect("a folder"));
    let ran = said(python.output().expect("Python starts")).expect(0).json();
    Said {
        code: i32::try_from(ran["code"].as_i64().expect("a number")).expect("an exit code"),
        out: super::text(&ran["out"]),
        err: super::text(&ran["err"]),
    }
}

/// Fields and values of others are told with JSON's own escapes, and mean the same.
#[tokio::test]
async fn documents_cannot_do_anything_to_a_terminal() {
    let field = "f\u{202e}\u{9b}\u{2066}";
    let (shell, _) = Shell::with_orders(vec![doc! {"_id": 1, field: "\u{200f}x"}]).await;
    let archive = archive(&shell.backed_up(&[]));
    let said = with_a_terminal(&shell, &["cat", &archive, "orders"], &[], "all").expect(0);
    assert!(said.err.contains(r#""f\u202e\u009b\u2066":"\u200fx""#), "{}", said.err);
    let counts = with_a_terminal(&shell, &["verify", &archive, "--counts", "-"], &[], "all").expect(0);
    assert!(!counts.err.contains("u{d}"), "{}", counts.err);
    let piped = shell.run(&["cat", &archive, "orders"]).expect(0);
    assert!(piped.out.contains(field), "a pipe gets them as they are: {}", piped.out);
}

#[tokio::test]
async fn progress_is_shown_at_a_terminal_and_only_there() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let said = at_a_terminal(&shell, &["backup", "--to", "to", "--json"], &[]).expect(0);
    assert!(
        said.err.contains("documents") && said.err.contains("MB/s"),
        "{}",
        said.err
    );
    assert_eq!(
        said.json()["status"],
        "complete",
        "and the result is on standard output alone"
    );
    let said = shell.run(&["backup", "--to", "to"]).expect(0);
    assert_eq!(said.err, "");
}

#[tokio::test]
async fn a_restore_shows_its_plan_and_asks_for_the_name_where_something_is_lost() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&[]));
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "extra", numbered(0..1)).await;
    let question = "Type the database's name";
    for no in ["y\n", "\n"] {
        let said = at_a_terminal(&shell, &["restore", &archive, "--json"], &[(question, no)]).expect(1);
        assert!(
            said.err.contains("extra") && said.err.contains(&database),
            "the plan is shown: {}",
            said.err
        );
        assert_eq!(said.json()["error_type"], "ConsentMissing");
        assert_eq!(collections(&database).await, ["extra", "orders"], "{no:?}");
    }
    let name = format!("{database}\n");
    let said = at_a_terminal(&shell, &["restore", &archive, "--json"], &[(question, &name)]).expect(0);
    assert_eq!(said.json()["status"], "complete");
    assert_eq!(collections(&database).await, ["orders"]);

    // Where nothing is lost, a yes will do.
    let target = rig::fresh_database_name("cli");
    let arguments = ["restore", &archive, "--mongo-db", &target];
    at_a_terminal(&shell, &arguments, &[("[y/N]", "n\n")]).expect(1);
    assert_eq!(collections(&target).await, [""; 0]);
    let said = at_a_terminal(&shell, &arguments, &[("[y/N]", "y\n")]).expect(0);
    assert!(said.out.contains("complete"), "{}", said.out);
    assert_eq!(collections(&target).await, ["orders"]);
}

/// The question went on waiting after Ctrl-C, and a yes typed then was acted upon.
#[tokio::test]
async fn ctrl_c_at_the_question_ends_the_restore() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&[]));
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "extra", numbered(0..1)).await;
    let interrupt = [("Type the database's name", "\u{3}")];
    let said = at_a_terminal(&shell, &["restore", &archive, "--json"], &interrupt).expect(1);
    assert_eq!(said.json()["error_type"], "Cancelled");
    assert_eq!(collections(&database).await, ["extra", "orders"]);
}

fn interrupt(child: &std::process::Child) {
    let sent = Command::new("/bin/sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status()
        .expect("a shell");
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_during_a_backup_leaves_nothing_behind_and_ends_with_1() {
    let database = rig::fresh_database_name("cli");
    let client = rig::shared_replica_set().client().await;
    support::insert_mebibytes(&client, &database, "large", 24).await;
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    // No part is through before the interrupt, so that it meets the backup half-way.
    let parts = Rule::on("PUT", "partNumber=").times(usize::MAX);
    proxy.inject(parts.then(Fault::Hold));
    let mut shell = Shell::new().set("MONGO_DB", &database);
    for (name, value) in rig::shared_s3().env_at(&proxy.endpoint()) {
        shell = shell.set(&name, &value);
    }
    let folder = support::bucket().await;
    let child = shell
        .command(&["backup", "--to", &folder.to_string(), "--compression", "none", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    support::eventually("a part is on its way", || proxy.count("PUT", "partNumber=") > 0).await;
    interrupt(&child);
    proxy.release();
    let said = said(child.wait_with_output().expect("it ends")).expect(1);
    assert_eq!(said.json()["error_type"], "Cancelled");
    assert!(said.err.contains("interrupted"), "{}", said.err);
    assert_eq!(support::unfinished(&folder).await, [""; 0]);
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    assert_eq!(support::visible(&store, &folder).await, [""; 0]);
    assert_eq!(proxy.count("DELETE", "uploadId="), 1, "the upload was aborted");
}

#[tokio::test]
async fn ctrl_c_during_a_backup_into_a_folder_leaves_no_file_behind() {
    let database = rig::fresh_database_name("cli");
    let client = rig::shared_replica_set().client().await;
    support::insert_mebibytes(&client, &database, "large", 128).await;
    let shell = Shell::new().set("MONGO_DB", &database);
    let folder = mongotar::store::Location::Local(shell.path("to"));
    let child = shell
        .command(&["backup", "--to", "to"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let begun = || std::fs::read_dir(shell.path("to")).is_ok_and(|mut files| files.next().is_some());
    support::eventually("the archive is begun", begun).await;
    interrupt(&child);
    let said = said(child.wait_with_output().expect("it ends")).expect(1);
    assert!(said.err.contains("Cancelled"), "{}", said.err);
    assert_eq!(said.out, "");
    assert_eq!(support::unfinished(&folder).await, [""; 0]);
    assert_eq!(std::fs::read_dir(shell.path("to")).expect("a folder").count(), 0);
}
