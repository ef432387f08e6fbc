//! Where results go beside standard output.

use clap::Args;

#[derive(Debug, Args)]
pub struct CountsTo {
    /// Write a row for each collection to this CSV file (RFC 4180; replaces an existing file), or with - to standard
    /// output; the text then goes to standard error. Names are written as they are: a spreadsheet may take one for a
    /// formula.
    #[arg(long, value_name = "FILE.csv")]
    pub counts: Option<String>,
}

#[derive(Debug, Args)]
pub struct MetricsTo {
    /// When the command ends, replace this file with what came of it, for Prometheus (node_exporter's textfile
    /// collector reads *.prom). One file for each operation and database.
    #[arg(long, value_name = "FILE.prom")]
    pub metrics: Option<String>,
}
