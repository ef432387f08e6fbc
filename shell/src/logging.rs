//! Which log lines are written.
//!
//! `MONGOTAR_LOG` is a level (`warn`), or a list of levels by source (`info,mongotar::store=warn`); the longest
//! matching name wins.

use std::io::{self, Write};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use mongotar::hidden::{hidden, hidden_line};

/// The variable that says which lines are wanted.
pub const VARIABLE: &str = "MONGOTAR_LOG";

/// Has `layer` write log lines: those that [`VARIABLE`] asks for, or the usual ones if it is unset, or invalid, which
/// is then logged; none of `silent`. A second subscriber is refused; the first one stays.
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
            "{VARIABLE} is invalid, so the usual lines are logged: {reason}; give a level such as `info`, or a list such as `info,mongotar::store=warn`"
        );
    }
}

/// Whether what is left out of a connection string is logged.
pub fn warns_of_connections() -> bool {
    tracing::enabled!(target: "mongotar::mongo::connect", tracing::Level::WARN)
}

/// Where log lines go, each with its connection strings hidden.
#[derive(Debug)]
pub struct Hiding<W>(pub W);

/// What one line is written to.
#[derive(Debug)]
pub struct HidingWriter<O>(O);

impl<'a, O: Write, W: Fn() -> O + 'a> MakeWriter<'a> for Hiding<W> {
    type Writer = HidingWriter<O>;

    fn make_writer(&'a self) -> Self::Writer {
        HidingWriter((self.0)())
    }
}

impl<O: Write> Write for HidingWriter<O> {
    /// A layer writes each line by one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(hidden_line(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Has a panic whose message holds a connection string say so without it; any other is reported as ever.
pub fn hide_in_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.to_string();
        match hidden(&text) {
            std::borrow::Cow::Owned(text) => {
                let _ = writeln!(io::stderr(), "{text}");
            }
            std::borrow::Cow::Borrowed(_) => usual(panic),
        }
    }));
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
        // As the template has it: libraries log errors only, whatever is asked for.
        for (level, next) in [("error", Level::WARN), ("info", Level::DEBUG), ("debug", Level::TRACE)] {
            let (asked, refused) = targets(Some(&format!("error,mongotar={level}")), "info");
            let enabled: Level = level.parse().expect("a level");
            for of in ["mongotar::store::s3", "mongotar_shell::lambda"] {
                assert!(
                    asked.would_enable(of, &enabled) && !asked.would_enable(of, &next),
                    "{of} {level}"
                );
            }
            assert!(asked.would_enable("hyper", &Level::ERROR) && !asked.would_enable("hyper", &Level::WARN));
            assert_eq!(refused, None);
        }
        let (kept, refused) = targets(Some("mongotar=loud"), "info,aws=warn");
        assert_eq!(kept, usual);
        assert!(refused.is_some());
    }
}
