//! The restore function of AWS Lambda: an event in, a report out. See `mongotar::restore`.

fn main() -> Result<(), lambda_runtime::Error> {
    mongotar::lambda::serve_restores()
}
