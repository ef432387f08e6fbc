//! Where a lane is: which parts were sent, the bytes that were not yet, the part that waits for its entry's header, the
//! counts so far, and the place in the collection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::piece::Task;
use super::report::Totals;
use super::tools::Tools;
use crate::archive::{ArchiveWriter, Exception, Saved, Segment, WriterState};
use crate::catalog::{Catalog, Kind};
use crate::failure::Failure;
use crate::mongo::Position;
use crate::run::{Chapters, Left, unusable_because};
use crate::store::{Upload, UploadState};

/// The name of the step.
pub(super) const LANE: &str = "lane";

/// What a lane has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LaneProgress {
    /// The collections that it is done with, in their order.
    pub(super) saved: Vec<Saved>,
    /// The one that it is in the middle of.
    pub(super) open: Option<OpenCollection>,
    /// Those that were read at another moment than the archive's.
    pub(super) exceptions: Vec<Exception>,
    /// Why an invocation could not prove that the server reads at the archive's moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unproven: Option<String>,
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
    pub(super) rows: Chapters<Segment>,
    pub(super) progress: LaneProgress,
}

impl LaneState {
    /// The upload and the lane's other parts, as an earlier invocation left them.
    ///
    /// # Errors
    /// If what belongs to them is not there any more.
    pub(super) async fn go_on(tools: &Tools, left: &Left) -> Result<(Upload, LaneStart), Failure> {
        let lane = left.step::<Self>(LANE)?;
        let lane = lane.ok_or_else(|| unusable_because("it does not say how far its archive is written"))?;
        let Self {
            upload,
            writer,
            held,
            rows: kept,
            progress,
        } = lane.state;
        let held = writer.held().zip(held);
        let held_bytes = match &held {
            Some((_, name)) => Some(left.kept(name).await?.to_vec()),
            None => None,
        };
        let rows = kept.read(left).await?;
        let archive = ArchiveWriter::resume(writer, rows, lane.bytes.to_vec(), held_bytes)
            .ok_or_else(|| unusable_because("its state and the bytes kept beside it do not match"))?;
        let upload = tools.resume(upload).await?;
        let begun = LaneStart {
            archive,
            progress,
            held,
            rows: kept,
        };
        Ok((upload, begun))
    }
}

/// What a lane begins with, new or resumed.
#[derive(Debug)]
pub(super) struct LaneStart {
    pub(super) archive: ArchiveWriter,
    pub(super) progress: LaneProgress,
    /// Under which name the part that waits is kept already.
    pub(super) held: Option<(u32, String)>,
    /// Which rows are kept already.
    pub(super) rows: Chapters<Segment>,
}

impl LaneStart {
    /// At the very beginning.
    pub(super) fn new(archive: ArchiveWriter) -> Self {
        Self {
            archive,
            progress: LaneProgress::default(),
            held: None,
            rows: Chapters::default(),
        }
    }
}

impl LaneProgress {
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
