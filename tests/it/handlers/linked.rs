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
