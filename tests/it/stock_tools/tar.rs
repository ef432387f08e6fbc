//! GNU tar, libarchive (bsdtar's engine) and Python's `tarfile`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mongotar::archive::Compression;

use super::sample::{Archive, sample};
use crate::rig::{libarchive_extract, libarchive_list, python};

/// Lists (`t`) or extracts (`x`) with Python, in a mode such as `r:*` or `r|gz`. A zstd archive is decompressed by
/// python-zstandard, also as a stream.
const TARFILE: &str = r#"
import sys, tarfile, zstandard
what, mode, path, folder = sys.argv[1:5]
if path.endswith(".zst"):
    stream = zstandard.ZstdDecompressor().stream_reader(open(path, "rb"), read_across_frames=True)
    tar = tarfile.open(fileobj=stream, mode="r|")
else:
    tar = tarfile.open(path, mode)
for member in tar:
    assert member.isreg() and member.mode == 0o600 and member.uid == member.gid == 0 and member.uname == "", member.get_info()
    if what == "t":
        sys.stdout.write(f"{member.name}\0{member.size}\0{member.mtime}\0")
    else:
        tar.extract(member, folder, filter="data")
tar.close()
"#;

/// What `tar --use-compress-program` calls, as `zstd -d`: GNU tar itself knows no zstd, and the machine may have no
/// `zstd`.
fn zstd_program(folder: &Path) -> PathBuf {
    let path = folder.join("unzstd");
    let script = format!(
        "#!{}\nimport sys, shutil, zstandard\n\
         stream = zstandard.ZstdDecompressor().stream_reader(sys.stdin.buffer, read_across_frames=True)\n\
         shutil.copyfileobj(stream, sys.stdout.buffer)\n",
        python().interpreter().display()
    );
    fs::write(&path, script).expect("the scratch folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

fn gnu_tar(archive: &Archive, folder: &Path, args: &[&str]) -> Vec<u8> {
    let mut tar = Command::new("tar");
    // Names are UTF-8 in pax records, and GNU tar converts them to the locale's character set.
    tar.env("LC_ALL", "C.UTF-8").args(args).arg("-f").arg(&archive.path);
    match archive.compression {
        Compression::None => {}
        Compression::Gzip => drop(tar.arg("--gzip")),
        Compression::Zstd => drop(tar.arg("--use-compress-program").arg(zstd_program(folder))),
    }
    let output = tar.output().expect("tar is on every machine that tests run on");
    let complaint = String::from_utf8_lossy(&output.stderr);
    // Not only no error: no warning, such as "A lone zero block" or "trailing garbage ignored".
    assert!(
        output.status.success() && complaint.is_empty(),
        "{}: {complaint}",
        archive.path.display()
    );
    output.stdout
}

fn lines(text: Vec<u8>) -> Vec<String> {
    String::from_utf8(text)
        .expect("names are UTF-8")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn gnu_tar_lists_and_extracts_every_form_without_a_word() {
    for (n, archive) in sample().archives.iter().enumerate() {
        let folder = sample().folder(&format!("gnu{n}"));
        let listing = lines(gnu_tar(archive, &folder, &["-t", "--quoting-style=literal"]));
        assert_eq!(listing, archive.paths(), "{}", archive.path.display());
        let extracted = folder.join("out");
        fs::create_dir(&extracted).expect("the scratch folder");
        gnu_tar(archive, &folder, &["-x", "-C", extracted.to_str().expect("UTF-8")]);
        archive.assert_extracted(&extracted, "GNU tar", str::to_owned);
    }
}

/// libarchive brings names into Unicode's composed form; the others leave them alone.
fn composed(path: &str) -> String {
    path.replace("e\u{301}", "é")
}

#[test]
fn libarchive_lists_and_extracts_every_form() {
    for (n, archive) in sample().archives.iter().enumerate() {
        let paths: Vec<String> = archive.paths().iter().map(|path| composed(path)).collect();
        assert_eq!(libarchive_list(&archive.path), paths);
        let extracted = sample().folder(&format!("libarchive{n}"));
        libarchive_extract(&archive.path, &extracted);
        archive.assert_extracted(&extracted, "libarchive", composed);
    }
}

#[test]
fn python_lists_and_extracts_every_form_also_as_a_stream() {
    for (n, archive) in sample().archives.iter().enumerate() {
        let modes: &[&str] = match archive.compression {
            Compression::None => &["r:", "r:*", "r|", "r|*"],
            Compression::Gzip => &["r:gz", "r:*", "r|gz", "r|*"],
            Compression::Zstd => &["r|"],
        };
        for (m, mode) in modes.iter().enumerate() {
            let extracted = sample().folder(&format!("python{n}.{m}"));
            let args = |what| {
                [
                    what,
                    *mode,
                    archive.path.to_str().expect("UTF-8"),
                    extracted.to_str().expect("UTF-8"),
                ]
            };
            let listing = python().stdout(TARFILE, &args("t"), b"");
            let listing = String::from_utf8(listing).expect("names are UTF-8");
            let fields: Vec<&str> = listing.split_terminator('\0').collect();
            let names: Vec<&str> = fields.iter().step_by(3).copied().collect();
            assert_eq!(names, archive.paths(), "{mode}");
            for entry in archive.manifest.entries() {
                let at = names.iter().position(|name| *name == entry.path).expect("it is listed");
                assert_eq!(fields[3 * at + 1], entry.bytes.to_string(), "{mode}: {}", entry.path);
                assert_eq!(fields[3 * at + 2], archive.manifest.name.unix_seconds().to_string());
            }
            python().stdout(TARFILE, &args("x"), b"");
            archive.assert_extracted(&extracted, &format!("tarfile {mode}"), str::to_owned);
        }
    }
}
