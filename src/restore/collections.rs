//! Which collections are loaded beside, which in place, and how many at a time.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::outcome::{Outcome, Outcomes};
use super::work::{Restoring, Stop, hashing};
use crate::catalog::Kind;
use crate::failure::Failure;
use crate::open::{CollectionStream, room, room_for};
use crate::plan::{Method, Planned};

/// What becomes of the other collections where one cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Nothing has been changed yet, and nothing will be.
    Stop,
    /// Other collections have been changed already: the rest is not made better by leaving it out.
    GoOn,
}

impl<'a> Restoring<'a> {
    /// Reads through what will be changed in place, then loads all collections that can be renamed into place. Existing
    /// data does not change.
    pub(super) async fn load_beside(&self) -> Result<Outcomes, Stop> {
        let beside = |planned: &Planned| matches!(planned.method, Method::Aside | Method::AsideAfterDrop);
        let broken = self.check_in_place().await?;
        if !broken.is_empty() {
            return Ok(broken);
        }
        let mut outcomes = self
            .load_all(AfterFailure::Stop, |planned| {
                planned.kind != Kind::View && beside(planned)
            })
            .await?;
        // Outcomes that were never begun, or are not done, because of an earlier failure say so.
        for (place, planned) in self.rows() {
            if planned.action.restores() && planned.kind != Kind::View && beside(planned) {
                outcomes.entry(place).or_insert_with(|| Outcome {
                    temporary: self.record.is_kept().then(|| self.temporary(place)),
                    ..Outcome::failed(Failure::new(
                        crate::failure::FailureKind::Store,
                        "not begun, because of an earlier failure",
                    ))
                });
            }
        }
        Ok(outcomes)
    }

    /// Loads the rows that are chosen, begun in the order in which the archive gives them; small ones several at a
    /// time.
    pub(super) async fn load_all(
        &self,
        after: AfterFailure,
        chosen: impl Fn(&Planned) -> bool,
    ) -> Result<Outcomes, Stop> {
        let mut rows = self.chosen(chosen);
        let mut outcomes = Outcomes::new();
        let mut loaded = Vec::new();
        rows.retain(
            |&(place, row)| match (self.record.outcome(place), self.record.going(place)) {
                (Some(outcome), _) => {
                    outcomes.insert(place, outcome);
                    false
                }
                (None, Some(going)) if going.whole => {
                    loaded.push((place, row));
                    false
                }
                _ => true,
            },
        );
        let mut paused = false;
        let mut done = |place: usize, outcome: Option<Outcome>, outcomes: &mut Outcomes| {
            let Some(outcome) = outcome else {
                paused = true;
                return true;
            };
            let passes = outcome.error.as_ref().is_some_and(Failure::passes);
            let ends = outcome.error.is_some() && (after == AfterFailure::Stop || passes && self.record.is_kept());
            let is_final = outcome.error.is_none() || after == AfterFailure::GoOn && !passes;
            if is_final {
                self.record.put_outcome(place, outcome.clone());
            }
            outcomes.insert(place, outcome);
            ends
        };
        let mut ended = false;
        for (place, row) in loaded {
            if !ended {
                let (place, _, outcome) = self.one(place, row, None).await;
                ended = done(place, outcome, &mut outcomes);
            }
        }
        let wanted = rows.iter().filter_map(|(place, row)| {
            let going = self.record.going(*place);
            let passed = going
                .filter(|_| !self.begins_anew(*place, row))
                .map_or(0, |going| going.passed);
            Some((row.source.clone()?, hashing(row), passed))
        });
        let mut streams = self.prepared.archive.documents_behind(wanted.collect());
        let mut working = FuturesUnordered::new();
        // What has come and has no room yet.
        let mut next: Option<(usize, &'a Planned, CollectionStream)> = None;
        let by_source = by_source(&rows);
        let most = room(self.tools.memory);
        let mut room = most;
        loop {
            if let Some((place, row, stream)) = next.take_if(|(_, row, _)| room >= room_for(row.bytes, most)) {
                room -= room_for(row.bytes, most);
                working.push(self.one(place, row, Some(stream)));
            }
            tokio::select! {
                Some((place, row, outcome)) = working.next(), if !working.is_empty() => {
                    room += room_for(row.bytes, most);
                    // What has been begun is taken to its end, since a driver call must not be dropped half-way;
                    // nothing more is begun.
                    if done(place, outcome, &mut outcomes) {
                        ended = true;
                        next = None;
                    }
                }
                stream = streams.recv(), if next.is_none() && !ended => match stream {
                    Some(stream) => {
                        next = by_source.get(&*stream.name).map(|&(place, row)| (place, row, stream));
                    }
                    None => ended = true,
                },
                else => break,
            }
        }
        // It is said what went wrong, rather than to go on with what cannot be put into its place.
        let failed = after == AfterFailure::Stop && outcomes.values().any(|outcome| outcome.error.is_some());
        self.is_ours()?;
        self.keep_what_passes(&outcomes)?;
        match paused && !failed {
            true => Err(Stop::Paused),
            false => Ok(outcomes),
        }
    }

    /// What came of a collection; nothing if the time was up before.
    async fn one(
        &self,
        place: usize,
        row: &'a Planned,
        stream: Option<CollectionStream>,
    ) -> (usize, &'a Planned, Option<Outcome>) {
        let outcome = match self.may_go_on() {
            Err(failure) => Some(Outcome::failed(failure)),
            Ok(()) if self.must_pause() => None,
            Ok(()) => self.load_one(place, row, stream).await,
        };
        (place, row, outcome)
    }
}

/// The rows by the collections of the archive that they are filled from.
pub(super) fn by_source<'a>(rows: &[(usize, &'a Planned)]) -> HashMap<&'a str, (usize, &'a Planned)> {
    let of = |&(place, row): &(usize, &'a Planned)| Some((row.source.as_deref()?, (place, row)));
    rows.iter().filter_map(of).collect()
}
