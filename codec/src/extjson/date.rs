//! ISO 8601 dates, as relaxed Extended JSON and older tools write them.

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM[:SS[.fraction]]` with an offset (`Z`, `±HH:MM`, `±HHMM`, `±HH`) or, as
/// UTC, without one. Digits past the millisecond are cut off. Years are 0001 to 9999.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    byte(&mut rest, b'-')?;
    let month = digits(&mut rest, 1, 2)?;
    byte(&mut rest, b'-')?;
    let day = digits(&mut rest, 1, 2)?;
    byte(&mut rest, b'T')
        .or_else(|| byte(&mut rest, b't'))
        .or_else(|| byte(&mut rest, b' '))?;
    let hour = digits(&mut rest, 1, 2)?;
    byte(&mut rest, b':')?;
    let minute = digits(&mut rest, 1, 2)?;
    let (mut second, mut millis) = (0, 0);
    if byte(&mut rest, b':').is_some() {
        second = digits(&mut rest, 1, 2)?;
        if byte(&mut rest, b'.').is_some() {
            millis = fraction(&mut rest)?;
        }
    }
    let offset = offset_minutes(rest)?;
    let possible = year >= 1 && (1..=12).contains(&month) && day >= 1 && day <= days_in(month, year);
    if !possible || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let minutes = days_before(year, month, day) * 1440 + hour * 60 + minute - offset;
    Some((minutes * 60 + second) * 1000 + millis)
}

fn byte(rest: &mut &[u8], expected: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[expected])?;
    Some(())
}

fn digits(rest: &mut &[u8], least: usize, most: usize) -> Option<i64> {
    let len = rest.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
    let (number, after) = rest.split_at(len);
    *rest = after;
    (len >= least).then(|| number.iter().fold(0, |sum, &digit| sum * 10 + i64::from(digit - b'0')))
}

/// The milliseconds of a fraction of any length, at least one digit.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, after) = rest.split_at(len);
    *rest = after;
    let millis = (0..3).fold(0, |sum, place| {
        sum * 10 + fraction.get(place).map_or(0, |&digit| i64::from(digit - b'0'))
    });
    (len > 0).then_some(millis)
}

fn offset_minutes(text: &[u8]) -> Option<i64> {
    let (sign, mut rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let hours = digits(&mut rest, 2, 2)?;
    let minutes = match rest {
        [] => 0,
        [b':', minutes @ ..] | minutes => {
            rest = minutes;
            digits(&mut rest, 2, 2)?
        }
    };
    (rest.is_empty() && hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is
/// last.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_met_in_the_wild() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("1970-01-01T01:00:00.5+0100", 500),
            ("1970-01-01T01:00:00.123456789+01:00", 123),
            ("1969-12-31T23:00:00-01", 0),
            ("1970-01-01T00:00:00", 0),
            ("1970-01-01T00:01Z", 60_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(millis), "{text}");
        }
    }

    #[test]
    fn impossible_dates() {
        for text in [
            "",
            "Z",
            "1970",
            "0000-01-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00ZZ",
            "1970-01-01T00:00:00+1",
            "1970-01-01T00:00:00+01:0",
            "1970-01-01T00:00:00+24:00",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(millis in -62_135_596_800_000..=253_402_300_799_999_i64) {
            let text = bson::DateTime::from_millis(millis).try_to_rfc3339_string().unwrap();
            prop_assert_eq!(parse(text.as_bytes()), Some(millis), "{}", text);
        }

        #[test]
        fn never_panics(text in "[-0-9T:.+Z ]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
