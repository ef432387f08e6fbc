//! Connection strings on the command line: where one is allowed, and where it is refused before anything quotes it.

use std::ffi::OsString;

use mongotar::failure::Failure;
use mongotar::hidden::holds_one;

/// The options that are meant for one.
const MEANT: [&str; 2] = ["--mongo-uri", "--against"];

/// Refuses a connection string in the place of anything else, by that place's name.
pub fn check(arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let mut option = String::new();
    for argument in arguments.skip(1) {
        let argument = argument.to_string_lossy().into_owned();
        let (name, value) = match argument.split_once('=').filter(|(name, _)| name.starts_with("--")) {
            Some((name, _)) if holds_one(name) => ("", argument.as_str()),
            Some((name, value)) => (name, value),
            None => (option.as_str(), argument.as_str()),
        };
        let place = match holds_one(value) {
            false => None,
            true if MEANT.contains(&name) => None,
            true if name.starts_with('-') && !holds_one(name) => Some(name),
            true => Some("an argument"),
        };
        if let Some(place) = place {
            return Err(Failure::invalid(format!(
                "{place} holds a connection string, which is not shown here: it belongs in MONGO_URI, or in --mongo-uri"
            )));
        }
        option = argument;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_is_refused_by_the_name_of_its_place() {
        let uri = "mongodb://u:zq7X@h/";
        let with = |text: &str| text.replace("URI", uri);
        for (line, place) in [
            ("mongotar backup --mongo-uri URI --to x", None),
            ("mongotar backup --mongo-uri=URI", None),
            ("mongotar verify x.tar --against URI", None),
            ("mongotar backup --include URI", Some("--include holds")),
            ("mongotar backup --include=URI", Some("--include holds")),
            ("mongotar backup --mongo-ur URI", Some("--mongo-ur holds")),
            ("mongotar URI", Some("an argument holds")),
            ("mongotar list URI", Some("an argument holds")),
            ("mongotar --URI=x", Some("an argument holds")),
        ] {
            let checked = check(with(line).split(' ').map(OsString::from));
            match (checked, place) {
                (Ok(()), None) => {}
                (Err(failure), Some(place)) => {
                    let said = failure.to_string();
                    assert!(said.contains(place) && !said.contains("zq7X"), "{line}: {said}");
                }
                (checked, _) => panic!("{line}: {checked:?}"),
            }
        }
    }
}
