//! Whether a store refuses to overwrite an object on request (`If-None-Match`, `If-Match`).
//!
//! AWS does. Some other stores do, some say that they cannot, and some take the header and write all the same. One
//! request detects the last kind: it repeats a write, which must be refused. Until that is proven, a writer looks
//! before it writes. One proof is enough for a process, and AWS needs none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;

use super::dialect::Dialect;
use crate::store::Location;

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Conditions(Arc<AtomicBool>);

impl Conditions {
    /// Takes it as proven.
    pub(super) fn believe(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn are_proven(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whether the store writes an object again that was just written, although it is told not to. Whatever else goes
    /// wrong proves nothing: the next write asks again.
    pub(super) async fn are_ignored(&self, again: PutObjectFluentBuilder) -> bool {
        if self.are_proven() || !Dialect::of_environment().has_conditions() {
            return false;
        }
        match Box::pin(again.if_none_match("*").send()).await {
            Ok(_) => true,
            Err(error) => {
                let status = error.raw_response().map(|answer| answer.status().as_u16());
                if matches!(status, Some(409 | 412)) {
                    self.believe();
                }
                false
            }
        }
    }
}

/// What to do about a store that ignores conditions.
pub(super) fn ignored(location: &Location) -> String {
    format!(
        "{location}: this store ignores If-None-Match. It overwrote an existing object, which S3 refuses with status 412. Set MONGOTAR_S3_CONDITIONAL_WRITES=no: mongotar then looks before it writes; if two write the same name at the same moment, one may still replace what the other wrote"
    )
}
