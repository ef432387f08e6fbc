//! The same on each release of the server that can be had from packages: `cargo test --test it -- --ignored matrix::`.
//!
//! Ignored otherwise, since each release is a server more. A release that cannot be had fails its cases. `the_rigs` is
//! the server of all other tests: 6.0.5, unless `MONGOD` names another.

mod releases;
mod shop;
mod whole;

use crate::restore::Place;
use crate::rig::{self, Mongod};
use crate::support;

/// What of all this a release knows.
#[derive(Clone, Copy, Debug)]
pub struct Knows {
    pub snapshots: bool,
    pub time_series: bool,
    pub dollar_keys: bool,
    pub clustered: bool,
    pub images: bool,
    /// To leave an empty timestamp alone when it is told to.
    pub empty_timestamps: bool,
}

impl Knows {
    fn of(version: (u32, u32, u32)) -> Self {
        let (major, _, patch) = version;
        Self {
            snapshots: version >= (5, 0, 0),
            time_series: version >= (5, 0, 0),
            dollar_keys: version >= (5, 0, 0),
            clustered: version >= (5, 3, 0),
            images: version >= (6, 0, 0),
            empty_timestamps: match major {
                5 => version.1 == 0 && patch >= 29,
                6 => version.1 == 0 && patch >= 17,
                7 => version.1 > 0 || patch >= 13,
                _ => major >= 8,
            },
        }
    }
}

/// A fresh database on a server, and what that server knows.
pub async fn place_on(mongod: &Mongod) -> (Place, Knows) {
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    let place = Place {
        tools: support::tools_for(&mongod.uri(), store).await,
        client: mongod.client().await,
        to: support::bucket().await,
        database: rig::fresh_database_name("matrix"),
    };
    let knows = Knows::of(place.tools.mongo.server().version_numbers());
    (place, knows)
}
