//! Which log lines are written.
//!
//! `MONGOTAR_LOG` is a level (`warn`), or a list of them by where the lines come from (`info,mongotar::store=warn`); the longest name that fits rules.

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that says which lines are wanted.
pub const VARIABLE: &str = "MONGOTAR_LOG";

/// Has log lines written by `layer`: those that [`VARIABLE`] asks for, or the usual ones where it does not or cannot be read, which is then logged; of `silent`, none at all.
/// A second subscriber is refused; the first one then stays.
pub fn start(layer: impl Layer<Registry> + Send + Sync, usual: &str, silent: &[&str]) {
    let asked = std::env::var(VARIABLE).ok();
    let (targets, refused) = targets(asked.as_deref(), usual);
    let off = tracing::level_filters::LevelFilter::OFF;
    let targets = targets.with_targets(silent.iter().map(|&target| (target, off)));
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(targets))
        .try_init();
    if let Some(reason) = refused {
        tracing::warn!(
            "{VARIABLE} is not understood, the usual lines are logged: {reason}; give a level such as `info`, or a list such as `info,mongotar::store=warn`"
        );
    }
}

/// What is asked for, or else what is usual, and why.
fn targets(asked: Option<&str>, usual: &str) -> (Targets, Option<String>) {
    let usual = || {
        usual
            .parse()
            .unwrap_or_else(|_| Targets::new().with_default(tracing::Level::WARN))
    };
    match asked.map(str::trim).filter(|asked| !asked.is_empty()) {
        None => (usual(), None),
        Some(asked) => match asked.parse() {
            Ok(targets) => (targets, None),
            Err(reason) => (usual(), Some(reason.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn what_is_asked_for_rules_where_it_is_understood() {
        let (usual, refused) = targets(None, "info,aws=warn");
        assert!(usual.would_enable("mongotar", &Level::INFO) && !usual.would_enable("aws_config", &Level::INFO));
        assert_eq!((refused, targets(Some(" "), "info,aws=warn").0), (None, usual.clone()));
        let (asked, refused) = targets(Some("warn,mongotar::store=info"), "info");
        assert!(
            asked.would_enable("mongotar::store::s3", &Level::INFO) && !asked.would_enable("mongotar", &Level::INFO)
        );
        assert_eq!(refused, None);
        let (kept, refused) = targets(Some("mongotar=loud"), "info,aws=warn");
        assert_eq!(kept, usual);
        assert!(refused.is_some());
    }
}
