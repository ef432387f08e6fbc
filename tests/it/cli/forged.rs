//! Names of others with line breaks in them, which must not look like lines of ours.

use std::path::Path;

use bson::doc;

use super::{Said, Shell};
use crate::{rig, support};

/// What a name pretends to be a line of.
const FORGED: &str = "RESTORED: all is well";

/// A name with a line break of each kind before what is forged.
fn forged(name: &str) -> String {
    format!("{name}\r\n{FORGED}\n- {FORGED}\rmongotar: {FORGED}")
}

/// What an archive has: paths, and their content.
type Members = Vec<(String, Vec<u8>)>;

fn tar(path: &Path, entries: &[(String, Vec<u8>)]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).expect("a file"));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).expect("written");
    }
    tar.finish().expect("written");
}

/// No line may begin with what is forged, whatever stands before it that a person would overlook.
fn nothing_is_forged(said: &Said, what: &str) {
    for (stream, text) in [("out", &said.out), ("err", &said.err)] {
        for line in text.split(['\n', '\r']) {
            let line = line.trim_start_matches([' ', '!', '-']);
            let line = line.strip_prefix("mongotar: ").unwrap_or(line);
            assert!(!line.starts_with(FORGED), "{what}, standard {stream}:\n{text}");
        }
    }
}

#[tokio::test]
async fn no_line_of_output_is_somebody_else_s() {
    let shell = Shell::new();
    let document = bson::serialize_to_vec(&doc! {"_id": forged("id"), "a": [1, 2], "b": [1, 2]}).expect("BSON");
    let again = [document.clone(), document.clone()].concat();
    // A view on what is not there, an index that no server takes, and one that the documents do not allow.
    let metadata = |indexes: bson::Bson| {
        let metadata =
            doc! {"options": {"validator": {"$jsonSchema": {"required": [forged("field")]}}}, "indexes": indexes};
        serde_json::to_vec(&metadata).expect("JSON")
    };
    let refused = metadata(bson::bson!([{"v": 2, "key": {"a": "nonsense"}, "name": forged("refused")}]));
    let parallel = metadata(bson::bson!([{"v": 2, "key": {"a": 1, "b": 1}, "name": forged("parallel")}]));
    let view = serde_json::to_vec(
        &doc! {"options": {"viewOn": "orders", "pipeline": [{(forged("$stage")): 1}]}, "type": "view"},
    );
    let view = view.expect("JSON");
    let named = |name: &str| format!("dump/shop/{name}");
    let archives: [(&str, Members); 5] = [
        (
            "plain.tar",
            vec![(named(&format!("{}.bson", forged("orders"))), again.clone())],
        ),
        (
            "indexes.tar",
            vec![
                (named(&format!("{}.bson", forged("orders"))), again),
                (named(&format!("{}.metadata.json", forged("orders"))), parallel),
            ],
        ),
        (
            "refused.tar",
            vec![
                (named(&format!("{}.bson", forged("orders"))), document.clone()),
                (named(&format!("{}.metadata.json", forged("orders"))), refused),
                (named(&format!("{}.metadata.json", forged("view"))), view),
            ],
        ),
        (
            "others.tar",
            vec![
                (named("orders.bson"), document.clone()),
                (named(&forged("unknown")), b"text".to_vec()),
                (named(&format!("{}.bson", forged("system."))), document.clone()),
                (named(&format!("{}.json", forged("broken"))), b"{".to_vec()),
            ],
        ),
        (
            "databases.tar",
            vec![
                (format!("dump/{}/orders.bson", forged("a")), document.clone()),
                (format!("dump/{}/orders.bson", forged("b")), document),
            ],
        ),
    ];
    for (name, entries) in &archives {
        tar(&shell.path(name), entries);
        let target = rig::fresh_database_name("cli");
        for command in [
            vec!["show", name],
            vec!["verify", name],
            vec!["cat", name, "no such collection"],
            vec!["list", "."],
            vec!["plan", name, "--mongo-db", &target],
            vec!["restore", name, "--mongo-db", &target, "--yes"],
            vec!["verify", name, "--against", &target],
            vec!["backup", "--mongo-db", &target, "--to", "to"],
        ] {
            let said = shell.run(&command);
            nothing_is_forged(&said, &format!("{command:?}"));
            let shown = format!("{}{}", said.out, said.err);
            assert!(!shown.contains('\r'), "{command:?}: {shown:?}");
        }
    }
    let said = shell.run(&["list", "to"]);
    nothing_is_forged(&said, "list");
    // A server's name for something is somebody else's, too.
    let client = rig::shared_replica_set().client().await;
    let target = rig::fresh_database_name("cli");
    support::insert(&client, &target, &forged("live"), vec![doc! {"_id": 1}]).await;
    for command in [
        vec!["backup", "--mongo-db", &target, "--to", "live"],
        vec!["plan", "plain.tar", "--mongo-db", &target, "--replace-existing"],
        vec!["verify", "plain.tar", "--against", &target],
    ] {
        nothing_is_forged(&shell.run(&command), &format!("{command:?}"));
    }
}
