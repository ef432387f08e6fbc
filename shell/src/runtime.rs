//! The threads of all programs, and where their memory comes from.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use tokio::runtime::{Builder, Runtime};

/// How many threads besides one for each core may do work that takes a core or waits for a disk. None of them waits for
/// another: whoever walks through a foreign archive has a thread of its own.
const SPARE: usize = 3;

/// A runtime with as many threads as are of use.
///
/// By default, a runtime creates a thread for every segment that is encoded or decoded while another is. Each keeps
/// what it has ever allocated, and work goes to all of them by turns, so a few buffers become dozens.
///
/// # Errors
/// If the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(cores + SPARE)
        .build()
}

/// The C library's own setting for how many arenas it allocates from.
const ARENA: (&str, &str) = ("MALLOC_ARENA_MAX", "1");
/// The length from which a buffer is mapped by itself, and returned to the system when freed; and how much free memory
/// is kept at an arena's end.
const LARGE_BUFFERS: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "8388608"),
    ("MALLOC_TRIM_THRESHOLD_", "16777216"),
];

/// Restarts this program, as the same process, with all threads allocating from one arena, and a restore's large
/// buffers from none; unless that is so, or set otherwise. Call it before anything else.
///
/// The GNU C library gives each thread its own arena, and buffers that move between threads leave holes in all of them:
/// of 90 MB that a restore took within a budget of 64, 22 were in use. From one arena it takes 57, and is as fast
/// (`docs/PERFORMANCE.md`). Buffers of 15 MB documents leave holes of their size even there, since after the first of
/// them the library takes later ones from the arena: a restore then takes 208 MB instead of 156. It reads the settings
/// once, before a program's first line; functions have them in their template.
pub fn with_one_arena() {
    let restores = std::env::args_os().any(|argument| argument == "restore" || argument == "drill");
    let large = LARGE_BUFFERS.iter().filter(|_| restores);
    let settings = std::iter::once(&ARENA).chain(large);
    let unset: Vec<_> = settings.filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || unset.is_empty() {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It only comes back where that cannot be had, and then all is well but for the memory.
    let _ = again.args(arguments).envs(unset.into_iter().copied()).exec();
}
