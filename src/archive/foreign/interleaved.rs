//! Surveying and reading an archive in which collections are interleaved.
//!
//! A caller may load collections one after the other, so a pass hands them out one after the other. Collections that
//! overlap in the archive are in different **lanes**: at most as many as were dumped at a time. Each requested lane
//! takes a pass through the archive, so no part of a collection waits in memory until another one is through.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::ControlFlow;

use crc_fast::CrcAlgorithm::Crc64Xz;

use super::aside::{Aside, INDEXES};
use super::found::{Content, File, Found, Tallying, damaged, is_chosen};
use super::handed::{CHUNK, Flow, HandedOn, changed};
use super::member::Written;
use super::metadata::{self, Described};
use super::mongodump::{DAMAGED, DumpPiece, Namespace, each_piece};
use super::packing::Packing;
use super::walk::{EntryKind, Header};
use super::{Choice, ForeignError, Reading, Survey};
use crate::archive::SavedStatus;
use crate::catalog::BUCKETS;
use crate::ordered::map;

/// More collections at a time were never dumped: `mongodump` has a connection for each.
const MOST_LANES: usize = 1024;

/// A collection whose end has not come.
struct Gathering {
    lane: u32,
    counted: Tallied,
    crc: crc_fast::Digest,
    bytes: u64,
}

enum Tallied {
    Tally(Box<Tallying>),
    /// Of another database than the one that was chosen.
    Unread,
    /// Named, and not read.
    Aside,
    /// Indexes of all collections.
    Indexes,
}

/// Goes through the archive once.
pub(super) fn gather(archive: impl Read, choice: &Choice) -> Result<Found, ForeignError> {
    let mut found = Found::default();
    let mut going: BTreeMap<Namespace, Gathering> = BTreeMap::new();
    let mut ended: BTreeSet<Namespace> = BTreeSet::new();
    let cut = each_piece(archive, |piece, offset| {
        match piece {
            DumpPiece::Definition(namespace, text) => found.define(namespace, text, offset, choice)?,
            DumpPiece::Document(namespace, document) => {
                if !going.contains_key(namespace) {
                    let begun = found.begin(namespace, offset, &going, &ended, choice)?;
                    going.insert(namespace.clone(), begun);
                }
                if let Some(going) = going.get_mut(namespace) {
                    going.add(document);
                    match going.counted {
                        Tallied::Aside => found.note_user(&namespace.database, &namespace.collection, document),
                        Tallied::Indexes => found.note_index(namespace, document, offset, choice)?,
                        Tallied::Tally(_) | Tallied::Unread => {}
                    }
                }
            }
            DumpPiece::End(namespace, crc) => {
                let whole = match going.remove(namespace) {
                    Some(going) => going,
                    None => found.begin(namespace, offset, &going, &ended, choice)?,
                };
                ended.insert(namespace.clone());
                let fault = (whole.crc.finalize() != crc).then(|| {
                    format!(
                        "{}: its documents do not match its checksum (CRC-64): the archive is damaged",
                        namespace.path()
                    )
                });
                found.end(namespace, whole, fault);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let is_cut = !cut.as_ref().is_some_and(|cut| cut.contains(DAMAGED));
    if let Some(cut) = cut {
        found.warnings.push(format!(
            "{cut}. Collections that had ended there are whole; for the others, dump again"
        ));
        if going.is_empty() {
            found.damaged.push(cut.clone());
        }
        found.incomplete = Some(cut);
    }
    for (namespace, begun) in going {
        let why = match is_cut {
            true => "the archive ends before the collection does: it is truncated",
            false => "its end is not found: the archive is damaged before it",
        };
        let fault = format!("{}: {why}", namespace.path());
        found.incomplete.get_or_insert_with(|| fault.clone());
        found.end(&namespace, begun, Some(fault));
    }
    Ok(found)
}

/// A collection, as the walk of a tar names a member.
pub(super) fn header(namespace: &Namespace, offset: u64) -> Header {
    Header {
        path: Ok(namespace.path()),
        kind: EntryKind::File,
        size: 0,
        offset,
    }
}

impl Namespace {
    /// Why it is none of the database's own collections; `None` if it is one.
    fn aside(&self) -> Option<Aside> {
        match (self.database.as_str(), self.collection.as_str()) {
            ("", "oplog") => Some(Aside::Oplog),
            (_, collection) => Aside::of_collection(collection),
        }
    }
}

impl Gathering {
    fn add(&mut self, document: &[u8]) {
        self.crc.update(document);
        self.bytes += document.len() as u64;
        if let Tallied::Tally(tally) = &mut self.counted {
            tally.add(document);
        }
    }
}

impl Found {
    /// One of the indexes that servers before 3.0 listed in a collection.
    fn note_index(
        &mut self,
        namespace: &Namespace,
        document: &[u8],
        offset: u64,
        choice: &Choice,
    ) -> Result<(), ForeignError> {
        self.charge_text(&header(namespace, offset), document.len() as u64, choice.memory)?;
        let folder = self.folders.entry(namespace.database.clone()).or_default();
        if let Some((collection, index)) = metadata::listed_index(document) {
            folder.indexes.entry(collection).or_default().push(index);
        }
        Ok(())
    }

    fn define(&mut self, namespace: &Namespace, text: &str, offset: u64, choice: &Choice) -> Result<(), ForeignError> {
        if namespace.aside().is_some() {
            // It is named when its documents come, or its end.
            return Ok(());
        }
        let header = header(namespace, offset);
        self.charge_member(&header, choice.memory)?;
        self.charge_text(&header, text.len() as u64, choice.memory)?;
        let path = namespace.path();
        let folder = self.folders.entry(namespace.database.clone()).or_default();
        folder.define_once(&namespace.stem(), &path, &header)?;
        let described = metadata::one(text.as_bytes()).unwrap_or_else(|reason| Described {
            fault: Some(format!("the definition of {path} cannot be read: {reason}")),
            ..Described::default()
        });
        folder.definitions.insert(namespace.stem(), described);
        Ok(())
    }

    fn begin(
        &mut self,
        namespace: &Namespace,
        offset: u64,
        going: &BTreeMap<Namespace, Gathering>,
        ended: &BTreeSet<Namespace>,
        choice: &Choice,
    ) -> Result<Gathering, ForeignError> {
        let header = header(namespace, offset);
        self.entries += 1;
        self.charge_member(&header, choice.memory)?;
        if ended.contains(namespace) {
            return Err(damaged(&header, "the collection had ended already".to_owned()));
        }
        let is_free = |lane: &u32| going.values().all(|going| going.lane != *lane);
        let free = (0..).take(MOST_LANES).find(is_free);
        let Some(lane) = free else {
            return Err(damaged(
                &header,
                format!("more than {MOST_LANES} collections are interleaved"),
            ));
        };
        let counted = match namespace.aside() {
            Some(aside) => {
                self.set_aside(&namespace.database, &namespace.path(), aside);
                Tallied::Aside
            }
            None if choice
                .database
                .as_deref()
                .is_some_and(|name| !is_chosen(&namespace.database, name)) =>
            {
                Tallied::Unread
            }
            None if namespace.collection == INDEXES => Tallied::Indexes,
            None => Tallied::Tally(Box::new(Tallying::new(choice.sample))),
        };
        Ok(Gathering {
            lane,
            counted,
            crc: crc_fast::Digest::new(Crc64Xz),
            bytes: 0,
        })
    }

    fn end(&mut self, namespace: &Namespace, whole: Gathering, fault: Option<String>) {
        let folder = self.folders.entry(namespace.database.clone()).or_default();
        let content = match whole.counted {
            Tallied::Indexes => {
                if let Some(fault) = fault {
                    self.unreadable(&namespace.database, &namespace.path(), &fault);
                }
                return;
            }
            Tallied::Aside => return,
            Tallied::Unread => Content::Unread,
            Tallied::Tally(tally) => Content::Read {
                tally: Box::new(tally.done()),
                fault,
            },
        };
        let stem = namespace.stem();
        let (files, stem) = match stem.strip_prefix(BUCKETS) {
            Some(of) => (&mut folder.buckets, of.to_owned()),
            None => (&mut folder.files, stem),
        };
        files.push(File {
            path: namespace.path(),
            stem,
            form: Written::Bson,
            packing: Packing::Plain,
            size: whole.bytes,
            lane: whole.lane,
            content,
        });
    }
}

/// What has come of a collection that is wanted.
#[derive(Default)]
struct Coming {
    chunk: Vec<u8>,
    in_chunk: u64,
    documents: u64,
    /// Nobody wants more of it.
    passed: bool,
}

/// Goes through an archive that was surveyed, and hands out documents of `wanted`, as
/// [`read_documents`](super::read_documents()) does of a tar.
pub(super) fn read_interleaved(
    archive: impl Read,
    survey: &Survey,
    wanted: &BTreeSet<&str>,
    sink: &mut dyn FnMut(HandedOn<'_>) -> Flow,
) -> Result<(), ForeignError> {
    let is_wanted = |reading: &&Reading| wanted.contains(reading.collection.as_str());
    let wanted = survey.readings.iter().filter(|(_, reading)| is_wanted(reading));
    let mut open = map(wanted.map(|(path, reading)| (path.as_str(), (reading, Coming::default()))));
    if open.is_empty() {
        return Ok(());
    }
    let mut stopped = false;
    let mut path_of = (Namespace::default(), String::new());
    each_piece(archive, |piece, _| {
        let (namespace, document) = match piece {
            DumpPiece::Definition(..) => return Ok(ControlFlow::Continue(())),
            DumpPiece::Document(namespace, document) => (namespace, Some(document)),
            DumpPiece::End(namespace, _) => (namespace, None),
        };
        if path_of.0 != *namespace {
            path_of = (namespace.clone(), namespace.path());
        }
        let path = path_of.1.as_str();
        let flow = match document {
            Some(document) => match open.get_mut(path) {
                Some((reading, coming)) if !coming.passed => coming.add(reading, document, sink),
                _ => Flow::Continue,
            },
            None => match open.remove(path) {
                Some((reading, coming)) => coming.end(path, reading, sink)?,
                None => Flow::Continue,
            },
        };
        stopped = flow == Flow::Stop || open.is_empty();
        Ok(match stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    for (path, (reading, coming)) in open {
        if stopped || coming.end(path, reading, sink)? == Flow::Stop {
            break;
        }
    }
    Ok(())
}

impl Coming {
    fn add(&mut self, reading: &Reading, document: &[u8], sink: &mut dyn FnMut(HandedOn<'_>) -> Flow) -> Flow {
        let full = !self.chunk.is_empty() && self.chunk.len() + document.len() > CHUNK;
        let flow = match full {
            true => self.hand_out(reading, sink),
            false => Flow::Continue,
        };
        self.passed = flow != Flow::Continue;
        if !self.passed {
            self.chunk.extend_from_slice(document);
            self.in_chunk += 1;
            self.documents += 1;
        }
        flow
    }

    fn hand_out(&mut self, reading: &Reading, sink: &mut dyn FnMut(HandedOn<'_>) -> Flow) -> Flow {
        sink(HandedOn {
            collection: &reading.collection,
            documents: std::mem::take(&mut self.in_chunk),
            bson: std::mem::take(&mut self.chunk),
        })
    }

    fn end(
        mut self,
        path: &str,
        reading: &Reading,
        sink: &mut dyn FnMut(HandedOn<'_>) -> Flow,
    ) -> Result<Flow, ForeignError> {
        if self.passed {
            return Ok(Flow::Continue);
        }
        let flow = match self.chunk.is_empty() {
            true => Flow::Continue,
            false => self.hand_out(reading, sink),
        };
        match self.documents != reading.documents && reading.status == SavedStatus::Complete {
            true if flow == Flow::Continue => Err(changed(
                path,
                &format!("has {} documents, it had {}", self.documents, reading.documents),
            )),
            _ => Ok(flow),
        }
    }
}
