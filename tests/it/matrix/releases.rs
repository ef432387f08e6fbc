//! Every case on every release.

use super::{Knows, pieces, place_at, whole};
use crate::restore::Place;
use crate::rig::Mongod;

/// A module with every case on one release, whose server they share.
macro_rules! cases_on {
    ($release:ident, $start:expr) => {
        pub mod $release {
            use std::sync::OnceLock;

            use super::*;

            pub fn server() -> &'static Mongod {
                static SHARED: OnceLock<Mongod> = OnceLock::new();
                SHARED.get_or_init(|| $start)
            }

            async fn place() -> (Place, Knows) {
                place_at(&server().uri()).await
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "of the server matrix"]
            async fn everything_comes_back_is_merged_and_replaced() {
                let (place, knows) = place().await;
                whole::comes_back_is_merged_and_replaced(&place, knows).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "of the server matrix"]
            async fn a_drill_passes_and_leaves_nothing() {
                let (place, knows) = place().await;
                pieces::drilled(&place, knows).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "of the server matrix"]
            async fn many_invocations_back_up_restore_and_drill() {
                let (place, knows) = place().await;
                pieces::continued(&place, knows).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "of the server matrix"]
            async fn several_workers_back_up_and_restore() {
                let (place, knows) = place().await;
                pieces::divided(&place, knows).await;
            }
        }
    };
}

cases_on!(v4_4_2, of("4.4.2"));
cases_on!(v5_0_32, of("5.0.32"));
cases_on!(v6_0_27, of("6.0.27"));
cases_on!(the_rigs, Mongod::builder().start());

fn of(number: &str) -> Mongod {
    Mongod::builder().release(number).start()
}
