//! Which programs are tried: those that cargo has built with the tests, or those that ship.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the programs to try instead of those that cargo has just built.
pub const PROGRAMS: &str = "MONGOTAR_PROGRAMS";

/// The program that cargo has built at that path, or its namesake in the folder that `MONGOTAR_PROGRAMS` names.
pub fn program(built: impl AsRef<Path>) -> PathBuf {
    let built = built.as_ref();
    let Some(folder) = env::var_os(PROGRAMS) else {
        return built.to_owned();
    };
    let name = built.file_name().expect("a program has a name");
    let other = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .join(folder)
        .join(name);
    assert!(
        other.is_file(),
        "{PROGRAMS}: there is no {}: build it, or unset {PROGRAMS}",
        other.display()
    );
    other
}
