//! Backups to an S3 that fails: what can be mended is mended, and what cannot leaves nothing behind.

use mongotar::archive::Compression;
use mongotar::backup::{BackupAnswer, BackupJob, BackupReport, RunStatus, Tools, backup, backup_run};
use mongotar::failure::FailureKind;
use mongotar::run::{Deadline, Memory, Run};
use mongotar::store::Location;
use mongotar::verify::verify;

use crate::rig::{self, Fault, Proxy, Rule};
use crate::support::{bucket, insert_mebibytes, job, store_through, tools_for, unfinished, visible};

/// A database that makes an archive of five parts, and a proxy before the bucket that it goes to.
struct Rigged {
    proxy: Proxy,
    tools: Tools,
    job: BackupJob,
    folder: Location,
}

const DOCUMENTS: u64 = 24;

async fn rigged() -> Rigged {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let mongod = rig::shared_replica_set();
    let database = rig::fresh_database_name("it");
    insert_mebibytes(&mongod.client().await, &database, "large", DOCUMENTS).await;
    let folder = bucket().await;
    let mut job = job(&database, &folder);
    job.compression = Compression::None;
    Rigged {
        tools: tools_for(&mongod.uri(), store_through(&proxy)).await,
        proxy,
        job,
        folder,
    }
}

impl Rigged {
    /// The backup that comes about in spite of it all: one archive, whole, and nothing else.
    async fn expect_a_whole_archive(&self) -> BackupReport {
        let report = backup(&self.job, &self.tools).await.expect("a backup");
        assert_eq!(report.status, RunStatus::Complete);
        assert_eq!(report.totals.documents, DOCUMENTS);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let expected = [format!("{}.manifest.json", report.name), format!("{}.tar", report.name)];
        assert_eq!(visible(&self.tools.store, &self.folder).await, expected);
        assert_eq!(unfinished(&self.folder).await, [""; 0]);
        let verified = verify(
            &self.tools.store,
            &report.archive,
            Memory::default(),
            &self.tools.progress,
        )
        .await;
        let verified = verified.expect("it can be opened");
        assert_eq!((verified.status, &verified.damaged[..]), (RunStatus::Complete, &[][..]));
        report
    }

    /// The backup that cannot come about: an error of this kind with this text, and nothing left behind.
    async fn expect_nothing(&self, kind: FailureKind, text: &str) {
        let failure = backup(&self.job, &self.tools).await.expect_err("it cannot succeed");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(text), "{failure}");
        self.proxy.reset();
        assert_eq!(unfinished(&self.folder).await, [""; 0]);
        assert_eq!(visible(&self.tools.store, &self.folder).await, [""; 0]);
    }
}

#[tokio::test]
async fn throttled_parts_are_sent_again() {
    let rigged = rigged().await;
    let throttled = Rule::on("PUT", "partNumber=2").times(3).then(Fault::Status(503));
    rigged.proxy.inject(throttled);
    rigged.expect_a_whole_archive().await;
    assert_eq!(rigged.proxy.count("PUT", "partNumber=2"), 4);
}

#[tokio::test]
async fn parts_whose_connection_breaks_are_sent_again() {
    let rigged = rigged().await;
    for (part, cut) in [
        ("partNumber=1", Fault::CutBeforeForwarding),
        ("partNumber=3", Fault::CutAfterForwarding),
    ] {
        rigged.proxy.inject(Rule::on("PUT", part).times(2).then(cut));
    }
    rigged.expect_a_whole_archive().await;
    assert_eq!(rigged.proxy.count("PUT", "partNumber=1"), 3);
    assert_eq!(rigged.proxy.count("PUT", "partNumber=3"), 3);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_succeeds_once() {
    let rigged = rigged().await;
    let lost = Rule::on("POST", "uploadId=").then(Fault::CutAfterForwarding);
    rigged.proxy.inject(lost);
    let report = rigged.expect_a_whole_archive().await;
    let object = rigged.tools.store.find(&report.archive).await.expect("it is there");
    assert_eq!((object.bytes, object.etag), (report.archive_bytes, report.etag));
}

/// The repeated request met its own object, and the report said that there was no copy of the manifest.
#[tokio::test]
async fn a_manifest_copy_whose_answer_is_lost_is_there() {
    let rigged = rigged().await;
    let lost = Rule::on("PUT", ".manifest.json").then(Fault::CutAfterForwarding);
    rigged.proxy.inject(lost);
    let report = rigged.expect_a_whole_archive().await;
    assert!(report.manifest.is_some());
}

#[tokio::test]
async fn a_manifest_copy_that_cannot_be_written_is_a_warning() {
    let rigged = rigged().await;
    let denied = Rule::on("PUT", ".manifest.json").then(Fault::Status(403));
    rigged.proxy.inject(denied);
    let report = backup(&rigged.job, &rigged.tools).await.expect("a backup");
    assert_eq!(report.status, RunStatus::Complete);
    assert!(report.manifest.is_none());
    assert!(
        report.warnings[0].contains("the manifest's copy"),
        "{:?}",
        report.warnings
    );
}

/// A run is known by that copy when its event comes again: without it, there was a second archive.
#[tokio::test]
async fn the_same_event_writes_the_manifest_copy_that_is_missing_and_makes_no_second_archive() {
    let rigged = rigged().await;
    let run = Run::now(rig::unique_name("run"));
    rigged
        .proxy
        .inject(Rule::on("PUT", ".manifest.json").then(Fault::Status(403)));
    let mut archives = Vec::new();
    for copied in [false, true, true] {
        let answer = backup_run(&rigged.job, &run, &rigged.tools).await.expect("an answer");
        let BackupAnswer::Finished(report) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(report.manifest.is_some(), copied);
        archives.push((report.archive, report.etag));
        rigged.proxy.reset();
    }
    archives.dedup();
    assert_eq!(archives.len(), 1, "{archives:?}");
    assert_eq!(visible(&rigged.tools.store, &rigged.folder).await.len(), 2);
}

/// The answers to conditional writes get lost, too: who repeats one meets his own.
#[tokio::test]
async fn a_run_outlives_lost_answers_to_its_lease_and_its_state() {
    let rigged = rigged().await;
    for object in ["lease.json", "state-"] {
        let lost = Rule::on("PUT", object).times(2);
        rigged.proxy.inject(lost.then(Fault::CutAfterForwarding));
    }
    let tools = Tools {
        deadline: Deadline::within(std::time::Duration::ZERO, None),
        ..rigged.tools.clone()
    };
    let run = Run::now(rig::unique_name("run"));
    let report = loop {
        match backup_run(&rigged.job, &run, &tools).await.expect("an answer") {
            BackupAnswer::Finished(report) => break report,
            BackupAnswer::Unfinished(unfinished) => assert_eq!(unfinished.status, RunStatus::Continue),
        }
    };
    assert_eq!(
        (report.status, report.totals.documents),
        (RunStatus::Complete, DOCUMENTS)
    );
}

#[tokio::test]
async fn parts_that_never_arrive_leave_nothing_behind() {
    let rigged = rigged().await;
    let never = Rule::on("PUT", "partNumber=").times(usize::MAX);
    rigged.proxy.inject(never.then(Fault::Status(500)));
    rigged.expect_nothing(FailureKind::Store, "UploadPart").await;
}

#[tokio::test]
async fn the_first_error_is_the_one_that_is_told() {
    let rigged = rigged().await;
    let denied = Rule::on("PUT", "partNumber=2").then(Fault::Status(403));
    let all = Rule::on("PUT", "partNumber=").times(usize::MAX);
    rigged.proxy.inject(denied);
    rigged.proxy.inject(all.nth(5).then(Fault::CutBeforeForwarding));
    rigged.expect_nothing(FailureKind::StoreDenied, "UploadPart").await;
}

#[tokio::test]
async fn a_commit_that_never_succeeds_leaves_nothing_behind() {
    let rigged = rigged().await;
    let never = Rule::on("POST", "uploadId=").times(usize::MAX);
    rigged.proxy.inject(never.then(Fault::Status(500)));
    rigged
        .expect_nothing(FailureKind::Store, "CompleteMultipartUpload")
        .await;
}

#[tokio::test]
async fn denied_access_is_told_as_that() {
    let rigged = rigged().await;
    rigged
        .proxy
        .inject(Rule::on("*", "").times(usize::MAX).then(Fault::Status(403)));
    rigged
        .expect_nothing(FailureKind::StoreDenied, "CreateMultipartUpload")
        .await;
}

/// A role that may write archives and do nothing else is the one that a backup should run with.
#[tokio::test]
async fn a_role_that_may_only_write_can_back_up() {
    let rigged = rigged().await;
    for method in ["HEAD", "GET"] {
        rigged
            .proxy
            .inject(Rule::on(method, "").times(usize::MAX).then(Fault::Status(403)));
    }
    let report = backup(&rigged.job, &rigged.tools).await.expect("a backup");
    assert_eq!((report.status, report.warnings.len()), (RunStatus::Complete, 0));
}
