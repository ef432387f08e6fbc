//! What the environment says of AWS (region, profiles, roles, endpoints), read in one place for every client.

use std::pin::Pin;

use aws_config::{BehaviorVersion, Region, SdkConfig};

/// Where nothing names a region: stores that are not AWS have none.
const REGION: &str = "us-east-1";

/// Reads it. What a client needs beside it is its own matter: how long it waits, how often it tries.
///
/// No `async fn`: such a one is compiled anew in each crate in which it is awaited, and this one has 25 KB.
pub(crate) fn from_environment() -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(aws_config::defaults(BehaviorVersion::latest()).load())
}

/// The region that the environment names, or a usual one.
pub(crate) fn region_of(environment: &SdkConfig) -> Region {
    let named = environment.region().cloned();
    named.unwrap_or_else(|| Region::from_static(REGION))
}
