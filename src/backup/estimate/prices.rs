//! What things cost: a dated file, which anybody can replace by the prices of another region or day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Those that come along.
const OWN: &str = include_str!("../../../infra/prices.json");

/// Prices, each for one: a request, a GB and second, a GB and month. `infra/prices.json` has the published ones of
/// `us-east-1` (<https://aws.amazon.com/lambda/pricing/>, <https://aws.amazon.com/s3/pricing/>,
/// <https://aws.amazon.com/step-functions/pricing/>).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// As of when.
    pub as_of: String,
    /// Of which region.
    pub region: String,
    /// In which currency.
    pub currency: String,
    /// A GB of a function's memory for a second, by its processor.
    pub lambda_gb_second: BTreeMap<String, f64>,
    /// An invocation.
    pub lambda_request: f64,
    /// A request to S3 that writes or lists.
    pub s3_write: f64,
    /// One that reads.
    pub s3_read: f64,
    /// A step of a state machine.
    pub state_transition: f64,
    /// A GB for a month, by the class of storage.
    pub storage_gb_month: BTreeMap<String, f64>,
}

impl Prices {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let prices: Self = serde_json::from_str(text).map_err(|error| {
            Failure::invalid(format!(
                "the prices (--prices): {error}; infra/prices.json shows the form"
            ))
        })?;
        let all = [
            prices.lambda_request,
            prices.s3_write,
            prices.s3_read,
            prices.state_transition,
        ];
        let all = all
            .iter()
            .chain(prices.lambda_gb_second.values())
            .chain(prices.storage_gb_month.values());
        match all.into_iter().all(|price| price.is_finite() && *price >= 0.0) {
            true => Ok(prices),
            false => Err(Failure::invalid(
                "the prices (--prices): one is below zero, or no number",
            )),
        }
    }
}

impl Default for Prices {
    /// Those that come along.
    ///
    /// # Panics
    /// If the file that is compiled in cannot be read, which a test excludes.
    fn default() -> Self {
        serde_json::from_str(OWN).expect("infra/prices.json is tested")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prices_that_come_along_can_be_read_and_name_both_processors() {
        let prices = Prices::parse(OWN).expect("prices");
        assert_eq!(prices, Prices::default());
        assert!(
            ["arm64", "x86_64"]
                .iter()
                .all(|name| prices.lambda_gb_second.contains_key(*name))
        );
        assert!(prices.storage_gb_month.contains_key("STANDARD"));
    }

    #[test]
    fn wrong_prices_are_refused_by_what_is_wrong() {
        let with = |from: &str, to: &str| Prices::parse(&OWN.replace(from, to)).expect_err(to).message;
        assert!(with("\"lambda_request\"", "\"lambda_requests\"").contains("lambda_requests"));
        assert!(with("0.000005", "-1").contains("below zero"));
        assert!(Prices::parse("").is_err());
    }
}
