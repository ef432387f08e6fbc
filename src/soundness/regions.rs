//! Checks the regions that a manifest lists, one after the other; it can pause between two segments, and resumes with
//! its findings so far.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::report::{CheckedCollection, VerifyReport, checked, summary, summary_of_foreign};
use crate::archive::{Entry, Extent, Opened, Saved, SavedStatus, Status};
use crate::backup::RunStatus;
use crate::digest::{Digest, Hashing};
use crate::failure::Failure;
use crate::open::{ArchiveFile, Form};
use crate::progress::Progress;
use crate::run::{AT_LEAST_EVERY, Deadline, Went};
use crate::wording::abandoned;

/// How far the check of an archive has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    /// What was found so far; its status and its summary come last.
    report: VerifyReport,
    /// Whether the first entry was.
    metadata: bool,
    /// The collection after those in the report, where it was begun.
    open: Option<Open>,
}

/// A collection that is half checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Open {
    /// How many of its entries were: those that were abandoned come first.
    #[serde(default)]
    entries: usize,
    /// How many segments of the one after those were read.
    segments: usize,
    /// What they came to.
    read: Digest,
}

impl Checked {
    /// Nothing yet.
    pub(crate) fn nothing_of(file: &ArchiveFile) -> Self {
        Self {
            report: VerifyReport {
                status: RunStatus::Complete,
                summary: String::new(),
                archive: file.named().to_string(),
                archive_bytes: file.bytes(),
                segments: 0,
                collections: Vec::new(),
                damaged: Vec::new(),
                warnings: warnings(file),
            },
            metadata: false,
            open: None,
        }
    }

    /// How many segments were read.
    pub(crate) fn segments(&self) -> u64 {
        self.report.segments
    }

    /// Checks what is left, until it is time to pause. One region at least, or it would never come to its end.
    pub(crate) async fn go_on(&mut self, file: &ArchiveFile, progress: &Progress, until: Deadline) -> Went {
        match &file.form {
            Form::Native(opened) => self.regions(file, opened, progress, until).await,
            Form::Chain(chain) => self.merged(file, chain.end(), progress, until).await,
            // The survey that opened it has read all of it.
            Form::Foreign(survey, _) => {
                let is_broken = |saved: &Saved| saved.error.as_ref().is_some_and(|why| survey.damaged.contains(why));
                let rows = survey.collections.iter().map(|saved| CheckedCollection {
                    equal: !is_broken(saved) && saved.status != SavedStatus::Failed,
                    ..checked(saved, saved.expected_digest())
                });
                self.report.collections = rows.collect();
                self.report.damaged.clone_from(&survey.damaged);
                Went::Done(())
            }
        }
    }

    /// The verdict, when all is checked.
    pub(crate) fn report(mut self, file: &ArchiveFile) -> VerifyReport {
        let report = &mut self.report;
        // What others left out of their archive is missing, and not damaged.
        let is_foreign = matches!(file.form, Form::Foreign(..));
        let is_sound =
            |checked: &CheckedCollection| checked.equal || is_foreign && checked.status == SavedStatus::Failed;
        let sound = report.damaged.is_empty() && report.collections.iter().all(is_sound);
        report.status = match (sound, file.status()) {
            (false, _) => RunStatus::Failed,
            (true, Status::Partial) => RunStatus::Partial,
            (true, Status::Complete) => RunStatus::Complete,
        };
        report.summary = match &file.form {
            Form::Native(_) | Form::Chain(_) => summary(report),
            Form::Foreign(survey, _) => summary_of_foreign(report, survey.incomplete.as_deref()),
        };
        self.report
    }

    async fn regions(
        &mut self,
        file: &ArchiveFile,
        opened: &Arc<Opened>,
        progress: &Progress,
        until: Deadline,
    ) -> Went {
        if !self.metadata {
            self.definition(file, opened, &opened.manifest.metadata).await;
            // Its pages are read, and checked, with the segments that they list.
            if let Some(table) = &opened.manifest.table {
                self.header(file, opened, table).await;
            }
            self.metadata = true;
        }
        while let Some(saved) = opened.manifest.collections.get(self.report.collections.len()) {
            progress.step(format!("checking {}", saved.name));
            let mut open = match self.open.take() {
                Some(open) => open,
                None => {
                    if let Some(definition) = &saved.definition {
                        self.definition(file, opened, definition).await;
                    }
                    Open::default()
                }
            };
            let abandoned = saved.abandoned.len();
            for entry in saved.abandoned.iter().chain(&saved.entry).skip(open.entries) {
                let hashing = saved.hashing;
                if self
                    .entry((file, opened), (entry, hashing), &mut open, (progress, until))
                    .await
                    == Went::Paused(())
                {
                    self.open = Some(open);
                    return Went::Paused(());
                }
                if open.entries < abandoned {
                    open = Open {
                        entries: open.entries + 1,
                        ..Open::default()
                    };
                }
            }
            self.report.collections.push(checked(saved, open.read));
            if until.is_near() {
                return Went::Paused(());
            }
        }
        Went::Done(())
    }

    /// A chain: every collection as it is at its end, and so every byte that this stands on.
    async fn merged(&mut self, file: &ArchiveFile, end: &Arc<Opened>, progress: &Progress, until: Deadline) -> Went {
        if !self.metadata {
            self.definition(file, end, &end.manifest.metadata).await;
            self.metadata = true;
        }
        while let Some(saved) = end.manifest.collections.get(self.report.collections.len()) {
            progress.step(format!("checking {}", saved.name));
            let mut read = Digest::default();
            let mut streams = file.documents(vec![(saved.name.clone(), saved.hashing)]);
            while let Some(mut stream) = streams.recv().await {
                while let Some(chunk) = stream.chunks.recv().await {
                    self.report.segments += 1;
                    match chunk {
                        Ok(chunk) => {
                            progress.add(chunk.digest.documents(), chunk.digest.bytes());
                            read.merge(&chunk.digest);
                        }
                        Err(failure) => self.report.damaged.push(failure.message),
                    }
                }
            }
            self.report.collections.push(checked(saved, read));
            if until.is_near() {
                return Went::Paused(());
            }
        }
        Went::Done(())
    }

    /// An entry of documents: its header, and its content behind what was read of it.
    async fn entry(
        &mut self,
        (file, opened): (&ArchiveFile, &Arc<Opened>),
        (entry, hashing): (&Entry, Hashing),
        open: &mut Open,
        (progress, until): (&Progress, Deadline),
    ) -> Went {
        if open.segments == 0 {
            self.header(file, opened, entry).await;
        }
        let entry = Arc::new(entry.clone());
        let left = open.segments..entry.count();
        let mut chunks = pin!(file.chunks_of((opened, Arc::clone(&entry)), left, hashing));
        let mut moved = false;
        loop {
            let Ok(next) = timeout(AT_LEAST_EVERY, chunks.next()).await else {
                // The store is slow. What has been found is not lost to the deadline for that.
                if moved && until.is_near() {
                    return Went::Paused(());
                }
                continue;
            };
            let Some(chunk) = next else { return Went::Done(()) };
            moved = true;
            self.report.segments += 1;
            open.segments += 1;
            match chunk {
                Ok(chunk) => {
                    progress.add(chunk.digest.documents(), chunk.digest.bytes());
                    open.read.merge(&chunk.digest);
                }
                Err(failure) => self.report.damaged.push(failure.message),
            }
            if until.is_near() && open.segments < entry.count() {
                return Went::Paused(());
            }
        }
    }

    /// An entry that holds no documents: its header, and its content as bytes.
    async fn definition(&mut self, file: &ArchiveFile, opened: &Arc<Opened>, entry: &Entry) {
        self.header(file, opened, entry).await;
        for index in 0..entry.count() {
            self.report.segments += 1;
            if let Err(failure) = file.segment_text(opened, entry, index).await {
                self.report.damaged.push(failure.message);
            }
        }
    }

    async fn header(&mut self, file: &ArchiveFile, opened: &Opened, entry: &Entry) {
        let extent = Extent {
            offset: entry.header.offset,
            length: entry.header.length,
        };
        let checked = match file.read(extent).await {
            Ok(stored) => opened.check_header(entry, &stored).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = checked {
            self.report.damaged.push(failure.at(&file.object.location).message);
        }
    }
}

fn warnings(file: &ArchiveFile) -> Vec<String> {
    let collections = file.manifest().into_iter().flat_map(|manifest| &manifest.collections);
    let abandoned = collections.filter_map(|saved| abandoned(&saved.name, saved.abandoned_bytes()));
    file.warnings().into_iter().chain(abandoned).collect()
}
