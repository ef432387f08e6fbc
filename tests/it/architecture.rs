//! Dependencies point downwards only (DESIGN 1), and no files use one another in a circle. The source text is asked, so
//! a wrong `use` is a failing test.

mod circles;
mod sources;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use circles::circles;
use sources::{Sources, top};
use uses::{Uses, uses};

/// The roots of all crates here.
const ROOTS: [&str; 4] = [
    "src/lib.rs",
    "shell/src/lib.rs",
    "src/bin/mongotar/main.rs",
    "codec/src/lib.rs",
];

/// The layers of the library from below: a module may use those of its own layer and of the layers before it.
const LAYERS: [&[&str]; 5] = [
    // Bytes and values: no runtime, no client, no clock.
    &["ordered", "wording", "hidden", "failure", "catalog", "archive", "plan"],
    // The rim.
    &["aws", "deadline", "patience", "progress", "mongo", "store", "secrets"],
    // What operations share.
    &["config", "run", "open", "choice"],
    // Operations.
    &["backup", "soundness", "restore", "verify", "drill", "inspect", "users"],
    // What only tests see.
    &["schemas"],
];

/// Modules that do not know each other, though their layer would allow it.
const STRANGERS: [(&str, &str); 1] = [("restore", "verify")];

/// Public enums of which whoever matches one is to think of every case: a new one is a breaking change.
const EXHAUSTIVE: [&str; 13] = [
    "Answer",
    "Begun",
    "Changed",
    "Comparison",
    "Compression",
    "DatabaseReport",
    "Location",
    "Payload",
    "Piece",
    "PlanAnswer",
    "RunStatus",
    "SavedStatus",
    "Shown",
];

/// What the pure modules must not know.
const IMPURE: [&str; 9] = [
    "tokio",
    "mongodb",
    "aws_sdk_s3",
    "aws_config",
    "aws_sdk_secretsmanager",
    "lambda_runtime",
    "futures_util",
    "std::net",
    "std::fs",
];

#[test]
fn no_files_use_one_another_in_a_circle() {
    let mut all = Vec::new();
    for root in ROOTS {
        let uses = uses(&Sources::of(root));
        let graph: BTreeMap<&str, BTreeSet<&str>> = uses
            .iter()
            .map(|(file, used)| {
                let others = used.keys().map(String::as_str);
                (file.as_str(), others.collect())
            })
            .collect();
        all.extend(circles(&graph).iter().map(|circle| told(circle, &uses)));
    }
    assert!(all.is_empty(), "{} circles:\n{}", all.len(), all.join("\n"));
}

/// A circle, with the paths that make it.
fn told(circle: &BTreeSet<String>, uses: &Uses) -> String {
    let mut told = String::new();
    for file in circle {
        for (other, paths) in uses[file].iter().filter(|(other, _)| circle.contains(*other)) {
            let paths = paths.iter().cloned().collect::<Vec<_>>().join(", ");
            told += &format!("\n  {file} uses {other}: {paths}");
        }
    }
    told
}

#[test]
fn dependencies_point_downwards() {
    for (file, used) in uses(&Sources::of("src/lib.rs")) {
        for (other, paths) in used {
            let (from, to) = (module_of(&file), module_of(&other));
            assert!(
                layer_of(from) >= layer_of(to),
                "{file} uses {other}, which is above it: {paths:?}"
            );
            let strange = STRANGERS
                .iter()
                .any(|&(a, b)| (a, b) == (from, to) || (b, a) == (from, to));
            assert!(
                !strange,
                "{file} knows {other}: {paths:?}. What {from} and {to} both need belongs below both"
            );
        }
    }
}

/// `src/plan/diff.rs` is of `plan`.
fn module_of(file: &str) -> &str {
    let below = file.trim_start_matches("src/").trim_end_matches(".rs");
    below.split('/').next().unwrap_or(below)
}

/// The crate's root, which defines nothing, is above all.
fn layer_of(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    match module {
        "lib" => LAYERS.len(),
        module => layer.unwrap_or_else(|| panic!("{module} is in no layer")),
    }
}

#[test]
fn every_module_has_its_layer() {
    let sources = Sources::of("src/lib.rs");
    for path in sources.modules.keys().filter(|path| path.len() == 1) {
        layer_of(&path[0]);
    }
}

#[test]
fn the_core_is_pure() {
    for module in LAYERS[0]
        .iter()
        .map(|module| format!("src/{module}"))
        .chain(["codec/src/lib".to_owned()])
    {
        for file in files_of(&module) {
            let code = code(&file);
            for outside in IMPURE {
                let uses = [format!("use {outside}"), format!("{outside}::")];
                assert!(
                    !uses.iter().any(|uses| code.contains(uses.as_str())),
                    "{} knows {outside}",
                    file.display()
                );
            }
            assert!(
                !code.contains("SystemTime::now") && !code.contains("now_utc()"),
                "{} has a clock",
                file.display()
            );
        }
    }
}

/// Who uses the library builds nothing that only functions need.
#[test]
fn the_library_knows_no_functions() {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).expect("the library's manifest");
    let (_, dependencies) = manifest.split_once("\n[dependencies]").expect("dependencies");
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    for shell in ["lambda_runtime", "tracing-subscriber", "clap"] {
        assert!(!dependencies.contains(shell), "the library depends on {shell}");
    }
}

/// A case that is added breaks no program that uses the library.
#[test]
fn public_enums_can_grow_or_are_listed() {
    for file in files_of("src/lib")
        .iter()
        .filter(|file| !file.components().any(|part| part.as_os_str() == "bin"))
    {
        let code = code(file);
        let mut before = "";
        for line in code.lines() {
            if let Some(declared) = line.strip_prefix("pub enum ") {
                let name = declared
                    .split(|c: char| !c.is_alphanumeric())
                    .next()
                    .unwrap_or_default();
                let grows = before == "#[non_exhaustive]";
                assert_ne!(grows, EXHAUSTIVE.contains(&name), "{name} in {}", file.display());
            }
            before = line;
        }
    }
}

/// A server may never answer, so every command is waited for with a limit: what is sent elsewhere has none.
#[test]
fn no_command_is_sent_around_the_limit() {
    for (call, files) in [
        (".run_command(", &[][..]),
        (".run_raw_command(", &["src/mongo/answer.rs"]),
        (
            ".run_raw_cursor_command(",
            &["src/mongo/changes.rs", "src/mongo/read.rs"],
        ),
    ] {
        let sends = |file: &&PathBuf| code(file).contains(call);
        let roots = ["src/lib", "shell/src/lib"].map(files_of).concat();
        let mut found: Vec<String> = (roots.iter().filter(sends))
            .map(|file| file.strip_prefix(top()).expect("below the top").display().to_string())
            .collect();
        found.sort_unstable();
        assert_eq!(found, files, "{call}");
    }
}

/// One word, one meaning. Types within functions, and those of tests, are seen by nobody else.
#[test]
fn no_two_types_have_one_name() {
    let mut named = BTreeMap::<String, Vec<String>>::new();
    for root in ["src", "shell/src", "codec/src"] {
        for file in files_of(&format!("{root}/lib")) {
            for line in code(&file).lines() {
                let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
                let mut words = line.trim_start_matches("pub ").split(|c: char| !c.is_alphanumeric());
                if let (Some("struct" | "enum" | "trait" | "type"), Some(name)) = (words.next(), words.next()) {
                    named
                        .entry(name.to_owned())
                        .or_default()
                        .push(file.display().to_string());
                }
            }
        }
    }
    named.retain(|_, files| files.len() > 1);
    assert!(named.is_empty(), "{named:#?}");
}

/// The files of a module, but for those that hold only tests, which are named so.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = vec![top().join(format!("{module}.rs"))];
    let mut folders = vec![match module.strip_suffix("/lib") {
        Some(root) => top().join(root),
        None => top().join(module),
    }];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            let stem = path.file_stem().unwrap_or_default();
            match path.is_dir() {
                _ if stem == "tests" => {}
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
                false => {}
            }
        }
    }
    files
}

/// The code without comments and without what is only compiled for tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}
