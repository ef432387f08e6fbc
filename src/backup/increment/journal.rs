//! The journal of an increment: when the documents of a collection changed, and what they were in between.
//!
//! The change stream says when; what a document was at that time, a snapshot read at that very time says. So there is
//! nothing to replay here either, and a moment in between is as exact as the increment's end. Only documents that
//! changed several times need it: before its first change a document is as in the parent, after its last one as in the
//! increment.
//!
//! A document that changes a thousand times a second would take as many reads. Where that becomes too many, one for
//! each second is left, of all that changed in it, at the time of its last change.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::super::lane::Lane;
use super::changed::{ChangedIds, Event};
use super::entries::SmallEntry;
use super::lookup::{Lookup, digest_of, is_out_of_history};
use crate::archive::{ClusterTime, Entry, EntryName, JournalMoment, SavedJournal, gone_line};
use crate::digest::Digest;
use crate::failure::Failure;
use crate::mongo::{IdList, id_key};
use crate::open::split_documents;

/// How many times what a collection was in between is looked up, at the most.
const MOST_LOOKUPS: usize = 20_000;
/// How many lookups are on their way at a time. Most are of a single document.
const AT_A_TIME: usize = 6;

/// Why no moment between the two times can be read of a collection.
pub(super) struct NotTold {
    pub(super) why: String,
    /// What has been written in vain.
    pub(super) abandoned: Option<Entry>,
}

impl From<&str> for NotTold {
    fn from(why: &str) -> Self {
        Self {
            why: why.to_owned(),
            abandoned: None,
        }
    }
}

/// Writes the journal of a collection; none if nothing changed. `states` are what each document hashes to at both
/// times, `before` is what the collection came to at the first.
pub(super) async fn write(
    lane: &mut Lane<'_>,
    (name, lookup): (&EntryName, &Lookup),
    ids: &ChangedIds,
    (states, before): (&[(Digest, Digest)], Digest),
) -> Result<Result<Option<SavedJournal>, NotTold>, Failure> {
    let Some(events) = &ids.events else {
        return Ok(Err("more of it changed, and more often, than fits into memory".into()));
    };
    if events.is_empty() {
        return Ok(Ok(None));
    }
    let (mut times, mut seconds) = (Timeline::of(events.clone()), false);
    if times.lookups(ids.at_a_time).count() > MOST_LOOKUPS {
        (times, seconds) = (times.by_seconds(), true);
        if times.lookups(ids.at_a_time).count() > MOST_LOOKUPS {
            return Ok(Err("too much of it changed several times".into()));
        }
    }
    let [lines, between] = name.journal();
    let documents: Vec<u8> = ids.lists.iter().flat_map(|list| list.documents()).collect();
    let documents: Vec<&[u8]> = split_documents(&documents).collect();
    let mut entry = None;
    let lookups = times.lookups(ids.at_a_time).map(|changes| {
        let asked = changes.iter().map(|&place| documents[times.number(place)]);
        let (asked, at) = (Arc::new(IdList::of(asked)), times.changes[changes[0]].0);
        let (lookup, first) = (lookup.clone(), Arc::clone(&asked));
        async move { (changes, at, lookup.states(first, at).await) }
    });
    let mut hashes = vec![Digest::default(); times.changes.len()];
    let mut lookups = std::pin::pin!(stream::iter(lookups).buffered(AT_A_TIME));
    while let Some((changes, at, mut found)) = lookups.next().await {
        lane.tools.may_go_on()?;
        loop {
            let (found_documents, more) = match found {
                Ok(found) => found,
                Err(error) if is_out_of_history(&error) => {
                    let abandoned = match entry {
                        Some(entry) => Some(SmallEntry::end(entry, lane).await?),
                        None => None,
                    };
                    let why = format!("the server no longer has what it was in between ({})", error.reason);
                    return Ok(Err(NotTold { why, abandoned }));
                }
                Err(error) => return Err(error.into()),
            };
            for document in split_documents(&found_documents) {
                // One whose `_id` is equal to one that was asked for, and not the same, is another one.
                let number = id_key(document).and_then(|key| ids.known.get(&key));
                let Some(place) = number.and_then(|&number| times.place(&changes, number)) else {
                    continue;
                };
                hashes[place] = digest_of(document);
                let entry = entry.get_or_insert_with(|| SmallEntry::begin(lane, between.clone()));
                entry.push(lane, document).await?;
            }
            let Some(more) = more.filter(|more| !more.is_empty()) else {
                break;
            };
            found = lookup.clone().states(Arc::new(more), at).await;
        }
    }
    let between = match entry {
        Some(entry) => Some(entry.end(lane).await?),
        None => None,
    };
    let moments = times.moments(&hashes, states, before);
    let mut entry = SmallEntry::begin(lane, lines);
    for (changes, moment) in times.backwards().zip(moments.iter().rev()) {
        entry.push(lane, moment.line().as_bytes()).await?;
        for place in changes {
            let document = documents[times.number(place)];
            match (times.is_last[place], hashes[place] == Digest::default()) {
                (true, _) => entry.push(lane, document).await?,
                (false, true) => {
                    if let Some(line) = gone_line(document) {
                        entry.push(lane, line.as_bytes()).await?;
                    }
                }
                // It is among the states.
                (false, false) => {}
            }
        }
    }
    let lines = entry.end(lane).await?;
    Ok(Ok(Some(SavedJournal {
        lines,
        states: between,
        seconds,
    })))
}

/// When what changed.
#[derive(Debug)]
struct Timeline {
    /// Each change once, the first first.
    changes: Vec<Event>,
    /// Of each, whether the document did not change again.
    is_last: Vec<bool>,
}

impl Timeline {
    fn of(mut changes: Vec<Event>) -> Self {
        changes.sort_unstable();
        changes.dedup();
        let documents = changes.iter().map(|&(_, number)| number).max();
        let mut is_done = vec![false; documents.map_or(0, |most| most as usize + 1)];
        let mut is_last: Vec<bool> = Vec::with_capacity(changes.len());
        for &(_, number) in changes.iter().rev() {
            is_last.push(!std::mem::replace(&mut is_done[number as usize], true));
        }
        is_last.reverse();
        Self { changes, is_last }
    }

    /// The same, as if all changes of a second were at the time of the last of them.
    fn by_seconds(mut self) -> Self {
        let mut last = ClusterTime { t: 0, i: 0 };
        for (time, _) in self.changes.iter_mut().rev() {
            if time.t != last.t {
                last = *time;
            }
            *time = last;
        }
        Self::of(self.changes)
    }

    fn number(&self, place: usize) -> usize {
        self.changes[place].1 as usize
    }

    /// Which of some changes at one time is that of a document.
    fn place(&self, changes: &[usize], number: u32) -> Option<usize> {
        let found = changes.binary_search_by_key(&number, |&place| self.changes[place].1);
        found.ok().map(|found| changes[found])
    }

    /// The changes of each time, the last time first.
    fn backwards(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut end = self.changes.len();
        std::iter::from_fn(move || {
            let (time, _) = *self.changes.get(end.checked_sub(1)?)?;
            let begin = self.changes[..end].partition_point(|&(other, _)| other < time);
            Some(begin..std::mem::replace(&mut end, begin))
        })
    }

    /// Which changes are looked up together: those of one time, of documents that changed again.
    fn lookups(&self, at_a_time: usize) -> impl Iterator<Item = Vec<usize>> {
        self.backwards().flat_map(move |changes| {
            let again: Vec<usize> = changes.filter(|&place| !self.is_last[place]).collect();
            let lookups: Vec<Vec<usize>> = again.chunks(at_a_time.max(1)).map(<[usize]>::to_vec).collect();
            lookups
        })
    }

    /// What the collection came to at each time, the first first.
    fn moments(&self, hashes: &[Digest], states: &[(Digest, Digest)], before: Digest) -> Vec<JournalMoment> {
        let mut current: Vec<Digest> = states.iter().map(|(old, _)| *old).collect();
        let (mut moments, mut digest): (Vec<JournalMoment>, _) = (Vec::new(), before);
        for (place, &(at, _)) in self.changes.iter().enumerate() {
            let number = self.number(place);
            let state = match self.is_last[place] {
                true => states[number].1,
                false => hashes[place],
            };
            digest.merge(&state);
            digest = digest.without(&std::mem::replace(&mut current[number], state));
            let is_kept = u64::from(!self.is_last[place] && state != Digest::default());
            match moments.last_mut().filter(|moment| moment.at == at) {
                Some(moment) => (moment.digest, moment.states) = (digest, moment.states + is_kept),
                None => moments.push(JournalMoment {
                    at,
                    digest,
                    states: is_kept,
                }),
            }
        }
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn at(t: u32, i: u32) -> ClusterTime {
        ClusterTime { t, i }
    }

    fn digest(n: i32) -> Digest {
        digest_of(rawdoc! {"_id": 0, "n": n}.as_bytes())
    }

    /// Documents 0, 1 and 2: changed twice, deleted and inserted again, changed once.
    fn times() -> Timeline {
        let told = [
            (at(5, 1), 0),
            (at(5, 2), 1),
            (at(5, 9), 0),
            (at(5, 9), 0),
            (at(6, 1), 1),
            (at(6, 1), 2),
        ];
        Timeline::of(told.to_vec())
    }

    #[test]
    fn what_changed_again_is_looked_up_and_nothing_else() {
        let times = times();
        assert_eq!(times.is_last, [false, false, true, true, true]);
        assert_eq!(times.backwards().collect::<Vec<_>>(), [3..5, 2..3, 1..2, 0..1]);
        assert_eq!(times.lookups(10).collect::<Vec<_>>(), [vec![1], vec![0]]);
        assert_eq!((times.place(&[3, 4], 2), times.place(&[3, 4], 0)), (Some(4), None));
        let seconds = times.by_seconds();
        assert_eq!(
            seconds.changes,
            [(at(5, 9), 0), (at(5, 9), 1), (at(6, 1), 1), (at(6, 1), 2)]
        );
        assert_eq!(seconds.lookups(10).collect::<Vec<_>>(), [vec![1]]);
    }

    #[test]
    fn each_time_has_what_the_collection_came_to() {
        let none = Digest::default();
        let states = [(digest(1), digest(3)), (digest(10), digest(11)), (none, digest(20))];
        let mut before = digest(1);
        before.merge(&digest(10));
        // Document 0 was 2 in between, document 1 was gone.
        let hashes = [digest(2), none, none, none, none];
        let moments = times().moments(&hashes, &states, before);
        let sum = |of: &[i32]| {
            let mut sum = Digest::default();
            of.iter().for_each(|&n| sum.merge(&digest(n)));
            sum
        };
        let told: Vec<_> = moments
            .iter()
            .map(|moment| (moment.at, moment.digest, moment.states))
            .collect();
        assert_eq!(
            told,
            [
                (at(5, 1), sum(&[2, 10]), 1),
                (at(5, 2), sum(&[2]), 0),
                (at(5, 9), sum(&[3]), 0),
                (at(6, 1), sum(&[3, 11, 20]), 0),
            ]
        );
    }
}
