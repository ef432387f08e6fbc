//! A plan as text, for a terminal.

use std::fmt;

use super::{Action, Inferred, Method, Planned, RestorePlan, Signal};
use crate::wording::{on_one_line, shown};

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self
            .source_database
            .as_deref()
            .map(|name| format!(", made of database {}", shown(name)));
        writeln!(
            f,
            "archive   {} ({}{})",
            shown(&self.archive.location),
            self.status,
            source.unwrap_or_default()
        )?;
        writeln!(f, "database  {}", shown(&self.database))?;
        let totals = &self.totals;
        writeln!(
            f,
            "restore   {} collections ({} of them new), {} documents{}, {} bytes",
            totals.collections,
            self.to_create.len(),
            totals.documents,
            self.of_buckets(),
            totals.bytes
        )?;
        let uncounted = match totals.uncounted_collections {
            0 => String::new(),
            uncounted => format!(", and all of {uncounted} time series, which the server does not count"),
        };
        writeln!(
            f,
            "lose      {} documents in {} collections that are dropped, up to {} in collections that are replaced{uncounted}",
            totals.documents_to_drop, totals.collections_to_drop, totals.documents_to_replace
        )?;
        writeln!(f)?;
        table(f, &self.collections)?;
        section(f, "lost", self.of_rows(|row| row.lost.clone().into_iter().collect()))?;
        section(f, "archive and target differ", self.of_rows(differences))?;
        section(
            f,
            "time series",
            self.of_rows(|row| row.timeseries.iter().map(time_series).collect()),
        )?;
        let warnings = self.warnings.iter().cloned();
        section(
            f,
            "warnings",
            warnings.chain(self.of_rows(|row| row.warnings.clone())).collect(),
        )?;
        writeln!(f, "\nconfirm   {}", self.confirm)
    }
}

impl RestorePlan {
    /// How many of the documents are buckets of time series, if any: ` (4 of them buckets of time series)`.
    pub(crate) fn of_buckets(&self) -> String {
        let with_buckets = self.collections.iter().filter(|row| row.buckets.is_some());
        match with_buckets.map(|row| row.documents).sum() {
            0_u64 => String::new(),
            buckets => format!(" ({buckets} of them buckets of time series)"),
        }
    }

    /// What there is to say of single collections, each with its name.
    fn of_rows(&self, said: impl Fn(&Planned) -> Vec<String>) -> Vec<String> {
        let lines = |row| {
            said(row)
                .into_iter()
                .map(|line| format!("{}: {line}", shown(&row.name)))
        };
        self.collections.iter().flat_map(lines).collect()
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: Vec<String>) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    // Names, messages and `_id`s in it may hold line breaks.
    lines.iter().try_for_each(|line| writeln!(f, "- {}", on_one_line(line)))
}

fn differences(row: &Planned) -> Vec<String> {
    let diffs = [("options", &row.options_diff), ("indexes", &row.index_diff)];
    let diffs = diffs.iter().filter(|(_, diff)| !diff.is_empty());
    diffs.map(|(what, diff)| format!("{what} {diff}")).collect()
}

fn time_series(inferred: &Inferred) -> String {
    let signal = match inferred.signal {
        Signal::Metadata => "metadata",
        Signal::Buckets => "buckets",
        Signal::Sample => "sample",
    };
    let time = Some(format!("time {}", shown(&inferred.time_field)));
    let meta = inferred
        .meta_field
        .as_deref()
        .map(|field| format!("meta {}", shown(field)));
    let granularity = inferred
        .granularity
        .as_deref()
        .map(|word| format!("granularity {}", shown(word)));
    let fields: Vec<String> = [time, meta, granularity].into_iter().flatten().collect();
    format!("by {signal}: {} ({})", inferred.evidence, fields.join(", "))
}

fn table(f: &mut fmt::Formatter<'_>, collections: &[Planned]) -> fmt::Result {
    const HEAD: [&str; 7] = ["action", "collection", "kind", "documents", "present", "method", "why"];
    const RIGHT: [bool; 7] = [false, false, false, true, true, false, false];
    let rows: Vec<[String; 7]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(collections.iter().map(row))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for ((cell, &width), right) in row.iter().zip(&widths).zip(RIGHT) {
            match right {
                true => line.push_str(&format!("{cell:>width$}  ")),
                false => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(planned: &Planned) -> [String; 7] {
    let name = match &planned.source {
        Some(source) if *source != planned.name => format!("{} (from {})", shown(&planned.name), shown(source)),
        _ => shown(&planned.name),
    };
    let documents = match (&planned.source, &planned.buckets) {
        (None, _) => "-".to_owned(),
        (_, None) => planned.documents.to_string(),
        (_, Some(buckets)) => format!("{} in {} buckets", buckets.measurements, planned.documents),
    };
    [
        word(planned.action).to_owned(),
        name,
        planned.kind.to_string(),
        documents,
        planned
            .documents_present
            .map_or_else(|| "-".to_owned(), |count| count.to_string()),
        method(planned.method).to_owned(),
        on_one_line(&planned.reason),
    ]
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Replace => "replace",
        Action::Merge => "merge",
        Action::Drop => "drop",
        Action::Skip => "skip",
    }
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Aside => "aside",
        Method::AsideAfterDrop => "aside, after drop",
        Method::InPlace => "in place",
        Method::None => "-",
    }
}
