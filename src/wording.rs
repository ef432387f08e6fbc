//! Numbers, sizes and lists in sentences for people: the `summary` of every report.

/// How many names with their reasons a sentence has room for; the report has all of them.
const NAMED: usize = 3;
/// The longest reason within a sentence, in characters.
const LONGEST: usize = 160;

/// A number with its thousands apart, and its noun: `1 document`, `1,234 documents`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in decimal units, to two or three digits: `999 bytes`, `4.5 kB`, `45 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let value = bytes as f64;
    // What would be rounded up to a thousand of one unit is one of the next.
    let fitting = UNITS.iter().find(|(unit, _)| value >= unit * 0.9995);
    match fitting {
        None => count(bytes, "byte"),
        Some((unit, name)) if value / unit < 9.95 => format!("{:.1} {name}", value / unit),
        Some((unit, name)) => format!("{:.0} {name}", value / unit),
    }
}

/// A length of time, to what a person wants to know: `0.4 s`, `12 s`, `14 min`, `7 h`, `3 days`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 9.95 => format!("{:.1} s", short.max(0.0)),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// The first few of what went wrong, and how many there are besides.
pub(crate) fn first_few(all: impl IntoIterator<Item = String>) -> String {
    let mut all = all.into_iter();
    let named: Vec<String> = all.by_ref().take(NAMED).map(|one| on_one_line(&one)).collect();
    match all.count() {
        0 => named.join("; "),
        more => format!("{}; and {} more", named.join("; "), grouped(more as u64)),
    }
}

/// How what is said of an archive's users ends, for those who have not asked for them.
pub(crate) const USERS_RESTORED: &str = "--users restores them, after the collections";
/// The same, of the members of a dump that have them.
pub(crate) const USERS_LEFT_OUT: &str = "users and roles come back with --users only";

/// A name and what happened to it.
pub(crate) fn with_reason(name: &str, reason: &str) -> String {
    match reason {
        "" => name.to_owned(),
        reason => format!("{name} ({})", shortened(reason)),
    }
}

/// What is said of bytes of an archive that nobody needs.
pub(crate) fn abandoned(collection: &str, bytes: u64) -> Option<String> {
    let said = || {
        format!(
            "{}: it was read anew, since the replica set member that served it was gone; {} of the archive hold what was read before, and are not needed",
            on_one_line(collection),
            size(bytes)
        )
    };
    (bytes > 0).then(said)
}

/// A name as one harmless piece of a line: control characters would rewrite the terminal.
pub(crate) fn shown(name: &str) -> String {
    match name.is_empty() || name.contains(char::is_control) {
        true => format!("{name:?}"),
        false => name.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// A collection can be called anything; a notification has one line for it.
pub(crate) fn on_one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (number, text) in [(0, "0 documents"), (1, "1 document"), (999, "999 documents")] {
            assert_eq!(count(number, "document"), text);
        }
        assert_eq!(count(1_234_567, "document"), "1,234,567 documents");
        assert_eq!(count(u64::MAX, "byte"), "18,446,744,073,709,551,615 bytes");
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (45_400_000, "45 MB"),
            (999_499_999, "999 MB"),
            (999_999_999, "1.0 GB"),
            (7_000_000_000_000, "7.0 TB"),
            (70_000_000_000_000_000, "70000 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (-1.0, "0.0 s"),
            (0.42, "0.4 s"),
            (12.3, "12 s"),
            (119.4, "119 s"),
            (840.0, "14 min"),
            (25_200.0, "7 h"),
            (259_200.0, "3 days"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_list_is_cut_after_a_few_and_stays_on_one_line() {
        let all = |many: usize| first_few((0..many).map(|at| with_reason(&format!("c{at}"), "no")));
        assert_eq!(all(0), "");
        assert_eq!(all(3), "c0 (no); c1 (no); c2 (no)");
        assert_eq!(all(1_004), "c0 (no); c1 (no); c2 (no); and 1,001 more");
        assert_eq!(first_few(["a\nb\u{7}".to_owned()]), "a\\nb\\u{7}");
        let long = with_reason("orders", &"ä".repeat(500));
        assert_eq!(long.chars().count(), "orders ()".len() + LONGEST + 1, "{long}");
    }
}
