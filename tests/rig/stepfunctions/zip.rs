//! A deployment package: a ZIP archive of one executable file, stored as it is.

use crc_fast::{CrcAlgorithm, checksum};

/// The ZIP archive of a file of that name, which may be executed.
pub fn package(name: &str, content: &[u8]) -> Vec<u8> {
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, content)).expect("a CRC-32 has 32 bits");
    let length = u32::try_from(content.len()).expect("a package is shorter than 4 GiB");
    let name_length = u16::try_from(name.len()).expect("a file's name is short");
    // Version 2.0, no flags, stored, 1 January 1980.
    let mut common = Vec::new();
    for field in [20_u16, 0, 0, 0, 0x21] {
        common.extend(field.to_le_bytes());
    }
    for field in [crc, length, length] {
        common.extend(field.to_le_bytes());
    }
    common.extend(name_length.to_le_bytes());
    common.extend(0_u16.to_le_bytes());

    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend(&common);
    zip.extend(name.as_bytes());
    zip.extend(content);
    let directory = zip.len();
    zip.extend(b"PK\x01\x02");
    zip.extend((3_u16 << 8 | 20).to_le_bytes()); // made by Unix, whose modes count
    zip.extend(&common);
    zip.extend([0; 6]);
    zip.extend((0o100_755_u32 << 16).to_le_bytes());
    zip.extend(0_u32.to_le_bytes());
    zip.extend(name.as_bytes());
    let directory_length = zip.len() - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    for field in [directory_length, directory] {
        zip.extend(
            u32::try_from(field)
                .expect("a package is shorter than 4 GiB")
                .to_le_bytes(),
        );
    }
    zip.extend(0_u16.to_le_bytes());
    zip
}
