//! Whom the functions tell: a watchdog of each complete backup, and everybody else what a topic has.

use serde_json::{Value, json};

use super::{BACKUP, answer, refusal, shop};
use crate::rig::{Listener, Secret};

#[tokio::test]
async fn a_complete_backup_gives_a_sign_of_life_and_people_hear_of_it_from_the_topic() {
    let shop = shop().await;
    let listener = Listener::start(&[]);
    let addresses = format!(
        "{}\n{}",
        listener.address("ping", "/ping/{database}"),
        listener.address("slack", "/hush")
    );
    let secret = Secret::new(&addresses).await;
    let (name, endpoint) = Secret::endpoint();
    let more = [
        ("MONGOTAR_NOTIFY_SECRET", secret.arn.as_str()),
        (name, endpoint.as_str()),
        ("MONGOTAR_LOG", "trace"),
    ];
    let function = shop.function(BACKUP, &more);
    refusal(&function, json!({"include": ["nothing"]})).await;
    assert!(listener.heard().is_empty(), "a failure is no sign of life");
    let planned = answer(&function, json!({"action": "plan", "lanes": 2})).await;
    assert!(listener.heard().is_empty(), "nor is a plan: {planned}");
    assert_eq!(answer(&function, json!({})).await["status"], "complete");
    let heard = listener.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].request, format!("GET /ping/{}", shop.database));

    // As SNS sends it: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
    let event = json!({"Records": [{"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": {
        "Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:mongotar",
        "Subject": "mongotar drill FAILED", "Message": "orders differs", "Timestamp": "2026-11-21T02:00:00.000Z",
        "MessageAttributes": {"kind": {"Type": "String", "Value": "drill"}},
    }}]});
    assert_eq!(answer(&function, event).await, json!({"status": "complete", "told": 1}));
    let heard = listener.heard();
    assert_eq!(heard[1].body["text"], "*mongotar drill FAILED*\norders differs");
    assert!(function.logs().iter().all(|line| !line.contains("hush")));
}

#[tokio::test]
async fn what_cannot_be_told_fails_so_that_it_is_handed_on_again() {
    let shop = shop().await;
    let listener = Listener::start(&[404]);
    let secret = Secret::new(&listener.address("webhook", "/hush")).await;
    let (name, endpoint) = Secret::endpoint();
    let env = [
        ("MONGOTAR_NOTIFY_SECRET", secret.name.as_str()),
        (name, endpoint.as_str()),
    ];
    let function = shop.function(BACKUP, &env);
    let event = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Subject": null, "Message": "text"}}]});
    let error = refusal(&function, event.clone()).await;
    assert_eq!(error.error_type, "NotifyFailed", "{error}");
    assert!(!error.error_message.contains("hush"), "{error}");
    assert_eq!(answer(&function, event.clone()).await["told"], 1);
    // A wrong secret costs no backup.
    secret.change("no address hush").await;
    let function = shop.function(BACKUP, &env);
    assert_eq!(answer(&function, json!({})).await["status"], Value::from("complete"));
    function.wait_for_log("nobody is told of this backup").await;
    assert!(function.logs().iter().all(|line| !line.contains("hush")));
    let nobody = shop.function(BACKUP, &[]);
    let error = refusal(&nobody, event).await;
    assert!(error.error_message.contains("MONGOTAR_NOTIFY_SECRET"), "{error}");
}
