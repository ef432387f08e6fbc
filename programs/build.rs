//! Has functions of equal code linked once: a tenth of a megabyte of each Lambda function.
//!
//! Only the linker that Rust brings along for this target is asked to: others call the option otherwise, or do not have
//! it, and what they link is whole without it.

use std::env::var;
use std::path::Path;
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let is = |name: &str, value: &str| var(name).is_ok_and(|is| is == value);
    let is_told_otherwise =
        var("RUSTC_LINKER").is_ok() || var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if is("PROFILE", "release") && is("TARGET", TARGET) && !is_told_otherwise && links_by_itself() {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// Whether this toolchain has its own linker.
fn links_by_itself() -> bool {
    let rustc = var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    sysroot.is_ok_and(|printed| {
        let sysroot = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
        let linker = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(TARGET)
            .join("bin/gcc-ld/ld.lld");
        linker.exists()
    })
}
