use super::*;
use crate::backup::estimate::job::FunctionSize;

fn measured(name: &str, said: u64, read: u64, archive: u64, seconds: f64) -> SampledCollection {
    let collection = Collection {
        name: name.to_owned(),
        kind: Kind::Collection,
        options: crate::catalog::Definition::default(),
        uuid: None,
        renamable: true,
        indexes: Vec::new(),
        documents: None,
        bytes: None,
    };
    SampledCollection {
        said: (Some(said / 100), Some(said)),
        documents: read / 100,
        bytes: read,
        archive_bytes: archive,
        seconds,
        is_whole: read == said,
        ..SampledCollection::unread(&collection)
    }
}

fn job() -> EstimateJob {
    let request = crate::backup::BackupRequest {
        destination: Some("s3://backups/shop/".to_owned()),
        ..crate::backup::BackupRequest::default()
    };
    let environment =
        crate::config::Environment::from_variables(|name| (name == "MONGO_DB").then(|| "shop".to_owned()));
    let order = request.into_order(&environment).expect("an order");
    EstimateJob {
        backup: order.single().expect("one database"),
        reading: std::time::Duration::from_secs(60),
        function: FunctionSize {
            memory: 1769,
            architecture: "arm64".to_owned(),
        },
        prices: Prices::default(),
    }
}

const GB: u64 = 1 << 30;

#[test]
fn what_was_not_read_is_like_what_was() {
    let all = [
        measured("orders", 100 * GB, GB, GB / 10, 2.0),
        measured("users", GB, GB, GB / 5, 4.0),
        measured("unread", GB, 0, 0, 0.0),
    ];
    let report = costs(&job(), &all, PartSchedule::default());
    assert_eq!(report.totals.bytes, 102 * GB);
    assert_eq!((report.read.bytes, report.read.collections), (2 * GB, 1));
    let archives: Vec<u64> = report
        .collections
        .iter()
        .map(|one| (one.archive_bytes * 100 + GB / 2) / GB)
        .collect();
    // By its own ratio, as it was read, and by that of all.
    assert_eq!(archives, [1_000, 20, 15]);
    assert!(
        (report.seconds_here - (200.0 + 4.0 + 3.0)).abs() < 0.5,
        "{}",
        report.seconds_here
    );
}

/// The table of `docs/DEPLOY.md`: 100 GB each night, kept by the defaults.
#[test]
fn a_month_of_archives_costs_what_the_documentation_says() {
    let prices = Prices::default();
    let backup = by_function(&job(), 100.0, 0, PartSchedule::default());
    let month = of_month(&prices, &backup, 100 * GB);
    let kept: Vec<u64> = month.kept.iter().map(|kept| kept.archives).collect();
    assert_eq!(kept, [17, 9, 12, 7]);
    assert!((month.storage_cost - 45.0 * 2.3).abs() < 0.01, "{}", month.storage_cost);
    assert!((month.storage_cost_glacier_ir - (26.0 * 2.3 + 19.0 * 0.4)).abs() < 0.01);
}

#[test]
fn a_function_pays_for_its_memory_and_is_called_again_after_a_quarter_of_an_hour() {
    let short = by_function(&job(), 0.0, 1, PartSchedule::default());
    assert_eq!((short.invocations, short.requests), (1, 1 + AROUND));
    let long = by_function(&job(), 2_000.0, GB, PartSchedule::default());
    assert!(long.seconds >= 2_000.0 && long.invocations >= 3, "{long:?}");
    assert!((long.gb_seconds - long.seconds * 1769.0 / 1024.0).abs() < 0.1);
    assert!(long.cost > long.gb_seconds * 0.0000133334 && long.cost < long.gb_seconds * 0.0000133334 + 0.01);
    let twice = EstimateJob {
        function: FunctionSize {
            memory: 3538,
            architecture: "arm64".to_owned(),
        },
        ..job()
    };
    assert!(by_function(&twice, 2_000.0, GB, PartSchedule::default()).seconds <= long.seconds);
}

#[test]
fn parts_are_counted_as_they_are_sent() {
    let schedule = PartSchedule::default();
    assert_eq!(
        (
            parts_of(0, schedule),
            parts_of(1, schedule),
            parts_of(schedule.size(1) + 1, schedule)
        ),
        (0, 1, 2)
    );
}

#[test]
fn what_cannot_be_told_exactly_is_said() {
    let mut refused = measured("secret", GB, 0, 0, 0.0);
    refused.failed = Some("not allowed".to_owned());
    let mut series = measured("series", GB, GB / 2, GB / 10, 1.0);
    series.is_series = true;
    let report = costs(&job(), &[refused, series], PartSchedule::default());
    let notes = report.notes.join("\n");
    assert!(
        notes.contains("secret cannot be read") && notes.contains("series was not read to its end"),
        "{notes}"
    );
}
