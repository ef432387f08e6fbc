//! Whom a function tells: a watchdog, of each complete backup; and, where a topic (Amazon SNS) calls it, everybody else.
//!
//! What came of a run, approvals that are waited for and alarms are all published to the topic of the stack. So people
//! hear of each thing once, and of what no function is there to tell: an alarm that rings because nothing ran. A
//! watchdog, however, must hear from the run itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use mongotar::config::Environment;
use mongotar::failure::{Failure, FailureKind};
use mongotar::secrets::Secrets;

use crate::notify::{Notice, Notifier, PATIENCE, TopicMessage};

/// The setting that names the secret with the addresses.
const SETTING: &str = "MONGOTAR_NOTIFY_SECRET";
/// How much of an invocation's time is left to what comes after.
const RESERVE: Duration = Duration::from_secs(2);
/// Less time than this is not worth a try.
const LEAST: Duration = Duration::from_millis(500);

/// Those who are told, found once per cold start.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    secret: Option<String>,
    secrets: Secrets,
    found: Mutex<Option<FoundListeners>>,
}

#[derive(Clone, Debug)]
struct FoundListeners {
    pings: Option<Arc<Notifier>>,
    others: Option<Arc<Notifier>>,
}

impl Listeners {
    pub(super) fn new(configured: &Environment) -> Self {
        Self {
            secret: configured.notify_secret.clone(),
            ..Self::default()
        }
    }

    /// Gives a sign of life for each backup that is complete. That it is not heard changes nothing of the backup.
    pub(super) async fn ping(&self, notices: &[Notice], left: Duration) {
        let within = left.saturating_sub(RESERVE).min(PATIENCE);
        if self.secret.is_none() || notices.is_empty() || within < LEAST {
            return;
        }
        let pinging = async {
            let pings = match self.found().await {
                Ok(found) => found.pings,
                Err(failure) => {
                    tracing::warn!(reason = failure.message, "nobody is told of this backup");
                    None
                }
            };
            let Some(pings) = pings else { return };
            for notice in notices {
                for fault in pings.tell(notice, within).await {
                    tracing::warn!("{fault}");
                }
            }
        };
        if timeout(within, pinging).await.is_err() {
            tracing::warn!("the sign of life could not be given in the time that was left");
        }
    }

    /// Hands on what a topic has.
    ///
    /// # Errors
    /// If somebody could not be told: Lambda hands the message on again.
    pub(super) async fn hand_on(&self, messages: &[TopicMessage<'_>]) -> Result<Value, Failure> {
        if self.secret.is_none() {
            let why =
                format!("a topic called, and there is nobody to tell: set {SETTING} to the secret with the addresses");
            return Err(Failure::new(FailureKind::ConfigurationMissing, why));
        }
        let Some(others) = self.found().await?.others else {
            return Ok(json!({"status": "complete", "told": 0}));
        };
        let (mut told, mut faults) = (0, Vec::new());
        for message in messages {
            let notice = Notice::of_topic(message);
            let failed = others.tell(&notice, PATIENCE).await;
            told += others.listeners(&notice) - failed.len();
            faults.extend(failed.iter().map(ToString::to_string));
        }
        match faults.as_slice() {
            [] => Ok(json!({"status": "complete", "told": told})),
            some => {
                // An address that has changed is found at the next try.
                *self.found.lock().await = None;
                Err(Failure::new(FailureKind::NotifyFailed, some.join("; ")))
            }
        }
    }

    async fn found(&self) -> Result<FoundListeners, Failure> {
        let mut found = self.found.lock().await;
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        let text = match &self.secret {
            Some(secret) => self.secrets.text(secret, SETTING).await?,
            None => String::new(),
        };
        let read = || Notifier::of(&text, SETTING);
        let now = FoundListeners {
            pings: read()?.and_then(Notifier::only_pings).map(Arc::new),
            others: read()?.and_then(Notifier::without_pings).map(Arc::new),
        };
        *found = Some(now.clone());
        Ok(now)
    }
}

/// What a topic has to say, if it is one that calls:
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.
pub(super) fn of_topic(event: &Value) -> Option<Vec<TopicMessage<'_>>> {
    let records = event.get("Records")?.as_array()?;
    let messages = records.iter().map(|record| {
        let sns = record.get("Sns")?;
        Some(TopicMessage {
            subject: sns.get("Subject").and_then(Value::as_str),
            message: sns.get("Message")?.as_str()?,
        })
    });
    messages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_topic_is_told_from_requests() {
        let event = json!({"Records": [
            {"EventSource": "aws:sns", "Sns": {"Subject": null, "Message": "one"}},
            {"EventSource": "aws:sns", "Sns": {"Subject": "two", "Message": "text"}},
        ]});
        let messages = of_topic(&event).expect("messages");
        let said: Vec<_> = messages.iter().map(|one| (one.subject, one.message)).collect();
        assert_eq!(said, [(None, "one"), (Some("two"), "text")]);
        for other in [
            json!({}),
            json!({"database": "shop"}),
            json!({"Records": [{"s3": {"bucket": {"name": "b"}}}]}),
        ] {
            assert!(of_topic(&other).is_none(), "{other}");
        }
    }
}
