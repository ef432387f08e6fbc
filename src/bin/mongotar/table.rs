//! Tables, and the contents of their cells.

/// A name that is longer than this makes its own row longer, and not all of them.
const LONG: usize = 48;

/// A table whose columns are as wide as their widest cell, but for long names; the first column is left-aligned, the
/// others are right-aligned.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| Some(row.get(column)?.chars().count()))
                .filter(|width| column > 0 || *width <= LONG)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            match column {
                0 => out.extend(["  ", cell, &padding]),
                _ => out.extend(["  ", &padding, cell]),
            }
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

pub fn row(cells: &[&dyn std::fmt::Display]) -> Vec<String> {
    // A name may hold line breaks and control characters; here it must stay on its line.
    cells
        .iter()
        .map(|cell| {
            cell.to_string()
                .escape_debug()
                .to_string()
                .replace("\\'", "'")
                .replace("\\\"", "\"")
        })
        .collect()
}

pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_does_not_move_the_columns_of_others() {
        let long = "x".repeat(120);
        let shown = table(&[
            row(&[&"name", &"documents"]),
            row(&[&long, &7]),
            row(&[&"orders", &1_000]),
        ]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "  name    documents");
        assert_eq!(lines[1], format!("  {long}          7"));
        assert_eq!(lines[2], "  orders       1000");
    }
}
