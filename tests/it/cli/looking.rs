//! `mongotar list | show | cat | verify`: archives of ours and of others, in S3 and in folders.

use std::fs;

use bson::doc;
use mongotar::store::Location;
use serde_json::{Value, json};

use super::{Shell, archive, ids, named, names, numbered, text};
use crate::{rig, support};

/// A tar in the shell's folder, as Python's `tarfile` makes it of `{path: text}`.
pub fn python_tar(shell: &Shell, name: &str, entries: &Value) {
    let script = r#"
import io, json, sys, tarfile
with tarfile.open(sys.argv[1], "w:gz" if sys.argv[1].endswith("gz") else "w") as tar:
    for path, text in json.loads(sys.argv[2]).items():
        content = text.encode()
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
"#;
    let path = shell.path(name).display().to_string();
    rig::python().stdout(script, &[path, entries.to_string()], b"");
}

/// What the ancestor left behind.
const ANCESTORS: &str = "backup_20250926_073727";

fn foreign(shell: &Shell, name: &str) {
    let entries = json!({
        format!("{ANCESTORS}/orders.jsonl"): "{\"_id\": {\"$oid\": \"650000000000000000000001\"}, \"n\": 1}\n{\"_id\": 2, \"at\": {\"$date\": 1700000000000}}\n",
        format!("{ANCESTORS}/users.jsonl"): "{\"_id\": \"a\"}\n",
    });
    python_tar(shell, name, &entries);
}

/// Backups of one second that differed in compression had one name for the manifest's copy, and were listed with each
/// other's.
#[tokio::test]
async fn archives_are_listed_oldest_first_with_what_their_manifests_say() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    fs::create_dir(shell.path("folder")).expect("made");
    for folder in [support::bucket().await.to_string(), "folder".to_owned()] {
        assert_eq!(shell.json(0, &["list", &folder]), json!([]), "{folder}");
        let reports: Vec<Value> = ["zstd", "gzip", "none"]
            .map(|compression| shell.json(0, &["backup", "--to", &folder, "--compression", compression]))
            .into();
        let listed = shell.json(0, &["list", &folder]);
        let rows = listed.as_array().expect("a list");
        assert_eq!(rows.len(), 3, "{listed}");
        for (row, report) in rows.iter().zip(&reports) {
            for field in ["name", "archive", "compression"] {
                assert_eq!(row[field], report[field], "{field}");
            }
            assert_eq!(row["bytes"], report["archive_bytes"]);
            assert!(
                report["manifest"].is_string(),
                "each has a manifest of its own: {report}"
            );
            assert_eq!(row["summary"]["database"], json!(database));
            assert_eq!(
                (&row["summary"]["status"], &row["summary"]["documents"]),
                (&json!("complete"), &json!(3))
            );
        }
        let said = shell.run(&["list", &folder]).expect(0);
        assert!(
            said.out.contains(&archive(&reports[0])) && said.out.contains(&database),
            "{}",
            said.out
        );
    }
    // Where the manifest's copy is gone, the archive has its own; where it is another's, there is nothing to sum up.
    let manifest = fs::read_dir(shell.path("folder"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().ends_with(".manifest.json"));
    fs::remove_file(manifest.expect("a manifest")).expect("removed");
    foreign(&shell, &format!("folder/{ANCESTORS}.tar"));
    let listed = shell.json(0, &["list", "folder"]);
    let rows = listed.as_array().expect("a list");
    assert_eq!(rows[0]["name"], ANCESTORS, "the oldest comes first");
    let without = rows.iter().filter(|row| row.get("summary").is_none()).count();
    assert_eq!((rows.len(), without), (4, 1));
    let states: Vec<&str> = rows.iter().filter_map(|row| row["status"].as_str()).collect();
    assert_eq!(states, ["unknown", "complete", "complete", "complete"]);
    let said = shell.run(&["list", "folder"]).expect(0);
    assert!(said.out.contains("not mongotar's own"), "{}", said.out);
}

/// An archive that was cut to a third was listed as `complete`, by the word of the manifest's copy beside it.
#[tokio::test]
async fn an_archive_that_is_not_as_it_was_written_is_listed_so() {
    let (shell, database) = Shell::with_orders(numbered(0..500)).await;
    let client = rig::shared_s3().client().await;
    for (to, options) in [("folder", &["--compression", "none"][..]), ("bucket", &[][..])] {
        let folder = match to {
            "bucket" => support::bucket().await,
            local => Location::Local(shell.path(local)),
        };
        let to = folder.to_string();
        let arguments = [&["backup", "--to", to.as_str()], options].concat();
        let report = shell.json(0, &arguments);
        let place: Location = archive(&report).parse().expect("a location");
        let sidecar = place.parent().join(&format!("{}.manifest.json", text(&report["name"])));
        let whole = fetch(&client, &place).await;
        let status = |code| {
            let listed = shell.json(code, &["list", &folder.to_string()]);
            assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
            listed[0].clone()
        };
        assert_eq!(
            (&status(0)["status"], &status(0)["summary"]["documents"]),
            (&json!("complete"), &json!(500))
        );

        let mut altered = whole.clone();
        let in_the_footer = altered.len() - 100;
        altered[in_the_footer] ^= 1;
        let mut longer = whole.clone();
        longer.push(0);
        for beside in [true, false] {
            for (bytes, what) in [
                (whole[..whole.len() / 3].to_vec(), "footer"),
                (whole[..100].to_vec(), "100 bytes"),
                (Vec::new(), "0 bytes"),
                (altered.clone(), "footer"),
                (longer.clone(), "footer"),
            ] {
                // Without the manifest's copy, a beginning that is too short to tell could be anybody's.
                replace(&client, &place, bytes).await;
                let listed = status(0);
                assert_eq!(
                    (&listed["status"], listed.get("summary")),
                    (&json!("damaged"), None),
                    "{what} {beside}: {listed}"
                );
                assert!(text(&listed["reason"]).contains(what), "{what}: {listed}");
            }
            let said = shell.run(&["list", &folder.to_string()]).expect(0);
            assert!(said.out.contains("DAMAGED") && said.out.contains("! "), "{}", said.out);
            replace(&client, &place, whole.clone()).await;
            if beside {
                remove(&client, &sidecar).await;
            }
        }
        // The manifest is in the archive, too.
        let listed = status(0);
        assert_eq!(
            (&listed["status"], &listed["summary"]["database"]),
            (&json!("complete"), &json!(database))
        );
    }
}

/// One that lies in Glacier, or may not be read: what is known then comes from the manifest's copy, and nobody says
/// that the archive is whole.
#[tokio::test]
async fn an_archive_that_cannot_be_read_is_listed_as_unknown_with_what_was_written() {
    let (shell, _) = Shell::with_orders(numbered(0..3)).await;
    let folder = support::bucket().await.to_string();
    shell.json(0, &["backup", "--to", &folder]);
    let proxy = rig::Proxy::start(rig::shared_s3().endpoint());
    let unreadable = rig::Rule::on("GET", ".tar.zst").times(usize::MAX);
    proxy.inject(unreadable.then(rig::Fault::Status(403)));
    let shell = shell.set("AWS_ENDPOINT_URL", &proxy.endpoint());
    let listed = shell.json(0, &["list", &folder]);
    assert_eq!(
        (&listed[0]["status"], &listed[0]["summary"]["documents"]),
        (&json!("unknown"), &json!(3)),
        "{listed}"
    );
    let reason = text(&listed[0]["reason"]);
    assert!(
        reason.contains("cannot be read") && reason.contains("what was written"),
        "{reason}"
    );
}

async fn fetch(client: &aws_sdk_s3::Client, location: &Location) -> Vec<u8> {
    match location {
        Location::Local(path) => fs::read(path).expect("a file"),
        Location::S3 { bucket, key } => {
            let object = client
                .get_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .expect("an object");
            object.body.collect().await.expect("its bytes").to_vec()
        }
    }
}

async fn replace(client: &aws_sdk_s3::Client, location: &Location, bytes: Vec<u8>) {
    match location {
        Location::Local(path) => fs::write(path, bytes).expect("written"),
        Location::S3 { bucket, key } => {
            let put = client.put_object().bucket(bucket).key(key).body(bytes.into());
            put.send().await.expect("put");
        }
    }
}

async fn remove(client: &aws_sdk_s3::Client, location: &Location) {
    match location {
        Location::Local(path) => fs::remove_file(path).expect("removed"),
        Location::S3 { bucket, key } => {
            client
                .delete_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .expect("removed");
        }
    }
}

#[tokio::test]
async fn an_archive_of_ours_is_shown_with_definitions_and_digests() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let client = rig::shared_replica_set().client().await;
    let index = doc! {"createIndexes": "orders", "indexes": [{"key": {"text": 1}, "name": "by_text"}]};
    client.database(&database).run_command(index).await.expect("an index");
    let report = shell.json(0, &["backup", "--to", &support::bucket().await.to_string()]);
    let shown = shell.json(0, &["show", &archive(&report)]);
    assert_eq!(
        (&shown["status"], &shown["source"]["database"]),
        (&json!("complete"), &json!(database))
    );
    let orders = named(&shown["collections"], "orders");
    assert_eq!(
        orders["digest"],
        named(&report["collections"], "orders")["digest"],
        "{orders}"
    );
    assert_eq!(names(&orders["indexes"]), ["_id_", "by_text"]);
    let said = shell.run(&["show", &archive(&report)]).expect(0);
    for word in ["orders", &database, "complete", "zstd", "snapshot"] {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
}

#[tokio::test]
async fn cat_writes_the_lines_that_tar_extracts() {
    let (shell, _) = Shell::with_orders(vec![
        doc! {"_id": 1, "text": "line\nbreak \u{1f600}", "double": 0.1},
        doc! {"_id": 2_i64, "$odd": {"$oid": "no id"}},
    ])
    .await;
    let plain = archive(&shell.backed_up(&["--compression", "none"]));
    let script = "import sys, tarfile; t = tarfile.open(sys.argv[1]); sys.stdout.buffer.write(t.extractfile([n for n in t.getnames() if n.endswith('/orders.jsonl')][0]).read())";
    let extracted = rig::python().stdout(script, &[shell.path(&plain)], b"");
    let said = shell.run(&["cat", &plain, "orders"]).expect(0);
    assert_eq!(said.out.as_bytes(), extracted);
    let first =
        "{\"_id\":{\"$numberInt\":\"1\"},\"text\":\"line\\nbreak \u{1f600}\",\"double\":{\"$numberDouble\":\"0.1\"}}\n";
    assert!(said.out.starts_with(first), "{}", said.out);
    assert_eq!((said.out.lines().count(), said.err.as_str()), (2, ""));

    // The same lines, whatever the form and the place.
    let bucket = support::bucket().await.to_string();
    for options in [
        &["--payload", "bson"][..],
        &["--compression", "gzip"],
        &["--pretty", "--compression", "zstd"],
    ] {
        let arguments: Vec<&str> = ["backup", "--to", &bucket]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        let archive = archive(&shell.json(0, &arguments));
        assert_eq!(
            shell.run(&["cat", &archive, "orders"]).expect(0).out,
            said.out,
            "{options:?}"
        );
    }
}

#[tokio::test]
async fn an_archive_of_the_ancestor_is_listed_shown_verified_and_written_out() {
    let shell = Shell::new();
    let bucket = support::bucket().await;
    foreign(&shell, &format!("{ANCESTORS}.tar"));
    foreign(&shell, &format!("{ANCESTORS}.tar.gz"));
    let client = rig::shared_s3().client().await;
    let mongotar::store::Location::S3 { bucket: name, key } = bucket.join(&format!("{ANCESTORS}.tar")) else {
        panic!("a bucket is in S3");
    };
    let content = fs::read(shell.path(&format!("{ANCESTORS}.tar"))).expect("a tar");
    let put = client.put_object().bucket(&name).key(&key).body(content.into());
    put.send().await.expect("an object");

    let in_s3 = format!("s3://{name}/{key}");
    for archive in [in_s3, format!("{ANCESTORS}.tar"), format!("./{ANCESTORS}.tar.gz")] {
        let shown = shell.json(0, &["show", &archive]);
        assert_eq!(names(&shown["collections"]), ["orders", "users"]);
        assert_eq!(named(&shown["collections"], "orders")["documents"], 2);
        let said = shell.run(&["show", &archive]).expect(0);
        assert!(said.out.contains("a foreign archive"), "{}", said.out);
        let lines = shell.run(&["cat", &archive, "orders"]).expect(0).out;
        assert_eq!(
            lines,
            "{\"_id\":{\"$oid\":\"650000000000000000000001\"},\"n\":{\"$numberInt\":\"1\"}}\n{\"_id\":{\"$numberInt\":\"2\"},\"at\":{\"$date\":{\"$numberLong\":\"1700000000000\"}}}\n"
        );
        let verified = shell.json(0, &["verify", &archive]);
        assert_eq!(verified["status"], "complete");
    }
    let listed = shell.json(0, &["list", &bucket.to_string()]);
    assert_eq!(names(&listed), [ANCESTORS]);
}

/// Alters one document of an archive that is not compressed.
pub fn damage(shell: &Shell, archive: &str) {
    let path = shell.path(archive);
    let mut bytes = fs::read(&path).expect("an archive");
    let needle = b"\"text\":\"x\"";
    let at = bytes.windows(needle.len()).position(|window| window == needle);
    bytes[at.expect("a document") + 8] = b'y';
    fs::write(&path, bytes).expect("written");
}

#[tokio::test]
async fn verify_names_the_damage_and_ends_with_1() {
    let (shell, _) = Shell::with_orders(numbered(0..50)).await;
    let archive = archive(&shell.backed_up(&["--compression", "none"]));
    let report = shell.json(0, &["verify", &archive]);
    let orders = named(&report["collections"], "orders");
    assert_eq!(
        (&orders["documents_read"], &orders["equal"]),
        (&json!(50), &json!(true))
    );
    damage(&shell, &archive);
    let report = shell.json(1, &["verify", &archive]);
    assert_eq!(report["status"], "failed");
    assert!(text(&report["damaged"][0]).contains("orders"), "{report}");
    let said = shell.run(&["verify", &archive]).expect(1);
    assert!(said.out.contains("FAILED") && said.out.contains("! "), "{}", said.out);
}

#[tokio::test]
async fn source_database_chooses_in_an_archive_that_holds_several() {
    let shell = Shell::new();
    let line = |id: i32| format!("{{\"_id\": {id}}}\n");
    python_tar(
        &shell,
        "two.tar",
        &json!({"dump/left/c.jsonl": line(1), "dump/right/c.jsonl": line(2)}),
    );
    let failure = shell.json(2, &["show", "two.tar"]);
    let message = text(&failure["message"]);
    assert!(message.contains("left") && message.contains("right"), "{message}");
    for (source, id) in [("left", "1"), ("right", "2")] {
        let said = shell
            .run(&["cat", "two.tar", "c", "--source-database", source])
            .expect(0);
        assert_eq!(said.out, format!("{{\"_id\":{{\"$numberInt\":\"{id}\"}}}}\n"));
        let shown = shell.json(0, &["show", "two.tar", "--source-database", source]);
        assert_eq!(shown["collections"][0]["documents"], 1);
        shell.json(0, &["verify", "two.tar", "--source-database", source]);
        let target = rig::fresh_database_name("cli");
        let arguments = [
            "restore",
            "two.tar",
            "--source-database",
            source,
            "--mongo-db",
            &target,
            "--yes",
        ];
        shell.json(0, &arguments);
        let restored: Vec<String> = ids(&target, "c").await.iter().map(i32::to_string).collect();
        assert_eq!(restored, [id]);
    }
}

/// A name with an escape sequence in it cleared the screen of whoever looked at a list, and one with a mark of
/// direction read otherwise than it was.
#[tokio::test]
async fn a_name_cannot_do_anything_to_a_terminal() {
    let (shell, database) = Shell::with_orders(numbered(0..1)).await;
    let client = rig::shared_replica_set().client().await;
    let name = "a\u{1b}[2J\u{9b}b\u{202e}c\nd";
    support::insert(&client, &database, name, numbered(0..1)).await;
    let archive = text(&shell.backed_up(&[])["archive"]);
    for arguments in [
        &["show", &archive][..],
        &["show", &archive, "--json"],
        &["plan", &archive],
        &["plan", &archive, "--json"],
        &["verify", &archive],
        &["verify", &archive, "--against", &database],
        &["restore", &archive, "--yes", "--replace-existing"],
        &["restore", &archive, "--include", "no\u{1b}such"],
        &["cat", &archive, "no\u{1b}such"],
    ] {
        let said = shell.run(arguments);
        for letter in ['\u{1b}', '\u{9b}', '\u{202e}'] {
            assert!(
                !said.out.contains(letter) && !said.err.contains(letter),
                "{arguments:?}: {said:?}"
            );
        }
        let split = |text: &str| {
            text.lines()
                .any(|line| line.trim_start().starts_with("d ") || line.trim() == "d")
        };
        assert!(!split(&said.out) && !split(&said.err), "{arguments:?}: {said:?}");
        let shown = said.out.contains("\\u{1b}") || said.out.contains("\\u001b") || said.err.contains("\\u{1b}");
        assert!(shown, "the name is there, written out: {arguments:?}: {said:?}");
    }
}
