//! A reader that goes away: `mongotar cat … | head -1`.

use std::io::{BufRead as _, BufReader, Read as _, pipe};
use std::process::Stdio;

use super::{Shell, archive, numbered};
use crate::rig::shared_replica_set;

/// It ended with `Store: writing the documents: Broken pipe` and exit code 1.
#[tokio::test]
async fn cat_into_head_ends_quietly() {
    let (shell, _) = Shell::with_orders(numbered(0..20_000)).await;
    let archive = archive(&shell.backed_up(&[]));
    let mut child = shell
        .command(&["cat", &archive, "orders"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    drop(lines);
    let mut said = String::new();
    let mut err = child.stderr.take().expect("piped");
    err.read_to_string(&mut said).expect("UTF-8");
    let status = child.wait().expect("it has ended");
    assert_eq!(line, "{\"_id\":{\"$numberInt\":\"0\"},\"text\":\"x\"}\n");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

/// The work is done, and its exit code says how, whoever looks.
#[tokio::test]
async fn a_result_that_nobody_reads_changes_no_exit_code() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let archive = archive(&shell.backed_up(&[]));
    for (arguments, code) in [
        (&["list", "to"][..], 0),
        (&["show", &archive, "--json"], 0),
        (&["cat", &archive, "orders"], 0),
        (&["verify", &archive], 0),
        (&["backup", "--to", "to"], 0),
        (&["--help"], 0),
        (&["list", "gs://nowhere", "--json"], 2),
    ] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let output = shell.command(arguments).stdout(writer).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("roken pipe"), "{said}");
    }
}

/// A terminal that was closed: a run that was done, or failed for a reason of its own, ended with 101 for the panic of
/// whoever wanted to say something.
#[tokio::test]
async fn what_nobody_reads_on_standard_error_changes_no_exit_code() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let uri = format!("{}&no=such&option=here", shared_replica_set().uri());
    let shell = shell.set("MONGO_URI", &uri);
    std::fs::write(shell.path(".env"), "no line\n").expect("written");
    for (arguments, code) in [
        (&["backup", "--to", "to"][..], 0),
        (&["restore", "to/nothing.tar"], 1),
        (&["list", "gs://nowhere", "--json"], 2),
        (&["no-such-command"], 2),
    ] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let output = shell.command(arguments).stderr(writer).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
