//! Three servers of one release as a replica set.

use mongotar::backup::RunStatus;

use super::{pieces, place_at, whole};
use crate::rig::{Members, Mongod};
use crate::support;

const RELEASE: &str = "5.0.32";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the server matrix"]
async fn three_members_back_up_restore_continue_and_divide() {
    let set = Members::start(&Mongod::builder().release(RELEASE));
    let (place, knows) = place_at(&set.uri()).await;
    whole::comes_back_is_merged_and_replaced(&place, knows).await;

    let of_the_primary = support::back_up(&place.tools, &place.database, &place.to).await;
    let behind = format!("{}&readPreference=secondary", set.uri());
    let tools = support::tools_for(&behind, place.tools.store.clone()).await;
    let of_a_secondary = support::back_up(&tools, &place.database, &support::bucket().await).await;
    assert_eq!(
        of_a_secondary.status,
        RunStatus::Complete,
        "{:?}",
        of_a_secondary.failed
    );
    let digests = |report: &mongotar::backup::BackupReport| -> Vec<_> {
        let saved = report.collections.iter();
        saved
            .map(|saved| (saved.name.clone(), saved.documents, saved.digest))
            .collect()
    };
    assert_eq!(digests(&of_a_secondary), digests(&of_the_primary));

    let (place, knows) = place_at(&set.uri()).await;
    pieces::continued(&place, knows).await;
    let (place, knows) = place_at(&set.uri()).await;
    pieces::divided(&place, knows).await;
}
