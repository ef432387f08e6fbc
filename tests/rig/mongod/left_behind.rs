//! What tests leave on the server that they share goes with them.

use super::super::background::background;
use super::SHARED;
use mongodb::bson::{Document, doc};
use mongodb::{Client, error::Error};
use tokio::sync::OnceCell;

/// Drops all databases of the shared server that begin with one of these names, beside whatever goes on. Nothing waits
/// for it, and where it fails a database stays.
pub(in crate::rig) fn drop_databases(names: Vec<String>) {
    if let Some(shared) = SHARED.get()
        && !names.is_empty()
    {
        background().spawn(drop_all(shared.direct_uri(), names));
    }
}

async fn drop_all(uri: String, names: Vec<String>) -> Result<(), Error> {
    // One client for all, which is the rig's runtime's.
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    let client = CLIENT.get_or_try_init(|| Client::with_uri_str(uri)).await?;
    // `a_1_2` is no beginning of `a_1_23`.
    let of_these = format!("^({})([^0-9]|$)", names.join("|"));
    let command = doc! {"listDatabases": 1, "nameOnly": true, "filter": {"name": {"$regex": of_these}}};
    let listed = client.database("admin").run_command(command).await?;
    for database in listed.get_array("databases").into_iter().flatten() {
        if let Some(name) = database
            .as_document()
            .and_then(|one: &Document| one.get_str("name").ok())
        {
            client.database(name).drop().await?;
        }
    }
    Ok(())
}
