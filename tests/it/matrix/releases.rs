//! Every case on every release.

use crate::rig::Mongod;

/// A module with every case on one release, whose server they share.
macro_rules! cases_on {
    ($release:ident, $start:expr) => {
        mod $release {
            use std::sync::OnceLock;

            use crate::matrix::whole;
            use crate::rig::Mongod;

            fn server() -> &'static Mongod {
                static SHARED: OnceLock<Mongod> = OnceLock::new();
                SHARED.get_or_init(|| $start)
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "of the server matrix"]
            async fn everything_comes_back_is_merged_and_replaced() {
                whole::comes_back_is_merged_and_replaced(server()).await;
            }
        }
    };
}

cases_on!(v4_4_2, super::of("4.4.2"));
cases_on!(v5_0_32, super::of("5.0.32"));
cases_on!(v6_0_27, super::of("6.0.27"));
cases_on!(the_rigs, Mongod::builder().start());

fn of(number: &str) -> Mongod {
    Mongod::builder().release(number).start()
}
