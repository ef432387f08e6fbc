//! What another invocation must know to go on with a backup or a lane: which parts were sent, the bytes that were not yet, the part that waits for its entry's header, what was counted so
//! far, and the place in the collection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chapters::KeptRows;
use super::piece::Task;
use super::shares::{LaneDone, Planned};
use super::{PARTS_IN_FLIGHT, Tools, Totals};
use crate::archive::{ArchiveWriter, Exception, Manifest, Saved, WriterState};
use crate::catalog::{Catalog, Kind};
use crate::failure::{Failure, FailureKind};
use crate::mongo::Position;
use crate::run::Journal;
use crate::store::{Upload, UploadState};

/// What a lane has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The collections that it is done with, in their order.
    pub(super) saved: Vec<Saved>,
    /// The one that it is in the middle of.
    pub(super) open: Option<OpenCollection>,
    /// Those that were read at another moment than the archive's.
    pub(super) exceptions: Vec<Exception>,
}

/// A collection that is half written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenCollection {
    /// What was counted so far.
    pub(super) saved: Saved,
    /// Behind which place it goes on; none means that it is begun anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Position>,
}

/// What another invocation must know to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneState {
    pub(super) upload: UploadState,
    pub(super) writer: WriterState,
    /// What the bytes of the part are called that waits for its entry's header.
    pub(super) held: Option<String>,
    /// Where the rows of the segments are kept.
    pub(super) rows: KeptRows,
    pub(super) progress: Progress,
}

/// Where a lane's state goes, and what it is part of.
#[derive(Debug)]
pub(super) struct Keeper<'a, H> {
    pub(super) journal: &'a mut Journal,
    /// What is decided once, and stays.
    pub(super) head: H,
}

/// A run's state as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State<H> {
    pub(super) head: H,
    pub(super) stage: Stage,
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// It is being written.
    Writing(Box<LaneState>),
    /// Everything was sent; whether the commit came about is to be found out.
    Committing {
        /// All of its parts.
        upload: UploadState,
        /// What was written last.
        manifest: Box<Manifest>,
    },
    /// It is divided into lanes, which are joined later.
    Planned(Box<Planned>),
    /// A lane of which everything was sent; whether its commit came about is to be found out.
    Written(UploadState, Box<LaneDone>),
    /// A lane at its end.
    Done(Box<LaneDone>),
}

impl LaneState {
    /// The upload that it goes on with.
    pub(super) fn upload_state(&self) -> &UploadState {
        &self.upload
    }

    /// Puts together again what the state stands for: the upload, and the lane's other parts.
    ///
    /// # Errors
    /// Where what belongs to it is not there any more.
    pub(super) async fn revive(
        self,
        tools: &Tools,
        journal: &mut Journal,
        bytes: &[u8],
    ) -> Result<(Upload, Begun), Failure> {
        let held = match (&self.held, self.writer.held()) {
            (Some(name), Some(number)) => Some((number, name.clone(), journal.kept(name).await?)),
            _ => None,
        };
        let (held, held_bytes) = match held {
            Some((number, name, bytes)) => (Some((number, name)), Some(bytes.to_vec())),
            None => (None, None),
        };
        let rows = match journal.folder() {
            Some(folder) => self.rows.read(&tools.store, folder).await?,
            None => Vec::new(),
        };
        let archive = ArchiveWriter::resume(self.writer, rows, bytes.to_vec(), held_bytes).ok_or_else(|| {
            Failure::new(
                FailureKind::RunUnusable,
                "the run's state and the bytes kept beside it do not belong together: begin a new run",
            )
        })?;
        let upload = tools.paced(tools.store.resume_upload(self.upload, PARTS_IN_FLIGHT).await?);
        let begun = Begun {
            archive,
            progress: self.progress,
            held,
            rows: self.rows,
        };
        Ok((upload, begun))
    }
}

/// What a lane begins with, new or gone on with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) archive: ArchiveWriter,
    pub(super) progress: Progress,
    /// Under which name the part that waits is kept already.
    pub(super) held: Option<(u32, String)>,
    /// Which rows are kept already.
    pub(super) rows: KeptRows,
}

impl Begun {
    /// At the very beginning.
    pub(super) fn new(archive: ArchiveWriter) -> Self {
        Self {
            archive,
            progress: Progress::default(),
            held: None,
            rows: KeptRows::default(),
        }
    }
}

impl Progress {
    /// What it comes to so far.
    pub(super) fn totals(&self) -> Totals {
        Totals::of(self.saved.iter().chain(self.open.as_ref().map(|open| &open.saved)))
    }

    /// What is still to be read of these collections.
    pub(super) fn tasks(&self, catalog: &Catalog, undefined: &BTreeMap<String, String>) -> Vec<Task> {
        let mut open = self.open.as_ref();
        let left = catalog.collections.iter().skip(self.saved.len());
        left.enumerate()
            .map(|(index, collection)| {
                let task = Task::whole(collection.clone());
                match open.take_if(|_| index == 0) {
                    Some(open) => task.behind(open.from.clone(), open.saved.abandoned.len()),
                    None => task,
                }
            })
            .filter(|task| task.collection.kind != Kind::View && !undefined.contains_key(&task.collection.name))
            .collect()
    }
}
