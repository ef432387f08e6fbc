//! Times as manifests, states and reports have them.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time as it stands in manifests, states and reports: to the millisecond, so that how long something took is known
/// of short runs too.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_millisecond(time.millisecond())
        .unwrap_or(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// How long ago that was; nothing if it is no time.
pub(crate) fn since(began: &str) -> Duration {
    between(began, &rfc3339(OffsetDateTime::now_utc()))
}

/// How long it took from one time to another; nothing if one of them is none.
pub(crate) fn between(began: &str, ended: &str) -> Duration {
    let parse = |text| OffsetDateTime::parse(text, &Rfc3339);
    let took = parse(began).and_then(|began| Ok(parse(ended)? - began));
    took.ok().and_then(|took| took.try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times were whole seconds, so that a run of 0.9 s took 0 s or 1 s.
    #[test]
    fn how_long_it_took_is_known_to_the_millisecond() {
        let at = |nanoseconds: i64| {
            let time = OffsetDateTime::UNIX_EPOCH + time::Duration::nanoseconds(nanoseconds);
            rfc3339(time)
        };
        assert_eq!(at(1_234_999_999), "1970-01-01T00:00:01.234Z");
        assert_eq!(between(&at(0), &at(1_234_999_999)), Duration::from_millis(1_234));
        assert_eq!(
            between(&at(5_000_000_000), &at(0)),
            Duration::ZERO,
            "a clock that was set back"
        );
        // What others have written, and older states.
        assert_eq!(
            between("2026-11-21T02:00:00Z", "2026-11-21T03:00:01.5+01:00"),
            Duration::from_millis(1_500)
        );
    }
}
