//! What is asked for, in the words of a function's event and in those of the command line.

use mongotar::store::Location;
use serde_json::{Value, json};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Backup,
    Restore,
    Merge,
    Drill,
}

impl Operation {
    pub const ALL: [Self; 4] = [Self::Backup, Self::Restore, Self::Merge, Self::Drill];
}

/// One run, however often it is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    pub operation: Operation,
    /// Where a backup goes.
    pub to: Location,
    pub compression: &'static str,
    pub payload: &'static str,
    /// What the others read.
    pub archive: String,
    /// What is saved, or restored into.
    pub database: String,
    /// Its name; a function knows it again by that.
    pub run: String,
}

impl Order {
    pub fn event(&self) -> Value {
        let mut event = match self.operation {
            Operation::Backup => json!({
                "database": self.database, "destination": self.to, "compression": self.compression, "payload": self.payload,
            }),
            Operation::Restore => {
                json!({"archive": self.archive, "database": self.database, "replace_existing": true, "yes": true})
            }
            Operation::Merge => json!({"archive": self.archive, "database": self.database, "yes": true}),
            Operation::Drill => json!({"action": "drill", "archive": self.archive}),
        };
        event["run"] = json!({"id": self.run, "time": "2026-11-21T02:00:00Z"});
        event
    }

    /// The same for the command line. Where its run has no name, each attempt is one of its own.
    pub fn arguments(&self, attempt: usize, is_named: bool) -> Vec<String> {
        let attempt = if is_named { 0 } else { attempt };
        let (to, scratch) = (self.to.to_string(), self.scratch(attempt));
        let into = ["--mongo-db", &self.database, "--yes"];
        let words: Vec<&str> = match self.operation {
            Operation::Backup => {
                let form = ["--compression", self.compression, "--payload", self.payload];
                let what = ["backup", "--mongo-db", &self.database, "--to", &to];
                [what.as_slice(), &form].concat()
            }
            Operation::Restore => [&["restore", &self.archive, "--replace-existing"], into.as_slice()].concat(),
            Operation::Merge => [&["restore", &self.archive], into.as_slice()].concat(),
            Operation::Drill => vec!["drill", &self.archive, "--scratch", &scratch],
        };
        let name = ["--run", &self.run];
        let name = if is_named { &name[..] } else { &[] };
        let words = words.into_iter().chain(["--json"]).chain(name.iter().copied());
        words.map(str::to_owned).collect()
    }

    /// The database that an attempt of the command line drills in.
    pub fn scratch(&self, attempt: usize) -> String {
        format!("{}_{attempt}", self.run)
    }
}
