//! The second pass: the documents, in the order of the tar.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;

use super::documents::{each_document, unpacked};
use super::handed::{CHUNK, Flow, HandedOn, changed};
use super::interleaved::read_interleaved;
use super::walk::{EntryKind, walk};
use super::{Container, ForeignError, Reading, Survey};
use crate::archive::SavedStatus;

/// Reads a surveyed tar, as far as it has anything of the `wanted` collections, and hands out their documents. Of a
/// collection that is not whole, it hands out those before the fault.
///
/// # Errors
/// [`ForeignError::Changed`] if the tar is not the one that was surveyed; otherwise as [`survey`](super::survey()).
/// What has been handed out by then was read correctly.
pub fn read_documents<'a>(
    tar: impl Read,
    survey: &Survey,
    wanted: impl IntoIterator<Item = &'a str>,
    mut sink: impl FnMut(HandedOn<'_>) -> Flow,
) -> Result<(), ForeignError> {
    let wanted: BTreeSet<&str> = wanted.into_iter().collect();
    if survey.container == Container::Mongodump {
        return read_interleaved(tar, survey, &wanted, &mut sink);
    }
    let is_wanted = |reading: &Reading| wanted.contains(reading.collection.as_str());
    let readings = survey.readings.iter().filter(|(_, reading)| is_wanted(reading));
    let mut open: BTreeSet<&str> = readings.map(|(path, _)| path.as_str()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let mut stopped = false;
    walk(tar, |header, content| {
        let known = header
            .path
            .as_ref()
            .ok()
            .and_then(|path| survey.readings.get_key_value(path));
        let Some((path, reading)) = known.filter(|(_, reading)| header.kind == EntryKind::File && is_wanted(reading))
        else {
            return Ok(ControlFlow::Continue(()));
        };
        if !open.remove(path.as_str()) {
            return Err(changed(path, "is in it twice"));
        }
        if header.size != reading.size {
            return Err(changed(
                path,
                &format!("has {} bytes, it had {}", header.size, reading.size),
            ));
        }
        let flow = read_entry(path, reading, content, &mut sink)?;
        stopped = flow == Flow::Stop || open.is_empty();
        // When the last entry that matters has been read, what follows it was checked by the survey.
        Ok(if stopped {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    match open.first().filter(|_| !stopped) {
        Some(path) => Err(changed(path, "is missing")),
        None => Ok(()),
    }
}

fn read_entry(
    path: &str,
    reading: &Reading,
    content: &mut dyn Read,
    sink: &mut impl FnMut(HandedOn<'_>) -> Flow,
) -> Result<Flow, ForeignError> {
    let (mut chunk, mut in_chunk, mut documents) = (Vec::new(), 0, 0);
    let mut flow = Flow::Continue;
    let mut content = unpacked(reading.packing, content);
    let result = each_document(reading.form, &mut content, &mut |document| {
        if !chunk.is_empty() && chunk.len() + document.len() > CHUNK {
            let chunk = HandedOn {
                collection: &reading.collection,
                documents: std::mem::take(&mut in_chunk),
                bson: std::mem::take(&mut chunk),
            };
            flow = sink(chunk);
        }
        if flow != Flow::Continue {
            return ControlFlow::Break(());
        }
        chunk.extend_from_slice(document);
        in_chunk += 1;
        documents += 1;
        ControlFlow::Continue(())
    });
    if flow != Flow::Continue {
        return Ok(flow);
    }
    if !chunk.is_empty() {
        flow = sink(HandedOn {
            collection: &reading.collection,
            documents: in_chunk,
            bson: chunk,
        });
    }
    match result {
        Err(fault) if reading.status == SavedStatus::Complete => Err(changed(path, &fault)),
        _ if documents != reading.documents => Err(changed(
            path,
            &format!("has {documents} documents, it had {}", reading.documents),
        )),
        _ => Ok(flow),
    }
}
