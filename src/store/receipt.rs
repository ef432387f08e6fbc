//! What is known of a sent part, and the checksums of parts and wholes.

use serde::{Deserialize, Serialize};

/// A finished part, as its store acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) number: u32,
    pub(super) etag: String,
    /// CRC64NVME of its bytes; not known where the store copied them and does not say.
    pub(super) crc64: Option<u64>,
    pub(super) bytes: u64,
}

/// CRC64NVME, the checksum that S3 keeps for whole objects.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

/// The checksum of all parts together, where that of each is known.
pub(super) fn full_crc64(receipts: &[Receipt]) -> Option<u64> {
    let (mut sum, mut length) = (None, 0);
    for receipt in receipts {
        let next = receipt.crc64?;
        sum = Some(match sum {
            None => next,
            Some(sum) => crc_fast::checksum_combine(crc_fast::CrcAlgorithm::Crc64Nvme, sum, next, receipt.bytes),
        });
        length += receipt.bytes;
    }
    sum.or((length == 0).then_some(0))
}
