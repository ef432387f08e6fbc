//! The rig's own runtime: servers and set-up work must outlive the runtime of the test that asked for them.

use std::panic::resume_unwind;
use std::sync::{OnceLock, mpsc};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::block_in_place;

/// One runtime for every server of the rig, alive as long as the process.
pub fn background() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("rig")
            .enable_all()
            .build()
            .expect("the rig needs a tokio runtime with two threads")
    })
}

/// Blocks without taking a worker thread from the calling runtime. Otherwise the runtime's other tasks, such as another
/// trial's connections, would stand still meanwhile.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(wait),
        _ => wait(),
    }
}

/// Runs `work` on the rig's runtime and blocks until it is done. Unlike `Runtime::block_on`, this may be called
/// from inside another runtime. A panic in `work` is passed on.
pub fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let task = background().spawn(work);
    background().spawn(async move { done.send(task.await) });
    match waiting(|| result.recv()).expect("the rig's runtime lives as long as the process") {
        Ok(value) => value,
        Err(failure) => resume_unwind(failure.into_panic()),
    }
}
