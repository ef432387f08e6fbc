//! Three servers of one release as a replica set: read from those that are behind, written to a majority.

use super::{pieces, place_at, whole};
use crate::rig::{Members, Mongod};

const RELEASE: &str = "5.0.32";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn three_members_back_up_restore_continue_and_divide() {
    let set = Members::start(&Mongod::builder().release(RELEASE));
    let uri = format!("{}&readPreference=secondary", set.uri());
    let (place, knows) = place_at(&uri).await;
    whole::comes_back_is_merged_and_replaced(&place, knows).await;
    let (place, knows) = place_at(&uri).await;
    pieces::continued(&place, knows).await;
    let (place, knows) = place_at(&uri).await;
    pieces::divided(&place, knows).await;
}
