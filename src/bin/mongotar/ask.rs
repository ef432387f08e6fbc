//! Asking a person before something changes.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use mongotar::plan::RestorePlan;

use crate::plain::{one_line, plain};
use crate::text;

/// Shows the plan, and what becomes of users, and asks. If something is destroyed, the answer must be the database's
/// name, which nobody types by habit. Without a terminal there is nobody to ask: the answer is no.
pub fn consents(plan: &RestorePlan, users: &str) -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    let destroys = plan.collections.iter().any(|planned| planned.lost.is_some());
    let question = match destroys {
        true => format!(
            "Type the database's name ({}) to carry this out: ",
            one_line(&plan.database)
        ),
        false => "Carry this out? [y/N] ".to_owned(),
    };
    // Nobody consents to what was not shown.
    if stderr()
        .write_all(plain(&format!("{}{users}\n{question}", text::plan(plan))).as_bytes())
        .is_err()
    {
        return false;
    }
    let mut answer = String::new();
    match stdin().read_line(&mut answer) {
        Err(_) => false,
        Ok(_) if destroys => answer.trim() == plan.database,
        Ok(_) => matches!(answer.trim(), "y" | "Y" | "yes"),
    }
}
