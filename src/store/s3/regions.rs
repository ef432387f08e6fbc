//! Buckets in other regions than ours: copies of archives.
//!
//! S3 answers a request for such a bucket with the name of its region, and nothing else. From then on it is asked there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;

/// The clients for buckets that are known to be elsewhere.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Regions(Arc<Mutex<HashMap<String, Client>>>);

impl Regions {
    /// The client for a bucket, from the one for all others.
    pub(in super::super) fn client_of(&self, bucket: &str, ours: &Client) -> Client {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(bucket).unwrap_or(ours).clone()
    }

    /// The client for a bucket that is in this region. Nothing if it was asked there already, or that is no name of one:
    /// hosts are named after regions.
    pub(in super::super) fn learn(&self, bucket: &str, region: &str, ours: &Client) -> Option<Client> {
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '-';
        let asked = self.client_of(bucket, ours);
        let was_there = asked.config().region().is_some_and(|asked| asked.as_ref() == region);
        if was_there || region.is_empty() || !region.chars().all(is_name) {
            return None;
        }
        tracing::info!(bucket, region, "the bucket is in another region");
        let config = ours.config().to_builder().region(Region::new(region.to_owned()));
        let client = Client::from_conf(config.build());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(bucket.to_owned(), client.clone());
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Config};

    use super::*;

    #[test]
    fn a_bucket_elsewhere_is_asked_there_from_then_on_and_no_name_of_a_host_comes_of_an_answer() {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        let ours = Client::from_conf(config.region(Region::new("eu-central-1")).build());
        let regions = Regions::default();
        let region = |client: &Client| client.config().region().map(ToString::to_string);
        for refused in ["eu-central-1", "", "evil.example/", "eu-west-1.evil.example"] {
            assert!(regions.learn("copies", refused, &ours).is_none(), "{refused}");
        }
        let there = regions.learn("copies", "eu-west-1", &ours).expect("another region");
        assert_eq!(region(&there).as_deref(), Some("eu-west-1"));
        assert_eq!(
            region(&regions.client_of("copies", &ours)).as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(
            region(&regions.client_of("archives", &ours)).as_deref(),
            Some("eu-central-1")
        );
        assert!(
            regions.learn("copies", "eu-west-1", &ours).is_none(),
            "it is asked once"
        );
    }
}
