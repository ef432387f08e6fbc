//! A topic that a queue listens to, so that a test reads what people would be told.

use super::StepFunctions;
use super::api::Api;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A topic and the queue that listens to it.
#[derive(Debug)]
pub struct Topic {
    arn: String,
    queue: String,
    api: Api,
}

/// What a subscriber of a topic gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub subject: String,
    pub message: String,
}

impl Notification {
    /// The task token in the command that the message tells its reader to run.
    pub fn token(&self) -> String {
        let after = self.message.split_once("--task-token ").map(|(_, after)| after);
        let token = after.and_then(|after| after.split(' ').next());
        token
            .unwrap_or_else(|| panic!("no token is in {:?}", self.message))
            .to_owned()
    }
}

impl StepFunctions {
    /// A topic of that name, with a queue of that name.
    pub async fn topic(&self, name: &str) -> Topic {
        let created = self.api.sns(&[("Action", "CreateTopic"), ("Name", name)]).await;
        let arn = created
            .split_once("<TopicArn>")
            .and_then(|(_, after)| after.split_once("</TopicArn>"))
            .map(|(arn, _)| arn.to_owned())
            .unwrap_or_else(|| panic!("a created topic has an ARN: {created}"));
        let queue = self.api.sqs("CreateQueue", json!({"QueueName": name})).await["QueueUrl"].clone();
        let queue = queue.as_str().expect("a created queue has an address").to_owned();
        let attributes = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]});
        let attributes = self.api.sqs("GetQueueAttributes", attributes).await;
        let queue_arn = attributes["Attributes"]["QueueArn"]
            .as_str()
            .expect("a queue has an ARN");
        let subscribe = [
            ("Action", "Subscribe"),
            ("TopicArn", &arn),
            ("Protocol", "sqs"),
            ("Endpoint", queue_arn),
        ];
        self.api.sns(&subscribe).await;
        Topic {
            arn,
            queue,
            api: self.api.clone(),
        }
    }
}

impl Topic {
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The address of the queue that listens.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The next notification, or a panic after a minute without.
    pub async fn next(&self) -> Notification {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(notification) = self.receive(1).await {
                return notification;
            }
            assert!(Instant::now() < deadline, "nobody was told anything within a minute");
        }
    }

    /// Panics when there is a further notification. Only once whoever would send it has ended.
    pub async fn assert_empty(&self) {
        let more = self.receive(0).await;
        assert!(more.is_none(), "nobody was to be told more than once: {more:?}");
    }

    async fn receive(&self, seconds: u32) -> Option<Notification> {
        let request = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 1, "WaitTimeSeconds": seconds});
        let received = self.api.sqs("ReceiveMessage", request).await;
        let message = received["Messages"].get(0)?;
        let delete = json!({"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]});
        self.api.sqs("DeleteMessage", delete).await;
        let body: Value = serde_json::from_str(message["Body"].as_str().expect("a message has a body"))
            .expect("a topic sends its queue JSON");
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Some(Notification {
            subject: text("Subject"),
            message: text("Message"),
        })
    }
}
