//! What is written to an address.

use serde_json::{Value, json};

use super::address::AddressKind;
use super::notice::Notice;

/// How much of a text people are shown: Teams takes no card of more than 28 KB.
const LONGEST: usize = 3_000;

/// The body of a request; none for a sign of life.
pub(super) fn body(kind: AddressKind, notice: &Notice) -> Option<Value> {
    match kind {
        AddressKind::Ping => None,
        AddressKind::Webhook => serde_json::to_value(notice).ok(),
        AddressKind::Slack => Some(json!({"text": slack(notice)})),
        AddressKind::Teams => Some(teams(notice)),
    }
}

/// <https://api.slack.com/reference/surfaces/formatting#escaping>: three characters, without which no name of
/// somebody else's can call for anybody's attention or be a link.
fn slack(notice: &Notice) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "*{}*\n{}",
        escaped(&notice.title.replace('*', "")),
        escaped(&shortened(&notice.text))
    )
}

/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>. Runs of text,
/// since a `TextBlock` takes Markdown, and a name may look like that.
fn teams(notice: &Notice) -> Value {
    let lines = |text: &str, weight: &str| {
        let runs = text.lines().filter(|line| !line.is_empty()).map(
            |line| json!({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line, "weight": weight}]}),
        );
        runs.collect::<Vec<_>>()
    };
    let mut blocks = lines(&notice.title, "Bolder");
    blocks.extend(lines(&shortened(&notice.text), "Default"));
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
            "body": blocks,
        },
    }]})
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} […]", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::notice::TopicMessage;

    fn notice(title: &str, text: &str) -> Notice {
        Notice::of_topic(&TopicMessage {
            subject: Some(title),
            message: text,
        })
    }

    #[test]
    fn a_name_calls_nobody_in_slack() {
        let body = body(AddressKind::Slack, &notice("of *shop*", "<!channel> & <http://x|y>")).expect("one");
        assert_eq!(body["text"], "*of shop*\n&lt;!channel&gt; &amp; &lt;http://x|y&gt;");
    }

    #[test]
    fn a_card_has_a_line_each_and_no_markdown() {
        let body = body(AddressKind::Teams, &notice("title", "one\n\n[two](http://x)")).expect("one");
        let blocks = body["attachments"][0]["content"]["body"].as_array().expect("blocks");
        let texts: Vec<&Value> = blocks.iter().map(|block| &block["inlines"][0]["text"]).collect();
        assert_eq!(texts, ["title", "one", "[two](http://x)"]);
        assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ü".repeat(LONGEST + 1);
        assert_eq!(shortened(&long).chars().count(), LONGEST + 4);
        assert_eq!(shortened("short"), "short");
    }
}
