//! A connection string in the place of whatever else the command line takes: nothing of it is shown, and nothing is
//! written.

use super::{Shell, text};
use crate::connection_strings::{NASTY, assert_hidden};
use crate::rig;

/// Everything that a command takes besides connection strings, in whose place `URI` is one.
const PLACES: &[&[&str]] = &[
    &["URI"],
    &["backup", "URI"],
    &["backup", "--to", "URI"],
    &["backup", "--to=URI"],
    &["backup", "--to", "to", "--mongo-db", "URI"],
    &["backup", "--to", "to", "--mongo-db", "shop,URI"],
    &["backup", "--to", "to", "--include", "URI"],
    &["backup", "--to", "to", "--exclude", "URI"],
    &["backup", "--to", "to", "--payload", "URI"],
    &["backup", "--to", "to", "--compression", "URI"],
    &["backup", "--to", "to", "--consistency", "URI"],
    &["backup", "--to", "to", "--retention", "URI"],
    &["backup", "--to", "to", "--memory", "URI"],
    &["backup", "--to", "to", "--counts", "URI"],
    &["backup", "--to", "to", "--mongo-ur", "URI"],
    &["restore", "URI"],
    &["restore", "--latest", "URI", "--yes"],
    &["restore", "x.tar", "--rename", "URI"],
    &["restore", "x.tar", "--rename", "orders=URI"],
    &["restore", "x.tar", "--exclude-index", "URI"],
    &["restore", "x.tar", "--source-database", "URI"],
    &["restore", "x.tar", "--confirm", "URI"],
    &["restore", "x.tar", "--snapshot-to", "URI"],
    &["restore", "x.tar", "--batch-size", "URI"],
    &["restore", "x.tar", "--verify-sample-size", "URI"],
    &["plan", "URI"],
    &["drill", "URI"],
    &["drill", "x.tar", "--scratch", "URI"],
    &["verify", "URI"],
    &["verify", "x.tar", "--against", "shop", "--include", "URI"],
    &["list", "URI"],
    &["list", "--mongo-uri", "URI"],
    &["list", "--mongo-uri=URI"],
    &["show", "URI"],
    &["cat", "x.tar", "URI"],
    &["cat", "URI", "orders"],
    // Where one belongs: it is wrong, or nobody answers.
    &["backup", "--to", "to", "--mongo-db", "shop", "--mongo-uri", "URI"],
    &["backup", "--to", "to", "--mongo-db", "shop", "--mongo-uri=URI"],
    &["verify", "x.tar", "--against", "URI"],
];

/// A connection string in the wrong place was printed with its password, as was the half of a password that holds an
/// `@`, a `/` or a `?` unescaped.
#[test]
fn no_place_of_the_command_line_shows_a_piece_of_a_connection_string() {
    let shell = Shell::new();
    for (at, place) in PLACES.iter().enumerate() {
        // Each place with some of them, and each of them in many places.
        for nasty in NASTY.iter().skip(at % 4).step_by(4) {
            let mut arguments: Vec<String> = place.iter().map(|word| word.replace("URI", nasty)).collect();
            if at % 2 == 0 {
                arguments.push("--json".to_owned());
            }
            let said = shell.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert_ne!(said.code, 0, "{arguments:?}");
            assert!(!said.err.is_empty(), "{arguments:?}");
            assert_hidden(&said.err, &format!("{arguments:?}"));
            assert_hidden(&said.out, &format!("{arguments:?}"));
        }
    }
    assert!(!shell.path("to").exists(), "nothing was written");
    let failure = shell.json(2, &["backup", "--to", "to", "--include", NASTY[0]]);
    let message = text(&failure["message"]);
    assert!(
        message.contains("--include") && message.contains("MONGO_URI"),
        "{message}"
    );
}

#[test]
fn no_variable_shows_a_piece_of_a_connection_string() {
    let variables = [
        "MONGO_URI",
        "MONGO_DB",
        "MONGO_URI_SECRET",
        "MONGOTAR_TO",
        "MONGOTAR_RETENTION",
        "MONGOTAR_MEMORY",
        "MONGOTAR_LOG",
        "AWS_REGION",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
    ];
    for (at, variable) in variables.iter().enumerate() {
        for nasty in NASTY.iter().skip(at % 3).step_by(3) {
            let to = match variable.starts_with("AWS") {
                true => "s3://bucket/",
                false => "to",
            };
            let shell = Shell::new()
                .set("MONGO_DB", "shop")
                .set("MONGOTAR_LOG", "trace")
                .set("AWS_MAX_ATTEMPTS", "1")
                .set(variable, nasty);
            let shell = match *variable {
                "MONGO_URI_SECRET" => shell.unset("MONGO_URI"),
                _ => shell,
            };
            for arguments in [&["backup", "--to", to][..], &["list"]] {
                let said = shell.run(arguments);
                let by = format!("{variable}={nasty} {arguments:?}");
                assert_hidden(&said.err, &by);
                assert_hidden(&said.out, &by);
            }
        }
    }
}

/// A password of one letter was starred out of every message, and could be read by its holes.
#[tokio::test]
async fn a_short_password_leaves_no_hole() {
    let port = crate::support::shared_authenticated().port();
    let database = rig::fresh_database_name("short");
    let said = |password: &str| {
        let uri = format!("mongodb://clerk:{password}@127.0.0.1:{port}/?serverSelectionTimeoutMS=5000");
        let shell = Shell::new().set("MONGO_URI", &uri).set("MONGO_DB", &database);
        shell.run(&["backup", "--to", "to"]).expect(1).err
    };
    let (one, other) = (said("e"), said("x"));
    assert!(
        one.contains("the credentials were refused") && !one.contains('*'),
        "{one}"
    );
    assert_eq!(one, other);
}
