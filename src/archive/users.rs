//! Whether a manifest's entries for users and roles can be true. Only their readers ask.

use super::Entry;
use super::footer::Footer;
use super::manifest::Manifest;
use super::trailing::MAX_USERS_BYTES;

/// Whether the entries of the trailer lie in it one behind the other, and are no more than there may be. For who reads
/// them: nobody else goes by what is said of them.
pub(crate) fn check_users(manifest: &Manifest, footer: &Footer) -> Result<(), String> {
    let entries = manifest.users.iter().flat_map(|users| &users.entries);
    check_entries(entries, footer)
}

fn check_entries<'a>(entries: impl Iterator<Item = &'a Entry>, footer: &Footer) -> Result<(), String> {
    let (mut at, mut bytes) = (footer.trailer.offset, 0_u64);
    for entry in entries {
        let lies = match entry.segments.as_slice() {
            [segment] if entry.header.offset == at && entry.rows.is_none() && segment.decoded_bytes == entry.bytes => {
                let begin = at.checked_add(entry.header.length);
                begin
                    .filter(|&begin| segment.extent.offset == begin)
                    .and(segment.extent.end())
            }
            _ => None,
        };
        bytes = bytes.saturating_add(entry.bytes);
        at = lies
            .filter(|&end| end <= footer.manifest.offset && bytes <= MAX_USERS_BYTES)
            .ok_or_else(|| format!("{} does not lie where it should", entry.path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::trailing::{TrailerPlace, Trailing};
    use crate::archive::{Compression, Extent, FrameEncoder, Major};

    #[test]
    fn entries_that_lie_elsewhere_are_damage() {
        let mut trailing = Trailing::default();
        let mut encoder = FrameEncoder::new(Compression::None).expect("an encoder");
        let place = TrailerPlace {
            path: &str::to_owned,
            mtime: 0,
            compression: Compression::None,
            offset: 1000,
            padding: 100,
        };
        let mut add = |text: &[u8]| {
            let frame = encoder.encode(&mut text.to_vec()).expect("a frame");
            trailing.add("a/b".to_owned(), &place, frame)
        };
        let entries = [add(b"first"), add(b"second")];
        let end = 1000 + trailing.stored.len() as u64;
        let footer = |manifest: u64| Footer {
            major: Major::One,
            compression: Compression::None,
            trailer: Extent {
                offset: 1000,
                length: 9000,
            },
            manifest: Extent {
                offset: manifest,
                length: 10,
            },
            manifest_bytes: 10,
            blake3: blake3::hash(b""),
        };
        let check = |entries: &[Entry], manifest| check_entries(entries.iter(), &footer(manifest));
        assert_eq!(check(&entries, end), Ok(()));
        assert!(check(&entries, end - 1).is_err(), "into the manifest");
        assert!(check(&entries[1..], end).is_err(), "a gap");
        let mut both = entries.clone();
        for entry in &mut both {
            (entry.bytes, entry.segments[0].decoded_bytes) = (MAX_USERS_BYTES / 2 + 1, MAX_USERS_BYTES / 2 + 1);
        }
        assert!(check(&both, end).is_err(), "too much together");
        let wrong: [fn(&mut Entry); 5] = [
            |entry| entry.header.offset = u64::MAX,
            |entry| entry.segments[0].extent.length = u64::MAX,
            |entry| entry.bytes += 1,
            |entry| entry.segments.clear(),
            |entry| {
                (entry.bytes, entry.segments[0].decoded_bytes) = (MAX_USERS_BYTES + 1, MAX_USERS_BYTES + 1);
            },
        ];
        for wrong in wrong {
            let mut entries = entries.clone();
            wrong(&mut entries[0]);
            assert!(check(&entries, end).is_err(), "{:?}", entries[0]);
        }
    }
}
