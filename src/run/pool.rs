//! A share of the memory budget, handed out by the byte.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores count in KiB.
pub(crate) const POOL_UNIT: u64 = 1 << 10;

/// So many bytes. Whoever holds some has a permit; the others wait in their order.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    units: u64,
}

impl Pool {
    pub(crate) fn of(bytes: u64) -> Self {
        let units = bytes.div_ceil(POOL_UNIT).max(1);
        let permits = usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            units,
        }
    }

    /// How many bytes there are in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.units * POOL_UNIT
    }

    /// So many bytes where they are free.
    pub(crate) fn try_take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(POOL_UNIT).max(1)).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(units).ok()
    }

    /// Waits for so many bytes, or for all there are where there are fewer: what is larger than the pool is held alone.
    pub(crate) async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(POOL_UNIT).clamp(1, self.units)).unwrap_or(u32::MAX);
        Arc::clone(&self.free)
            .acquire_many_owned(units)
            .await
            .expect("no pool is ever closed")
    }
}

/// Gives back what of a permit is more than so many bytes need.
pub(crate) fn give_back(permit: &mut OwnedSemaphorePermit, bytes: usize) {
    let needed = (bytes as u64).div_ceil(POOL_UNIT).max(1);
    let surplus = (permit.num_permits() as u64).saturating_sub(needed);
    drop(permit.split(usize::try_from(surplus).unwrap_or(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_larger_than_the_pool_is_held_alone_and_the_surplus_goes_back() {
        let pool = Pool::of(10 * POOL_UNIT);
        let mut large = pool.take(100 * POOL_UNIT).await;
        assert_eq!((pool.bytes(), pool.free.available_permits()), (10 * POOL_UNIT, 0));
        give_back(&mut large, 3 * POOL_UNIT as usize);
        assert_eq!(pool.free.available_permits(), 7);
        give_back(&mut large, 30 * POOL_UNIT as usize);
        let small = pool.take(1).await;
        assert_eq!(pool.free.available_permits(), 6);
        drop((large, small));
        assert_eq!(pool.free.available_permits(), 10);
    }
}
