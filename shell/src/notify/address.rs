//! An address, and what is written to it.

use std::fmt;

/// Which hosts take what, where an address does not say it: the ends of their names.
const KNOWN: [(&str, AddressKind); 8] = [
    ("hooks.slack.com", AddressKind::Slack),
    ("hooks.slack-gov.com", AddressKind::Slack),
    // Webhooks of channels, and those of workflows, which have taken their place.
    // <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>
    (".webhook.office.com", AddressKind::Teams),
    (".logic.azure.com", AddressKind::Teams),
    (".powerplatform.com", AddressKind::Teams),
    ("hc-ping.com", AddressKind::Ping),
    ("nosnch.in", AddressKind::Ping),
    ("cronitor.link", AddressKind::Ping),
];
/// What stands for the database's name in the address of a ping.
const DATABASE: &str = "{database}";

/// What an address wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressKind {
    /// A message for people.
    Slack,
    /// The same, as a card.
    Teams,
    /// Everything, as JSON.
    Webhook,
    /// A sign of life.
    Ping,
}

/// Where to write to. Its path and its query are as good as a password.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) kind: AddressKind,
    url: String,
    host: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.host)
    }
}

/// Somebody who could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyFault {
    /// The host, and nothing else of the address.
    pub host: String,
    /// What came of it.
    pub why: String,
}

impl fmt::Display for NotifyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be told what came of this run: {}", self.host, self.why)
    }
}

impl Address {
    /// Reads one: `https://…`, or with its kind before it.
    ///
    /// # Errors
    /// What is wrong, without a word of what it holds.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (kind, url) = match text.split_once("://").and_then(|(scheme, _)| scheme.split_once('+')) {
            Some((kind, _)) => (Some(kind_of(kind)?), &text[kind.len() + 1..]),
            None => (None, text),
        };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let rest = rest.ok_or("it begins neither with https:// nor with a kind and a plus sign, as slack+https://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = &rest[..end];
        if authority.contains('@') {
            return Err("it has a user or a password before its host, which is not supported".to_owned());
        }
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
            _ => authority,
        };
        if host.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it is no address of the web".to_owned());
        }
        let host = host.to_ascii_lowercase();
        let known = KNOWN.iter().find(|(end, _)| match end.strip_prefix('.') {
            Some(_) => host.ends_with(end),
            None => host == *end,
        });
        Ok(Self {
            kind: kind.or(known.map(|(_, kind)| *kind)).unwrap_or(AddressKind::Webhook),
            url: url.to_owned(),
            host,
        })
    }

    /// Where exactly to write of a database.
    pub(super) fn url(&self, database: Option<&str>) -> String {
        match self.kind {
            AddressKind::Ping => self.url.replace(DATABASE, &escaped(database.unwrap_or_default())),
            _ => self.url.clone(),
        }
    }

    /// That it could not be told.
    pub(super) fn fault(&self, why: impl Into<String>) -> NotifyFault {
        NotifyFault {
            host: self.host.clone(),
            why: why.into(),
        }
    }
}

fn kind_of(name: &str) -> Result<AddressKind, String> {
    match name {
        "slack" => Ok(AddressKind::Slack),
        "teams" => Ok(AddressKind::Teams),
        "webhook" => Ok(AddressKind::Webhook),
        "ping" => Ok(AddressKind::Ping),
        _ => Err("what stands before its plus sign is none of slack, teams, webhook and ping".to_owned()),
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_tells_what_it_takes_unless_the_address_says_it() {
        for (text, kind) in [
            ("https://hooks.slack.com/services/T/B/x", AddressKind::Slack),
            ("https://tenant.webhook.office.com/webhookb2/x", AddressKind::Teams),
            (
                "https://prod-01.westeurope.logic.azure.com:443/workflows/x?sig=y",
                AddressKind::Teams,
            ),
            ("https://hc-ping.com/uuid", AddressKind::Ping),
            ("https://example.org/mongotar", AddressKind::Webhook),
            // Not by the end of a name that somebody else may have.
            ("https://nohooks.slack.com/x", AddressKind::Webhook),
            ("https://evil-hc-ping.com/x", AddressKind::Webhook),
            ("slack+https://chat.example.org/hooks/x", AddressKind::Slack),
            ("ping+http://127.0.0.1:8000/x", AddressKind::Ping),
            ("webhook+https://hooks.slack.com/x", AddressKind::Webhook),
        ] {
            assert_eq!(Address::parse(text).expect(text).kind, kind, "{text}");
        }
    }

    #[test]
    fn a_watchdog_of_its_own_for_each_database() {
        let address = Address::parse("ping+https://example.org/key/mongotar-{database}").expect("one");
        assert_eq!(address.url(Some("a b")), "https://example.org/key/mongotar-a%20b");
        assert_eq!(address.url(None), "https://example.org/key/mongotar-");
    }

    #[test]
    fn what_is_no_address_is_refused_and_nothing_of_it_is_shown() {
        for text in [
            "hooks.slack.com/services/SECRET",
            "ftp://example.org/SECRET",
            "mail+https://example.org/SECRET",
            "https://user:SECRET@example.org/",
            "https:///SECRET",
            "https://example.org/SECRET\u{7}",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(!error.contains("SECRET"), "{error}");
        }
        let address = Address::parse("https://example.org/SECRET").expect("one");
        assert!(!format!("{address:?} {}", address.fault("no")).contains("SECRET"));
    }
}
