//! SeaweedFS as S3: of the small servers tried, the one that behaves most as AWS documents S3.

mod server;

use super::names::unique_name;
use super::process::{Process, log_tail};
use super::scratch::ScratchDir;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use std::sync::OnceLock;

const REGION: &str = "us-east-1";
/// Names the endpoint of another S3 that the tests are to use, such as LocalStack's: `http://127.0.0.1:4566`.
const OTHER: &str = "MONGOTAR_TEST_S3";

/// The server that the tests of one process share. Keep to buckets of your own: [`S3::fresh_bucket`].
pub fn shared_s3() -> &'static S3 {
    static SHARED: OnceLock<S3> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var(OTHER) {
        Ok(endpoint) if !endpoint.is_empty() => S3::running_at(&endpoint),
        _ => S3::start(),
    })
}

/// A running S3 server on 127.0.0.1, with one pair of credentials that may do everything. It and its data are
/// gone when this drops, or when this process ends.
#[derive(Debug)]
pub struct S3 {
    /// None where it is not ours.
    process: Option<Process>, // before `scratch`: it must be dead when its directory goes
    scratch: ScratchDir,
    endpoint: String,
    access_key: String,
    secret_key: String,
}

impl S3 {
    /// Starts a server and waits until it has taken an object. Panics with the end of its log when it does not
    /// get there within 90 seconds.
    pub fn start() -> S3 {
        for _ in 0..5 {
            let s3 = S3::launch();
            if s3.wait_until_it_answers() {
                return s3;
            }
        }
        panic!("SeaweedFS ended five times at its start, the last time for a taken port");
    }

    /// One that somebody else has started, with the credentials of the environment, or those that stand-ins take.
    fn running_at(endpoint: &str) -> S3 {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        S3 {
            process: None,
            scratch: ScratchDir::new("s3"),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            access_key: set("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "test".to_owned()),
            secret_key: set("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "test".to_owned()),
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The environment for a child process whose AWS SDK shall talk to this server and to nothing else.
    pub fn env(&self) -> Vec<(String, String)> {
        self.env_at(&self.endpoint)
    }

    /// The same, by way of a [`Proxy`](super::Proxy)'s endpoint.
    pub fn env_at(&self, endpoint: &str) -> Vec<(String, String)> {
        let env = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", &self.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            // A developer's own profiles must not leak in.
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ];
        env.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// A client of the calling runtime, with path-style addresses.
    pub async fn client(&self) -> Client {
        self.client_at(&self.endpoint)
    }

    /// The same, by way of a [`Proxy`](super::Proxy)'s endpoint.
    pub fn client_at(&self, endpoint: &str) -> Client {
        Client::from_conf(self.config_at(endpoint).build())
    }

    /// Creates a bucket nobody else uses and gives its name.
    pub async fn fresh_bucket(&self, prefix: &str) -> String {
        let bucket = unique_name(prefix);
        let created = self.client().await.create_bucket().bucket(&bucket).send().await;
        created.unwrap_or_else(|e| panic!("cannot create bucket {bucket}: {e:?}; {}", self.log_tail()));
        bucket
    }

    fn config_at(&self, endpoint: &str) -> aws_sdk_s3::config::Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(&self.access_key, &self.secret_key, None, None, "rig"))
            .force_path_style(true)
    }

    fn log_tail(&self) -> String {
        log_tail(&self.scratch.path().join("log"))
    }
}
