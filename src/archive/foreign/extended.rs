//! Extended (PAX) headers by the lengths of their records. The `tar` crate splits records at line breaks, so that a name
//! or an attribute with a line break in it becomes several, none of which is what was meant.

use tar::{EntryType, Header};

use crate::archive::tar_header::BLOCK;

/// What the headers before an entry say of it; nothing where a record says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) is_sparse: bool,
    /// Whether a name in GNU's way is among them.
    pub(super) has_gnu_name: bool,
}

impl Extended {
    /// Reads the blocks from the first header to the entry's own; `None` if they are not whole.
    pub(super) fn of(blocks: &[u8]) -> Option<Self> {
        let mut extended = Self::default();
        let mut rest = blocks;
        loop {
            let header = Header::from_byte_slice(rest.get(..BLOCK)?);
            let content = rest.get(BLOCK..)?;
            let kind = header.entry_type();
            if !matches!(
                kind,
                EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink
            ) {
                return Some(extended);
            }
            let size = usize::try_from(header.entry_size().ok()?).ok()?;
            match kind {
                EntryType::XHeader => extended.take(content.get(..size)?)?,
                _ => extended.has_gnu_name = true,
            }
            rest = content.get(size.checked_next_multiple_of(BLOCK)?..)?;
        }
    }

    /// Takes records: each is its own length, a space, `name=value` and a line break (POSIX, pax Extended Header).
    fn take(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let digits = records.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&records[..digits]).ok()?.parse().ok()?;
            let record = records.get(digits + 1..length)?.strip_suffix(b"\n")?;
            records = &records[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_owned()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(records: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        let mut blocks = header.as_bytes().to_vec();
        blocks.extend_from_slice(records);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks.extend_from_slice(Header::new_ustar().as_bytes());
        blocks
    }

    #[test]
    fn records_are_as_long_as_they_say() {
        let records = b"12 path=a\nb\n24 x.attr=\n12 path=evil\n10 size=7\n";
        let extended = Extended::of(&blocks(records)).expect("whole");
        assert_eq!((extended.path.as_deref(), extended.size), (Some(&b"a\nb"[..]), Some(7)));
        assert_eq!(Extended::of(&blocks(b"")), Some(Extended::default()));
        assert!(
            Extended::of(&blocks(b"22 GNU.sparse.major=1\n"))
                .expect("whole")
                .is_sparse
        );
        for broken in [
            &b"99 path=a\n"[..],
            b"9 path=ab\n",
            b"3 \n",
            b"path=a\n",
            b"10 size=x\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert_eq!(Extended::of(&blocks(broken)), None, "{broken:?}");
        }
        assert_eq!(Extended::of(&blocks(b"10 path=a\n")[..700]), None);
    }
}
