//! The restore function of AWS Lambda: an event in, a report out. See `mongotar::restore`.

fn main() -> Result<(), lambda_runtime::Error> {
    mongotar_shell::lambda::serve_restores()
}
