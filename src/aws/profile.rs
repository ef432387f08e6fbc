//! The files of profiles (`~/.aws/config`, `~/.aws/credentials`), as far as their settings must be looked at.
//!
//! The SDK reads them by itself, and ignores one that it cannot read. The grammar is the SDK's.

/// What both count as space.
const SPACE: [char; 2] = [' ', '\t'];

/// A line of a file: a setting, or, where the key is empty, the beginning of a section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// `profile x` of profiles, in both files; otherwise what stands between the brackets.
    pub(super) section: String,
    /// Of a setting below another one: `s3.endpoint_url`.
    pub(super) key: String,
    pub(super) value: String,
    pub(super) number: usize,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileKind {
    Config,
    Credentials,
}

/// All lines that say something.
///
/// # Errors
/// The number of the first line that says nothing, and what it should be.
pub(super) fn parsed(text: &str, kind: ProfileKind) -> Result<Vec<Line>, (usize, &'static str)> {
    let mut lines: Vec<Line> = Vec::new();
    let mut above = String::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim_matches(SPACE).is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('\u{feff}') {
            return Err((
                number,
                "begins with a byte order mark: save the file as UTF-8 without one",
            ));
        }
        if line.starts_with('[') {
            let name = without_comment(line, false).trim_start_matches('[');
            let name = name
                .strip_suffix(']')
                .ok_or((number, "begins a section: end it with ]"))?;
            above.clear();
            lines.push(Line {
                section: section(name, kind),
                key: String::new(),
                value: String::new(),
                number,
            });
            continue;
        }
        let Some(last) = lines.last_mut() else {
            return Err((number, "stands before the first section, such as [default]"));
        };
        let indented = line.starts_with(SPACE);
        if indented && last.key.is_empty() {
            return Err((
                number,
                "is indented, and continues nothing: remove the spaces before it",
            ));
        }
        if indented && above.is_empty() {
            last.value.push('\n');
            last.value.push_str(line.trim_matches(SPACE));
            continue;
        }
        let pair = without_comment(line, true).split_once('=');
        let (key, value) = pair.ok_or((number, "is no setting: write NAME = VALUE, or # before a comment"))?;
        let (key, value) = (key.trim_matches(SPACE).to_ascii_lowercase(), value.trim_matches(SPACE));
        if key.is_empty() {
            return Err((number, "has no name before the ="));
        }
        let section = last.section.clone();
        let key = match indented {
            true => [above.as_str(), &key].join("."),
            false => {
                above.clear();
                if value.is_empty() {
                    above.push_str(&key);
                }
                key
            }
        };
        lines.push(Line {
            section,
            key,
            value: value.to_owned(),
            number,
        });
    }
    Ok(lines)
}

fn section(name: &str, kind: ProfileKind) -> String {
    let words: Vec<&str> = name.split(SPACE).filter(|word| !word.is_empty()).collect();
    let name = words.join(" ");
    match kind == ProfileKind::Credentials || name == "default" {
        true => ["profile ", &name].concat(),
        false => name,
    }
}

fn without_comment(line: &str, after_space: bool) -> &str {
    let begins = |at: usize| !after_space || line[..at].ends_with(char::is_whitespace);
    let comment = line.match_indices(['#', ';']).find(|(at, _)| begins(*at));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim_matches(SPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_settings_and_what_is_below_them() {
        let text = "# mine\n[default] ; first\nregion = eu-west-1 # near\n\n[profile  there]\r\nS3 =\n  endpoint_url = http://h\nrole = a\n b\n[services x]\n";
        let lines = parsed(text, ProfileKind::Config).expect("it is right");
        let all: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.section.as_str(),
                    line.key.as_str(),
                    line.value.as_str(),
                    line.number,
                )
            })
            .collect();
        assert_eq!(
            all,
            [
                ("profile default", "", "", 2),
                ("profile default", "region", "eu-west-1", 3),
                ("profile there", "", "", 5),
                ("profile there", "s3", "", 6),
                ("profile there", "s3.endpoint_url", "http://h", 7),
                ("profile there", "role", "a\nb", 8),
                ("services x", "", "", 10),
            ]
        );
        let lines = parsed("[there]\na=b\n", ProfileKind::Credentials).expect("it is right");
        assert_eq!(lines[1].section, "profile there");
    }

    #[test]
    fn a_line_that_says_nothing_is_told_by_its_number_alone() {
        for (text, number, says) in [
            ("region = x\n", 1, "before the first section"),
            ("\n[default\n", 2, "end it with ]"),
            ("[default]\nregion\n", 2, "NAME = VALUE"),
            ("[default]\n= x\n", 2, "no name"),
            ("[default]\n  region = x\n", 2, "remove the spaces"),
            ("[default]\ns3 =\n  endpoint_url\n", 3, "NAME = VALUE"),
            ("\u{feff}[default]\n", 1, "byte order mark"),
        ] {
            let (at, what) = parsed(text, ProfileKind::Config).expect_err(text);
            assert!(at == number && what.contains(says), "{text}: {at} {what}");
        }
    }
}
