//! The whole life of every alarm: from the making of the stack over what it is for to its mending, in a model of
//! CloudWatch.

use super::cloudwatch::{Alarm, Metrics, State};
use super::template::Template;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// What the watch writes, every hour from the making of the stack on: the age of the last success before.
fn watched(metric: &str, stack: &str, unit: u64, successes: &[u64], hours: impl Iterator<Item = u64>) -> Metrics {
    let mut metrics = Metrics::default();
    for hour in hours {
        let now = hour * HOUR + 60;
        let last = successes.iter().filter(|at| **at <= now).max().copied().unwrap_or(0);
        metrics.write(now, metric, &[("Stack", stack)], (now - last) as f64 / unit as f64);
    }
    metrics
}

/// Nights at 02:00 of the days given, in a stack that was made at 12:00.
fn nights(days: impl Iterator<Item = u64>) -> Vec<u64> {
    days.map(|day| day * DAY + 14 * HOUR).collect()
}

fn rings(told: &[(u64, State)]) -> Vec<u64> {
    let rings = told.iter().filter(|(_, state)| *state != State::Ok);
    rings.map(|(at, _)| at / HOUR).collect()
}

#[test]
fn no_backup_rings_when_one_is_missing_and_never_before_the_first_is_due() {
    let template = Template::real();
    let alarm = Alarm::of(&template, "NoBackup", "shop");
    let life = |successes: &[u64], hours: u64| {
        rings(&alarm.life(
            &watched("BackupAgeHours", "shop", HOUR, successes, 0..hours),
            hours * HOUR,
        ))
    };
    assert_eq!(life(&nights(0..60), 60 * 24), Vec::<u64>::new(), "all is well");
    // The first one never came. It rang when the stack was made, and then never again.
    assert_eq!(life(&[], 60 * 24), [27]);
    // Two nights are missing, and much later one.
    let lost = nights((0..60).filter(|day| ![10, 11, 40].contains(day)));
    assert_eq!(life(&lost, 60 * 24), [9 * 24 + 14 + 27, 39 * 24 + 14 + 27]);
    // One night too late, by an hour and a half, is within the limit.
    let late: Vec<u64> = nights(0..20)
        .into_iter()
        .map(|at| at + at / DAY % 2 * HOUR * 3 / 2)
        .collect();
    assert_eq!(life(&late, 20 * 24), Vec::<u64>::new());
}

#[test]
fn who_ends_to_measure_is_told_of() {
    let template = Template::real();
    for (name, metric, unit) in [("NoBackup", "BackupAgeHours", HOUR), ("NoDrill", "DrillAgeDays", DAY)] {
        let alarm = Alarm::of(&template, name, "shop");
        let hours = (0..100).chain(200..300);
        let metrics = watched(metric, "shop", unit, &nights(0..60), hours);
        let told = alarm.life(&metrics, 300 * HOUR);
        let insufficient: Vec<u64> = told
            .iter()
            .filter(|(_, state)| *state == State::Insufficient)
            .map(|(at, _)| at / HOUR)
            .collect();
        assert_eq!(insufficient, [103], "{name}: {told:?}");
        assert_eq!(rings(&told), [103], "{name}: an hour or two of delay is none");
    }
}

#[test]
fn no_drill_rings_after_a_week_without_one() {
    let alarm = Alarm::of(&Template::real(), "NoDrill", "shop");
    let life = |successes: &[u64], hours: u64| {
        rings(&alarm.life(&watched("DrillAgeDays", "shop", DAY, successes, 0..hours), hours * HOUR))
    };
    let sundays: Vec<u64> = (0..20).map(|week| week * 7 * DAY + 3 * DAY).collect();
    assert_eq!(life(&sundays, 20 * 7 * 24), Vec::<u64>::new());
    assert_eq!(life(&[], 60 * 24), [8 * 24 + 1], "the first never came");
    let missing: Vec<u64> = sundays.iter().copied().filter(|at| at / DAY / 7 != 5).collect();
    assert_eq!(life(&missing, 20 * 7 * 24), [(4 * 7 + 3 + 8) * 24 + 1]);
}

#[test]
fn no_increment_rings_after_ten_minutes_of_failures_or_of_silence_and_for_no_single_failure() {
    let alarm = Alarm::of(&Template::real(), "NoIncrement", "shop");
    let life = |value: &dyn Fn(u64) -> Option<f64>| -> Vec<(u64, State)> {
        let mut metrics = Metrics::default();
        for minute in 0..600 {
            if let Some(value) = value(minute) {
                metrics.write(minute * 60 + 5, "Increment", &[("Stack", "shop")], value);
            }
        }
        let told = alarm
            .life(&metrics, 600 * 60)
            .into_iter()
            .map(|(at, state)| (at / 60, state));
        told.filter(|(_, state)| *state != State::Ok).collect()
    };
    // Nothing is written until the first full backup is there.
    assert_eq!(life(&|minute| (minute > 30).then_some(1.0)), []);
    assert_eq!(
        life(&|minute| Some(f64::from(minute % 10 == 0))),
        [],
        "nine of ten fail"
    );
    assert_eq!(
        life(&|minute| Some(f64::from(!(200..300).contains(&minute)))),
        [(210, State::Alarm)]
    );
    assert_eq!(
        life(&|minute| (!(200..300).contains(&minute)).then_some(1.0)),
        [(212, State::Insufficient)]
    );
}

/// Another stack's success kept this one's alarm quiet.
#[test]
fn of_two_stacks_each_has_its_own_alarm() {
    let template = Template::real();
    let mut metrics = watched("BackupAgeHours", "production", HOUR, &[], 0..100);
    for hour in 0..100 {
        metrics.write(hour * HOUR, "BackupAgeHours", &[("Stack", "staging")], 0.5);
        metrics.write(
            hour * HOUR,
            "Complete",
            &[("Stack", "staging"), ("Function", "backup")],
            0.0,
        );
    }
    let rings_of = |name: &str, stack: &str| rings(&Alarm::of(&template, name, stack).life(&metrics, 100 * HOUR));
    assert_eq!(rings_of("NoBackup", "production"), [27]);
    assert_eq!(rings_of("NoBackup", "staging"), Vec::<u64>::new());
    assert_eq!(rings_of("BackupNotComplete", "production"), Vec::<u64>::new());
    assert_ne!(rings_of("BackupNotComplete", "staging"), Vec::<u64>::new());
}

/// All others ring when something happens, each time anew, and never for what does not happen.
#[test]
fn every_other_alarm_rings_once_for_each_event_and_not_at_its_making() {
    let template = Template::real();
    let mut looked_at = 0;
    for (name, alarm) in template.of_type("AWS::CloudWatch::Alarm") {
        if ["NoBackup", "NoDrill", "NoIncrement"].contains(&name) {
            continue;
        }
        looked_at += 1;
        let metric = alarm["Properties"]["MetricName"].as_str().expect("a metric");
        let (bad, good) = if metric == "Complete" { (0.0, 1.0) } else { (1.0, 0.0) };
        let dimensions: Vec<(String, String)> = alarm["Properties"]["Dimensions"]
            .as_array()
            .expect("dimensions")
            .iter()
            .map(|one| {
                let value = super::template::texts(&one["Value"])[0].replace("${AWS::StackName}", "shop");
                (one["Name"].as_str().expect("a name").to_owned(), value)
            })
            .collect();
        let dimensions: Vec<(&str, &str)> = dimensions.iter().map(|(name, value)| (&**name, &**value)).collect();
        let alarm = Alarm::of(&template, name, "shop");
        assert_eq!(
            rings(&alarm.life(&Metrics::default(), 30 * DAY)),
            Vec::<u64>::new(),
            "{name}"
        );
        let mut metrics = Metrics::default();
        for day in 0..30 {
            let value = if [7, 21].contains(&day) { bad } else { good };
            metrics.write(day * DAY + 2 * HOUR, metric, &dimensions, value);
        }
        assert_eq!(
            rings(&alarm.life(&metrics, 30 * DAY)),
            [7 * 24 + 2, 21 * 24 + 2],
            "{name}"
        );
    }
    assert!(looked_at > 15, "the alarms were found");
}
