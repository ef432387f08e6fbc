//! Validators that every document of a collection is known to keep.

use super::Definition;

/// The level of such a one (MongoDB 9.0): it can be had only where no document breaks it, and no write bypasses it.
pub(crate) const CONSTRAINT: &str = "constraint";

/// Whether a collection's validator is one.
pub(crate) fn is_constraint(options: &Definition) -> bool {
    options.get_str("validationLevel") == Some(CONSTRAINT)
}
