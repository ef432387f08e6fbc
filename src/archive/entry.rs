//! Entries and their segments: where they lie in the object, and what they must hash to.

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A run of bytes in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl Extent {
    /// The offset after the last byte; `None` if no object can be that long.
    pub fn end(self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }
}

/// An extent and the checksum of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// BLAKE3 of its bytes.
    #[serde(with = "hex_hash")]
    pub blake3: blake3::Hash,
}

/// A tar member, as the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the tar.
    pub path: String,
    /// The glue frame with its header.
    pub header: Region,
    /// Its content's length.
    pub bytes: u64,
    /// Its content, unless it is listed by the table.
    pub segments: Vec<Segment>,
    /// Which rows of the table list its content, and while the archive is being written which of the writer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
}

impl Entry {
    /// How many segments it has.
    pub fn count(&self) -> usize {
        let rows = self.rows.map_or(0, |rows| rows.count);
        self.segments.len() + usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// How many bytes of the object hold its content.
    pub fn stored_bytes(&self) -> u64 {
        match self.rows {
            Some(rows) => rows.stored,
            None => self.segments.iter().map(|segment| segment.extent.length).sum(),
        }
    }

    /// How many documents it has; the most that can be said where that is more than any archive has.
    pub fn documents(&self) -> u64 {
        let listed = self.segments.iter().map(|segment| segment.documents);
        let listed = || listed.fold(0, u64::saturating_add);
        self.rows.map_or_else(listed, |rows| rows.documents)
    }

    /// The largest of its segments, in decoded bytes.
    pub(crate) fn largest_segment(&self) -> u64 {
        let listed = self.segments.iter().map(|segment| segment.decoded_bytes).max();
        self.rows.map(|rows| rows.largest).or(listed).unwrap_or(0)
    }
}

/// A run of the rows that list an archive's segments, and their totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The first of them, counted from 0 through the whole archive.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// The bytes of the object that they list, which follow one another.
    pub stored: u64,
    /// The documents in them.
    pub documents: u64,
    /// The decoded bytes of the largest segment.
    pub largest: u64,
}

impl Rows {
    /// None yet.
    pub(super) fn from(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// One more.
    pub(super) fn add(&mut self, segment: &Segment) {
        self.count += 1;
        self.stored += segment.extent.length;
        self.documents += segment.documents;
        self.largest = self.largest.max(segment.decoded_bytes);
    }

    /// Those that follow them.
    pub(super) fn join(&mut self, next: Self) {
        self.count += next.count;
        self.stored += next.stored;
        self.documents += next.documents;
        self.largest = self.largest.max(next.largest);
    }
}

/// An independent frame. In JSON a row: `[offset, stored length, decoded length, documents, blake3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is stored.
    pub extent: Extent,
    /// How many bytes it decodes to.
    pub decoded_bytes: u64,
    /// How many whole documents that is.
    pub documents: u64,
    /// BLAKE3 of the stored bytes.
    pub blake3: blake3::Hash,
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_tuple(5)?;
        row.serialize_element(&self.extent.offset)?;
        row.serialize_element(&self.extent.length)?;
        row.serialize_element(&self.decoded_bytes)?;
        row.serialize_element(&self.documents)?;
        row.serialize_element(self.blake3.to_hex().as_str())?;
        row.end()
    }
}

impl<'de> Deserialize<'de> for Segment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = Segment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row [offset, stored length, decoded length, documents, blake3]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<Segment, A::Error> {
                let mut number = |at| {
                    row.next_element::<u64>()?
                        .ok_or_else(|| de::Error::invalid_length(at, &"5"))
                };
                let extent = Extent {
                    offset: number(0)?,
                    length: number(1)?,
                };
                let (decoded_bytes, documents) = (number(2)?, number(3)?);
                let hash = row
                    .next_element::<String>()?
                    .ok_or_else(|| de::Error::invalid_length(4, &"5"))?;
                // A later minor version may add columns.
                while row.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Segment {
                    extent,
                    decoded_bytes,
                    documents,
                    blake3: blake3::Hash::from_hex(&hash).map_err(de::Error::custom)?,
                })
            }
        }
        deserializer.deserialize_seq(Row)
    }
}

pub(super) mod hex_hash {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(in crate::archive) fn serialize<S: Serializer>(hash: &blake3::Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hash.to_hex().as_str())
    }

    pub(in crate::archive) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<blake3::Hash, D::Error> {
        blake3::Hash::from_hex(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
