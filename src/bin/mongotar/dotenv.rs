//! `.env` in the working directory: settings that are not in the environment yet, read as python-dotenv reads them.
//!
//! * `NAME=value`, with or without `export` before it and spaces around the `=`; `#` begins a comment at a line's
//!   start, and after a space in a value without quotes;
//! * a value in single quotes is literal (but `\\` and `\'` are escapes), so a password keeps its `$`; one in double
//!   quotes may have `\n`, `\t` and the like, and both may run over several lines;
//! * `${NAME}` and `${NAME:-otherwise}` are replaced in double quotes and without quotes, first from the environment,
//!   then from the lines above. A `$` without braces is a `$`;
//! * if a name occurs twice, the last one counts;
//! * any other line, or one with a NUL in it, is left out with a warning that gives only its number: most likely it is
//!   the one with the password.
//!
//! A wrong value is found later, by whoever uses it: [`blame`] then says where it stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use mongotar::failure::Failure;

use crate::printed::tell;

/// The name of the file, in the working directory and nowhere else.
const FILE: &str = ".env";

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Names and values, in their order.
    pub settings: Vec<Setting>,
    /// The numbers of the lines that could not be read.
    pub unread: Vec<usize>,
}

/// A name, its value, and the line that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub line: usize,
}

/// What the process has of the file.
static TAKEN: OnceLock<Vec<Setting>> = OnceLock::new();

/// The failure, with the lines of the file that it is about. Their values are not shown: one of them may be a password
/// behind the wrong name.
pub fn blame(failure: Failure) -> Failure {
    told(failure, TAKEN.get().map_or(&[], Vec::as_slice))
}

fn told(mut failure: Failure, taken: &[Setting]) -> Failure {
    let is_in = |message: &str, name: &str| {
        let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        message
            .match_indices(name)
            .any(|(at, _)| !message[..at].ends_with(part) && !message[at + name.len()..].starts_with(part))
    };
    let meant: Vec<&Setting> = taken
        .iter()
        .filter(|setting| is_in(&failure.message, &setting.name))
        .collect();
    for Setting { name, value, line } in meant {
        let shown = format!("{value:?}");
        // A connection string is never shown, and may have been given by an option as well.
        // What can be given by no option is the file's, whether its value is shown or not.
        let has_option = failure.message.contains("--");
        let is_its =
            failure.message.contains(&shown) || failure.message.starts_with("the connection string") || !has_option;
        if is_its {
            failure.message = failure.message.replace(&shown, "(not shown)");
            let end = if failure.message.ends_with('?') { "" } else { "." };
            failure
                .message
                .push_str(&format!("{end} {name} is set in {FILE}, line {line}"));
        }
    }
    failure
}

/// Reads the file, if there is one, and puts what it says into the environment, where that says nothing.
///
/// # Errors
/// If there is a file that cannot be read at all.
pub fn load() -> Result<(), Failure> {
    // To open a pipe is to wait for whoever writes to it.
    if std::fs::metadata(FILE).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        tell(&format!(
            "mongotar: {FILE} is a pipe or a device, not a file, and is ignored\n"
        ));
        return Ok(());
    }
    let bytes = match std::fs::read(Path::new(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // Virtual environments of Python are called so, too.
        Err(_) if Path::new(FILE).is_dir() => return Ok(()),
        Err(error) => return Err(Failure::invalid(format!("{FILE} cannot be read: {error}"))),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let way_out = "save it as UTF-8 (in PowerShell, Set-Content -Encoding utf8; its > writes UTF-16)";
        Failure::invalid(format!("{FILE}, line {line}: this is not UTF-8: {way_out}"))
    })?;
    let read = read(&text, |name| std::env::var(name).ok());
    for line in &read.unread {
        tell(&format!(
            "mongotar: {FILE}, line {line}: not NAME=value, an unclosed quote, or a NUL; the line is ignored\n"
        ));
    }
    let taken = read.taken(|name| std::env::var_os(name).is_some());
    set(&taken);
    TAKEN.get_or_init(|| taken);
    Ok(())
}

/// The library sets variables of the process, which nothing here may do by itself. It is given each setting by itself,
/// in its own way of quoting: it reads nothing behind a name that it refuses (`LOG-LEVEL`, `1X`), and nobody here asks
/// for such a name.
fn set(settings: &[Setting]) {
    for setting in settings {
        // A name that it refuses is no name of a setting.
        let _ = dotenvy::from_read(line_of(setting).as_bytes());
    }
}

fn line_of(Setting { name, value, .. }: &Setting) -> String {
    format!("{name}=\"{}\"\n", escaped(value))
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\\' | '"' | '$' => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
    }
    out
}

impl Read {
    /// What is not set already, the last of each name.
    fn taken(&self, is_set: impl Fn(&str) -> bool) -> Vec<Setting> {
        let all = self.settings.iter().filter(|setting| !is_set(&setting.name));
        let last: BTreeMap<&str, &Setting> = all.map(|setting| (setting.name.as_str(), setting)).collect();
        last.into_values().cloned().collect()
    }
}

/// Reads the text of such a file. `environment` has what is set already.
pub fn read(text: &str, environment: impl Fn(&str) -> Option<String>) -> Read {
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let (mut read, mut above, mut rest) = (Read::default(), BTreeMap::new(), text.as_str());
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return read;
        }
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let after_comment = rest.starts_with('#').then(|| next_line(rest));
        rest = match after_comment {
            Some(next) => next,
            None => match setting(rest) {
                Some((name, value, next)) if !value.text().contains('\0') => {
                    let value = value.replaced(|name| environment(name).or_else(|| above.get(name).cloned()));
                    above.insert(name.to_owned(), value.clone());
                    let name = name.to_owned();
                    read.settings.push(Setting { name, value, line });
                    next
                }
                Some(_) | None => {
                    read.unread.push(line);
                    next_line(rest)
                }
            },
        };
    }
}

/// A value as it is written.
enum Value {
    /// To be taken as it is.
    Verbatim(String),
    /// With names of variables in it.
    Open(String),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Self::Verbatim(text) | Self::Open(text) => text,
        }
    }

    fn replaced(self, variable: impl Fn(&str) -> Option<String>) -> String {
        let text = match self {
            Self::Verbatim(text) => return text,
            Self::Open(text) => text,
        };
        let (mut out, mut rest) = (String::new(), text.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let Some((within, next)) = after.split_once('}') else {
                break;
            };
            let (name, otherwise) = within.split_once(":-").unwrap_or((within, ""));
            out.push_str(before);
            out.push_str(&variable(name).unwrap_or_else(|| otherwise.to_owned()));
            rest = next;
        }
        out + rest
    }
}

/// The setting that the text begins with, and what comes after its line.
fn setting(text: &str) -> Option<(&str, Value, &str)> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let (name, after) = match text.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?,
        None => text.split_at(text.find(|letter: char| letter == '=' || letter == '#' || letter.is_whitespace())?),
    };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let blank = [' ', '\t'];
    let value = after
        .trim_start_matches(blank)
        .strip_prefix('=')?
        .trim_start_matches(blank);
    let (value, after) = match value.chars().next() {
        Some('\'') => {
            let (value, after) = quoted(value, '\'')?;
            (Value::Verbatim(value), after)
        }
        Some('"') => {
            let (value, after) = quoted(value, '"')?;
            (Value::Open(value), after)
        }
        _ => {
            let (line, _) = value.split_at(value.find('\n').unwrap_or(value.len()));
            return Some((
                name,
                Value::Open(without_comment(line).to_owned()),
                &value[line.len()..],
            ));
        }
    };
    let left = after.trim_start_matches(blank);
    match left.chars().next() {
        None | Some('\n') => Some((name, value, left)),
        Some('#') => Some((name, value, next_line(left))),
        Some(_) => None,
    }
}

/// What stands between the quotes, and what comes after them.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text[1..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|&(_, next)| next);
        match letter {
            letter if letter == quote => return Some((value, &text[1 + at + 1..])),
            '\\' => match next.and_then(|next| unescaped(next, quote)) {
                Some(meant) => {
                    value.push(meant);
                    letters.next();
                }
                None => value.push('\\'),
            },
            letter => value.push(letter),
        }
    }
    None
}

fn unescaped(letter: char, quote: char) -> Option<char> {
    match (letter, quote) {
        ('\\' | '\'', _) => Some(letter),
        ('"', '"') => Some('"'),
        ('n', '"') => Some('\n'),
        ('r', '"') => Some('\r'),
        ('t', '"') => Some('\t'),
        ('a', '"') => Some('\u{7}'),
        ('b', '"') => Some('\u{8}'),
        ('f', '"') => Some('\u{c}'),
        ('v', '"') => Some('\u{b}'),
        _ => None,
    }
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        if letter == '#' && before.is_whitespace() && at > 0 {
            return line[..at].trim_end();
        }
        before = letter;
    }
    line.trim_end()
}

fn next_line(text: &str) -> &str {
    text.find('\n').map_or("", |at| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        let environment = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        let read = read(text, environment);
        assert_eq!(read.unread, Vec::<usize>::new(), "{text:?}");
        let settings = read.settings.into_iter();
        settings.map(|setting| (setting.name, setting.value)).collect()
    }

    /// python-dotenv 1.x, `tests/test_parser.py` and `test_variables.py`, by their behaviour.
    #[test]
    fn a_value_is_read_as_python_dotenv_reads_it() {
        for (text, value) in [
            ("a=b", "b"),
            ("a = b ", "b"),
            ("export a=b", "b"),
            (" export \ta=b", "b"),
            ("'a'=b", "b"),
            ("a=b c", "b c"),
            ("a=b #c", "b"),
            ("a=b#c", "b#c"),
            ("a=#c", "#c"),
            ("a=", ""),
            ("a= ", ""),
            ("a='b c'", "b c"),
            ("a='b' # c", "b"),
            ("a='it\\'s \\\\ \\n'", "it's \\ \\n"),
            ("a=\"b \\\"c\\\" \\n\"", "b \"c\" \n"),
            ("a='b\nc'", "b\nc"),
            ("a=\"b\nc\"", "b\nc"),
            ("a='mongodb://u:pa$word@HOST/'", "mongodb://u:pa$word@HOST/"),
            ("a='${HOME}'", "${HOME}"),
            ("a=pa$word", "pa$word"),
            ("a=${HOME}/x", "/home/me/x"),
            ("a=\"${HOME}\"", "/home/me"),
            ("a=${NONE:-other}", "other"),
            ("a=x${NONE}y", "xy"),
            ("a=${HOME", "${HOME"),
            ("a=b\r", "b"),
            ("# c\n\n  # d\na=b\n", "b"),
            ("a=\u{e9}", "\u{e9}"),
        ] {
            assert_eq!(settings(text), [("a".to_owned(), value.to_owned())], "{text:?}");
        }
        assert_eq!(
            settings("a=1\nb=${a}2").last().map(|(_, value)| value.as_str()),
            Some("12")
        );
        assert_eq!(settings("\u{feff}a=1\r\nb='2'\rc=3").len(), 3);
    }

    #[test]
    fn a_line_that_is_none_is_left_out_by_its_number_and_the_others_are_read() {
        let text = "a=1\nmongodb://u:p@h/\nb='2' x\n\nc='3\nnothing here\nd=\"4\"\ne=hu\0sh\nf='\0'\ng=5";
        let read = read(text, |_| None);
        let names: Vec<&str> = read.settings.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(names, ["a", "d", "g"]);
        assert_eq!(read.unread, [2, 3, 5, 6, 8, 9]);
    }

    #[test]
    fn the_last_of_a_name_counts_and_what_is_set_already_stays() {
        let read = read("A=1\nB=2\nA=3\n", |_| None);
        let taken = read.taken(|name| name == "B");
        let line = |name: &str, value: &str, line| Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            line,
        };
        assert_eq!(taken, [line("A", "3", 3)]);
    }

    #[test]
    fn a_failure_about_a_value_names_its_line_and_hides_the_value() {
        let taken = read("MONGOTAR_MEMORY=hunter2\nMONGOTAR=x\n", |_| None).settings;
        let told = |message: &str| told(Failure::invalid(message), &taken).message;
        assert_eq!(
            told("MONGOTAR_MEMORY, --memory: \"hunter2\" is no number"),
            "MONGOTAR_MEMORY, --memory: (not shown) is no number. MONGOTAR_MEMORY is set in .env, line 1"
        );
        // What was given otherwise is none of the file's.
        let other = "MONGOTAR_MEMORY, --memory: \"1x\" is no number";
        assert_eq!(told(other), other);
        assert_eq!(
            told("MONGOTAR is two"),
            "MONGOTAR is two. MONGOTAR is set in .env, line 2"
        );
        assert_eq!(
            told("is MONGOTAR two?"),
            "is MONGOTAR two? MONGOTAR is set in .env, line 2"
        );
    }

    /// The setter has a way of quoting of its own.
    #[test]
    fn what_was_read_is_set_as_it_was_read() {
        for value in [
            "pa$word ${HOME} $HOME",
            "a \"b\" 'c' \\n \\",
            "two\nlines",
            "",
            " # no comment",
            "\t\r\u{7}",
        ] {
            let setting = Setting {
                name: "A".to_owned(),
                value: value.to_owned(),
                line: 1,
            };
            let set = dotenvy::from_read_iter(line_of(&setting).as_bytes())
                .next()
                .expect("one")
                .expect("readable");
            assert_eq!(set, (setting.name, setting.value));
        }
    }
}
