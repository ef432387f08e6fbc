//! Reports on archives, and on the databases they are compared with.

use std::fmt::Write as _;

use mongotar::archive::{ArchiveKind, Saved, SavedStatus};
use mongotar::backup::RunStatus;
use mongotar::catalog::Kind;
use mongotar::inspect::{CoverageReport, ListedArchive, ListedChanges, Shown, Summary};
use mongotar::verify::{AgainstReport, Comparison, VerifyReport};

use super::{in_it, left_out, unsaid, word};
use crate::plain::one_line;
use crate::table::{megabytes, row, table};

pub fn verify(report: &VerifyReport) -> String {
    let mut rows = vec![row(&[&"collection", &"documents", &"read", &"digest", &"equal"])];
    for checked in &report.collections {
        let equal = if checked.equal { "yes" } else { "NO" };
        rows.push(row(&[
            &checked.name,
            &checked.documents,
            &checked.documents_read,
            &checked.digest,
            &equal,
        ]));
    }
    let mut out = table(&rows);
    for line in report.damaged.iter().chain(&report.warnings) {
        note!(out, "{line}");
    }
    if report.status == RunStatus::Partial {
        note!(out, "{}", report.summary);
    }
    line!(
        out,
        "{}: {} segments, {} in {}",
        word(report.status),
        report.segments,
        megabytes(report.archive_bytes),
        report.archive
    );
    out
}

pub fn against(report: &AgainstReport) -> String {
    let mut rows = vec![row(&[&"collection", &"kind", &"archive", &"database", &"equal"])];
    let mut notes = String::new();
    for compared in &report.collections {
        let count = |side: Option<mongotar::verify::Side>| {
            side.map_or_else(|| "-".to_owned(), |side| side.documents.to_string())
        };
        let equal = match compared.outcome {
            Comparison::Equal => "yes",
            Comparison::Drifted => "NO",
            Comparison::Parked => "but expiry",
            Comparison::Missing => "MISSING",
            Comparison::Extra => "EXTRA",
            Comparison::NotCompared => "not compared",
        };
        rows.push(row(&[
            &compared.name,
            &compared.kind,
            &count(compared.archive),
            &count(compared.database),
            &equal,
        ]));
        let name = &row(&[&compared.name])[0];
        for difference in &compared.differences {
            note!(notes, "{name}: {difference}");
        }
        if !compared.unknown.is_empty() {
            note!(
                notes,
                "{name}: not compared, since the archive lacks them: {}",
                compared.unknown.join(", ")
            );
        }
    }
    for line in report.damaged.iter().chain(report.warnings.iter().filter(unsaid)) {
        note!(notes, "{line}");
    }
    let mut out = table(&rows) + &notes;
    let equal = report
        .collections
        .iter()
        .filter(|compared| compared.outcome == Comparison::Equal);
    let parked = match report.parked.len() {
        0 => String::new(),
        parked => format!(" {parked} but for their expiry,"),
    };
    line!(
        out,
        "{}: {} of {} collections are equal,{parked} {} drifted, {} missing, {} extra, {} not compared: {} against {}, {:.1} s",
        word(report.status),
        equal.count(),
        report.collections.len(),
        report.drifted.len(),
        report.missing.len(),
        report.extra.len(),
        report.not_compared.len(),
        report.archive,
        report.database,
        report.seconds
    );
    out
}

pub fn list(archives: &[ListedArchive]) -> String {
    let mut rows = vec![row(&[
        &"archive",
        &"size",
        &"database",
        &"kind",
        &"status",
        &"collections",
        &"documents",
    ])];
    let mut notes = String::new();
    for listed in archives {
        let size = megabytes(listed.bytes);
        rows.push(match &listed.summary {
            Some(summary) => row(&[
                &listed.archive,
                &size,
                &summary.database,
                &kind(summary),
                &listed.status,
                &summary.collections,
                &summary.documents,
            ]),
            None => row(&[&listed.archive, &size, &"-", &"-", &listed.status]),
        });
        if let Some(summary) = &listed.summary
            && let (Some(changes), Some(parent)) = (&summary.changes, &summary.parent)
        {
            note!(notes, "{}: {}", listed.archive, since(changes, parent.as_str()));
        }
        if let Some(reason) = &listed.reason {
            note!(notes, "{}: {reason}", listed.archive);
        }
        let abandoned = listed.summary.as_ref().map_or(0, |summary| summary.abandoned_bytes);
        if abandoned > 0 {
            note!(notes, "{}: {} of it is abandoned", listed.archive, megabytes(abandoned));
        }
    }
    table(&rows) + &notes
}

fn kind(summary: &Summary) -> &'static str {
    match summary.kind {
        ArchiveKind::Increment => "increment",
        _ => "full",
    }
}

/// What an increment holds, for a person.
fn since(changes: &ListedChanges, parent: &str) -> String {
    let ListedChanges {
        changed,
        removed,
        whole,
    } = changes;
    let whole = match whole {
        0 => String::new(),
        1 => "; 1 collection is in it whole".to_owned(),
        many => format!("; {many} collections are in it whole"),
    };
    format!("{changed} documents changed and {removed} are gone since {parent}{whole}")
}

pub fn coverage(report: &CoverageReport) -> String {
    let mut rows = vec![row(&[&"chain", &"database", &"from", &"to", &"moments", &"widest"])];
    for chain in &report.chains {
        let widest = format!("{} s", chain.widest);
        rows.push(row(&[
            &chain.base,
            &chain.database,
            &chain.from,
            &chain.to,
            &chain.boundaries,
            &widest,
        ]));
    }
    let mut out = table(&rows);
    for chain in report.chains.iter().filter(|chain| chain.unproven > 0) {
        note!(
            out,
            "{} of the moments of {} rest on the word of the server alone: verify or drill the archive {}",
            chain.unproven,
            chain.base,
            chain.last
        );
    }
    for (chain, span) in report
        .chains
        .iter()
        .flat_map(|chain| chain.every_second.iter().map(move |span| (chain, span)))
    {
        note!(
            out,
            "every second of {} from {} to {} can be restored",
            chain.database,
            span.from,
            span.to
        );
    }
    for hole in &report.holes {
        note!(
            out,
            "a hole: nothing of {} between {} and {} can be restored",
            hole.database,
            hole.from,
            hole.to
        );
    }
    for apart in &report.apart {
        note!(out, "{apart}");
    }
    out
}

/// What is said before `cat` writes the buckets of a time series.
pub fn buckets_follow(collection: &str, measurements: u64) -> String {
    format!(
        "mongotar: the archive has {} as the buckets in which a server keeps its {measurements} measurements: what follows are buckets, as they \
         are. Restore it into another database (--mongo-db) to read the measurements\n",
        one_line(&format!("{collection:?}"))
    )
}

/// What is said behind what `cat` wrote of a collection that the archive does not have whole.
pub fn cut_short(collection: &str, why: Option<&str>) -> String {
    let why = why.unwrap_or("the archive does not have it whole");
    let (collection, why) = (format!("{collection:?}"), one_line(why));
    format!(
        "mongotar: {} is partial, and this is not all of it: {why}\n",
        one_line(&collection)
    )
}

/// What is said where a folder has no archives.
pub fn nothing_there(folder: &str) -> String {
    format!("mongotar: there is no archive of mongotar in {}\n", one_line(folder))
}

/// What became of a collection since an increment's parent; nothing is said where nothing did.
fn became(saved: &Saved) -> Option<String> {
    match &saved.delta {
        None if saved.kind == Kind::View => None,
        None => Some("all of it is in the increment".to_owned()),
        Some(delta) if delta.documents + delta.removed == 0 => None,
        Some(delta) => Some(format!(
            "{} documents changed, {} are gone",
            delta.documents, delta.removed
        )),
    }
}

fn measurements(shown: &Shown, collection: &str) -> Option<u64> {
    match shown {
        Shown::Native(_) => None,
        Shown::Foreign(foreign) => foreign.measurements.get(collection).copied(),
    }
}

pub fn show(shown: &Shown) -> String {
    let (head, collections) = match shown {
        Shown::Native(manifest) => (
            format!(
                "{}: {}, database {}, {} to {}, payload {}, compression {}, consistency {}",
                manifest.name,
                manifest.status,
                manifest.source.database,
                manifest.created,
                manifest.finished,
                manifest.payload,
                manifest.compression,
                manifest.consistency
            ),
            &manifest.collections,
        ),
        Shown::Foreign(foreign) => (
            format!("{}: a foreign archive, {}", foreign.archive, foreign.status),
            &foreign.collections,
        ),
    };
    let mut out = format!("{}\n", one_line(&head));
    let mut rows = vec![row(&[
        &"collection",
        &"kind",
        &"documents",
        &"BSON",
        &"indexes",
        &"digest",
    ])];
    for saved in collections {
        let bytes = megabytes(saved.bytes);
        let documents = match measurements(shown, &saved.name) {
            Some(measurements) => format!("{measurements} in {} buckets", saved.documents),
            None => saved.documents.to_string(),
        };
        rows.push(row(&[
            &saved.name,
            &saved.kind,
            &documents,
            &bytes,
            &saved.indexes.len(),
            &saved.digest,
        ]));
    }
    out.push_str(&table(&rows));
    for saved in collections.iter().filter(|saved| saved.status != SavedStatus::Complete) {
        let (name, status) = (
            row(&[&saved.name]).concat(),
            format!("{:?}", saved.status).to_lowercase(),
        );
        let why = saved.error.as_deref().unwrap_or("no reason is recorded");
        note!(out, "{name} is {status}: {why}");
    }
    match shown {
        Shown::Native(manifest) => {
            if let Some(continues) = &manifest.continues {
                let changes = ListedChanges::of(manifest).unwrap_or_default();
                let since = since(&changes, continues.parent.as_str());
                note!(out, "an increment: {since}, in the chain of {}", continues.base);
                for saved in &manifest.collections {
                    if let Some(said) = became(saved) {
                        note!(out, "{}: {said}", row(&[&saved.name]).concat());
                    }
                }
            }
            for saved in manifest.collections.iter().filter(|saved| !saved.abandoned.is_empty()) {
                let (name, bytes) = (row(&[&saved.name]).concat(), megabytes(saved.abandoned_bytes()));
                note!(out, "{name} was read anew: {bytes} of the archive is abandoned");
            }
            left_out(&manifest.left_out, &mut out);
            if let Some(saved) = &manifest.users {
                note!(out, "{}", in_it(saved.users, saved.roles));
            }
        }
        Shown::Foreign(foreign) => {
            for warning in &foreign.warnings {
                note!(out, "{warning}");
            }
        }
    }
    out
}
