//! Dependencies between modules point downwards only (DESIGN 1): the source text is asked, so a wrong `use` is a failing test.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from below: a module may use those of its own layer and of the layers before it.
const LAYERS: [&[&str]; 5] = [
    // Bytes and values: no runtime, no client, no clock.
    &[
        "elements", "wording", "hidden", "failure", "extjson", "digest", "catalog", "archive", "plan",
    ],
    // The rim.
    &["deadline", "patience", "progress", "mongo", "store", "secrets"],
    // What operations share.
    &["config", "run", "runtime", "logging", "open"],
    // Operations.
    &["backup", "restore", "verify", "drill", "inspect", "counts"],
    // Shells.
    &["metrics", "lambda", "schemas"],
];

/// Those that are a package of their own, compiled for speed.
const CODEC: [&str; 3] = ["elements", "extjson", "digest"];

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

fn files_of(module: &str) -> Vec<PathBuf> {
    let package = match CODEC.contains(&module) {
        true => "codec/src",
        false => "src",
    };
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(package);
    let mut files = vec![source.join(format!("{module}.rs"))];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            match path.is_dir() {
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

#[test]
fn dependencies_point_downwards() {
    for (layer, modules) in LAYERS.iter().enumerate() {
        for module in *modules {
            for file in files_of(module) {
                let code = code(&file);
                for above in LAYERS[layer + 1..].iter().copied().flatten() {
                    let upward = format!("crate::{above}");
                    let hit = code.match_indices(&upward).any(|(at, _)| {
                        !code[at + upward.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
                    });
                    assert!(!hit, "{} uses {upward}, which is above it", file.display());
                }
            }
        }
    }
}

#[test]
fn every_module_has_its_layer() {
    let lib = code(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("src/lib.rs"));
    let modules = lib
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    for module in modules.map(|module| module.trim_end_matches(';')) {
        assert!(
            LAYERS.iter().copied().flatten().any(|known| *known == module),
            "{module} is in no layer"
        );
    }
}

#[test]
fn the_core_is_pure() {
    for module in LAYERS[0] {
        for file in files_of(module) {
            let code = code(&file);
            // A file of tests only is named as such.
            if file
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
            {
                continue;
            }
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
