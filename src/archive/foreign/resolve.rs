//! From entries to collections: which folder is meant, and what its stems are called.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::aside::Aside;
use super::covered::coverage;
use super::found::{Content, DumpFolder, File, Found, is_chosen};
use super::member::{Written, unescaped};
use super::metadata::Described;
use super::omissions::{example, is_of_server, note_set_aside, packed};
use super::parts::Parts;
use super::{Choice, Container, ForeignError, Layout, Signals, Survey};
use crate::archive::{Coverage, EntryName, Payload, SavedStatus, Status};
use crate::catalog::{BUCKETS, Definition, is_system};
use crate::ordered::map;

/// Makes a survey of what was found.
///
/// # Errors
/// If there is no collection, no single folder that is meant, or one collection twice.
pub(super) fn resolve(mut found: Found, choice: &Choice, container: Container) -> Result<Survey, ForeignError> {
    leave_oplogs_out(&mut found);
    let (path, mut folder) = choose(&mut found, choice)?;
    let more = note_set_aside(&mut found, &path, choice);
    let layout = layout(&path, &folder);
    // What our own backup could not read to its end is understood: it is named, and nobody takes it for whole.
    let unfinished = |file: &&File| file.path.ends_with(".partial");
    let all_files = folder.files.iter().chain(&folder.buckets);
    for file in all_files.filter(|file| !unfinished(file)) {
        if let Content::Read { fault: Some(_), .. } | Content::Unusable(_) = file.content {
            let reason = || format!("{:?} cannot be read whole", file.path);
            found.incomplete.get_or_insert_with(reason);
        }
        if let Content::Read { fault: Some(fault), .. } = &file.content {
            found.damaged.push(fault.clone());
        }
    }
    let faults = folder
        .definitions
        .values()
        .filter_map(|described| described.fault.clone());
    found.damaged.extend(faults);
    let names = Names::of(&folder, layout);
    let mut parts: BTreeMap<String, Parts> = BTreeMap::new();
    for file in std::mem::take(&mut folder.buckets) {
        let name = names.of_stem(&file.stem, file.form);
        let part = parts.entry(name.clone()).or_default();
        if let Some(first) = &part.buckets {
            return Err(twice(&name, &first.path, &file.path));
        }
        part.buckets = Some(file);
    }
    let mut knows_indexes = false;
    for (name, described) in definitions(&folder, &names)? {
        knows_indexes |= described.has_indexes;
        parts.entry(name).or_default().described = Some(described);
    }
    let unreadable = folder.unreadable;
    let metadata = folder.all_definitions.is_some() || !folder.definitions.is_empty() || !folder.indexes.is_empty();
    let described: BTreeSet<&str> = parts.keys().map(String::as_str).collect();
    let files: Vec<String> = folder
        .files
        .iter()
        .map(|file| names.of_stem(&file.stem, file.form))
        .collect();
    let all = files.iter().map(String::as_str).chain(described).collect();
    let said = coverage(layout, &path, &folder.files, folder.manifest.as_ref(), &all);
    for file in folder.files {
        let name = names.of_stem(&file.stem, file.form);
        let part = parts.entry(name.clone()).or_default();
        match &part.file {
            None => match part
                .buckets
                .as_ref()
                .filter(|buckets| are_documents_too(buckets, &file))
            {
                None => part.file = Some(file),
                Some(buckets) => {
                    return Err(ForeignError::Twice {
                        collection: name,
                        first: buckets.path.clone(),
                        second: file.path,
                    });
                }
            },
            Some(first) => {
                return Err(twice(&name, &first.path, &file.path));
            }
        }
    }
    for (name, indexes) in folder.indexes {
        // Of what the dump left out, and of the server's own collections, nothing is made.
        let Some(part) = parts.get_mut(&name).filter(|_| !is_system(&name)) else {
            continue;
        };
        let described = part.described.get_or_insert_default();
        let name = |index: &Definition| index.get_str("name").unwrap_or_default().to_owned();
        let mut known = BTreeSet::new();
        for index in &described.indexes {
            known.insert(name(index));
        }
        described
            .indexes
            .extend(indexes.into_iter().filter(|index| !known.contains(&name(index))));
        described.has_indexes = true;
        knows_indexes = true;
    }
    let mut warnings = found.warnings;
    if !metadata && !unreadable {
        warnings.push("the archive has no definitions: options, validators, views and indexes are unknown".to_owned());
    } else if !knows_indexes {
        warnings.push("the archive's definitions have no indexes".to_owned());
    }
    let mut signals = Signals {
        metadata,
        collections: BTreeMap::new(),
    };
    let mut readings = BTreeMap::new();
    let mut collections = Vec::new();
    for (name, part) in parts {
        signals.collections.extend(part.seen().map(|seen| (name.clone(), seen)));
        let mut saved = part.saved(&name, &mut warnings);
        if let Some(broken) = folder.manifest.as_ref().and_then(|promise| promise.broken_by(&saved)) {
            saved.status = SavedStatus::Partial;
            saved.error = Some(broken.clone());
            found.incomplete.get_or_insert_with(|| broken.clone());
            found.damaged.push(broken);
        }
        readings.extend(part.reading(&saved));
        collections.push(saved);
    }
    let whole = collections.iter().all(|saved| saved.status == SavedStatus::Complete)
        && found.incomplete.is_none()
        && !unreadable;
    let database = path
        .rsplit('/')
        .next()
        .filter(|name| layout == Layout::Mongodump && !name.is_empty())
        .map(str::to_owned);
    let coverage = match found.incomplete.clone().or(more) {
        Some(reason) => Coverage::Part(reason),
        None => said,
    };
    let mut survey = Survey {
        layout,
        database,
        collections,
        signals,
        incomplete: found.incomplete,
        damaged: found.damaged,
        coverage,
        warnings,
        digest: String::new(),
        status: if whole { Status::Complete } else { Status::Partial },
        readings,
        container,
    };
    survey.digest = digest(&survey);
    Ok(survey)
}

/// `mongodump --oplog` puts the oplog beside the folders of the databases; where nothing was changed during the dump,
/// it is empty. A collection of that name has a definition.
fn leave_oplogs_out(found: &mut Found) {
    let mut oplogs = Vec::new();
    for (path, folder) in &mut found.folders {
        let all = folder.all_definitions.iter().flatten().map(|(name, _)| name.as_str());
        if folder.definitions.contains_key("oplog") || all.into_iter().any(|name| name == "oplog") {
            continue;
        }
        folder.files.retain(|file| {
            let is_oplog = file.stem == "oplog" && file.form == Written::Bson;
            if is_oplog {
                let is_empty = file.size == 0
                    || matches!(&file.content, Content::Read { tally, fault: None } if tally.outline.documents() == 0);
                let aside = if is_empty { Aside::Oplog } else { Aside::CalledOplog };
                oplogs.push((path.clone(), file.path.clone(), aside));
            }
            !is_oplog
        });
    }
    for (folder, path, aside) in oplogs {
        found.set_aside(&folder, &path, aside);
    }
}

fn choose(found: &mut Found, choice: &Choice) -> Result<(String, DumpFolder), ForeignError> {
    let mut candidates: Vec<&String> = found
        .folders
        .iter()
        .filter(|(_, folder)| !folder.is_empty())
        .map(|(path, _)| path)
        .collect();
    if candidates.is_empty() {
        if let Some(refusal) = packed(found) {
            return Err(refusal);
        }
        return Err(ForeignError::NoCollections {
            entries: found.entries,
            example: example(found),
        });
    }
    let shown = |path: &&String| {
        if path.is_empty() {
            "(no folder)".to_owned()
        } else {
            format!("{path:?}")
        }
    };
    let ambiguous = ForeignError::ChooseDatabase {
        chosen: choice.database.clone(),
        databases: candidates.iter().map(shown).collect(),
    };
    match &choice.database {
        Some(name) => {
            candidates.retain(|path| is_chosen(path, name));
            // A whole path is clearer than the name that it ends in.
            if candidates.len() > 1 && candidates.contains(&name) {
                candidates = vec![name];
            }
        }
        None => {
            // The server's own is meant only where it is the last. One of the others without documents may be meant,
            // too: it has definitions.
            candidates = narrowed(candidates, |path| !is_of_server(path));
        }
    }
    let [path] = candidates[..] else { return Err(ambiguous) };
    let path = path.clone();
    let folder = found.folders.remove(&path).unwrap_or_default();
    let left: Vec<String> = found
        .folders
        .iter()
        .filter(|(_, folder)| !folder.is_empty())
        .map(|(path, folder)| match folder.holds_something() {
            true => path.clone(),
            false => format!("{path} (it holds no documents)"),
        })
        .collect();
    if !left.is_empty() {
        found.warnings.push(format!(
            "of several folders, {path:?} is read; left out: {}",
            left.join(", ")
        ));
    }
    Ok((path, folder))
}

/// Those of several that are so, if any is.
fn narrowed(mut candidates: Vec<&String>, are_so: impl Fn(&&String) -> bool) -> Vec<&String> {
    if candidates.len() > 1 && candidates.iter().any(&are_so) {
        candidates.retain(|path| are_so(path));
    }
    candidates
}

fn layout(path: &str, folder: &DumpFolder) -> Layout {
    let all = folder.all_definitions.as_deref();
    if folder.manifest.is_some() || all.is_some_and(|all| all.iter().any(|(_, described)| described.has_indexes)) {
        Layout::Mongotar
    } else if !folder.definitions.is_empty() || folder.files.iter().any(|file| file.form == Written::Bson) {
        Layout::Mongodump
    } else if all.is_some()
        || folder.unreadable
        || path.rsplit('/').next().is_some_and(|name| name.starts_with("backup_"))
    {
        Layout::Ancestor
    } else {
        Layout::Export
    }
}

/// What stems stand for.
struct Names {
    layout: Layout,
    /// Names that escaping alone does not give back: cut ones, by their stems.
    known: BTreeMap<(String, Written), String>,
}

impl Names {
    fn of(folder: &DumpFolder, layout: Layout) -> Self {
        let mut known = BTreeMap::new();
        for (stem, described) in &folder.definitions {
            if let Some(name) = &described.name {
                known.insert((plain(stem).to_owned(), Written::Bson), plain(name).to_owned());
            }
        }
        let all = folder
            .all_definitions
            .iter()
            .flatten()
            .filter(|_| layout == Layout::Mongotar);
        for (name, _) in all {
            for (form, payload) in [(Written::Json, Payload::Jsonl), (Written::Bson, Payload::Bson)] {
                let file = EntryName::new(name, payload).whole();
                let stem = file
                    .strip_suffix(payload.extension())
                    .and_then(|stem| stem.strip_suffix('.'));
                known.insert((stem.unwrap_or(&file).to_owned(), form), name.clone());
            }
        }
        Self { layout, known }
    }

    fn of_stem(&self, stem: &str, form: Written) -> String {
        match self.known.get(&(stem.to_owned(), form)) {
            Some(name) => name.clone(),
            None if form == Written::Bson || self.layout == Layout::Mongotar => unescaped(stem, form),
            None => stem.to_owned(),
        }
    }
}

/// A time series goes by the name that people give it, not by that of its buckets.
fn plain(name: &str) -> &str {
    name.strip_prefix(BUCKETS).unwrap_or(name)
}

/// All definitions by collection; a file of its own says more than the file for all.
///
/// # Errors
/// If two files of their own say different things of one.
fn definitions(folder: &DumpFolder, names: &Names) -> Result<Vec<(String, Described)>, ForeignError> {
    let mut own: BTreeMap<String, (&String, &Described)> = BTreeMap::new();
    for (stem, described) in &folder.definitions {
        let name = names.of_stem(plain(stem), Written::Bson);
        match own.insert(name.clone(), (stem, described)) {
            Some((first, other)) if other != described => {
                let path = |stem| folder.definition_paths.get(stem).map_or("", String::as_str);
                return Err(twice(&name, path(first), path(stem)));
            }
            _ => {}
        }
    }
    let all = folder.all_definitions.iter().flatten().cloned();
    let own = own.into_iter().map(|(name, (_, described))| (name, described.clone()));
    Ok(all.chain(own).filter(|(name, _)| !is_system(name)).collect())
}

fn twice(collection: &str, first: &str, second: &str) -> ForeignError {
    ForeignError::Twice {
        collection: collection.to_owned(),
        first: first.to_owned(),
        second: second.to_owned(),
    }
}

/// Whether a time series' buckets and the file of its own name both hold documents: nobody can tell whether they are
/// the same.
fn are_documents_too(buckets: &File, file: &File) -> bool {
    let holds = |content: &Content| matches!(content, Content::Read { tally, .. } if tally.outline.documents() > 0);
    holds(&buckets.content) && holds(&file.content)
}

fn digest(survey: &Survey) -> String {
    let seen = map(survey.signals.collections.iter().map(|(name, seen)| {
        let digest = seen.digest_by_fields.to_string();
        let measurements = seen.held.map(|held| held.measurements);
        (name, (seen.described, seen.buckets, digest, measurements))
    }));
    let readings = survey.readings.iter();
    let entries: Vec<(&str, u64)> = readings.map(|(path, reading)| (path.as_str(), reading.size)).collect();
    let mut hasher = blake3::Hasher::new();
    for piece in [
        text_of(&(survey.layout, &survey.database, &survey.collections)),
        text_of(&(&survey.incomplete, format!("{:?}", survey.coverage))),
        text_of(&(survey.signals.metadata, seen)),
        text_of(&entries),
    ] {
        hasher.update(&piece);
    }
    hasher.finalize().to_hex().to_string()
}

fn text_of(piece: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(piece).expect("text and numbers only, and every key is text")
}
