//! Temporary directories that are removed even when this process is killed.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Collects paths line by line; at the end of its input (we dropped the guard, or died) removes them all. It
/// tries again because the processes writing there are dying at the same moment.
const JANITOR: &str = r#"
set --
while IFS= read -r path; do set -- "$@" "$path"; done
for attempt in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$@" && exit 0; sleep 0.2; done
"#;

/// A temporary directory, removed on drop and at the end of this process, however it ends.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    janitor: Child,
}

impl ScratchDir {
    pub fn new(purpose: &str) -> Self {
        let path = tempfile::Builder::new()
            .prefix(&format!("mongotar-{purpose}-"))
            .tempdir()
            .expect("the rig needs a writable temporary directory (TMPDIR)")
            .keep();
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a Ctrl-C at the terminal must not reach it
            .spawn()
            .expect("the rig needs /bin/sh");
        let mut scratch = ScratchDir {
            path: path.clone(),
            janitor,
        };
        scratch.also_remove(&path);
        scratch
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a further path together with the directory, for programs that write where they were not told to.
    pub fn also_remove(&mut self, path: &Path) {
        let path = path.to_str().expect("scratch paths are UTF-8");
        let stdin = self.janitor.stdin.as_mut().expect("the janitor's input is piped");
        writeln!(stdin, "{path}").expect("the janitor reads until its input ends");
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
