//! What the functions are linked without.

use super::{BACKUP, RESTORE};
use crate::rig;

/// They may have 14,000,000 bytes each, and users and roles are the command line's. A call from what they do reach
/// would bring all of it along.
#[test]
fn the_functions_have_no_code_for_users() {
    let has = |program: &str, text: &[u8]| {
        let program = std::fs::read(rig::program(program)).expect("a program");
        memchr::memmem::find(&program, text).is_some()
    };
    for text in [
        "admin.system.users",
        "putting a user in",
        "making the role",
        "does not lie where it should",
    ] {
        assert!(has(env!("CARGO_BIN_EXE_mongotar"), text.as_bytes()), "{text}");
        for function in [BACKUP, RESTORE] {
            assert!(!has(function, text.as_bytes()), "{function}: {text}");
        }
    }
}

/// How many bytes a section of an ELF program for 64 bits has, which is little-endian on both processors.
fn section(program: &[u8], wanted: &[u8]) -> usize {
    let number = |at: usize, bytes: usize| {
        let field = &program[at..at + bytes];
        field
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    // The header says where those of the sections are, how many, and which one has their names (elf(5)).
    let (headers, length, count, of_names) = (number(40, 8), number(58, 2), number(60, 2), number(62, 2));
    let header = |section: usize| headers + section * length;
    let names = number(header(of_names) + 24, 8);
    let is_wanted = |section: &usize| {
        let name = &program[names + number(header(*section), 4)..];
        name.starts_with(wanted) && name[wanted.len()] == 0
    };
    (0..count)
        .find(is_wanted)
        .map_or(0, |section| number(header(section) + 32, 8))
}

/// A function that panics tells of it while it unwinds, which takes tables of what to do in each place. Built to abort,
/// only those of Rust's own library would be left, some kilobytes.
#[test]
fn the_functions_unwind_when_they_panic() {
    for function in [BACKUP, RESTORE] {
        let program = std::fs::read(rig::program(function)).expect("a program");
        let tables = section(&program, b".gcc_except_table");
        assert!(tables > 100_000, "{function}: {tables} bytes");
    }
}
