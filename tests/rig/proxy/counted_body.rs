//! A streamed body that counts its bytes and may be cut short or damaged.

use super::super::http_server::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// Passes a body on, adding each piece to a counter; fails once `allowed` bytes have passed.
#[derive(Debug)]
pub struct CountedBody {
    inner: Incoming,
    counter: Arc<AtomicU64>,
    allowed: u64,
    /// Whether the first bit that passes is to be another.
    pub flips_first: bool,
}

impl CountedBody {
    pub fn new(inner: Incoming, counter: Arc<AtomicU64>, allowed: u64) -> Self {
        CountedBody {
            inner,
            counter,
            allowed,
            flips_first: false,
        }
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.allowed == 0 {
            return Poll::Ready(Some(Err("cut in the middle of the answer, as told".into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame?.map_data(|mut data| {
            data.truncate(usize::try_from(self.allowed).unwrap_or(usize::MAX));
            self.allowed -= data.len() as u64;
            self.counter.fetch_add(data.len() as u64, Ordering::AcqRel);
            if self.flips_first && !data.is_empty() {
                self.flips_first = false;
                let mut flipped = data.to_vec();
                flipped[0] ^= 0x80;
                data = flipped.into();
            }
            data
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
