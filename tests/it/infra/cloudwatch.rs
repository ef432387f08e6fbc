//! A model of how CloudWatch evaluates an alarm. It is a model, made from the documentation ("Configuring how CloudWatch
//! alarms treat missing data"): nothing here has asked CloudWatch.
//!
//! An alarm begins with insufficient data. At the end of each period it looks at the last `EvaluationPeriods` periods and
//! a few more (the evaluation range). If there are that many data points, only the newest of them count; what lacks is
//! filled as `TreatMissingData` says. Actions are taken when the state changes, and only then.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::template::{Template, texts};

/// How many periods more than it evaluates an alarm looks at.
const MORE: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Insufficient,
    Ok,
    Alarm,
}

/// An alarm of the template, with its parameters' defaults.
#[derive(Debug)]
pub struct Alarm {
    metric: String,
    dimensions: Vec<(String, String)>,
    pub period: u64,
    evaluated: usize,
    breaching: usize,
    is_below: bool,
    threshold: f64,
    missing: String,
    told: BTreeMap<&'static str, bool>,
}

/// What tells metrics apart: their name, and their dimensions with their values.
type Key = (String, Vec<(String, String)>);

/// What was written: seconds and values.
#[derive(Debug, Default)]
pub struct Metrics(BTreeMap<Key, Vec<(u64, f64)>>);

impl Metrics {
    pub fn write(&mut self, at: u64, metric: &str, dimensions: &[(&str, &str)], value: f64) {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.0
            .entry((metric.to_owned(), dimensions))
            .or_default()
            .push((at, value));
    }
}

impl Alarm {
    /// The alarm of that name, in a stack of the name `stack`.
    pub fn of(template: &Template, name: &str, stack: &str) -> Self {
        let properties = &template.resource(name)["Properties"];
        let number = |field: &str, without: u64| -> f64 {
            let value = &properties[field];
            let parameter = value["Ref"].as_str().map(|name| format!("/Parameters/{name}/Default"));
            let value = parameter.map_or(value, |path| template.at(&path));
            value.as_f64().unwrap_or(without as f64)
        };
        let evaluated = number("EvaluationPeriods", 1) as usize;
        let dimensions = properties["Dimensions"].as_array().into_iter().flatten();
        let text = |value: &Value| {
            texts(value)
                .first()
                .map(|text| text.replace("${AWS::StackName}", stack))
                .unwrap_or_default()
        };
        let operator = properties["ComparisonOperator"].as_str().unwrap_or_default();
        assert!(
            ["LessThanThreshold", "GreaterThanOrEqualToThreshold"].contains(&operator),
            "the model knows no {operator}"
        );
        let actions = ["AlarmActions", "OKActions", "InsufficientDataActions"];
        Self {
            metric: text(&properties["MetricName"]),
            dimensions: dimensions
                .map(|one| (text(&one["Name"]), text(&one["Value"])))
                .collect(),
            period: number("Period", 300) as u64,
            evaluated,
            breaching: number("DatapointsToAlarm", evaluated as u64) as usize,
            is_below: operator == "LessThanThreshold",
            threshold: number("Threshold", 1),
            missing: properties["TreatMissingData"].as_str().unwrap_or("missing").to_owned(),
            told: actions
                .map(|action| {
                    (
                        action,
                        properties[action] == json!([{"Fn::GetAtt": ["TheTopic", "Value"]}]),
                    )
                })
                .into(),
        }
    }

    /// What somebody is told, and when: from the alarm's making at 0 until a time, by what was written.
    pub fn life(&self, metrics: &Metrics, until: u64) -> Vec<(u64, State)> {
        let nothing = Vec::new();
        let written = metrics
            .0
            .get(&(self.metric.clone(), self.dimensions.clone()))
            .unwrap_or(&nothing);
        let (mut state, mut told) = (State::Insufficient, Vec::new());
        for end in (self.period..=until).step_by(self.period as usize) {
            let range: Vec<Option<bool>> = (0..self.evaluated + MORE)
                .map(|back| {
                    let end = end.checked_sub(back as u64 * self.period)?;
                    self.breaches(written, end)
                })
                .collect();
            let next = self.evaluate(&range, state);
            if next != state {
                let action = match next {
                    State::Insufficient => "InsufficientDataActions",
                    State::Ok => "OKActions",
                    State::Alarm => "AlarmActions",
                };
                if self.told[action] {
                    told.push((end, next));
                }
                state = next;
            }
        }
        told
    }

    /// Whether the period that ends then breaches; of all that was written in it, what is nearest to breaching counts
    /// (a maximum or a sum where much is bad, a minimum where little is).
    fn breaches(&self, written: &[(u64, f64)], end: u64) -> Option<bool> {
        let begin = end.saturating_sub(self.period);
        let within = written.iter().filter(|(at, _)| (begin..end).contains(at));
        let mut values = within.map(|(_, value)| match self.is_below {
            true => *value < self.threshold,
            false => *value >= self.threshold,
        });
        let first = values.next()?;
        Some(first || values.any(|bad| bad))
    }

    /// `range` begins with the newest period.
    fn evaluate(&self, range: &[Option<bool>], state: State) -> State {
        let real: Vec<bool> = range.iter().copied().flatten().take(self.evaluated).collect();
        let lacking = self.evaluated.saturating_sub(real.len());
        let bad = real.iter().filter(|bad| **bad).count();
        let (filled, needed) = match self.missing.as_str() {
            "breaching" => (lacking, self.breaching),
            "notBreaching" => (0, self.breaching),
            "missing" if real.is_empty() => return State::Insufficient,
            "missing" => (0, self.breaching.min(real.len())),
            "ignore" if lacking > 0 => return state,
            "ignore" => (0, self.breaching),
            other => panic!("the model knows no {other}"),
        };
        match bad + filled >= needed {
            true => State::Alarm,
            false => State::Ok,
        }
    }
}

/// The examples of the documentation, three of three periods: what is missing, a good and a bad one.
#[test]
fn the_model_does_what_the_documentation_shows() {
    let (none, good, bad) = (None, Some(false), Some(true));
    let alarm = |missing: &str| {
        let text = format!(
            "Resources: {{A: {{Type: T, Properties: {{MetricName: M, EvaluationPeriods: 3, Period: 60, Threshold: 1, \
             ComparisonOperator: GreaterThanOrEqualToThreshold, TreatMissingData: {missing}}}}}}}"
        );
        Alarm::of(&Template::parse(&text), "A", "s")
    };
    let (insufficient, ok, ringing) = (State::Insufficient, State::Ok, State::Alarm);
    // The newest first; then by missing, ignore (of an alarm that is OK), breaching, notBreaching.
    for (range, expected) in [
        ([bad, none, bad, none, good], [ok; 4]),
        ([good, none, none, none, none], [ok; 4]),
        ([none; 5], [insufficient, ok, ringing, ok]),
        ([bad, none, bad, bad, good], [ringing; 4]),
        ([none, none, bad, none, none], [ringing, ok, ringing, ok]),
    ] {
        for (missing, expected) in ["missing", "ignore", "breaching", "notBreaching"]
            .into_iter()
            .zip(expected)
        {
            assert_eq!(
                alarm(missing).evaluate(&range, State::Ok),
                expected,
                "{range:?} {missing}"
            );
        }
    }
}
