//! Who is told what came of a run: people in Slack or Microsoft Teams, programs by a webhook, and a watchdog that rings
//! when it hears nothing (a dead man's switch, such as healthchecks.io).
//!
//! Addresses stand in `MONGOTAR_NOTIFY` (a function's in a secret, `MONGOTAR_NOTIFY_SECRET`), since whoever knows one
//! can write to it: none is ever shown, only its host is. What an address wants is known by its host, or said before it:
//! `slack+https://chat.example/hooks/…`.
//!
//! | kind | is told | as |
//! |---|---|---|
//! | `slack` | all but complete increments | `{"text": …}`, which Mattermost and Rocket.Chat take, too |
//! | `teams` | the same | an Adaptive Card, as a workflow of Teams takes it |
//! | `webhook` | everything | the [notice](Notice) as JSON |
//! | `ping` | complete backups, increments among them | a `GET`; `{database}` in the address becomes the name |
//!
//! That somebody could not be told changes nothing of a run's outcome. It is a warning.

mod address;
mod body;
mod notice;
mod post;

use std::time::Duration;

use futures_util::future::join_all;
use mongotar::failure::Failure;

pub use address::NotifyFault;
use address::{Address, AddressKind};
pub use notice::{Notice, NoticeOutcome, TopicMessage};
use post::Poster;

/// The variable with the addresses.
pub const NOTIFY: &str = "MONGOTAR_NOTIFY";
/// How long telling may take in all, each address by itself.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Those who are told.
#[derive(Debug)]
pub struct Notifier {
    addresses: Vec<Address>,
    poster: Poster,
}

impl Notifier {
    /// Those whose addresses a text has, with white space between them; nobody, if it has none.
    ///
    /// # Errors
    /// [`InvalidRequest`](mongotar::failure::FailureKind::InvalidRequest), with what is wrong with which of them, and
    /// nothing of what it is.
    pub fn of(text: &str, setting: &str) -> Result<Option<Self>, Failure> {
        let addresses: Result<Vec<Address>, String> = text
            .split_whitespace()
            .enumerate()
            .map(|(number, address)| {
                let address = Address::parse(address);
                address.map_err(|why| format!("{setting}: address {}: {why}", number + 1))
            })
            .collect();
        let addresses = addresses.map_err(Failure::invalid)?;
        Ok((!addresses.is_empty()).then(|| Self {
            addresses,
            poster: Poster::new(),
        }))
    }

    /// Tells everybody whom it concerns, side by side, within a time, and returns who could not be told.
    pub async fn tell(&self, notice: &Notice, within: Duration) -> Vec<NotifyFault> {
        let concerned = self.addresses.iter().filter(|address| notice.concerns(address.kind));
        let telling = concerned.map(|address| self.poster.tell(address, notice, within));
        join_all(telling).await.into_iter().filter_map(Result::err).collect()
    }

    /// How many a notice concerns.
    pub fn listeners(&self, notice: &Notice) -> usize {
        let concerned = self.addresses.iter().filter(|address| notice.concerns(address.kind));
        concerned.count()
    }

    /// The same, of those who listen for a sign of life alone. The others are told by somebody else.
    #[must_use]
    pub fn only_pings(mut self) -> Option<Self> {
        self.addresses.retain(|address| address.kind == AddressKind::Ping);
        (!self.addresses.is_empty()).then_some(self)
    }

    /// The same, without those who listen for a sign of life.
    #[must_use]
    pub fn without_pings(mut self) -> Option<Self> {
        self.addresses.retain(|address| address.kind != AddressKind::Ping);
        (!self.addresses.is_empty()).then_some(self)
    }
}
