//! The backup function of AWS Lambda: an event in, a report out. See `mongotar::backup`.

fn main() -> Result<(), lambda_runtime::Error> {
    mongotar_shell::lambda::serve_backups()
}
