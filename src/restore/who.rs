//! Who restores.

/// Who restores, for the person who is kept waiting.
pub(super) fn who() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(function) = variable("AWS_LAMBDA_FUNCTION_NAME") {
        let log = variable("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_default();
        return format!("the function {function} (log stream {log})");
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.map(|name| name.trim().to_owned()).or_else(|| variable("HOSTNAME"));
    format!(
        "process {} on {}",
        std::process::id(),
        host.as_deref().unwrap_or("an unnamed host")
    )
}
