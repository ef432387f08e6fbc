//! First reads through whatever will be changed in place.

use std::time::Instant;

use super::collections::by_source;
use super::outcome::{Outcome, Outcomes};
use super::work::{Restoring, Stop, hashing};
use crate::backup::cancelled;
use crate::catalog::Kind;
use crate::open::not_what_was_promised;
use crate::plan::{Method, Planned};
use crate::run::SAVED_EVERY;

impl Restoring<'_> {
    /// What is loaded beside is checked by loading it. What is changed in place would be half changed by the time at
    /// which damage shows, so it is read twice. (An archive of others has been read through already, to survey it.)
    /// Only failures are returned.
    pub(super) async fn check_in_place(&self) -> Result<Outcomes, Stop> {
        let in_place = |row: &Planned| row.method == Method::InPlace && row.kind != Kind::View;
        let mut broken = Outcomes::new();
        if self.prepared.archive.manifest().is_none() {
            return Ok(broken);
        }
        let mut rows: Vec<(usize, &Planned)> = self.chosen(in_place);
        rows.retain(|(place, _)| !self.record.check_of(*place).whole);
        let wanted = rows
            .iter()
            .filter_map(|(place, row)| Some((row.source.clone()?, hashing(row), self.record.check_of(*place).passed)));
        let by_source = by_source(&rows);
        let mut streams = self.prepared.archive.documents_behind(wanted.collect());
        while let Some(mut stream) = streams.recv().await {
            let Some(&(place, row)) = by_source.get(&*stream.name) else {
                continue;
            };
            self.tools.progress.step(format!("checking {}", row.name));
            let (mut check, mut saved_at) = (self.record.check_of(place), Instant::now());
            let checked = loop {
                if self.tools.cancel.is_cancelled() {
                    break Err(cancelled());
                }
                match stream.chunks.recv().await {
                    Some(Ok(chunk)) => {
                        check.read.merge(&chunk.digest);
                        check.passed += chunk.digest.documents();
                        self.record.put_check(place, check);
                        self.end_if_late()?;
                        if saved_at.elapsed() >= SAVED_EVERY {
                            self.record.save_if_possible().await?;
                            saved_at = Instant::now();
                        }
                    }
                    Some(Err(failure)) => break Err(failure),
                    None => {
                        break match row.expected_digest() {
                            Some(expected) if expected != check.read => {
                                Err(not_what_was_promised(&check.read, &expected))
                            }
                            _ => Ok(()),
                        };
                    }
                }
            };
            if let Err(failure) = checked {
                broken.insert(place, Outcome::failed(failure.at(&row.name)));
                break;
            }
            check.whole = true;
            self.record.put_check(place, check);
        }
        Ok(broken)
    }
}
