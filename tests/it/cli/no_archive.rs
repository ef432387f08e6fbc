//! What is named as an archive and is none, because it is neither a file nor a folder, is empty, or may not be read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::{Shell, numbered, said, text};
use crate::{rig, support};

/// It was "does not exist", whatever was there.
#[tokio::test]
async fn what_is_no_file_is_told_by_what_it_is_at_once() {
    let shell = Shell::new().set("MONGO_DB", &rig::fresh_database_name("cli"));
    let made = shell.shell("mkfifo pipe && ln -s pipe link && : > empty.tar");
    assert_eq!(made.code, 0, "{made:?}");
    let _bound = UnixListener::bind(shell.path("socket")).expect("bound");
    for (what, kind, words) in [
        (
            "/dev/null",
            "ArchiveUnsupported",
            ["a device", "name a file or a folder"],
        ),
        (
            "pipe",
            "ArchiveUnsupported",
            ["a pipe", "to a file, and name that file"],
        ),
        (
            "link",
            "ArchiveUnsupported",
            ["a pipe", "to a file, and name that file"],
        ),
        ("socket", "ArchiveUnsupported", ["a socket", "name a file or a folder"]),
        ("empty.tar", "ArchiveDamaged", ["0 bytes", "another archive"]),
        ("missing.tar", "ArchiveNotFound", ["does not exist", "missing.tar"]),
    ] {
        for command in ["restore --yes", "plan", "show", "verify"] {
            // Where it hangs, the exit code is 124.
            let failed = shell.shell(&format!("timeout 60 mongotar {command} {what} --json"));
            assert_eq!(failed.code, 1, "{command} {what}: {failed:?}");
            let failure = failed.json();
            assert_eq!(failure["error_type"], kind, "{command} {what}: {failure}");
            let message = text(&failure["message"]);
            for word in words {
                assert!(message.contains(word) && message.contains(what), "{command}: {message}");
            }
        }
    }
    for line in ["list /dev/null", "list empty.tar", "restore --yes --latest /dev/null"] {
        let failed = shell.shell(&format!("timeout 60 mongotar {line}"));
        assert_eq!(failed.code, 1, "{line}: {failed:?}");
        assert!(
            failed.err.contains("is no folder: name the folder"),
            "{line}: {}",
            failed.err
        );
    }
}

/// The folder that was named was told, and not the one within that may not be read; a folder that may be listed and not
/// entered was full of "links".
#[tokio::test]
async fn a_folder_that_may_not_be_read_is_told_with_which_one_it_is() {
    let shell = Shell::new();
    let allow = |name: &str, mode| fs::set_permissions(shell.path(name), Permissions::from_mode(mode));
    let dump = shell.path("dump/shop");
    fs::create_dir_all(&dump).expect("made");
    fs::write(dump.join("orders.json"), "{\"_id\": 1}\n").expect("written");
    allow(".", 0o755).expect("allowed");
    let program = shell.path("mongotar");
    let run = || {
        let arguments = ["show", "dump"];
        allow("dump/shop/orders.json", 0o644).ok();
        if fs::read(dump.join("orders.json")).is_err() {
            return said(shell.command(&arguments).output().expect("the program starts"));
        }
        // Nothing is forbidden to root, so another user looks.
        if !program.exists() {
            // By another process: whoever is started meanwhile would have it open for writing, and keep it busy.
            let from = rig::program(env!("CARGO_BIN_EXE_mongotar"));
            let copied = Command::new("cp").args([&from, &program]).status();
            assert!(copied.expect("cp starts").success());
        }
        let mut command = Command::new(&program);
        let command = command.args(arguments).env_clear().current_dir(shell.path("."));
        said(command.uid(65_534).output().expect("the program starts"))
    };
    for mode in [0o000, 0o444] {
        allow("dump/shop", mode).expect("set");
        let failed = run();
        allow("dump/shop", 0o755).expect("allowed");
        assert_eq!(failed.code, 1, "{failed:?}");
        for word in ["StoreDenied", "dump/shop", "allow this user to do it"] {
            assert!(failed.err.contains(word), "{mode:o} {word}: {}", failed.err);
        }
    }
}

/// The manifests beside archives of ours became collections, `complete`; and what a restore saved into a dump's folder
/// made the next one ask which database was meant.
#[tokio::test]
async fn a_folder_of_our_own_archives_is_no_dump_and_what_a_restore_saves_is_not_of_one() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    shell.json(0, &["backup", "--to", "kept"]);
    let target = rig::fresh_database_name("own");
    let refused = shell
        .run(&["restore", "kept", "--mongo-db", &target, "--yes"])
        .expect(2);
    assert!(refused.err.contains("--latest"), "{}", refused.err);
    fs::create_dir_all(shell.path("dump/shop")).expect("made");
    fs::write(shell.path("dump/shop/orders.json"), "{\"_id\": 1}\n").expect("written");
    for _ in 0..2 {
        let said = shell
            .run(&["restore", "dump", "--mongo-db", &database, "--yes"])
            .expect(0);
        assert!(said.out.contains("complete: "), "{}", said.out);
    }
    assert!(shell.path("dump/pre-restore").is_dir() || shell.path("pre-restore").is_dir());
}

/// A folder that is not there was one without archives, and half an address of S3 a folder on this machine.
#[tokio::test]
async fn what_names_no_folder_and_no_object_is_told_with_what_was_meant() {
    let shell = Shell::new();
    for wrong in ["s3:/bucket/x", "S3://bucket/x", "s3:bucket/x"] {
        for command in [&["list", wrong][..], &["show", wrong], &["backup", "--to", wrong]] {
            let shell = shell
                .copy()
                .set("MONGO_URI", "mongodb://localhost/")
                .set("MONGO_DB", "shop");
            let refused = shell.json(2, command);
            assert_eq!(refused["error_type"], "InvalidRequest", "{command:?}: {refused}");
            let message = text(&refused["message"]);
            assert!(
                message.contains("Did you mean s3://bucket/x?"),
                "{command:?}: {message}"
            );
        }
    }
    for command in ["show", "verify", "plan"] {
        let bucket = [command, "s3://bucket"];
        let refused = shell.copy().set("MONGO_DB", "shop").json(1, &bucket);
        assert_eq!(refused["error_type"], "ArchiveUnsupported", "{command}: {refused}");
        let message = text(&refused["message"]);
        for words in ["this is a bucket", "s3://bucket/key", "--latest"] {
            assert!(message.contains(words), "{command}: {message}");
        }
    }
    let gone = shell.json(1, &["list", "nofolder"]);
    assert_eq!(gone["error_type"], "ArchiveNotFound", "{gone}");
    assert!(text(&gone["message"]).contains("nofolder is not there"), "{gone}");
    // Said in other words by each command, or as if it were there.
    let with_database = shell.copy().set("MONGO_DB", "shop");
    fs::create_dir(with_database.path("empty")).expect("made");
    for command in ["restore", "plan", "drill"] {
        let said = with_database.json(1, &[command, "--latest", "nofolder"]);
        assert!(said.to_string().contains(&text(&gone["message"])), "{command}: {said}");
        let said = with_database.json(1, &[command, "--latest", "empty"]).to_string();
        assert!(said.contains("there is no archive in empty: name the folder"), "{said}");
    }
    let empty = with_database.json(2, &["restore", "empty", "--yes"]);
    assert!(text(&empty["message"]).contains("--latest FOLDER"), "{empty}");
    fs::create_dir(shell.path("empty")).expect("made");
    let bucket = support::bucket().await.to_string();
    for empty in ["empty", &bucket] {
        let said = shell.run(&["list", empty]).expect(0);
        let told = format!("there is no archive of mongotar in {empty}");
        assert!(said.err.contains(&told), "{}", said.err);
        assert_eq!(shell.json(0, &["list", empty]), serde_json::json!([]));
    }
}

/// They were lines of the AWS library with its own structures in them.
#[tokio::test]
async fn a_machine_without_aws_settings_says_what_to_set_in_words() {
    let shell = Shell::new().set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/");
    let unset = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let shell = unset.into_iter().fold(shell, |shell, name| shell.unset(name));
    let shell = shell
        .set("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .set("AWS_MAX_ATTEMPTS", "1");
    let said = shell.run(&["list", "s3://bucket/x/"]).expect(1);
    assert!(said.err.contains("no credentials were found"), "{}", said.err);
    for structure in ["Error {", "source:", "WARN", "Some("] {
        assert!(!said.err.contains(structure), "{}", said.err);
    }
}
