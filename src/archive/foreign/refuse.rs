//! Recognises files that are no archive of documents: other containers, encrypted files, a server's data files, and
//! loose documents.

use super::ForeignError;
use super::aside::Aside;
use super::encoding::not_utf8;
use crate::archive::tar_header::BLOCK;
use crate::extjson::Limits;
use crate::wording::count;

/// How many bytes tell.
pub(super) const HEAD: usize = 512;

/// Something else than a tar or documents, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    what: &'static str,
    way_out: &'static str,
}

const UNPACK: &str = "unpack it, and pack its files as a tar (perhaps .tar.gz or .tar.zst)";
const DECOMPRESS: &str = "decompress it, or compress it as .gz or .zst";
const DECRYPT: &str = "decrypt it first";
const RESTORE_ELSEWHERE: &str = "take it out, and restore it by itself";

/// What a file begins with, what it then is, and what to do.
const BEGINNINGS: [(&[u8], &str, &str); 15] = [
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz once more", DECOMPRESS),
    (b"\x04\x22\x4d\x18", "compressed with lz4", DECOMPRESS),
    (b"\x1f\x8b", "gzip within gzip or zstd", "decompress it once"),
    (b"\x28\xb5\x2f\xfd", "zstd within zstd or gzip", "decompress it once"),
    (b"age-encryption.org/", "encrypted with age", DECRYPT),
    (b"-----BEGIN AGE ENCRYPTED FILE", "encrypted with age", DECRYPT),
    (b"-----BEGIN PGP MESSAGE", "encrypted with gpg", DECRYPT),
    (b"Salted__", "encrypted with openssl", DECRYPT),
    (b"U2FsdGVkX1", "encrypted with openssl", DECRYPT),
    (
        b"\x6d\xe2\x99\x81",
        "a mongodump archive file (--archive)",
        RESTORE_ELSEWHERE,
    ),
    (b"SQLite format 3\0", "an SQLite database", "choose another archive"),
];

/// What a file's name ends with, what it then is, and what to do.
const ENDINGS: [(&[&str], &str, &str); 3] = [
    (
        &["gpg", "pgp", "asc", "age", "enc", "aes"],
        "encrypted, as its name says",
        DECRYPT,
    ),
    (&["zip", "7z", "rar"], "an archive of another kind", UNPACK),
    (
        &["lz", "lzma", "br", "z"],
        "compressed in a way that is not read",
        DECOMPRESS,
    ),
];

impl Other {
    /// By the first bytes of a file, decompressed where that is known.
    pub(super) fn of_file(head: &[u8]) -> Option<Self> {
        // The first entry of a tar may be called anything.
        if head.get(257..262) == Some(b"ustar") {
            return None;
        }
        let other = |what, way_out| Some(Self { what, way_out });
        // The digit is the level.
        if head.len() >= 10 && head.starts_with(b"BZh") && head[4..10] == *b"1AY&SY" {
            return other("compressed with bzip2 once more", DECOMPRESS);
        }
        if is_gpg(head) {
            return other("encrypted with gpg", DECRYPT);
        }
        let found = BEGINNINGS.iter().find(|(beginning, ..)| head.starts_with(beginning))?;
        other(found.1, found.2)
    }

    /// By the end of a file's name, where its first bytes do not tell.
    pub(super) fn of_ending(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        let (_, what, way_out) = *ENDINGS
            .iter()
            .find(|(endings, ..)| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))?;
        Some(Self { what, way_out })
    }

    /// As the reason why a member is left out.
    pub(super) fn aside(self) -> Aside {
        Aside::Packed {
            what: self.what,
            way_out: self.way_out,
        }
    }

    /// As the reason why the whole is refused.
    pub(super) fn refusal(self) -> ForeignError {
        ForeignError::Refused(format!("it is {}: {}", self.what, self.way_out))
    }
}

/// Refuses a file that is not a tar, if its first bytes show what it is instead. Most often it is one collection's
/// documents, without the collection's name.
///
/// # Errors
/// If it is one.
pub(super) fn no_tar(head: &[u8]) -> Result<(), ForeignError> {
    if head.is_empty() || is_tar_header(head) {
        return Ok(());
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let starts = |with: &[u8]| text.trim_ascii_start().starts_with(with);
    let is_text = || {
        let letters = match std::str::from_utf8(text) {
            Ok(text) => text,
            // A letter may be cut at the end of what is looked at.
            Err(error) if error.error_len().is_none() => str::from_utf8(&text[..error.valid_up_to()]).unwrap_or(""),
            Err(_) => "\0",
        };
        // Without a line it may be the name that a tar begins with, cut off.
        letters.contains('\n') && !letters.contains(|letter: char| letter.is_control() && !letter.is_whitespace())
    };
    if let Some(why) = not_utf8(head).filter(|_| !is_document(head)) {
        return Err(in_another_encoding(head, &why));
    }
    let (what, way_out) = match () {
        () if head.starts_with(b"\x41\xd8\x01\0") => {
            return Err(ForeignError::Refused(format!("it is {DATA_FILE}")));
        }
        () if is_document(head) => ("a bare BSON file, not an archive", AS_FOLDER),
        () if starts(b"{") || starts(b"[") => ("a bare JSON file, not an archive", AS_FOLDER),
        () if starts(b"%PDF") => ("a PDF", CHOOSE),
        () if starts(b"<") => (
            "a page or XML, not an archive, perhaps what a server answered instead of one",
            "look into it, and fetch the archive again",
        ),
        () if is_text() => ("a text file, not an archive", CHOOSE),
        // The bytes behind may be missing for another reason, which the walk through them finds.
        () if head.len() < BLOCK => return Ok(()),
        () => {
            return Err(ForeignError::Damaged {
                entry: None,
                offset: 0,
                reason:
                    "it is no tar archive: it does not begin as a tar does, nor as anything else that is known: it is damaged, encrypted, or \
                         something else. Restore another copy of it, or choose another archive"
                        .to_owned(),
            });
        }
    };
    Err(Other { what, way_out }.refusal())
}

/// Why what was shorter than a header could not be read as a tar, with all of it in `head`.
pub(super) fn too_short(head: &[u8], error: ForeignError) -> ForeignError {
    let is_damage = matches!(error, ForeignError::Damaged { entry: None, .. });
    if !is_damage || head.len() >= BLOCK {
        return error;
    }
    let bytes = count(head.len() as u64, "byte");
    let what = match () {
        () if head.iter().all(|byte| *byte == 0) => "zeros and nothing else: its content is lost",
        () if begins_a_header(head) => "the beginning of a tar's first header: it is truncated",
        () => "no archive, or the beginning of one that is damaged",
    };
    ForeignError::Damaged {
        entry: None,
        offset: 0,
        reason: format!(
            "it has {bytes}, and a tar begins with a header of {BLOCK}: this is {what}. Restore another copy of it, \
             or choose another archive"
        ),
    }
}

/// Whether there is a name, zeros up to its end, and then a mode in octal digits.
fn begins_a_header(head: &[u8]) -> bool {
    let (Some(name), Some(mode)) = (head.get(..100), head.get(100..107)) else {
        return false;
    };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let is_octal = |byte: &u8| matches!(byte, b'0'..=b'7' | b' ' | 0);
    end > 0 && name[end..].iter().all(|byte| *byte == 0) && mode.iter().all(is_octal)
}

/// What to do differs: PowerShell also writes what is no text as text, and that is lost.
fn in_another_encoding(head: &[u8], why: &str) -> ForeignError {
    let is_letter = |byte: &&u8| !matches!(byte, 0 | 0xfe | 0xff) && !byte.is_ascii_whitespace();
    ForeignError::Refused(match head.iter().find(is_letter) {
        Some(b'{' | b'[') => format!("it is a bare JSON file, not an archive; {why}. Then {AS_FOLDER}"),
        _ => format!(
            "it is text, not an archive: {why}. If it was written with > in PowerShell and was no text, it is destroyed: \
             write it again, with mongodump --archive=FILE or --out=FOLDER"
        ),
    })
}

const AS_FOLDER: &str = "put it in a folder named after its database (shop/orders.bson or shop/orders.json, with \
                         orders.metadata.json beside it if there is one), and restore that folder";
const CHOOSE: &str = "choose another archive; mongoimport reads CSV";

/// Whether it begins as a tar does: with a header whose checksum is right, or that says of itself that it is one, or
/// with an end mark.
fn is_tar_header(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<BLOCK>() else {
        return head.iter().all(|byte| *byte == 0);
    };
    let header = tar::Header::from_byte_slice(block);
    let sum = |(at, byte): (usize, &u8)| match CHECKSUM.contains(&at) {
        true => u32::from(b' '),
        false => u32::from(*byte),
    };
    let is_zero = block.iter().all(|byte| *byte == 0);
    let sum: u32 = block.iter().enumerate().map(sum).sum();
    is_zero || block[257..262] == *b"ustar" || header.cksum().is_ok_and(|said| said == sum)
}

/// Where a header has its own checksum, which counts as spaces.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Whether it begins with a document as BSON, as far as that is there.
fn is_document(head: &[u8]) -> bool {
    let length = head.first_chunk().map_or(0, |length| i32::from_le_bytes(*length));
    let Ok(length) = usize::try_from(length) else {
        return false;
    };
    if !(5..=Limits::default().max_document_bytes).contains(&length) {
        return false;
    }
    if let Some(whole) = head.get(..length) {
        return bson::RawDocument::from_bytes(whole).is_ok_and(|document| document.iter().all(|field| field.is_ok()));
    }
    let first = head.get(4).copied().and_then(bson::spec::ElementType::from);
    let name = head.get(5..).and_then(|rest| rest.split(|byte| *byte == 0).next());
    first.is_some() && name.is_some_and(|name| !name.is_empty() && std::str::from_utf8(name).is_ok())
}

/// The packets with which an encrypted message begins (RFC 9580, 4.2 and 5): a session key for a public key (version 3)
/// or for a passphrase (version 4).
fn is_gpg(head: &[u8]) -> bool {
    let for_a_key = matches!(
        *head,
        [0x84, _, 3, ..] | [0x85, _, _, 3, ..] | [0x86, _, _, _, _, 3, ..] | [0xc1, _, 3, ..] | [0xc1, _, _, 3, ..]
    );
    let for_a_passphrase = matches!(*head, [0x8c | 0xc3, 4..=64, 4, ..]);
    for_a_key || for_a_passphrase
}

/// Refuses a tar of the files in which a server keeps its data; by the name of one.
///
/// # Errors
/// If it is one.
pub(super) fn data_files(path: &str) -> Result<(), ForeignError> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let servers = file.ends_with(".wt")
        || file == "mongod.lock"
        || file == "WiredTiger"
        || ["WiredTiger.", "WiredTigerLog.", "WiredTigerPreplog."]
            .iter()
            .any(|start| file.starts_with(start));
    match servers {
        true => Err(of_data_files(path)),
        false => Ok(()),
    }
}

/// Whether `storage.bson` is a server's own: which engine it runs on. A collection may be called so, too.
pub(super) fn is_storage_metadata(head: &[u8]) -> bool {
    let length = head.first_chunk().map_or(0, |length| i32::from_le_bytes(*length));
    let document = usize::try_from(length).ok().and_then(|length| head.get(..length));
    let document = document.and_then(|bytes| bson::RawDocument::from_bytes(bytes).ok());
    document.is_some_and(|document| {
        let storage = document.get_document("storage");
        storage.is_ok_and(|storage| storage.get_str("engine").is_ok())
    })
}

pub(super) fn of_data_files(path: &str) -> ForeignError {
    ForeignError::Refused(format!("{path:?} is {DATA_FILE}"))
}

const DATA_FILE: &str = "a data file of a server, which only a server can read: start a mongod of the same version on \
                         these files (--dbpath), and back that up";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_what_they_are() {
        for (head, what) in [
            (&b"PK\x03\x04\x14\0"[..], "zip"),
            (b"\xfd7zXZ\0\0\x04", "xz"),
            (b"BZh91AY&SYrQ", "bzip2"),
            (b"BZh11AY&SYrQ", "bzip2"),
            (b"age-encryption.org/v1\n", "age"),
            (b"\x85\x02\x0c\x03abc", "gpg"),
            (b"\x8c\x0d\x04\x09\x03\x02", "gpg"),
            (b"\xc3\x04\x04\x03\x00\x01", "gpg"),
            (b"Salted__abcdefgh", "openssl"),
            (b"\x6d\xe2\x99\x81\x01", "mongodump"),
        ] {
            let error = Other::of_file(head).expect(what).refusal().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        for head in [
            &b""[..],
            b"{\"_id\": 1}",
            b"\x0e\0\0\0\x10_id\0\x01\0\0\0\0",
            b"backup_1/",
        ] {
            assert_eq!(Other::of_file(head), None, "{head:?}");
        }
        let mut tar = tar::Header::new_gnu();
        tar.set_path("Salted__peanuts.json").expect("short");
        assert_eq!(
            Other::of_file(tar.as_bytes()),
            None,
            "a tar whose first entry is called so"
        );
    }

    #[test]
    fn documents_by_themselves_are_told_from_a_tar_that_is_broken() {
        let said = |head: &[u8]| no_tar(head).err().map(|error| error.to_string()).unwrap_or_default();
        let short = bson::rawdoc! {"_id": 1, "a": "b"};
        let long = bson::rawdoc! {"_id": 1, "a": "b".repeat(2_000)};
        for (head, what) in [
            (short.as_bytes(), "bare BSON"),
            (&[short.as_bytes(), short.as_bytes()].concat(), "bare BSON"),
            (&long.as_bytes()[..HEAD], "bare BSON"),
            (b"{\"_id\": 1}\n{\"_id\": 2}\n", "bare JSON"),
            (b"\xef\xbb\xbf[{\"_id\": 1}]", "bare JSON"),
            (
                b"\xff\xfe{\0\"\0_\0",
                "a bare JSON file, not an archive; it is in UTF-16LE",
            ),
            (b"\xfe\xff\0[\0{", "a bare JSON file, not an archive; it is in UTF-16BE"),
            (b"\xff\xfem\0\x93\x25\x40\x20", "mongodump --archive=FILE"),
            (b"%PDF-1.7\n\xe2\xe3", "a PDF"),
            (
                b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>",
                "a page or XML",
            ),
            (b"id,name\n1,a\n", "a text file"),
            ("name\n".repeat(200).replace('m', "\u{e9}").as_bytes(), "a text file"),
            (b"\x41\xd8\x01\0\x01\0\0\0", "data file of a server"),
            (&[0xa7; HEAD], "does not begin as a tar does"),
        ] {
            let said = said(head);
            assert!(said.contains(what) && !said.contains('\n'), "{what}: {said}");
        }
        let mut header = tar::Header::new_old();
        header.set_path("{a").expect("short");
        header.set_size(0);
        header.set_cksum();
        let mut damaged = tar::Header::new_ustar();
        damaged.set_path("backup_1/a").expect("short");
        for head in [
            &b""[..],
            &[0; 512],
            header.as_bytes(),
            damaged.as_bytes(),
            b"\x01\x02\xff\xfe",
        ] {
            assert_eq!(said(head), "", "{head:?}");
        }
    }

    #[test]
    fn the_files_of_a_server_are_told_by_their_names() {
        for path in [
            "db/WiredTiger",
            "db/WiredTiger.turtle",
            "db/_mdb_catalog.wt",
            "db/collection-0--123.wt",
            "db/journal/WiredTigerLog.0000000001",
            "mongod.lock",
            "db\\WiredTiger",
        ] {
            assert!(data_files(path).is_err(), "{path}");
        }
        for path in ["shop/wt.bson", "shop/WiredTigers.bson", "shop/orders.bson"] {
            assert!(data_files(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_collection_may_be_called_storage() {
        let of = |document: bson::RawDocumentBuf| is_storage_metadata(document.as_bytes());
        assert!(of(bson::rawdoc! {"storage": {"engine": "wiredTiger", "options": {}}}));
        assert!(!of(bson::rawdoc! {"_id": 1, "storage": "cellar"}));
        assert!(!is_storage_metadata(b"") && !is_storage_metadata(&[255, 255, 255, 127]));
    }
}
