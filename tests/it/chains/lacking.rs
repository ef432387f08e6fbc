//! Holes that somebody has made: what a chain lacks is seen before it is continued, and by `coverage`.

use std::fs;
use std::path::{Path, PathBuf};

use bson::doc;
use mongotar::archive::ArchiveKind;
use mongotar::backup::{BackupJob, backup};
use mongotar::failure::FailureKind;
use mongotar::inspect::coverage;
use mongotar::store::Location;

use super::{Beginning, base, comes_back, content, increment, incremental};
use crate::support::{folder, insert};

fn path(location: &Location) -> &Path {
    match location {
        Location::Local(path) => path,
        Location::S3 { .. } => panic!("a local one"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("copied")),
        }
    }
}

/// A full archive, three increments, and another full archive elsewhere.
struct Made {
    beginning: Beginning,
    /// The files of the archives in their order, below the folder; the manifest is beside each.
    archives: Vec<PathBuf>,
    other: PathBuf,
}

impl Made {
    async fn new() -> Self {
        let beginning = Beginning::new().await;
        let Beginning {
            tools,
            client,
            name,
            destination,
        } = &beginning;
        insert(client, name, "a", vec![doc! {"_id": 0}]).await;
        let mut archives = vec![base(tools, name, destination).await.archive];
        for id in 1..4 {
            insert(
                client,
                name,
                "a",
                vec![doc! {"_id": id, "text": "x".repeat(100 * id as usize)}],
            )
            .await;
            archives.push(increment(tools, name, destination).await.archive);
        }
        let other = base(tools, name, &folder()).await.archive;
        let below = |archive: &Location| {
            let below = path(archive).strip_prefix(path(destination));
            below.expect("in the folder").to_owned()
        };
        let (archives, other) = (archives.iter().map(below).collect(), path(&other).to_owned());
        Self {
            beginning,
            archives,
            other,
        }
    }
}

fn manifest(archive: &Path) -> PathBuf {
    PathBuf::from(archive.to_string_lossy().replace(".tar.zst", ".manifest.json"))
}

fn remove(path: PathBuf) {
    fs::remove_file(path).expect("removed");
}

/// Cuts off a file's last bytes.
fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    let length = file.metadata().expect("a length").len();
    file.set_len(length.saturating_sub(bytes)).expect("cut");
}

/// What somebody does to an archive of a chain, and what is said then.
type Harm = (&'static str, fn(&Path, &Path));
const HARMS: [Harm; 6] = [
    ("gone", |archive, _| remove(archive.to_owned())),
    ("manifest", |archive, _| remove(manifest(archive))),
    ("cut", |archive, _| cut(archive, u64::MAX)),
    ("cut", |archive, _| cut(archive, 1)),
    ("", |archive, other| {
        fs::copy(other, archive).expect("copied");
        fs::copy(manifest(other), manifest(archive)).expect("copied");
    }),
    ("missing", |archive, _| {
        remove(archive.to_owned());
        remove(manifest(archive));
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_somebody_made_ends_the_chain() {
    let made = Made::new().await;
    let Beginning {
        tools, client, name, ..
    } = &made.beginning;
    let from = path(&made.beginning.destination);
    insert(client, name, "a", vec![doc! {"_id": "more"}]).await;
    for at in [0, 1, 2] {
        for (said, harm) in HARMS {
            let harmed = folder();
            copy(from, path(&harmed));
            harm(&path(&harmed).join(&made.archives[at]), &made.other);
            let job = BackupJob {
                no_full: true,
                ..incremental(name, &harmed)
            };
            let what = format!("archive {at}, {said:?}");
            let failed = match backup(&job, tools).await {
                Ok(report) => panic!("{what}: it was continued by {}", report.archive),
                Err(failed) => failed,
            };
            assert_eq!(failed.kind, FailureKind::NoChain, "{what}: {failed}");
            // Of a full archive that is gone with its manifest nobody knows.
            assert!(at == 0 || failed.message.contains(said), "{what}: {failed}");
            let covered = coverage(&tools.store, &harmed).await.expect("covered");
            assert!(!covered.is_whole(), "{what}: {covered:?}");
            let boundaries = covered.chains.first().map_or(0, |chain| chain.boundaries);
            // An archive that is only cut a little is known by what continues it.
            // Another full archive of that name is a moment of its own.
            let exchanged = at == 0 && said.is_empty() && boundaries == 1;
            assert!(boundaries == at as u64 || exchanged, "{what}: {covered:?}");
        }
    }
    // The last one is known by its manifest alone.
    let harmed = folder();
    copy(from, path(&harmed));
    cut(&path(&harmed).join(&made.archives[3]), u64::MAX);
    let report = backup(&incremental(name, &harmed), tools).await.expect("a backup");
    assert_eq!(report.kind, ArchiveKind::Full);
    let warned = report.warnings.join("; ");
    assert!(warned.contains("ends") && warned.contains("was cut"), "{warned}");
    let next = increment(tools, name, &harmed).await;
    assert_eq!(next.parent.as_deref(), Some(report.name.as_str()));
    comes_back(client, tools, &next.archive, &content(client, tools, name).await).await;
}

/// Two continued the same archive: both are moments, and the chain goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_continued_twice_goes_on() {
    let made = Made::new().await;
    let Beginning {
        tools, client, name, ..
    } = &made.beginning;
    let (from, other) = (path(&made.beginning.destination), folder());
    // The last increment is made anew in a copy without it, and put beside it.
    copy(from, path(&other));
    let third = path(&other).join(&made.archives[3]);
    // Its name stays taken there.
    fs::rename(manifest(&third), third.with_extension("taken")).expect("renamed");
    remove(third);
    let fork = increment(tools, name, &other).await;
    let chain = from.join(&made.archives[3]);
    for file in [path(&fork.archive).to_owned(), manifest(path(&fork.archive))] {
        fs::copy(&file, chain.with_file_name(file.file_name().expect("a name"))).expect("copied");
    }
    let next = increment(tools, name, &made.beginning.destination).await;
    assert_eq!(next.parent.as_deref(), Some(fork.name.as_str()));
    let covered = coverage(&tools.store, &made.beginning.destination)
        .await
        .expect("covered");
    assert!(covered.is_whole(), "{covered:?}");
    assert_eq!(covered.chains[0].boundaries, 6);
    comes_back(client, tools, &next.archive, &content(client, tools, name).await).await;
}
