//! How long to keep an archive: a class, which becomes a tag of its objects; the bucket's lifecycle rules expire them
//! by it.
//!
//! Nothing here deletes anything. If a backup may write but not delete, a thief of its credentials cannot delete
//! archives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::{Month, OffsetDateTime, UtcOffset, Weekday};

use crate::config::Environment;
use crate::failure::Failure;
use crate::store::Tags;

/// The tag's key.
const TAG: &str = "mongotar-retention";

/// How long an archive is to be kept; what each class means is the bucket's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Retention {
    /// By the day, in UTC: yearly on 1 January, else monthly on the first, else weekly on a Sunday, else daily.
    Auto,
    /// For days.
    Daily,
    /// For weeks.
    Weekly,
    /// For months.
    Monthly,
    /// For years.
    Yearly,
}

impl Retention {
    /// `MONGOTAR_RETENTION`, if set.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::failure::FailureKind::InvalidRequest) for an unknown class.
    pub fn of_environment(environment: &Environment) -> Result<Option<Self>, Failure> {
        let retention = environment.retention.as_deref().map(str::parse).transpose();
        retention.map_err(|error: String| Failure::invalid(format!("MONGOTAR_RETENTION: {error}")))
    }

    /// The class of a backup of that time: anything but [`Self::Auto`].
    #[must_use]
    pub fn class_at(self, time: OffsetDateTime) -> Self {
        let day = time.to_offset(UtcOffset::UTC).date();
        match self {
            Self::Auto if day.day() == 1 && day.month() == Month::January => Self::Yearly,
            Self::Auto if day.day() == 1 => Self::Monthly,
            Self::Auto if day.weekday() == Weekday::Sunday => Self::Weekly,
            Self::Auto => Self::Daily,
            class => class,
        }
    }

    /// What objects of the class are tagged with.
    pub fn tags(self) -> Tags {
        Tags::new(TAG, self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Daily, Self::Weekly, Self::Monthly, Self::Yearly]
            .into_iter()
            .find(|retention| retention.name() == text)
            .ok_or_else(|| format!("unknown retention {text:?}: use auto, daily, weekly, monthly or yearly"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_class_is_that_of_the_longest_period_that_begins_with_the_day() {
        for (time, class) in [
            // A Sunday, and the first of the year.
            (datetime!(2023-01-01 02:00 UTC), Retention::Yearly),
            (datetime!(2027-01-01 00:00 UTC), Retention::Yearly),
            (datetime!(2026-12-31 23:59:59 UTC), Retention::Daily),
            // A Sunday, and the first of the month.
            (datetime!(2026-11-01 02:00 UTC), Retention::Monthly),
            (datetime!(2026-12-01 02:00 UTC), Retention::Monthly),
            (datetime!(2026-11-22 02:00 UTC), Retention::Weekly),
            (datetime!(2023-12-31 02:00 UTC), Retention::Weekly),
            (datetime!(2026-11-21 02:00 UTC), Retention::Daily),
            // Leap days, one of them a Sunday; and the day after.
            (datetime!(2028-02-29 02:00 UTC), Retention::Daily),
            (datetime!(2032-02-29 02:00 UTC), Retention::Weekly),
            (datetime!(2028-03-01 02:00 UTC), Retention::Monthly),
            // It is the day in UTC that counts: it is still December, and already January.
            (datetime!(2027-01-01 00:30 +1), Retention::Daily),
            (datetime!(2026-12-31 23:30 -1), Retention::Yearly),
        ] {
            assert_eq!(Retention::Auto.class_at(time), class, "{time}");
            assert_eq!(
                Retention::Monthly.class_at(time),
                Retention::Monthly,
                "what is given rules"
            );
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["auto", "daily", "weekly", "monthly", "yearly"] {
            let read: Retention = name.parse().expect("a name");
            assert_eq!(read.to_string(), name);
            assert_eq!(serde_json::to_value(read).expect("JSON"), name);
        }
        let error = "Daily".parse::<Retention>().expect_err("unknown");
        assert!(error.contains("\"Daily\"") && error.contains("weekly"), "{error}");
    }
}
