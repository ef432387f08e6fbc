//! A release that is too old.

use crate::cli::Shell;
use crate::rig::Mongod;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn a_release_before_4_4_is_refused_in_a_sentence_before_anything_is_done() {
    let server = Mongod::builder().release("4.2.6").standalone().start_alone();
    let (shell, _) = Shell::with_orders(crate::cli::numbered(0..3)).await;
    let archive = crate::cli::archive(&shell.backed_up(&[]));
    let path = shell.path("to");
    let archives = || std::fs::read_dir(&path).expect("a folder").count();
    let (before, said_before) = (
        archives(),
        server.log().lines().filter(|line| line.contains("COMMAND")).count(),
    );
    let shell = shell.set("MONGO_URI", &server.direct_uri());
    for arguments in [
        &["backup", "--to", "to"][..],
        &["restore", &archive, "--yes"],
        &["drill", &archive],
        &["verify", &archive, "--against", "shop"],
    ] {
        let said = shell.run(arguments);
        let sentence = format!(
            "Database: connecting to MongoDB: the server at 127.0.0.1:{} is too old: mongotar needs MongoDB 4.4 or newer",
            server.port()
        );
        assert!(said.err.contains(&sentence), "{arguments:?}: {said:?}");
        assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
    }
    assert_eq!(archives(), before);
    let said_after = server.log().lines().filter(|line| line.contains("COMMAND")).count();
    assert_eq!(said_after, said_before, "it was asked for nothing");
}
