//! Things fetched once and kept under `<target directory>/rig/`.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// `<target directory>/rig`, where the target directory is `CARGO_TARGET_DIR` or `target` beside `Cargo.toml`.
fn directory() -> PathBuf {
    let package = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    package.join(target).join("rig")
}

/// The directory `name` in the cache, filled by `fill` if it is not there yet. Exactly one process fills it while
/// others wait; it appears under its name only when `fill` has returned, so that a failure leaves nothing behind.
pub fn fetched_once(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let ready = directory().join(name);
    if ready.exists() {
        return ready;
    }
    let root = directory();
    let fail = |what: &str, e: std::io::Error| -> ! { panic!("cannot {what} the rig's cache {}: {e}", root.display()) };
    fs::create_dir_all(&root).unwrap_or_else(|e| fail("create", e));
    let lock = File::create(root.join(format!("{name}.lock"))).unwrap_or_else(|e| fail("write to", e));
    lock.lock().unwrap_or_else(|e| fail("lock", e));
    if ready.exists() {
        return ready;
    }
    let unfinished = root.join(format!("{name}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).unwrap_or_else(|e| fail("clean up", e));
    }
    fs::create_dir(&unfinished).unwrap_or_else(|e| fail("write to", e));
    fill(&unfinished);
    fs::rename(&unfinished, &ready).unwrap_or_else(|e| fail("write to", e));
    ready
}
