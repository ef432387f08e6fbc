"""Packs what a release consists of: see infra/release. Nothing here depends on the time, the machine, or an order that
is not written down; SOURCE_DATE_EPOCH is the time of everything.

    pack.py zip OUT FILE NAME          a zip with one program
    pack.py tar OUT PROGRAM FILE...    a tar.gz with a program and what belongs to it
    pack.py sbom OUT VERSION           what is linked, as CycloneDX
    pack.py notices OUT                the licences of what is linked
    pack.py template OUT VERSION       template.yaml, whole, with the functions by their place in S3
    pack.py sums FOLDER                SHA256SUMS of a folder
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import uuid
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"]
PROGRAMS = "mongotar-programs"
OWN = {"mongotar", "mongotar-codec", "mongotar-shell", PROGRAMS}
FEATURES = "sso bzip2-xz tls-key-password socks5 tls-invalid-hostnames mongodb-zstd".split()
# What a zip can say: whole pairs of seconds, from 1980 on.
EARLIEST = 315532800


def moment():
    return int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST))


def pack_zip(out, file, name):
    entry = zipfile.ZipInfo(name, time.gmtime(max(moment(), EARLIEST))[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(entry, pathlib.Path(file).read_bytes(), compresslevel=9)


def pack_tar(out, program, *files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in (program, *files):
            path = pathlib.Path(file)
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"mongotar/{path.name}")
            entry.size, entry.mtime = len(content), moment()
            entry.mode = 0o755 if file == program else 0o644
            archive.addfile(entry, io.BytesIO(content))
    with open(out, "wb") as written, gzip.GzipFile("", "wb", 9, written, mtime=moment()) as compressed:
        compressed.write(packed.getvalue())


def linked():
    """The packages that are linked into the programs, by name and version, and what each uses."""
    packages, uses = {}, {}
    for target in TARGETS:
        command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
        command += ["--features", ",".join(f"{PROGRAMS}/{feature}" for feature in FEATURES)]
        said = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        known = {package["id"]: package for package in said["packages"]}
        nodes = {node["id"]: node for node in said["resolve"]["nodes"]}
        waiting = [id for id, package in known.items() if package["name"] == PROGRAMS]
        seen = set(waiting)
        while waiting:
            node = nodes[waiting.pop()]
            # `None` is what is linked; the others are of tests and of builds.
            normal = [one["pkg"] for one in node["deps"] if any(kind["kind"] is None for kind in one["dep_kinds"])]
            reference = key(known[node["id"]])
            packages[reference] = known[node["id"]]
            uses.setdefault(reference, set()).update(key(known[id]) for id in normal)
            waiting += [id for id in normal if id not in seen]
            seen.update(normal)
    return packages, uses


def key(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def sbom(out, version):
    packages, uses = linked()
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in locked}
    components = []
    for reference in sorted(packages):
        package = packages[reference]
        component = {
            "type": "library",
            "bom-ref": reference,
            "name": package["name"],
            "version": package["version"],
            "purl": reference,
        }
        if package["license"]:
            # Older packages separate alternatives by a slash.
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = checksums.get((package["name"], package["version"]))
        if checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        components.append(component)
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment())),
            "component": {"type": "application", "bom-ref": "mongotar", "name": "mongotar", "version": version},
        },
        "components": components,
        "dependencies": [
            {
                "ref": "mongotar",
                "dependsOn": sorted(one for one in packages if one.split("/")[1].split("@")[0] == PROGRAMS),
            }
        ]
        + [{"ref": reference, "dependsOn": sorted(uses[reference])} for reference in sorted(packages)],
    }
    # The same contents have the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(whole, sort_keys=True))
    pathlib.Path(out).write_text(json.dumps({**whole, "serialNumber": f"urn:uuid:{number}"}, indent=1) + "\n")


def notices(out):
    packages, _ = linked()
    lines = ["What is linked into the programs, beside mongotar itself, with its licences.", ""]
    without, shown = [], {}
    for reference in sorted(packages):
        package = packages[reference]
        if package["name"] in OWN:
            continue
        folder = pathlib.Path(package["manifest_path"]).parent
        texts = sorted(
            path
            for path in folder.iterdir()
            if path.is_file() and re.match(r"(?i)(licen[cs]e|copying|copyright|notice|unlicense)", path.name)
        )
        lines += ["=" * 100, f"{package['name']} {package['version']}: {package['license'] or 'see below'}"]
        if package["authors"]:
            lines.append("by " + ", ".join(package["authors"]))
        lines.append("")
        for path in texts:
            content = path.read_text(errors="replace").strip()
            # Hundreds of packages have the same text.
            first = shown.setdefault(content, f"{path.name} of {package['name']} {package['version']}")
            same = first != f"{path.name} of {package['name']} {package['version']}"
            lines += [f"--- {path.name}", "", f"The same as {first}." if same else content, ""]
        if not texts:
            without.append(f"{package['name']} {package['version']}")
            lines += [
                "The package brings no text of its licence along: that of another one here, of the same name, counts.",
                "",
            ]
    pathlib.Path(out).write_text("\n".join(lines) + "\n")
    print(
        f"Notices: {sum(one['name'] not in OWN for one in packages.values())} packages, "
        f"{len(without)} without a text of their own."
    )


def indented(text, by):
    return "".join(f"{' ' * by}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def template(out, version):
    """What `sam build` would make, by replacing lines: comments and order stay."""
    text = (ROOT / "template.yaml").read_text()

    def replace(pattern, by, times):
        nonlocal text
        text, count = re.subn(pattern, by, text, flags=re.M)
        if count != times:
            sys.exit(f"template.yaml has {pattern!r} {count} times, not {times}: correct infra/releasing/pack.py")

    binaries = iter(re.findall(r"^      BuildProperties: \{Binary: (\w+)\}$", text, re.M))

    def place(_):
        file = f"${{CodePrefix}}{next(binaries)}-${{Architecture}}.zip"
        return f"      CodeUri: {{Bucket: !Ref CodeBucket, Key: !Sub '{file}'}}\n"

    functions = text.count("    Type: AWS::Serverless::Function\n")
    replace(r"^      CodeUri: \.\n", place, functions)
    replace(r"^      BuildMethod: rust-cargolambda\n      BuildProperties: .*\n", "", functions)

    def definition(match):
        states = json.loads((ROOT / match[1]).read_text())
        return f"      Definition: {json.dumps(states, ensure_ascii=False)}\n"

    machines = text.count("    Type: AWS::Serverless::StateMachine\n")
    replace(r"^      DefinitionUri: (\S+)\n", definition, machines)
    runbook = indented((ROOT / "infra/runbook/restore.yaml").read_text(), 8)
    included = (
        r"^      Content:\n        Fn::Transform:\n          Name: AWS::Include\n"
        r"          Parameters: \{Location: infra/runbook/restore.yaml\}\n"
    )
    replace(included, lambda _: f"      Content:\n{runbook}", 1)
    parameters = f"""Parameters:
  CodeBucket:
    Type: String
    Description: Name of the bucket, in this region, into which the files of the release were copied.
  CodePrefix:
    Type: String
    Default: mongotar/{version}/
    Description: Folder of the files of the release in that bucket, with / at its end.
    AllowedPattern: '^([A-Za-z0-9._=-]+/)*$'
"""
    replace(r"^Parameters:\n", lambda _: parameters, 1)
    replace(
        r"^    ParameterGroups:\n",
        "    ParameterGroups:\n      - Label: {default: The release}\n        Parameters: [CodeBucket, CodePrefix]\n",
        1,
    )
    application = f"""Metadata:
  AWS::ServerlessRepo::Application:
    Name: mongotar
    Description: MongoDB backups that run serverless, land in S3 as one standard tar object, and come back proven equal.
    Author: mongotar
    SpdxLicenseId: MIT
    LicenseUrl: LICENSE-MIT
    Labels: [mongodb, backup, s3, restore, lambda]
    SemanticVersion: {version}
"""
    replace(r"^Metadata:\n", lambda _: application, 1)
    pathlib.Path(out).write_text(text)


def sums(folder):
    folder = pathlib.Path(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    commands = {"zip": pack_zip, "tar": pack_tar, "sbom": sbom, "notices": notices, "template": template, "sums": sums}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
