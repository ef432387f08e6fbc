//! Secrets Manager without AWS: the one in MiniStack.

use super::names::unique_name;
use super::stepfunctions::shared_step_functions;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};

/// A secret of its own.
#[derive(Debug)]
pub struct Secret {
    client: Client,
    pub name: String,
    pub arn: String,
}

impl Secret {
    pub async fn new(text: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(shared_step_functions().endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "rig"));
        let client = Client::from_conf(config.build());
        let name = unique_name("secret");
        let created = client.create_secret().name(&name).secret_string(text).send().await;
        let created = created.unwrap_or_else(|e| panic!("cannot create the secret {name}: {e:?}"));
        let arn = created.arn().expect("a secret has an ARN").to_owned();
        Secret { client, name, arn }
    }

    /// Gives it another value, as its rotation does.
    pub async fn change(&self, text: &str) {
        let put = self.client.put_secret_value().secret_id(&self.arn).secret_string(text);
        put.send()
            .await
            .unwrap_or_else(|e| panic!("cannot change {}: {e:?}", self.name));
    }

    /// What tells a process where it is; everything else of AWS stays where it was.
    pub fn endpoint() -> (&'static str, String) {
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", shared_step_functions().endpoint())
    }
}
