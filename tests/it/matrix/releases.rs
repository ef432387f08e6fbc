//! Every case on every release.

use crate::rig::Mongod;

/// A module with every case on one release, whose server they share.
macro_rules! cases_on {
    ($release:ident, $kind:ty, $start:expr) => {
        pub mod $release {
            use std::sync::OnceLock;

            use super::super::{Knows, pieces, place_at, whole};
            use super::*;
            use crate::restore::Place;

            pub fn server() -> &'static $kind {
                static SHARED: OnceLock<$kind> = OnceLock::new();
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

pub(super) use cases_on;

cases_on!(v4_4_2, Mongod, of("4.4.2"));
cases_on!(v5_0_32, Mongod, of("5.0.32"));
cases_on!(v6_0_27, Mongod, of("6.0.27"));
cases_on!(the_rigs, Mongod, Mongod::builder().start());

fn of(number: &str) -> Mongod {
    Mongod::builder().release(number).start()
}
