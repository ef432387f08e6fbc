//! Which archives a chain has (FORMAT 5): what an increment says of the one that it continues, and whether that is it.
//!
//! Everybody who walks a chain asks here: the reader by the manifests within archives, the writer and `coverage` by
//! those beside them.

use super::{ArchiveName, ClusterTime, Continues, FOOTER_SUFFIX, Manifest};

/// One archive, as a walk through its chain sees it.
#[derive(Clone, Debug)]
pub(crate) struct ChainMember {
    pub(crate) name: ArchiveName,
    pub(crate) database: String,
    pub(crate) time: Option<ClusterTime>,
    pub(crate) continues: Option<Continues>,
    /// Whether its moment rests on the server's word alone.
    pub(crate) is_unproven: bool,
    /// BLAKE3 of its manifest's text.
    pub(crate) text: blake3::Hash,
    /// How many bytes its object has.
    pub(crate) bytes: u64,
    /// How many it has at least, by its manifest.
    least: u64,
}

/// The archives of a chain's folder.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// Those that lead back to the base, the oldest first.
    pub(crate) members: Vec<ChainMember>,
    /// Those that do not, and why.
    pub(crate) apart: Vec<(ArchiveName, String)>,
}

impl ChainMember {
    /// By its manifest, the hash of that, and the size of the object.
    pub(crate) fn of(manifest: &Manifest, text: blake3::Hash, bytes: u64) -> Self {
        let regions = manifest.entries().map(|entry| &entry.header);
        let headers = regions.map(|header| header.offset.saturating_add(header.length));
        let segments = manifest.entries().flat_map(|entry| &entry.segments);
        let ends = headers.chain(segments.filter_map(|segment| segment.extent.end()));
        Self {
            name: manifest.name.clone(),
            database: manifest.source.database.clone(),
            time: manifest.consistency.cluster_time,
            continues: manifest.continues.clone(),
            is_unproven: manifest.consistency.unproven.is_some(),
            text,
            bytes,
            least: ends.max().unwrap_or(0).saturating_add(FOOTER_SUFFIX),
        }
    }

    /// How many archives its chain has before it.
    pub(crate) fn place(&self) -> u64 {
        self.continues.as_ref().map_or(0, |continues| continues.place)
    }

    /// How many bytes those have that its chain has up to it.
    pub(crate) fn bytes_to_here(&self) -> u64 {
        let before = self.continues.as_ref().map_or(0, |continues| continues.bytes);
        before.saturating_add(self.bytes)
    }

    /// That its object can be all of it, as far as its manifest tells.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_size(&self) -> Result<(), String> {
        match self.bytes < self.least {
            true => Err(format!("{} was cut: it has {} bytes", self.name, self.bytes)),
            false => Ok(()),
        }
    }

    /// That it continues another archive, which is as it was then.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_parent(&self, parent: &Self) -> Result<(), String> {
        let Some(continues) = &self.continues else {
            return Err(format!("{} continues nothing", self.name));
        };
        let name = &parent.name;
        if !self.is_child_of(parent) {
            return Err(format!(
                "{name} is not the archive that it continues, but another one of that name"
            ));
        }
        let base = parent.continues.as_ref().map_or(name, |before| &before.base);
        let fits = base == &continues.base
            && parent.place() + 1 == continues.place
            && parent.time == Some(continues.from)
            && parent.database == self.database;
        if !fits {
            return Err(format!("it does not fit the archive that it continues, {name}"));
        }
        if parent.bytes_to_here() != continues.bytes {
            return Err(format!(
                "{name}, which it continues, was cut or altered: it has {} bytes, and had another number",
                parent.bytes
            ));
        }
        Ok(())
    }

    /// Whether it names another archive as its parent, by name and by hash.
    fn is_child_of(&self, parent: &Self) -> bool {
        let continues = self.continues.as_ref();
        continues.is_some_and(|continues| continues.parent == parent.name && continues.manifest == parent.text)
    }
}

/// Which of the increments in a chain's folder lead back to its base.
pub(crate) fn joined(base: &ChainMember, mut increments: Vec<ChainMember>) -> Joined {
    increments.sort_by(|one, other| (one.place(), &one.name).cmp(&(other.place(), &other.name)));
    let mut found = Joined::default();
    let mut cut: Vec<ArchiveName> = Vec::new();
    for (number, child) in increments.iter().enumerate() {
        let mut parents = increments[..number].iter().rev().chain([base]);
        let parent = parents.find(|parent| child.is_child_of(parent));
        let before = child.continues.as_ref().map_or(0, |continues| continues.bytes);
        cut.extend(
            parent
                .filter(|parent| parent.bytes_to_here() != before)
                .map(|parent| parent.name.clone()),
        );
    }
    if let Err(why) = base.check_size() {
        found.apart.push((base.name.clone(), why));
    } else if cut.contains(&base.name) {
        found.apart.push((base.name.clone(), was_cut(base)));
    }
    for member in increments {
        let checked = match &member.continues {
            None => Err(format!("it is no increment, but lies in the chain of {}", base.name)),
            Some(_) if cut.contains(&member.name) => Err(was_cut(&member)),
            Some(continues) => {
                let known = |name: &&ChainMember| name.name == continues.parent;
                let parent = match continues.place {
                    1 => Some(base).filter(known),
                    _ => found.members.iter().rev().find(known),
                };
                match parent {
                    Some(parent) if cut.contains(&parent.name) => Err(was_cut(parent)),
                    Some(parent) => member.check_size().and_then(|()| member.check_parent(parent)),
                    None if found.apart.iter().any(|(name, _)| *name == continues.parent) => {
                        Err(format!("{}, which it continues, cannot be restored", continues.parent))
                    }
                    None => Err(format!("{}, which it continues, is missing", continues.parent)),
                }
            }
        };
        match checked {
            Ok(()) => found.members.push(member),
            Err(why) => found.apart.push((member.name, why)),
        }
    }
    found
}

fn was_cut(member: &ChainMember) -> String {
    format!(
        "{} was cut or altered: it has {} bytes, and had another number when it was continued",
        member.name, member.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn name(second: u64) -> ArchiveName {
        let second = i64::try_from(second).expect("small");
        ArchiveName::at(OffsetDateTime::from_unix_timestamp(1_795_000_000 + second).expect("a time"))
    }

    fn time(second: u64) -> ClusterTime {
        let t = u32::try_from(second).expect("small");
        ClusterTime { t, i: 1 }
    }

    /// A base and three increments.
    fn chain() -> (ChainMember, Vec<ChainMember>) {
        let base = ChainMember {
            is_unproven: false,
            name: name(0),
            database: "shop".to_owned(),
            time: Some(time(0)),
            continues: None,
            text: blake3::hash(b"0"),
            bytes: 5_000,
            least: 1_000,
        };
        let mut members = vec![base.clone()];
        for place in 1..=3 {
            let parent = &members[members.len() - 1];
            members.push(ChainMember {
                name: name(place),
                time: Some(time(place)),
                continues: Some(Continues {
                    base: base.name.clone(),
                    parent: parent.name.clone(),
                    manifest: parent.text,
                    from: parent.time.expect("a time"),
                    place,
                    bytes: parent.bytes_to_here(),
                    journal: true,
                }),
                text: blake3::hash(place.to_string().as_bytes()),
                ..base.clone()
            });
        }
        (members.remove(0), members)
    }

    fn apart(base: &ChainMember, members: Vec<ChainMember>) -> Vec<String> {
        let found = joined(base, members);
        found
            .apart
            .into_iter()
            .map(|(name, why)| format!("{name}: {why}"))
            .collect()
    }

    #[test]
    fn a_whole_chain_is_joined_in_any_order() {
        let (base, mut members) = chain();
        members.reverse();
        // A second one that continues the same archive is a moment of its own.
        let mut fork = members[0].clone();
        (fork.name, fork.text) = (name(9), blake3::hash(b"9"));
        members.push(fork);
        let found = joined(&base, members);
        assert!(found.apart.is_empty(), "{:?}", found.apart);
        let places: Vec<u64> = found.members.iter().map(ChainMember::place).collect();
        assert_eq!(places, [1, 2, 3, 3]);
    }

    #[test]
    fn what_is_missing_cut_or_exchanged_ends_it() {
        let (base, members) = chain();
        let without: Vec<ChainMember> = members.iter().filter(|member| member.place() != 2).cloned().collect();
        let said = apart(&base, without);
        assert!(said.len() == 1 && said[0].contains("is missing"), "{said:?}");

        for bytes in [0, 4_999, 5_001] {
            let mut cut = members.clone();
            cut[1].bytes = bytes;
            let said = apart(&base, cut);
            assert!(said.len() == 2 && said[0].contains("was cut"), "{said:?}");
            assert!(said[1].contains("cannot be restored"), "{said:?}");
            let mut cut = base.clone();
            cut.bytes = bytes;
            assert_eq!(apart(&cut, members.clone()).len(), 4);
        }
        // Nothing has continued the last: what its manifest tells is known.
        let mut cut = members.clone();
        cut[2].bytes = 999;
        assert_eq!(apart(&base, cut).len(), 1);

        let mut other = members.clone();
        other[1].text = blake3::hash(b"another");
        let said = apart(&base, other);
        assert!(
            said.len() == 1 && said[0].contains("another one of that name"),
            "{said:?}"
        );
        let mut other = base.clone();
        other.text = blake3::hash(b"another");
        assert_eq!(apart(&other, members.clone()).len(), 3);

        let mut alien = members;
        alien[1].database = "other".to_owned();
        assert!(apart(&base, alien)[0].contains("does not fit"));
    }
}
