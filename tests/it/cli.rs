//! The command line as its users meet it: every command and option, what is printed where, and the exit codes.

mod against;
mod backup;
mod closed_pipe;
mod counts;
mod environment;
mod estimate;
mod forged;
mod hidden;
mod looking;
mod no_archive;
mod policies;
mod readme;
mod refusals;
mod restore;
mod runs;
mod signals;
mod telling;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bson::{Document, doc};
use serde_json::Value;

use crate::{rig, support};

/// A place to run `mongotar` in: a folder of its own, and an environment with nothing of the caller's.
pub struct Shell {
    scratch: rig::ScratchDir,
    env: Vec<(String, OsString)>,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Shell {
    /// With S3 and the shared replica set, but no database.
    pub fn new() -> Self {
        let mut env = rig::shared_s3().env();
        env.push(("MONGO_URI".to_owned(), rig::shared_replica_set().uri()));
        Self {
            scratch: rig::ScratchDir::new("cli"),
            env: env.into_iter().map(|(name, value)| (name, value.into())).collect(),
        }
    }

    /// With a database that has `documents` in `orders`.
    pub async fn with_orders(documents: Vec<Document>) -> (Self, String) {
        let database = rig::fresh_database_name("cli");
        let client = rig::shared_replica_set().client().await;
        support::insert(&client, &database, "orders", documents).await;
        (Self::new().set("MONGO_DB", &database), database)
    }

    /// Another with the same environment and a folder of its own.
    pub fn copy(&self) -> Self {
        Self {
            scratch: rig::ScratchDir::new("cli"),
            env: self.env.clone(),
        }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self = self.unset(name);
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The command, ready to be run, with nothing on its standard input.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(rig::program(env!("CARGO_BIN_EXE_mongotar")));
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.scratch.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs a line as a shell would, which finds `mongotar` on its path.
    pub fn shell(&self, line: &str) -> Said {
        let program = rig::program(env!("CARGO_BIN_EXE_mongotar"));
        let folder = program
            .parent()
            .expect("a program is in a folder")
            .display()
            .to_string();
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("PATH", format!("{folder}:/usr/bin:/bin"))
            .current_dir(self.scratch.path())
            .stdin(Stdio::null());
        said(command.output().expect("a shell starts"))
    }

    /// Runs the command with `--json` and expects that exit code.
    pub fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.run(&with_json).expect(code).json()
    }

    /// Backs up with these options and gives the report.
    pub fn backed_up(&self, options: &[&str]) -> Value {
        let arguments: Vec<&str> = ["backup", "--to", "to"]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        self.json(0, &arguments)
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Said {
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "standard output:\n{}\nstandard error:\n{}",
            self.out, self.err
        );
        self
    }

    /// Standard output as exactly one JSON document: anything before or after it would be refused.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// The archive that a report names.
pub fn archive(report: &Value) -> String {
    text(&report["archive"])
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

/// The element of that name in a list of a report.
pub fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let all = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    let found = all.iter().find(|element| element["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}"))
}

pub fn names(list: &Value) -> Vec<String> {
    let all = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    all.iter().map(|element| text(&element["name"])).collect()
}

/// Documents with these `_id`s.
pub fn numbered(ids: std::ops::Range<i32>) -> Vec<Document> {
    ids.map(|id| doc! {"_id": id, "text": "x"}).collect()
}

/// The `_id`s that are in a collection now.
pub async fn ids(database: &str, collection: &str) -> Vec<i32> {
    let client = rig::shared_replica_set().client().await;
    let documents = support::raw_documents(&client, database, collection).await;
    let mut ids: Vec<i32> = documents
        .iter()
        .map(|document| {
            let document: Document = bson::deserialize_from_slice(document).expect("a document of the server");
            document.get_i32("_id").expect("a number")
        })
        .collect();
    ids.sort_unstable();
    ids
}

pub async fn collections(database: &str) -> Vec<String> {
    let client = rig::shared_replica_set().client().await;
    let mut names = client.database(database).list_collection_names().await.expect("names");
    names.retain(|name| !name.starts_with("system."));
    names.sort_unstable();
    names
}
