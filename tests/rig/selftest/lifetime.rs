//! Nothing outlives its guard, nor this process, not even when that is killed outright.

use super::super::process::Launch;
use super::super::{Mongod, ScratchDir};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A shell with a child of its own; it prints that child's id.
const SHELL: &str = "sleep 600 & echo $!; wait";

/// Gone, or dead and waiting for an init that does not reap.
fn is_gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z ") || stat.contains(") X "))
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_dropped_guard_takes_the_whole_process_group_along() {
    let (shell, out, _err) = Launch::new(Path::new("/bin/sh")).args(["-c", SHELL]).spawn_captured();
    let mut line = String::new();
    BufReader::new(out)
        .read_line(&mut line)
        .expect("the shell prints a line");
    let (parent, grandchild) = (shell.pid(), line.trim().parse().expect("a process id"));
    assert!(!is_gone(parent) && !is_gone(grandchild));
    drop(shell);
    wait_until("the shell and its child are gone", || {
        is_gone(parent) && is_gone(grandchild)
    });
}

#[test]
fn a_process_killed_outright_leaves_nothing_behind() {
    let name = module_path!().split_once("::").expect("a module below the crate").1;
    let mut victim = Command::new(env::current_exe().expect("a test has a path"))
        .args(["--ignored", "--exact", "--nocapture", &format!("{name}::the_victim")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary can be run again");
    let mut lines = BufReader::new(victim.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let line = lines.find_map(|line| line.split_once("VICTIM ").map(|(_, rest)| rest.to_owned()));
    let line = line.expect("the victim starts its processes");
    let (pid, folders) = line.split_once(' ').expect("an id and folders");
    let pid: u32 = pid.parse().expect("an id");
    let folders: Vec<PathBuf> = folders.split(' ').map(PathBuf::from).collect();
    assert!(!is_gone(pid) && folders.iter().all(|folder| folder.is_dir()));
    victim.kill().expect("SIGKILL");
    victim.wait().expect("a child of ours can be waited for");
    wait_until("mongod is gone", || is_gone(pid));
    wait_until("its directories are gone", || {
        folders.iter().all(|folder| !folder.exists())
    });
}

#[test]
#[ignore = "not a test: the process that the test above kills"]
fn the_victim() {
    let (mongod, scratch) = (Mongod::standalone(), ScratchDir::new("victim"));
    println!(
        "VICTIM {} {} {}",
        mongod.pid(),
        scratch.path().display(),
        mongod.directory().display()
    );
    thread::sleep(Duration::from_secs(50));
}
