//! What a release consists of: the same twice, and the stack of the template that is tested.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::template::{Template, file, parse, text_of, texts};
use super::{CHECKS, functions};
use crate::rig;

/// Runs the script that packs, as of a moment; shows what it says if it fails.
fn pack(arguments: &[&str]) {
    let ran = Command::new("python3")
        .arg(file("infra/releasing/pack.py"))
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "1764000000")
        .output()
        .expect("python3 is there, as for the rig");
    assert!(
        ran.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is text")
}

#[test]
fn a_program_is_packed_to_the_same_bytes_whenever_and_wherever_and_can_be_run() {
    let scratch = rig::ScratchDir::new("release");
    let folder = scratch.path().to_owned();
    for (kind, more) in [("zip", &["bootstrap"][..]), ("tar", &["LICENSE-MIT"])] {
        let mut packed = Vec::new();
        for (place, content) in [("one", "a program"), ("two", "a program"), ("three", "another")] {
            let place = folder.join(format!("{kind}-{place}"));
            fs::create_dir_all(&place).expect("a folder");
            let (program, out) = (place.join("program"), place.join("packed"));
            fs::write(&program, content).expect("written");
            // Another time than that of the first, whatever the clock says.
            let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            if name(&place).ends_with("two") {
                let opened = fs::File::options().write(true).open(&program).expect("it is there");
                opened.set_modified(old).expect("a time");
            }
            let license = file("LICENSE-MIT");
            let more: Vec<&str> = more
                .iter()
                .map(|one| if *one == "LICENSE-MIT" { name(&license) } else { one })
                .collect();
            pack(&[&[kind, name(&out), name(&program)], &more[..]].concat());
            packed.push((out.clone(), fs::read(&out).expect("packed")));
        }
        assert!(packed[0].1 == packed[1].1, "{kind}: two packings differ");
        assert!(packed[0].1 != packed[2].1, "{kind}: another program is packed alike");
        let script = match kind {
            "zip" => {
                concat!(
                    "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); ",
                    "print([(i.filename, oct(i.external_attr >> 16), i.date_time[0]) for i in z.infolist()])"
                )
            }
            _ => {
                concat!(
                    "import sys, tarfile; t = tarfile.open(sys.argv[1]); ",
                    "print([(i.name, oct(i.mode), i.uid, i.mtime) for i in t])"
                )
            }
        };
        let listed = Command::new("python3")
            .args(["-c", script, name(&packed[0].0)])
            .output()
            .expect("python3");
        let expected = match kind {
            "zip" => "[('bootstrap', '0o100755', 2025)]",
            _ => "[('mongotar/program', '0o755', 0, 1764000000), ('mongotar/LICENSE-MIT', '0o644', 0, 1764000000)]",
        };
        assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), expected);
    }
}

#[test]
fn the_template_of_a_release_is_that_which_is_tested_with_everything_in_it() {
    let scratch = rig::ScratchDir::new("release");
    let folder = scratch.path().to_owned();
    let out = folder.join("template.yaml");
    pack(&["template", name(&out), "1.2.3"]);
    let text = fs::read_to_string(&out).expect("made");
    let (release, tested) = (Template::parse(&text), Template::real());
    // CloudFormation takes a megabyte, from S3.
    assert!(text.len() < 1_000_000, "{}", text.len());
    for check in CHECKS {
        let found = check(&release);
        let found: Vec<&String> = found
            .iter()
            .filter(|one| {
                !one.ends_with("not built by cargo-lambda")
                    && !one.ends_with("its binary is none of the project")
                    && !one.starts_with("the functions are")
            })
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(functions::findings(&tested), Vec::<String>::new());
    for (logical, function) in release.of_type("AWS::Serverless::Function") {
        let code = &function["Properties"]["CodeUri"];
        let binary = tested.resource(logical)["Metadata"]["BuildProperties"]["Binary"]
            .as_str()
            .expect("a binary");
        assert_eq!(code["Bucket"], json!({"Ref": "CodeBucket"}), "{logical}");
        assert_eq!(
            texts(&code["Key"]),
            [format!("${{CodePrefix}}{binary}-${{Architecture}}.zip")],
            "{logical}"
        );
    }
    for (logical, machine) in release.of_type("AWS::Serverless::StateMachine") {
        let uri = tested.resource(logical)["Properties"]["DefinitionUri"]
            .as_str()
            .expect("a definition");
        let definition: Value = serde_json::from_str(&text_of(uri)).expect("JSON");
        assert_eq!(machine["Properties"]["Definition"], definition, "{logical}");
    }
    let runbook = parse(&text_of("infra/runbook/restore.yaml"));
    assert_eq!(release.resource("Runbook")["Properties"]["Content"], runbook);
    // Nothing but that is another.
    let without = |resource: &Value| {
        let mut resource = resource.clone();
        for (part, field) in [
            ("Properties", "CodeUri"),
            ("Properties", "Definition"),
            ("Properties", "DefinitionUri"),
            ("Properties", "Content"),
            ("Metadata", "BuildMethod"),
            ("Metadata", "BuildProperties"),
        ] {
            if let Some(fields) = resource[part].as_object_mut() {
                fields.remove(field);
            }
        }
        resource
    };
    for (logical, resource) in tested.resources() {
        let mut released = without(release.resource(logical));
        let resource = without(resource);
        if resource.get("Metadata").is_none() && released["Metadata"].is_null() {
            released.as_object_mut().expect("a resource").remove("Metadata");
        }
        assert_eq!(released, resource, "{logical}");
    }
    let more: Vec<String> = release
        .at("/Parameters")
        .as_object()
        .expect("parameters")
        .keys()
        .filter(|name| tested.at(&format!("/Parameters/{name}")).is_null())
        .cloned()
        .collect();
    assert_eq!(more, ["CodeBucket", "CodePrefix"]);
    assert_eq!(release.at("/Parameters/CodePrefix/Default"), "mongotar/1.2.3/");
    let published = release.at("/Metadata/AWS::ServerlessRepo::Application");
    assert_eq!(published["SemanticVersion"], "1.2.3");
    for required in ["Name", "Description", "Author"] {
        assert!(
            published[required].as_str().is_some_and(|text| text.len() <= 256),
            "{required}"
        );
    }
}

#[test]
fn what_is_linked_is_listed_with_its_licences_and_nothing_else() {
    let scratch = rig::ScratchDir::new("release");
    let folder = scratch.path().to_owned();
    let at = |name: &str| folder.join(name);
    for name_of in ["one.json", "two.json"] {
        pack(&["sbom", name(&at(name_of)), "1.2.3"]);
    }
    let text = fs::read_to_string(at("one.json")).expect("made");
    assert_eq!(text, fs::read_to_string(at("two.json")).expect("made"));
    let sbom: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&sbom["bomFormat"], &sbom["specVersion"]),
        (&json!("CycloneDX"), &json!("1.5"))
    );
    let components = sbom["components"].as_array().expect("components");
    let names: Vec<&str> = components.iter().filter_map(|one| one["name"].as_str()).collect();
    for linked in [
        "mongodb",
        "aws-sdk-s3",
        "lambda_runtime",
        "mongotar-codec",
        "bzip2",
        "clap",
    ] {
        assert!(names.contains(&linked), "{linked}");
    }
    for of_tests in ["proptest", "jsonschema", "syn-test-suite", "stats_alloc", "cc"] {
        assert!(!names.contains(&of_tests), "{of_tests} is linked by nobody");
    }
    let references: Vec<&Value> = components.iter().map(|one| &one["bom-ref"]).collect();
    for component in components {
        let own = component["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("mongotar"));
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        assert_eq!(component["hashes"][0]["content"].is_string(), !own, "{component}");
    }
    for dependency in sbom["dependencies"].as_array().expect("dependencies") {
        for used in dependency["dependsOn"].as_array().expect("a list") {
            assert!(references.contains(&used), "{used} is not listed");
        }
    }
    pack(&["notices", name(&at("NOTICES.txt"))]);
    let notices = fs::read_to_string(at("NOTICES.txt")).expect("made");
    for component in components {
        let (name, version) = (component["name"].as_str().expect("a name"), &component["version"]);
        let own = name.starts_with("mongotar");
        let said = notices.contains(&format!("\n{name} {}: ", version.as_str().expect("a version")));
        assert_eq!(said, !own, "{name}");
    }
    pack(&["sums", name(&folder)]);
    let sums = fs::read_to_string(at("SHA256SUMS")).expect("made");
    let files: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(files, ["NOTICES.txt", "one.json", "two.json"]);
}

/// The smoke test deploys what a release has: it would fail only in somebody's account.
#[test]
fn the_smoke_test_gives_parameters_and_reads_outputs_that_there_are() {
    let (script, template) = (text_of("infra/smoke"), Template::real());
    let given = script
        .split_once("parameters = {\n")
        .and_then(|rest| rest.1.split_once("        }\n"));
    let given = given
        .expect("a table")
        .0
        .lines()
        .filter_map(|line| line.trim().split('"').nth(1));
    let given: Vec<&str> = given.collect();
    assert!(given.len() > 5, "{given:?}");
    for name in given
        .iter()
        .filter(|name| !["CodeBucket", "CodePrefix"].contains(*name))
    {
        assert!(template.at(&format!("/Parameters/{name}")).is_object(), "{name}");
    }
    let required = template.at("/Parameters").as_object().expect("parameters").iter();
    for (name, _) in required.filter(|(_, of)| of["Default"].is_null()) {
        assert!(given.contains(&name.as_str()), "{name} is not given");
    }
    for name in [
        "BackupMachineArn",
        "RestoreMachineArn",
        "DrillMachineArn",
        "TopicArn",
        "Destination",
        "BucketOfArchives",
        "KeyArn",
    ] {
        assert!(template.at(&format!("/Outputs/{name}")).is_object(), "{name}");
    }
    let ran = Command::new("python3")
        .arg(file("infra/smoke"))
        .arg("--database")
        .arg("shop")
        .output();
    let ran = ran.expect("python3 is there, as for the rig");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        !ran.status.success() && said.contains("--secret, --drill-secret, --bucket, --release"),
        "{said}"
    );
}
