//! The README's commands are run as they stand there, in a shell, one after another.

use super::{Shell, numbered};
use crate::{rig, support};

const README: &str = include_str!("../../../README.md");

/// The `mongotar` lines of the README, without the comments behind them.
fn tour() -> Vec<String> {
    let commands = README.lines().filter(|line| line.starts_with("mongotar "));
    commands
        .map(|line| line.split(" #").next().unwrap_or(line).trim_end().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    let (shell, database) = Shell::with_orders(numbered(0..20)).await;
    let folder = support::bucket().await.to_string();
    let scratch = rig::fresh_database_name("scratch");
    let (mut archive, mut seen) = (None::<String>, Vec::new());
    for line in tour() {
        let mut command = line
            .replace("s3://backups/nightly/", &folder)
            .replace("--mongo-db scratch", &format!("--mongo-db {scratch}"));
        if let Some(archive) = &archive {
            command = command.replace("backup_20261121_020000.tar.zst", archive);
        }
        // Nobody is at a terminal here to answer.
        if line.starts_with("mongotar restore") && !line.contains("--yes") {
            command.push_str(" --yes");
        }
        let said = shell.shell(&command).expect(0);
        assert!(!said.out.is_empty(), "{line} says something");
        if archive.is_none() {
            let names = support::visible(&support::tools().await.store, &folder.parse().expect("a location")).await;
            archive = names.into_iter().find(|name| name.ends_with(".tar.zst"));
            assert!(archive.is_some(), "the tour begins with a backup");
        }
        seen.push(line.split(' ').nth(1).expect("a subcommand").to_owned());
    }
    for subcommand in ["backup", "restore", "plan", "verify", "list", "show", "cat"] {
        assert!(seen.iter().any(|seen| seen == subcommand), "{subcommand} is shown");
    }
    assert_eq!(super::ids(&database, "orders").await.len(), 20);
    assert_eq!(super::ids(&scratch, "orders").await.len(), 20);
}
