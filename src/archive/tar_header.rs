//! Tar headers whose length is known before the entry's size (FORMAT 2).
//!
//! The `tar` crate builds the 512-byte ustar block. The pax record before it, and the promise that both endings of an
//! entry have headers of equal length, are ours: the crate's builder writes a header once it has the whole content.

use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

/// Tar's unit: headers are blocks, contents are padded to blocks.
pub(super) const BLOCK: usize = 512;
/// What ends a tar: two blocks of zeros.
pub(super) const END_OF_ARCHIVE: usize = 2 * BLOCK;

const NAME_FIELD: usize = 100;

/// How many zeros follow `size` bytes of content.
pub(super) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// The header of an entry whose final path is one of `paths`; its length does not depend on which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HeaderPlan {
    pax_blocks: usize,
}

impl HeaderPlan {
    /// `paths`: every path that the entry may get.
    pub(super) fn new(paths: &[&str]) -> Self {
        let longest = paths.iter().map(|path| pax_records(path).len()).max().unwrap_or(0);
        Self {
            pax_blocks: match longest {
                0 => 0,
                // A shorter variant is filled with a comment record, which takes at least 13 bytes.
                length => (length + 13).div_ceil(BLOCK),
            },
        }
    }

    /// How long the header will be.
    pub(super) fn length(&self) -> usize {
        match self.pax_blocks {
            0 => BLOCK,
            blocks => (1 + blocks + 1) * BLOCK,
        }
    }

    /// The header's bytes. `path` must be one of those the plan was made for; `mtime` in Unix seconds.
    pub(super) fn build(&self, path: &str, size: u64, mtime: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        if self.pax_blocks > 0 {
            let mut records = pax_records(path);
            fill_with_comment(&mut records, self.pax_blocks * BLOCK);
            let name = format!("PaxHeaders/{}", &path[path.rfind('/').map_or(0, |slash| slash + 1)..]);
            let header = ustar(&name, records.len() as u64, mtime, EntryType::XHeader);
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(&records);
        }
        out.extend_from_slice(ustar(path, size, mtime, EntryType::Regular).as_bytes());
        out
    }
}

fn ustar(path: &str, size: u64, mtime: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    let mut end = path.len().min(NAME_FIELD);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..end].copy_from_slice(&path.as_bytes()[..end]);
    }
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

/// The `path` record, where the ustar name field does not do.
fn pax_records(path: &str) -> Vec<u8> {
    if path.len() <= NAME_FIELD && path.is_ascii() {
        return Vec::new();
    }
    record("path", path.as_bytes())
}

/// `"{length} {key}={value}\n"`, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut out = format!("{length} {key}=").into_bytes();
    out.extend_from_slice(value);
    out.push(b'\n');
    out
}

/// Fills the records up to `length` bytes, so that no padding after them is needed.
fn fill_with_comment(records: &mut Vec<u8>, length: usize) {
    let missing = length - records.len();
    // The overhead is "NN comment=\n" with two or three digits; the value takes what is left.
    for overhead in [12, 13, 14] {
        let Some(value) = missing.checked_sub(overhead) else {
            continue;
        };
        let filler = record("comment", &vec![b' '; value]);
        if filler.len() == missing {
            records.extend_from_slice(&filler);
            return;
        }
    }
    // 100 and 1000 cannot be met by one record, whose length then takes a digit more: use two.
    let first = record("comment", b"");
    records.extend_from_slice(&first);
    fill_with_comment(records, length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn read_back(header: &[u8], content: &[u8]) -> (String, u64) {
        let mut tar = header.to_vec();
        tar.extend_from_slice(content);
        tar.resize(tar.len() + padding(content.len() as u64) + END_OF_ARCHIVE, 0);
        let mut archive = tar::Archive::new(&tar[..]);
        let mut entry = archive.entries().expect("entries").next().expect("one").expect("valid");
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let mut got = Vec::new();
        entry.read_to_end(&mut got).expect("content");
        assert_eq!(got, content);
        (path, entry.size())
    }

    #[test]
    fn sizes_over_eight_gibibytes_are_written_in_base_256() {
        let plan = HeaderPlan::new(&["a"]);
        let header = plan.build("a", 9 << 40, 0);
        let block = Header::from_byte_slice(&header);
        assert_eq!(block.size().expect("a size"), 9 << 40);
        assert_eq!(header[124], 0x80);
    }

    proptest! {
        #[test]
        fn both_endings_have_headers_of_equal_length(stem in "\\PC{1,250}") {
            let stem: String = stem.chars().filter(|&c| c != '/').collect();
            let whole = format!("backup_20261121_020000/{stem}.jsonl");
            let partial = format!("{whole}.partial");
            let plan = HeaderPlan::new(&[&whole, &partial]);
            for path in [&whole, &partial] {
                let header = plan.build(path, 5, 1_795_226_400);
                prop_assert_eq!(header.len(), plan.length());
                let (read, size) = read_back(&header, b"12345");
                prop_assert_eq!((&read, size), (path, 5));
            }
        }

        #[test]
        fn comments_fill_any_gap(have in 0_usize..600) {
            let target = (have + 13).div_ceil(BLOCK) * BLOCK;
            let mut records = vec![b'x'; have];
            fill_with_comment(&mut records, target);
            prop_assert_eq!(records.len(), target);
        }
    }
}
