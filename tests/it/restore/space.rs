//! Whether what is to come may not fit: the numbers are the server's.

use bson::doc;
use mongotar::open::open;
use mongotar::plan::{Contents, Policy, plan};
use mongotar::run::Memory;

use super::{numbered, place};
use crate::rig;

#[tokio::test]
async fn the_size_of_the_file_system_is_the_servers_also_for_a_database_that_is_not_there_yet() {
    let place = place().await;
    place.insert("orders", numbered(0..3, "x")).await;
    let admin = place.client.database("admin");
    let stats = admin.run_command(doc! {"dbStats": 1}).await.expect("statistics");
    let total = stats.get_f64("fsTotalSize").expect("a size") as u64;
    for database in [place.database.clone(), rig::fresh_database_name("nowhere")] {
        let target = place.tools.mongo.survey(&database).await.expect("a survey");
        let disk = target.disk.expect("this server says");
        assert_eq!(disk.total, total, "{database}");
        assert!(disk.used > 0 && disk.used <= disk.total, "{disk:?}");
        assert_eq!(disk.free(), disk.total - disk.used);
    }
}

#[tokio::test]
async fn a_plan_for_more_than_the_disk_has_room_for_says_so() {
    let place = place().await;
    place.insert("orders", numbered(0..3, "x")).await;
    let archive = place.archive().await.parse().expect("a location");
    let archive = open(&place.tools.store, &archive, Memory::default())
        .await
        .expect("an archive");
    let target = place.tools.mongo.survey(&place.database).await.expect("a survey");
    let mut contents = archive.contents();
    let policy = Policy::new(&place.database);
    let may_not_fit = |contents: &Contents| {
        let plan = plan(contents, &target, &policy).expect("a plan");
        plan.warnings.iter().any(|warning| warning.contains("may not fit"))
    };
    assert!(!may_not_fit(&contents), "three small documents");
    contents.collections[0].bytes = target.disk.expect("this server says").free() + 1;
    assert!(may_not_fit(&contents));
}
