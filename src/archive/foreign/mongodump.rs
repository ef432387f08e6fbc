//! The file that `mongodump --archive` writes (mongo-tools, `common/archive/spec.md`).
//!
//! A magic number, a header, a definition for each collection, a terminator; then blocks: a header that names a
//! collection, its documents, a terminator. A block that says `EOF` ends its collection and has the CRC-64 of all its
//! documents. As many collections are interleaved as were dumped at a time, four by default. There is no end mark: an
//! archive that was cut lacks the ends of collections. Those that have theirs are whole. So it is where the blocks
//! cannot be told apart any more: nothing tells where the next one begins.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use bson::RawDocument;

use super::ForeignError;
use crate::elements::Elements;
use crate::extjson::Limits;

/// What such a file begins with.
pub(super) const MAGIC: [u8; 4] = [0x6d, 0xe2, 0x99, 0x81];
/// What is said of an archive that is not cut, but altered.
pub(super) const DAMAGED: &str = "damaged";
const TERMINATOR: [u8; 4] = [0xff; 4];
/// The only version of the format that was ever written. `mongorestore` does not look at it.
const VERSION: &str = "0.1";
/// How much is read at a time.
const PIECE: usize = 256 << 10;

/// A collection of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namespace {
    pub(super) database: String,
    pub(super) collection: String,
}

impl Namespace {
    /// As the path of the file that `mongodump` would have written into a folder.
    pub(super) fn path(&self) -> String {
        match self.database.as_str() {
            "" => format!("{}.bson", self.stem()),
            database => format!("{database}/{}.bson", self.stem()),
        }
    }

    /// The collection's name, so written that escaping is undone: what is plain in an archive is escaped in a file's
    /// name.
    pub(super) fn stem(&self) -> String {
        self.collection.replace('%', "%25").replace('+', "%2B")
    }
}

/// A piece of an archive.
#[derive(Debug)]
pub(super) enum DumpPiece<'a> {
    /// What is said of a collection: the text of its `.metadata.json`.
    Definition(&'a Namespace, &'a str),
    /// A document of it.
    Document(&'a Namespace, &'a [u8]),
    /// It is whole, and its documents have this CRC-64.
    End(&'a Namespace, u64),
}

/// Calls `take` with each piece of an archive, and where in the archive it lies. Returns where the archive was cut, or
/// cannot be understood any more, if that is within its blocks.
///
/// # Errors
/// [`ForeignError::Read`], [`ForeignError::Damaged`] or [`ForeignError::Refused`], or what `take` fails with.
pub(super) fn each_piece(
    mut archive: impl Read,
    mut take: impl FnMut(DumpPiece<'_>, u64) -> Result<ControlFlow<()>, ForeignError>,
) -> Result<Option<String>, ForeignError> {
    let mut reader = DumpReader {
        inner: BufReader::with_capacity(PIECE, &mut archive),
        offset: 0,
        document: Vec::new(),
        within: "its head",
        cut: None,
    };
    match each_piece_of(&mut reader, &mut take) {
        Err(_) if reader.cut.is_some() => Ok(reader.cut),
        // What `take` fails with names an entry.
        Err(ForeignError::Damaged {
            entry: None,
            offset,
            reason,
        }) if [A_HEAD, A_BLOCK].contains(&reader.within) => Ok(Some(format!(
            "the archive is {DAMAGED} at its offset {offset}, and what lies behind that cannot be told apart: {reason}"
        ))),
        done => done.map(|()| None),
    }
}

/// Takes a piece, and where it lies.
type Take<'a> = &'a mut dyn FnMut(DumpPiece<'_>, u64) -> Result<ControlFlow<()>, ForeignError>;

fn each_piece_of(reader: &mut DumpReader<'_>, take: Take<'_>) -> Result<(), ForeignError> {
    let mut magic = [0; 4];
    reader.fill(&mut magic)?;
    if magic != MAGIC {
        return Err(reader.damaged("it is not a mongodump archive file".to_owned()));
    }
    if reader.next()? == Next::Terminator {
        return Err(reader.damaged("it has no header".to_owned()));
    }
    reader.check_version()?;
    let mut namespace = Namespace::default();
    reader.within = "its definitions";
    while let Next::Document(offset) = reader.next()? {
        let definition = reader.raw("a definition")?;
        namespace = reader.namespace(definition)?;
        let text = definition.get_str("metadata").unwrap_or_default();
        if take(DumpPiece::Definition(&namespace, text), offset)?.is_break() {
            return Ok(());
        }
    }
    reader.within = A_HEAD;
    while !reader.is_at_end()? {
        let Next::Document(offset) = reader.next()? else {
            return Err(reader.damaged("a block has no head".to_owned()));
        };
        let head = reader.raw("the head of a block")?;
        reader.put_namespace(head, &mut namespace)?;
        let ends = head.get_bool("EOF").unwrap_or(false);
        let crc = head.get_i64("CRC").unwrap_or_default().cast_unsigned();
        if ends && take(DumpPiece::End(&namespace, crc), offset)?.is_break() {
            return Ok(());
        }
        reader.within = A_BLOCK;
        while let Next::Document(offset) = reader.next()? {
            let document = reader.document.as_slice();
            if ends || document.last() != Some(&0) || Elements::of(document).any(|element| element.is_err()) {
                return Err(reader.damaged(format!("{}: its documents there are not well-formed", namespace.path())));
            }
            if take(DumpPiece::Document(&namespace, document), offset)?.is_break() {
                return Ok(());
            }
        }
        reader.within = A_HEAD;
    }
    Ok(())
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A document, which is in memory now, and where it lies.
    Document(u64),
    Terminator,
}

struct DumpReader<'a> {
    inner: BufReader<&'a mut dyn Read>,
    offset: u64,
    document: Vec<u8>,
    within: &'static str,
    /// Where the archive ends too soon, if that is behind its definitions.
    cut: Option<String>,
}

/// What is being read once all definitions have been.
const A_HEAD: &str = "the head of a block";
const A_BLOCK: &str = "a block";

impl DumpReader<'_> {
    fn next(&mut self) -> Result<Next, ForeignError> {
        let begin = self.offset;
        let mut prefix = [0; 4];
        self.fill(&mut prefix)?;
        if prefix == TERMINATOR {
            return Ok(Next::Terminator);
        }
        if prefix == MAGIC {
            self.offset = begin;
            self.within = "a second archive";
            return Err(self.damaged("a second archive begins here: split the two, and read each by itself".to_owned()));
        }
        let length = usize::try_from(i32::from_le_bytes(prefix)).unwrap_or(0);
        if !(5..=Limits::default().max_document_bytes).contains(&length) {
            let length = i32::from_le_bytes(prefix);
            self.offset = begin;
            return Err(self.damaged(format!("no document has the length {length}")));
        }
        let mut document = std::mem::take(&mut self.document);
        document.clear();
        document.extend_from_slice(&prefix);
        document.resize(length, 0);
        self.fill(&mut document[4..])?;
        self.document = document;
        Ok(Next::Document(begin))
    }

    fn is_at_end(&mut self) -> Result<bool, ForeignError> {
        loop {
            match self.inner.fill_buf() {
                Ok(bytes) => return Ok(bytes.is_empty()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended_or_failed(error)),
            }
        }
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ForeignError> {
        match self.inner.read_exact(into) {
            Ok(()) => {
                self.offset += into.len() as u64;
                Ok(())
            }
            Err(error) => Err(self.ended_or_failed(error)),
        }
    }

    fn check_version(&self) -> Result<(), ForeignError> {
        match self.raw("its head")?.get_str("version") {
            Ok(version) if version != VERSION => Err(ForeignError::Refused(format!(
                "it is a mongodump archive of version {version:?}, and {VERSION:?} is the only one that mongotar knows: \
                 read it with the mongorestore that belongs to it, or dump again into a folder (mongodump --out)"
            ))),
            _ => Ok(()),
        }
    }

    fn raw(&self, what: &str) -> Result<&RawDocument, ForeignError> {
        RawDocument::from_bytes(self.document.as_slice())
            .map_err(|error| self.damaged(format!("{what} is not a document: {error}")))
    }

    fn namespace(&self, said: &RawDocument) -> Result<Namespace, ForeignError> {
        let mut namespace = Namespace::default();
        self.put_namespace(said, &mut namespace)?;
        Ok(namespace)
    }

    /// Without an allocation where it is the same as before.
    fn put_namespace(&self, said: &RawDocument, into: &mut Namespace) -> Result<(), ForeignError> {
        let (Ok(database), Ok(collection)) = (said.get_str("db"), said.get_str("collection")) else {
            return Err(self.damaged(format!("{} names no collection", self.within)));
        };
        into.database.clear();
        into.database.push_str(database);
        into.collection.clear();
        into.collection.push_str(collection);
        Ok(())
    }

    fn damaged(&self, reason: String) -> ForeignError {
        ForeignError::Damaged {
            entry: None,
            offset: self.offset,
            reason,
        }
    }

    /// What decompresses says in its own way that there should be more.
    fn ended_or_failed(&mut self, error: io::Error) -> ForeignError {
        let offset = self.offset;
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return ForeignError::Read {
                entry: None,
                offset,
                error,
            };
        }
        if [A_HEAD, A_BLOCK].contains(&self.within) {
            self.cut = Some(format!(
                "the archive ends within {} that lies behind its offset {offset}: it is truncated",
                self.within
            ));
        }
        self.damaged(format!("the archive ends within {}: it is truncated", self.within))
    }
}
