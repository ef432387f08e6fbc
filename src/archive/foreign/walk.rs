//! Walks through a tar entry by entry and trusts none of it: headers' claims are checked against the bytes that come.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::ops::ControlFlow;

use tar::{Archive, EntryType};

use super::ForeignError;
use super::extended::Extended;
use crate::archive::tar_header::BLOCK;

/// Headers, long names and padding between two contents may take this much. The `tar` crate holds them in memory.
const MAX_HEADERS: u64 = 1 << 20;

/// What an entry is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    /// A directory, or a header that speaks of the whole tar.
    Silent,
    /// A link, a device, or another thing without content of its own.
    Other,
}

/// An entry's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// As the tar has it; `None` if it is not UTF-8.
    pub(super) path: Result<String, String>,
    pub(super) kind: EntryKind,
    pub(super) size: u64,
    pub(super) offset: u64,
}

impl Header {
    /// The path for messages.
    pub(super) fn shown(&self) -> &str {
        match &self.path {
            Ok(path) | Err(path) => path,
        }
    }
}

/// How a tar ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With its end mark.
    Marked,
    /// With half of it: the last entry is whole, the tar itself may have been cut.
    HalfMarked,
    /// Without: it was cut between two entries, or a careless program wrote it.
    Unmarked,
    /// Something that is not ours follows the end mark, such as a second tar.
    Followed { bytes: u64 },
    /// The visitor had enough.
    Stopped,
}

/// Calls `visit` for each entry, with its content. What the visitor leaves unread is read here, so that a content which
/// is shorter than its header says never passes unnoticed.
pub(super) fn walk<R: Read>(
    tar: R,
    mut visit: impl FnMut(&Header, &mut dyn Read) -> Result<ControlFlow<()>, ForeignError>,
) -> Result<Ending, ForeignError> {
    let gauge = Gauge::default();
    let mut archive = Archive::new(Metered {
        inner: tar,
        gauge: &gauge,
    });
    let mut entries = archive.entries().map_err(|error| gauge.error(None, error))?;
    loop {
        let before = gauge.position.get();
        gauge.allowance.set(MAX_HEADERS);
        gauge.begin_headers();
        let Some(entry) = entries.next() else {
            // An end mark is a block of zeros; without one, only the padding of the last content can have been read.
            let marked = gauge.position.get() - before >= BLOCK as u64;
            gauge.allowance.set(u64::MAX);
            return if marked {
                after_first_mark(archive.into_inner(), &gauge)
            } else {
                Ok(Ending::Unmarked)
            };
        };
        let mut entry = entry.map_err(|error| gauge.error(None, cut_off(error)))?;
        gauge.allowance.set(u64::MAX);
        let header = header_of(&mut entry, &gauge)?;
        let mut content = OpenMember {
            left: header.size,
            inner: &mut entry,
        };
        let flow = visit(&header, &mut content);
        if let Some(error) = gauge.failure(Some(header.shown())) {
            return Err(error);
        }
        if flow.as_ref().is_ok_and(ControlFlow::is_break) {
            return Ok(Ending::Stopped);
        }
        // Before the visitor's error: a content that breaks off explains whatever it made of it.
        drain(&mut content, &header, &gauge)?;
        let ControlFlow::Continue(()) = flow? else {
            return Ok(Ending::Stopped);
        };
    }
}

/// Says that a tar was cut, where the `tar` crate says what it was about to do.
fn cut_off(error: io::Error) -> io::Error {
    let said = error.to_string();
    let within = match () {
        () if said.contains("entire block") => "a header",
        () if said.contains("EOF during skip") => "the padding behind an entry",
        () => return error,
    };
    io::Error::other(format!("the tar ends within {within}: it is truncated"))
}

fn header_of<R: Read>(entry: &mut tar::Entry<'_, R>, gauge: &Gauge) -> Result<Header, ForeignError> {
    let offset = entry.raw_header_position();
    let mut path = entry.path_bytes().into_owned();
    let mut sparse_by_pax = false;
    let mut is_torn = false;
    let records = entry.pax_extensions().map_err(|error| gauge.error(None, error))?;
    for record in records.into_iter().flatten() {
        match record {
            Ok(record) => sparse_by_pax |= record.key_bytes().starts_with(b"GNU.sparse."),
            Err(_) => is_torn = true,
        }
    }
    if is_torn {
        let extended = Extended::of(&gauge.headers.borrow());
        let extended = extended.filter(|extended| extended.size.is_none_or(|size| size == entry.size()));
        let Some(extended) = extended else {
            return Err(ForeignError::Damaged {
                entry: None,
                offset,
                reason:
                    "the extended (PAX) header before an entry cannot be read: pack the files again in GNU format (tar \
                         --format=gnu)"
                        .to_owned(),
            });
        };
        sparse_by_pax = extended.is_sparse;
        if !extended.has_gnu_name {
            path = extended
                .path
                .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        }
    }
    let path = String::from_utf8(path).map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let entry_type = entry.header().entry_type();
    let kind = match entry_type {
        EntryType::Regular | EntryType::Continuous
            if path
                .as_ref()
                .is_ok_and(|path| path.ends_with('/') || path.ends_with('\\') && entry.size() == 0) =>
        {
            EntryKind::Silent
        }
        EntryType::Regular | EntryType::Continuous => EntryKind::File,
        EntryType::Directory | EntryType::XGlobalHeader => EntryKind::Silent,
        _ => EntryKind::Other,
    };
    let header = Header {
        path,
        kind,
        size: entry.size(),
        offset,
    };
    if sparse_by_pax || entry_type.is_gnu_sparse() {
        return Err(ForeignError::Damaged {
            entry: Some(header.shown().to_owned()),
            offset,
            reason: "it is a sparse entry, which is not read: pack the files again without --sparse".to_owned(),
        });
    }
    Ok(header)
}

fn drain(content: &mut OpenMember<'_>, header: &Header, gauge: &Gauge) -> Result<(), ForeignError> {
    let mut rest = [0; 16 << 10];
    while content.left > 0 {
        match content.read(&mut rest) {
            Ok(0) => {
                return Err(ForeignError::Damaged {
                    entry: Some(header.shown().to_owned()),
                    offset: gauge.position.get(),
                    reason: format!(
                        "the tar ends {} bytes before the end of this entry of {} bytes: it is truncated",
                        content.left, header.size
                    ),
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(gauge.error(Some(header.shown()), error)),
        }
    }
    Ok(())
}

/// One block of zeros has been read. A second one follows, then perhaps padding, and in an archive of ours the footer.
fn after_first_mark<R: Read>(mut rest: Metered<'_, R>, gauge: &Gauge) -> Result<Ending, ForeignError> {
    let (mut zeros, mut other, mut head) = (0_u64, 0_u64, [0; 8]);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => &buffer[..n],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(gauge.error(None, error)),
        };
        let leading = if other == 0 {
            bytes.iter().take_while(|byte| **byte == 0).count()
        } else {
            0
        };
        zeros += leading as u64;
        for &byte in &bytes[leading..] {
            if other < 8 {
                head[other as usize] = byte;
            }
            other += 1;
        }
    }
    Ok(match other {
        0 if zeros < BLOCK as u64 => Ending::HalfMarked,
        0 => Ending::Marked,
        _ if head == *b"MONGOTAR" && other <= BLOCK as u64 => Ending::Marked,
        bytes => Ending::Followed { bytes },
    })
}

/// An entry's content; counts what has not come yet.
struct OpenMember<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for OpenMember<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// How far the tar has been read, and how much more may be.
struct Gauge {
    position: Cell<u64>,
    allowance: Cell<u64>,
    /// The blocks between two contents, from the first header on.
    headers: RefCell<Vec<u8>>,
    /// How much of what comes is the padding of the last content.
    padding: Cell<usize>,
    /// Why the source of the bytes failed, if it did: a visitor cannot tell that from content that cannot be decoded.
    failed: RefCell<Option<(io::ErrorKind, String)>>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            position: Cell::new(0),
            allowance: Cell::new(u64::MAX),
            headers: RefCell::default(),
            padding: Cell::new(0),
            failed: RefCell::new(None),
        }
    }
}

impl Gauge {
    fn begin_headers(&self) {
        self.headers.borrow_mut().clear();
        let over = usize::try_from(self.position.get() % BLOCK as u64).unwrap_or_default();
        self.padding.set((BLOCK - over) % BLOCK);
    }

    fn add_to_headers(&self, bytes: &[u8]) {
        let padding = self.padding.get().min(bytes.len());
        self.padding.set(self.padding.get() - padding);
        self.headers.borrow_mut().extend_from_slice(&bytes[padding..]);
    }

    fn error(&self, entry: Option<&str>, error: io::Error) -> ForeignError {
        self.failure(entry).unwrap_or_else(|| ForeignError::Damaged {
            entry: entry.map(str::to_owned),
            offset: self.position.get(),
            reason: error.to_string(),
        })
    }

    fn failure(&self, entry: Option<&str>) -> Option<ForeignError> {
        let failed = self.failed.borrow();
        let (kind, text) = failed.as_ref()?;
        Some(ForeignError::Read {
            entry: entry.map(str::to_owned),
            offset: self.position.get(),
            error: io::Error::new(*kind, text.clone()),
        })
    }
}

struct Metered<'g, R> {
    inner: R,
    gauge: &'g Gauge,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let allowance = self.gauge.allowance.get();
        if allowance == 0 && !into.is_empty() {
            return Err(io::Error::other(format!(
                "the headers between two entries take more than {MAX_HEADERS} bytes"
            )));
        }
        let most = usize::try_from(allowance).unwrap_or(usize::MAX).min(into.len());
        let count = self.inner.read(&mut into[..most]).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.gauge.failed.replace(Some((error.kind(), error.to_string())));
            }
        })?;
        self.gauge.position.set(self.gauge.position.get() + count as u64);
        if allowance != u64::MAX {
            self.gauge.allowance.set(allowance - count as u64);
            self.gauge.add_to_headers(&into[..count]);
        }
        Ok(count)
    }
}
