//! Where settings come from: an option before the environment before `.env`.

use std::fs;

use super::{Shell, named, numbered, said, text};
use crate::{rig, support};

/// Three databases of their own, with the connection string of each.
async fn three() -> [(String, String); 3] {
    let client = rig::shared_replica_set().client().await;
    let mut three = [(); 3].map(|()| (rig::fresh_database_name("env"), String::new()));
    for (database, uri) in &mut three {
        support::insert(&client, database, "orders", numbered(0..1)).await;
        *uri = rig::shared_replica_set().uri().replace("/?", &format!("/{database}?"));
    }
    three
}

#[tokio::test]
async fn a_connection_string_given_overrides_the_environment_and_that_overrides_dotenv() {
    let [(first, by_option), (second, by_environment), (third, by_file)] = three().await;
    let shell = Shell::new().unset("MONGO_URI");
    fs::write(
        shell.path(".env"),
        format!("MONGO_URI='{by_file}'\nMONGOTAR_TO=from_file\n"),
    )
    .expect("written");
    let report = shell.json(0, &["backup"]);
    assert_eq!(text(&report["database"]), third);
    assert!(text(&report["archive"]).starts_with("from_file/"), "{report}");

    let shell = shell
        .set("MONGO_URI", &by_environment)
        .set("MONGOTAR_TO", "from_environment");
    let report = shell.json(0, &["backup"]);
    assert_eq!(text(&report["database"]), second);
    assert!(text(&report["archive"]).starts_with("from_environment/"), "{report}");
    assert_eq!(
        shell.json(0, &["list"]).as_array().map(Vec::len),
        Some(1),
        "list looks there too"
    );

    let report = shell.json(0, &["backup", "--mongo-uri", &by_option, "--to", "given"]);
    assert_eq!(text(&report["database"]), first);
    assert!(text(&report["archive"]).starts_with("given/"), "{report}");
}

#[tokio::test]
async fn a_database_given_overrides_mongo_db_and_that_overrides_the_connection_string() {
    let [(first, _), (second, _), (third, by_uri)] = three().await;
    let shell = Shell::new().set("MONGO_URI", &by_uri);
    fs::write(shell.path(".env"), format!("MONGO_DB={second}\n")).expect("written");
    let database = |shell: &Shell, more: &[&str]| text(&shell.backed_up(more)["database"]);
    assert_eq!(
        database(&shell, &[]),
        second,
        "MONGO_DB of .env, before the string's own"
    );
    assert_eq!(
        database(&shell, &["--mongo-uri", &by_uri]),
        second,
        "also where the string is an option"
    );
    let shell = shell.set("MONGO_DB", &first);
    assert_eq!(database(&shell, &[]), first);
    assert_eq!(database(&shell, &["--mongo-db", &third]), third);
    fs::remove_file(shell.path(".env")).expect("removed");
    let shell = shell.unset("MONGO_DB");
    assert_eq!(database(&shell, &[]), third, "nothing but the string");

    // The same for a restore.
    let report = shell.backed_up(&[]);
    let archive = text(&report["archive"]);
    let plan = shell.json(0, &["plan", &archive, "--mongo-db", &first]);
    assert_eq!(text(&plan["database"]), first);
    assert_eq!(named(&plan["plan"]["collections"], "orders")["action"], "merge");
}

/// The message held the broken line, password and all; and one line that is none was the end of it.
#[tokio::test]
async fn a_line_of_dotenv_that_is_none_is_named_by_its_number_and_the_others_count() {
    let [(database, uri), ..] = three().await;
    let shell = Shell::new().unset("MONGO_URI");
    let lines = [
        "GREETING=hello world",
        "mongodb://clerk:hush@localhost/?a=b c",
        "KEY='hush",
    ];
    fs::write(
        shell.path(".env"),
        format!("{}\nexport MONGO_URI='{uri}'\n", lines.join("\n")),
    )
    .expect("written");
    let said = shell.run(&["backup", "--to", "to", "--json"]).expect(0);
    assert_eq!(text(&said.json()["database"]), database);
    for line in [2, 3] {
        assert!(said.err.contains(&format!(".env, line {line}:")), "{}", said.err);
    }
    for secret in ["hush", "clerk"] {
        assert!(
            !said.err.contains(secret) && !said.out.contains(secret),
            "{}{}",
            said.err,
            said.out
        );
    }
    fs::write(shell.path(".env"), b"A=1\nB=hush\xff\n").expect("written");
    let said = shell.run(&["list", "to"]).expect(2);
    assert!(
        said.err.contains(".env, line 2") && !said.err.contains("hush"),
        "{}",
        said.err
    );
}

/// A NUL ended the process with a panic that showed the value; of a wrong value neither file nor line was said, but the
/// value was; and a folder of that name ended every command.
#[test]
fn a_wrong_value_of_dotenv_is_told_by_its_line_and_not_shown() {
    let shell = Shell::new().unset("MONGO_URI");
    for (text, line, code) in [
        ("A=1\nB=hu\0sh\nMONGO_URI=x://h/\n", 2, 2),
        ("A=1\nMONGO_URI=hush://clerk@h/\nMONGO_DB=shop\n", 2, 2),
        (
            "MONGO_URI=mongodb://127.0.0.1:1/\nMONGO_DB=shop\nMONGOTAR_MEMORY=hush\n",
            3,
            2,
        ),
        ("MONGO_URI=mongodb://127.0.0.1:1/\nMONGO_DB='hu sh'\n", 2, 2),
    ] {
        fs::write(shell.path(".env"), text).expect("written");
        let said = shell.run(&["backup", "--to", "to"]).expect(code);
        assert!(
            said.err.contains(&format!(".env, line {line}")),
            "{text:?}: {}",
            said.err
        );
        for secret in ["hush", "hu sh", "hu\0sh", "clerk"] {
            assert!(!said.err.contains(secret), "{text:?}: {}", said.err);
        }
    }
    fs::remove_file(shell.path(".env")).expect("removed");
    fs::create_dir(shell.path(".env")).expect("made");
    fs::create_dir(shell.path("to")).expect("made");
    shell.run(&["list", "to"]).expect(0);
}

/// Everything that sorted behind such a name was lost without a word: encryption, too.
#[tokio::test]
async fn a_name_that_nobody_asks_for_costs_no_other_setting() {
    let [(database, _), ..] = three().await;
    let shell = Shell::new().unset("MONGO_URI");
    let odd = "LOG-LEVEL=debug\n1X=2\nA-B=1\nA.B=1\nexport=1\n";
    let uri = crate::rig::shared_replica_set().uri();
    let wrong = format!("MONGO_URI={uri}\nMONGO_DB={database}\nMONGOTAR_S3_BUCKET_OWNER=12\n");
    for text in [format!("{odd}{wrong}"), format!("{wrong}{odd}")] {
        fs::write(shell.path(".env"), &text).expect("written");
        let said = shell.run(&["backup", "--to", "s3://bucket/x/"]).expect(2);
        let line = text
            .lines()
            .position(|line| line.starts_with("MONGOTAR_S3"))
            .expect("one")
            + 1;
        assert!(
            said.err.contains("twelve digits") && said.err.contains(&format!(".env, line {line}")),
            "{}",
            said.err
        );
    }
}

/// That of a folder above was read, too: of another project, or of the home folder.
#[test]
fn a_dotenv_of_a_folder_above_is_not_read() {
    let shell = Shell::new().unset("MONGO_URI");
    fs::write(shell.path(".env"), "MONGO_URI=mongodb://127.0.0.1:1/\nMONGO_DB=shop\n").expect("written");
    fs::create_dir(shell.path("below")).expect("made");
    let mut command = shell.command(&["backup", "--to", "to", "--json"]);
    let said = said(
        command
            .current_dir(shell.path("below"))
            .output()
            .expect("the program starts"),
    );
    assert_eq!(said.expect(2).json()["error_type"], "ConfigurationMissing");
}

#[test]
fn what_is_missing_is_named_with_both_places_for_it() {
    let nothing = Shell::new().unset("MONGO_URI");
    let with_database = Shell::new().unset("MONGO_URI").set("MONGO_DB", "shop");
    for (shell, arguments, words) in [
        (
            &with_database,
            &["backup", "--to", "to"][..],
            ["MONGO_URI", "--mongo-uri"],
        ),
        (&nothing, &["backup", "--to", "to"], ["MONGO_DB", "--mongo-db"]),
        (&with_database, &["backup"], ["MONGOTAR_TO", "--to"]),
        (&nothing, &["list"], ["MONGOTAR_TO", "s3://bucket/prefix/"]),
        (&with_database, &["restore", "x.tar", "--yes"], ["MONGO_URI", ".env"]),
    ] {
        let failure = shell.json(2, arguments);
        assert_eq!(failure["error_type"], "ConfigurationMissing", "{arguments:?}");
        for word in words {
            assert!(
                text(&failure["message"]).contains(word),
                "{arguments:?}: {word}: {failure}"
            );
        }
    }
    // An empty variable is one that is not set.
    let empty = Shell::new().set("MONGO_URI", "").set("MONGO_DB", "shop");
    assert_eq!(
        empty.json(2, &["backup", "--to", "to"])["error_type"],
        "ConfigurationMissing"
    );
}

/// The AWS library panicked, or printed its structures, and the values with them.
#[tokio::test]
async fn settings_for_aws_that_cannot_be_used_are_one_error_that_names_them() {
    let shell = Shell::new();
    let folder = crate::support::bucket().await.to_string();
    for (name, value) in [
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_MAX_ATTEMPTS", ""),
        ("AWS_PROFILE", ""),
        ("AWS_REGION", ""),
    ] {
        let said = shell.copy().set(name, value).run(&["list", &folder]).expect(0);
        assert!(
            !said.err.contains("AWS") && !said.err.contains("WARN"),
            "{name}: {}",
            said.err
        );
    }
    let config = shell.path("config");
    let refused = |shell: &Shell, names: &str| {
        let said = shell.run(&["list", &folder]).expect(2);
        assert!(
            said.err.starts_with("mongotar: InvalidRequest: ") && said.err.contains(names),
            "{names}: {}",
            said.err
        );
        assert_eq!(said.err.lines().count(), 1, "{names}: {}", said.err);
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    };
    for name in [
        "AWS_RETRY_MODE",
        "AWS_MAX_ATTEMPTS",
        "AWS_ENDPOINT_URL_S3",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
    ] {
        refused(&shell.copy().set(name, "hunter2"), &format!("{name} "));
    }
    for (text, names) in [
        ("[default]\nretry_mode = hunter2\n", "config, line 2: retry_mode may be"),
        ("[default]\nhunter2\n", "config cannot be understood: line 2"),
    ] {
        fs::write(&config, text).expect("written");
        refused(
            &shell.copy().set("AWS_CONFIG_FILE", config.to_str().expect("UTF-8")),
            names,
        );
    }
    // The secret of a connection string goes the same way.
    let by_secret = shell.copy().unset("MONGO_URI").set("MONGO_DB", "shop");
    let by_secret = by_secret
        .set("MONGO_URI_SECRET", "name")
        .set("AWS_MAX_ATTEMPTS", "hunter2");
    let said = by_secret.run(&["backup", "--to", "to"]).expect(2);
    assert!(
        said.err.contains("AWS_MAX_ATTEMPTS") && !said.err.contains("hunter2"),
        "{}",
        said.err
    );
}

/// The same configuration serves the functions and whoever has to do their work by hand.
#[tokio::test]
async fn a_connection_string_comes_out_of_a_secret_unless_one_is_given() {
    let [(first, by_secret), (second, by_option), _] = three().await;
    let secret = rig::Secret::new(&by_secret).await;
    let (name, endpoint) = rig::Secret::endpoint();
    let shell = Shell::new()
        .unset("MONGO_URI")
        .set("MONGO_URI_SECRET", &secret.arn)
        .set(name, &endpoint);
    let report = shell.json(0, &["backup", "--to", "to"]);
    assert_eq!(text(&report["database"]), first);
    let archive = text(&report["archive"]);
    let compared = shell.json(0, &["verify", &archive, "--against", &first]);
    assert_eq!(text(&compared["database"]), first);
    let report = shell.json(0, &["backup", "--to", "other", "--mongo-uri", &by_option]);
    assert_eq!(text(&report["database"]), second);
    let compared = shell.json(0, &["verify", &archive, "--against", &by_option]);
    assert_eq!(text(&compared["database"]), second, "what is given rules");

    let shell = shell.set("MONGO_URI", &by_option);
    let refused = shell.json(2, &["backup", "--to", "to"]);
    assert!(text(&refused["message"]).contains("MONGO_URI_SECRET"), "{refused}");
}

/// Standard error had each, and the report once more. Programs still read them in the report.
#[tokio::test]
async fn what_a_connection_string_leaves_out_is_said_once() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let uri = format!("{}&nonsense=1&journal=true&w=0", rig::shared_replica_set().uri());
    let shell = shell.set("MONGO_URI", &uri);
    let report = shell.json(0, &["backup", "--to", "kept"]);
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(2), "{report}");
    let archive = text(&report["archive"]).to_owned();
    let against = ["verify", &archive, "--against", &database];
    for arguments in [&["backup", "--to", "kept"][..], &["plan", &archive], &against] {
        let said = shell.run(arguments).expect(0);
        for warning in ["its 2nd option is unknown", "w=majority is used"] {
            let times = |said: &str| said.matches(warning).count();
            assert_eq!(
                (times(&said.err), times(&said.out)),
                (1, 0),
                "{arguments:?}: {} {}",
                said.err,
                said.out
            );
        }
    }
    let silent = shell
        .set("MONGOTAR_LOG", "error")
        .run(&["backup", "--to", "kept"])
        .expect(0);
    assert_eq!(
        silent.out.matches("its 2nd option is unknown").count(),
        1,
        "{}",
        silent.out
    );
}

/// "This is not UTF-8" was all that was said of what PowerShell's `>` writes.
#[tokio::test]
async fn a_dotenv_in_utf16_is_refused_with_what_to_do() {
    let shell = Shell::new();
    let units = "\u{feff}MONGOTAR_TO=folder\n".encode_utf16();
    let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    fs::write(shell.path(".env"), bytes).expect("written");
    let failed = shell.run(&["list"]).expect(2);
    for word in [".env, line 1", "not UTF-8", "Set-Content -Encoding utf8"] {
        assert!(failed.err.contains(word), "{}", failed.err);
    }
}

/// It was waited for whoever writes to it, for ever.
#[test]
fn a_dotenv_that_is_a_pipe_is_ignored_and_named() {
    let shell = Shell::new();
    let made = std::process::Command::new("mkfifo").arg(shell.path(".env")).status();
    assert!(made.expect("mkfifo").success());
    fs::create_dir(shell.path("folder")).expect("made");
    let said = shell.run(&["list", "folder"]).expect(0);
    assert!(said.err.contains(".env is a pipe or a device"), "{}", said.err);
}

/// The file was looked for when connecting, and the exit code was that of a database that is away.
#[test]
fn a_file_for_tls_that_is_not_there_is_a_wrong_setting() {
    for option in ["tlsCAFile", "tlsCertificateKeyFile"] {
        let shell = Shell::new().set(
            "MONGO_URI",
            &format!("mongodb://127.0.0.1:1/shop?tls=true&{option}=/nowhere.pem"),
        );
        let said = shell.run(&["backup", "--to", "to"]).expect(2);
        assert!(said.err.contains(&format!("{option} is /nowhere.pem")), "{}", said.err);
    }
}

/// The documents were exchanged before the first write was found to be less durable than asked.
#[tokio::test]
async fn more_members_than_there_are_end_a_restore_before_its_first_change() {
    let (shell, database) = Shell::with_orders(numbered(0..3)).await;
    let archive = shell.path(&super::archive(&shell.backed_up(&[])));
    let archive = archive.to_str().expect("UTF-8").to_owned();
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", numbered(3..5)).await;
    for w in ["w=2", "w=far"] {
        let uri = format!("{}&{w}&wtimeoutMS=2000", rig::shared_replica_set().uri());
        let shell = shell.copy().set("MONGO_URI", &uri);
        let said = shell
            .run(&["restore", &archive, "--replace-existing", "--yes"])
            .expect(1);
        assert!(
            said.err.contains("Nothing was changed") && said.err.contains("w=majority"),
            "{}",
            said.err
        );
        assert_eq!(super::ids(&database, "orders").await, [0, 1, 2, 3, 4]);
        assert_eq!(super::collections(&database).await, ["orders"], "nothing is left");
    }
}
