//! A primary that is cut off at a command that changes something for good. The campaign `rollback` strikes at every
//! command.

use crate::campaigns::rollback::{Policy, Scene, Struck};
use crate::rig::WireCommand;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_off_primary_takes_back_is_never_called_complete() {
    let scene = Scene::start().await;
    for (policy, name) in [
        (Policy::Replace, "renameCollection"),
        (Policy::Replace, "drop"),
        (Policy::Merge, "update"),
    ] {
        let struck = scene
            .strike(policy, 1, move |command| command.name == name && !is_ours(command))
            .await;
        let Struck { command, said } = struck.unwrap_or_else(|| panic!("{policy:?} sends no {name}"));
        println!("{command}: {said}");
    }
}

/// About what the restore has made for itself.
fn is_ours(command: &WireCommand) -> bool {
    command.name != "renameCollection" && command.target().starts_with("mongotar.")
}
