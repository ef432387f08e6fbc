//! What libarchive, the library under bsdtar and much else, makes of an archive.
//!
//! `BSDTAR`, else `bsdtar` on the `PATH`, else libarchive 3.5.1 from the rig's Python environment (it reads tar,
//! gzip and zstd by itself).

use super::binaries::given;
use super::python::python;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A stand-in for the two bsdtar commands in use: `-tf ARCHIVE` and `-xf ARCHIVE -C FOLDER`.
const DRIVER: &str = r#"
import os, sys
library, mode, archive = sys.argv[1:4]
os.environ["LIBARCHIVE"] = library
import libarchive
archive = os.path.abspath(archive)
if mode == "-tf":
    with libarchive.file_reader(archive) as entries:
        for entry in entries:
            print(entry.pathname)
else:
    os.chdir(sys.argv[5])
    libarchive.extract_file(archive)
"#;

/// The names of an archive's entries, in order. Panics when libarchive refuses the archive.
pub fn libarchive_list(archive: &Path) -> Vec<String> {
    let listing = run(&["-tf", text(archive)]);
    String::from_utf8(listing.stdout)
        .expect("entry names are UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Extracts an archive into a folder, which is created. Panics when libarchive refuses the archive.
pub fn libarchive_extract(archive: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap_or_else(|e| panic!("cannot create {}: {e}", folder.display()));
    run(&["-xf", text(archive), "-C", text(folder)]);
}

fn run(args: &[&str]) -> Output {
    let output = if let Some(bsdtar) = given("BSDTAR", "bsdtar") {
        let output = Command::new(&bsdtar).args(args).output();
        output.unwrap_or_else(|e| panic!("cannot run {}: {e}", bsdtar.display()))
    } else {
        let library = python().libarchive_library();
        python().run(DRIVER, &[&[text(&library)], args].concat(), b"")
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "libarchive refused `{}`: {complaint}",
        args.join(" ")
    );
    output
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths in tests are UTF-8")
}
