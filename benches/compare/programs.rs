//! The programs that mongotar is compared with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::record::Record;
use crate::rig::{Mongod, python};

/// The script that this project replaces, in its essence.
const ANCESTOR: &str = include_str!("ancestor.py");

/// Backs `database` up into a tar in `folder`, as the ancestor did.
pub fn ancestor(mongod: &Mongod, database: &str, folder: &Path) -> Command {
    let mut command = Command::new(python().interpreter());
    command.args(["-c", ANCESTOR, &mongod.uri(), database]).arg(folder);
    command
}

/// `variable`, else `program` on the `PATH`; where there is none, the record says so.
pub fn tool(variable: &str, program: &'static str, record: &mut Record) -> Option<PathBuf> {
    let on_path = || {
        env::split_paths(&env::var_os("PATH")?)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    };
    let found = env::var_os(variable).map(PathBuf::from).or_else(on_path);
    let version = found.as_ref().and_then(|path| {
        let printed = Command::new(path).arg("--version").output().ok()?;
        let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
        printed.lines().next().map(str::to_owned)
    });
    record.condition(
        program,
        version.unwrap_or_else(|| format!("absent: install MongoDB Database Tools 100, or set {variable}")),
    );
    found
}

/// A MongoDB tool on a server.
pub fn mongo_tool(path: &Path, mongod: &Mongod, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(["--quiet", "--uri", &mongod.uri()]).args(arguments);
    command
}

/// The one file in a folder that has that ending.
pub fn file_with_ending(folder: &Path, ending: &str) -> PathBuf {
    let files = fs::read_dir(folder).expect("the folder is there");
    files
        .flatten()
        .map(|file| file.path())
        .find(|path| path.to_string_lossy().ends_with(ending))
        .expect("the program leaves such a file")
}
