//! `compact`: a full archive of a chain, by itself or within a watch.

use std::sync::Arc;
use std::time::Duration;

use mongotar::archive::ArchiveName;
use mongotar::backup::{BackupJob, BackupReport, CompactJob, CompactTools, Retention, Tools, compact};
use mongotar::config::Environment;
use mongotar::failure::Failure;
use mongotar::progress::Progress;
use mongotar::store::{Location, Store};
use tokio_util::sync::CancellationToken;

use crate::arguments::Compact;
use crate::printed::print;
use crate::session::{code, folder, memory};
use crate::show_progress::ShownProgress;
use crate::signals::{self, First};
use crate::telling::{CommandEnd, Told};
use crate::text;

/// Makes a full archive of the newest chain in a folder.
pub async fn run_compact(arguments: Compact, json: bool) -> Result<CommandEnd, Failure> {
    let retention = match arguments.retention {
        None => Retention::of_environment(&Environment::read())?,
        given => given,
    };
    let cancel = CancellationToken::new();
    let tools = CompactTools {
        store: Store::until(&cancel),
        progress: Arc::new(Progress::default()),
        memory: memory(arguments.memory.as_ref())?,
        cancel: cancel.clone(),
    };
    let folder = folder(arguments.folder)?;
    signals::listen_for(First::Cancels(cancel));
    let shown = ShownProgress::start(&tools.progress);
    let made = Box::pin(compact(&CompactJob { folder, retention }, &tools)).await;
    shown.stop();
    let report = made?;
    print(json, &report, text::backup)?;
    Ok(CommandEnd {
        code: code(report.status),
        told: Some(Told::of_backup("compact", &report)),
    })
}

/// The same within a watch, where the full archive of the chain is older than it should be.
pub async fn compacted(
    job: &BackupJob,
    increment: &BackupReport,
    every: Duration,
    tools: &Tools,
) -> Result<Option<BackupReport>, Failure> {
    if !is_due(&increment.archive, every) {
        return Ok(None);
    }
    let of_chain = CompactJob {
        folder: job.destination.clone(),
        retention: job.retention,
    };
    let tools = CompactTools {
        store: tools.store.clone(),
        progress: Arc::clone(&tools.progress),
        memory: tools.memory,
        cancel: tools.cancel.clone(),
    };
    Box::pin(compact(&of_chain, &tools)).await.map(Some)
}

/// Whether an increment is that much later than the full archive of its chain.
fn is_due(increment: &Location, every: Duration) -> bool {
    let chain = increment.parent().to_string();
    let chain = chain.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
    let base = chain.and_then(ArchiveName::of_chain);
    let own = ArchiveName::of_object(&increment.file_name());
    match (base, own) {
        (Some(base), Some((own, _))) => {
            let age = own.unix_seconds() - base.unix_seconds();
            u64::try_from(age).is_ok_and(|age| age >= every.as_secs())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_due_by_the_times_of_its_archives() {
        let increment = |text: &str| -> Location { text.parse().expect("a location") };
        let of_a_day = increment("s3://b/shop/backup_20261121_020000.chain/backup_20261122_020000.tar.zst");
        assert!(is_due(&of_a_day, Duration::from_secs(86_400)));
        assert!(!is_due(&of_a_day, Duration::from_secs(86_401)));
        assert!(!is_due(
            &increment("/b/backup_20261122_020000.tar"),
            Duration::from_secs(1)
        ));
    }
}
