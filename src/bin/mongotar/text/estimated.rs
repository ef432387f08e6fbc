//! An estimate as text.

use std::fmt::Write as _;

use mongotar::backup::EstimateReport;

use crate::plain::one_line;
use crate::table::{megabytes, row, table};

/// What backups would take and cost.
pub fn estimate(report: &EstimateReport) -> String {
    let mut rows = vec![row(&[&"collection", &"documents", &"BSON", &"in the archive", &"read"])];
    rows.extend(report.collections.iter().map(|one| {
        let documents = one
            .documents
            .map_or_else(|| "?".to_owned(), |documents| documents.to_string());
        let read = if one.is_whole { "to its end" } else { "in part" };
        row(&[
            &one.name,
            &documents,
            &megabytes(one.bytes),
            &megabytes(one.archive_bytes),
            &read,
        ])
    }));
    let mut out = table(&rows);
    let (backup, month) = (&report.backup, &report.month);
    let _ = write!(
        out,
        "\nRead for {:.0} s: {}.\nA backup by a function of {} MB: {:.0} s in {} invocations, {:.0} GB-seconds, {} requests to S3: \
         {:.4}\nA month of {} backups: {:.2}; what is kept in S3 Standard: {:.2}, with monthly and yearly archives in \
         GLACIER_IR: {:.2}\n",
        report.read_seconds,
        megabytes(report.read.bytes),
        backup.memory,
        backup.seconds,
        backup.invocations,
        backup.gb_seconds,
        backup.requests,
        backup.cost,
        month.backups,
        month.backups_cost,
        month.storage_cost,
        month.storage_cost_glacier_ir,
    );
    let _ = writeln!(out, "Prices: {}.", one_line(&report.prices));
    for note in &report.notes {
        let _ = writeln!(out, "! {}", one_line(note));
    }
    let _ = writeln!(out, "{}", one_line(&report.summary));
    out
}
