//! FIELD 3, case 7: what has expired is restored all the same, counted, and only then left to the server.

use std::time::{Duration, Instant};

use bson::doc;
use mongotar::backup::{RunStatus, Tools};
use mongotar::catalog::{Definition, Selection};
use mongotar::config::Environment;
use mongotar::drill::DrillRequest;
use mongotar::failure::FailureKind;
use mongotar::plan::{Existing, Ttl};
use mongotar::store::Store;
use mongotar::verify::{AgainstJob, against};
use serde_json::json;

use super::documents::identified;
use super::harness::{FORMS, back_up_as, of, put, restore_whole, run};
use super::raw::Raw;
use crate::{rig, support};

/// 2001: long expired.
const LONG_AGO: i64 = 1_000_000_000_000;
/// So many that the monitor, which comes round every second, is busy in some while others are being verified.
const COLLECTIONS: usize = 25;

/// The sample was compared after the TTL indexes had been built, in a race against the server's monitor.
#[tokio::test(flavor = "multi_thread")]
async fn ttl_does_not_eat_what_was_just_restored() {
    let server = rig::Mongod::builder().parameter("ttlMonitorSleepSecs", "1").start();
    let (client, destination) = (server.client().await, support::folder());
    let tools = support::tools_for(&server.uri(), Store::with_client(rig::shared_s3().client().await)).await;
    let (source, target) = (
        rig::fresh_database_name("fidelity"),
        rig::fresh_database_name("fidelity"),
    );
    // The source's own monitor must not have begun: it is switched off until the archive is there.
    run(&client, "admin", doc! {"setParameter": 1, "ttlMonitorEnabled": false}).await;
    let old: Vec<_> = (0..200)
        .map(|id| identified(id, &Raw::new().date("at", LONG_AGO).text("x", "y")))
        .collect();
    let name = |n: usize| format!("sessions {n}");
    for n in 0..COLLECTIONS {
        put(&tools, &source, &name(n), &old).await;
        let expiring = doc! {"key": {"at": 1}, "name": "expiring", "expireAfterSeconds": 1};
        run(&client, &source, doc! {"createIndexes": name(n), "indexes": [expiring]}).await;
    }
    run(
        &client,
        &source,
        doc! {"create": "series", "timeseries": {"timeField": "at"}, "expireAfterSeconds": 1},
    )
    .await;
    let tree = doc! {"key": {"_id": 1}, "unique": true};
    run(
        &client,
        &source,
        doc! {"create": "clustered", "clusteredIndex": tree, "expireAfterSeconds": 1},
    )
    .await;
    put(&tools, &source, "series", &old).await;
    let dated: Vec<_> = (0..200).map(|n| Raw::new().date("_id", LONG_AGO + n).bytes()).collect();
    put(&tools, &source, "clustered", &dated).await;
    let archive = back_up_as(&tools, &source, &destination, FORMS[2]).await;
    run(&client, &source, doc! {"dropDatabase": 1}).await;
    run(&client, "admin", doc! {"setParameter": 1, "ttlMonitorEnabled": true}).await;

    let report = restore_whole(&tools, &archive, &target, json!({"verify_sample_size": 200})).await;
    for collection in (0..COLLECTIONS)
        .map(name)
        .chain(["series".to_owned(), "clustered".to_owned()])
    {
        let verified = of(&report, &collection);
        assert_eq!((verified.file_count, verified.db_count), (200, 200), "{collection}");
        assert!(verified.sample_hash_archive.is_some(), "{collection}");
        assert_eq!(verified.past_expiry, Some(200), "{collection}");
    }
    assert!(
        report.summary.contains("5,400 documents past the time to live"),
        "{}",
        report.summary
    );
    let beside = rig::fresh_database_name("fidelity");
    let parked = park(&tools, &archive.to_string(), &beside).await;
    // And from now on they expire, which shows that nothing is left switched off. (A server of this version lets old
    // measurements be, however its time series came by the option; that the option is there is part of the
    // verification.)
    let deadline = Instant::now() + Duration::from_secs(600);
    for collection in (0..COLLECTIONS).map(name).chain(["clustered".to_owned()]) {
        while client
            .database(&target)
            .collection::<bson::Document>(&collection)
            .count_documents(doc! {})
            .await
            .expect("a count")
            > 0
        {
            assert!(Instant::now() < deadline, "{collection} does not expire");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // The monitor has been everywhere by now.
    switch_on(&tools, &client, &archive.to_string(), (&beside, parked)).await;
}

/// What the tests of parked expiry restore: an index, options, and a time series.
const PARKED: [&str; 3] = ["sessions 0", "series", "clustered"];

fn parking(archive: &str, database: &str, existing: Existing) -> serde_json::Value {
    json!({
        "archive": archive, "database": database, "include": PARKED, "park_ttl": true, "snapshot": false,
        "replace_existing": existing == Existing::Replace,
    })
}

/// Restores, merges and replaces without expiry; gives what switches it on.
async fn park(tools: &Tools, archive: &str, database: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for existing in [Existing::Merge, Existing::Merge, Existing::Replace] {
        let report = support::restore(tools, parking(archive, database, existing))
            .await
            .expect("restored");
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.verification);
        assert!(
            report
                .summary
                .contains("the only difference: 3 parked times to live, off until switched on"),
            "{}",
            report.summary
        );
        let verified = report.verification.expect("verified").collections;
        assert!(
            verified
                .iter()
                .all(|one| one.equal && one.parked.len() == 1 && one.past_expiry == Some(200))
        );
        commands = verified
            .into_iter()
            .flat_map(|one| one.parked)
            .flat_map(|parked| parked.switch_on)
            .collect();
    }
    for (ttl, status) in [(Ttl::On, RunStatus::Partial), (Ttl::Parked, RunStatus::Complete)] {
        let job = AgainstJob {
            archive: archive.parse().expect("a location"),
            source_database: None,
            database: database.to_owned(),
            selection: Selection {
                include: PARKED.map(str::to_owned).to_vec(),
                ..Selection::default()
            },
            ttl,
        };
        let report = against(&job, tools).await.expect("compared");
        assert_eq!((report.status, report.parked.len()), (status, 3), "{report:?}");
        assert!(report.drifted.is_empty(), "{report:?}");
    }
    let drill = json!({"archive": archive, "include": PARKED, "park_ttl": true});
    let drill = DrillRequest::from_event(drill)
        .expect("a request")
        .into_job(&Environment::default());
    let drilled = mongotar::drill::drill(&drill.expect("a job"), tools)
        .await
        .expect("drilled");
    assert!(
        drilled.summary.contains("passed") && drilled.summary.contains("3 parked"),
        "{}",
        drilled.summary
    );
    commands
}

/// What was parked is still there; the commands make the definitions those of the archive, and then it expires.
async fn switch_on(tools: &Tools, client: &mongodb::Client, archive: &str, (database, commands): (&str, Vec<String>)) {
    let db = client.database(database);
    for collection in PARKED {
        let documents = db.collection::<bson::Document>(collection);
        assert_eq!(
            documents.count_documents(doc! {}).await.expect("a count"),
            200,
            "{collection}"
        );
    }
    assert_eq!(commands.len(), 3);
    for command in commands {
        let command = command.split_once("runCommand(").expect("a command").1;
        let command = Definition::from_json(command.strip_suffix(')').expect("a call")).expect("JSON");
        let command = bson::Document::try_from(command.as_raw()).expect("a document");
        db.run_command(command).await.expect("switched on");
    }
    let mut event = parking(archive, database, Existing::Replace);
    event["park_ttl"] = false.into();
    event["dry_run"] = true.into();
    let plan = support::restore(tools, event).await.expect("a plan").plan;
    for row in plan.restored() {
        assert!(row.options_diff.is_empty() && row.index_diff.is_empty(), "{row:?}");
    }
    // Now it is on, and nothing is merged into what expires.
    let merge = parking(archive, database, Existing::Merge);
    let failure = support::restore(tools, merge).await.expect_err("in the way");
    assert_eq!(failure.kind, FailureKind::PlanConflicts, "{failure}");
}
