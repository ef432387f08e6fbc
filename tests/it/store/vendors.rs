//! S3 as other vendors have it: what it lacks, what it wants, and what it says when it refuses.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use mongotar::archive::Extent;
use mongotar::failure::{Failure, FailureKind};
use mongotar::store::Location;

use crate::cli::{Shell, numbered, text};
use crate::rig::{self, Exchange, Fault, Proxy, Refused, Rule};
use crate::support::{bucket, store_through};

#[tokio::test]
async fn a_refusal_is_told_with_its_likely_cause_also_where_only_a_head_was_refused() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let store = store_through(&proxy);
    let location = bucket().await.join("a");
    store.put(&location, "a".into(), "text/plain").await.expect("put");
    for (status, code, region, part) in [
        (301, "PermanentRedirect", Some("eu-west-1"), "AWS_REGION=eu-west-1"),
        (400, "ExpiredToken", None, "AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", None, "clock"),
        (403, "SignatureDoesNotMatch", None, "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", None, "AWS_ACCESS_KEY_ID"),
        (400, "KMS.DisabledException", None, "KMS key"),
        (403, "AccessDenied", None, "needs the permission s3:GetObject"),
    ] {
        let refused = Refused {
            status,
            code,
            message: "as the vendor words it",
            region,
        };
        proxy.reset();
        proxy.inject(Rule::on("*", "/a").times(usize::MAX).then(Fault::Refused(refused)));
        let failure = Failure::from(store.find(&location).await.expect_err(code));
        assert_eq!(failure.kind, FailureKind::StoreDenied, "{failure}");
        for part in [part, code, "as the vendor words it", "4442587FB7D0A2F9"] {
            assert!(failure.message.contains(part), "{part}: {failure}");
        }
        assert!(failure.message.contains("is denied (HeadObject)"), "{failure}");
        assert!(!failure.message.contains("MONGOTAR_S3_ENCRYPTION"), "a read: {failure}");
        assert!(code.starts_with("KMS") || !failure.message.contains("KMS"), "{failure}");
    }
    for (method, status, code, kind) in [
        ("PUT", 412, "PreconditionFailed", FailureKind::ArchiveExists),
        ("PUT", 409, "ConditionalRequestConflict", FailureKind::ArchiveExists),
        ("GET", 412, "PreconditionFailed", FailureKind::Store),
        ("GET", 404, "NoSuchKey", FailureKind::ArchiveNotFound),
        ("GET", 404, "NoSuchBucket", FailureKind::ArchiveNotFound),
        ("GET", 403, "InvalidObjectState", FailureKind::StoreDenied),
    ] {
        proxy.reset();
        let there = store.find(&location).await.expect("it is there");
        let refused = Refused {
            status,
            code,
            message: "as the vendor words it",
            region: None,
        };
        proxy.inject(Rule::on(method, "/").times(usize::MAX).then(Fault::Refused(refused)));
        let failed = match method {
            "PUT" => store.put(&location.join("new"), "a".into(), "text/plain").await,
            _ => store.read(&there, Extent { offset: 0, length: 1 }).await.map(drop),
        };
        let failure = Failure::from(failed.expect_err(code));
        assert_eq!(failure.kind, kind, "{failure}");
        let said = format!("The store said: {status} {code}: as the vendor words it (request 4442587FB7D0A2F9)");
        assert!(failure.message.ends_with(&said), "{failure}");
    }
    proxy.reset();
    let Location::S3 { bucket, .. } = &location else {
        panic!("a place in S3");
    };
    let nowhere: Location = format!("s3://{bucket}-there-is-none/a").parse().expect("a place");
    let error = store.find(&nowhere).await.expect_err("no bucket").to_string();
    assert!(error.contains("no such bucket"), "{error}");
    let error = store
        .find(&location.join("b"))
        .await
        .expect_err("no object")
        .to_string();
    assert!(error.contains("does not exist"), "{error}");
    // A HEAD has no body, so this is what a GET said.
    assert!(error.contains("404 NoSuchKey"), "{error}");
}

/// It answers everything with a page: a backup said that the archive exists already, and `verify` that it is damaged.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_s3_and_answers_everything_is_told_as_that() {
    let (shell, _) = Shell::with_orders(numbered(0..5)).await;
    let page = rig::HttpServer::start(|_| async {
        let page = "<html><body>Welcome</body></html>";
        Ok(rig::answer(hyper::StatusCode::OK, "text/html", page))
    });
    // With what names an object's version, it was taken for one: the archive existed already, or was damaged.
    let versioned = rig::HttpServer::start(|_| async {
        let page = "<html><body>Welcome</body></html>";
        let mut answer = rig::answer(hyper::StatusCode::OK, "text/html; charset=utf-8", page);
        answer
            .headers_mut()
            .insert("etag", "\"65a1b2c3-264\"".parse().expect("a value"));
        Ok(answer)
    });
    let weakly = rig::HttpServer::start(|_| async {
        let mut answer = rig::answer(hyper::StatusCode::OK, "application/json", "{\"hello\": 1}");
        answer
            .headers_mut()
            .insert("etag", "W/\"d-1\"".parse().expect("a value"));
        Ok(answer)
    });
    let commands = [
        &["backup", "--to", "s3://bucket/nightly/"][..],
        &["backup", "--to", "s3://bucket/nightly/", "--run", "nightly"],
        &["verify", "s3://bucket/nightly/a.tar"],
        &["show", "s3://bucket/nightly/a.tar"],
        &["list", "s3://bucket/nightly/"],
    ];
    let servers = [page.address(), versioned.address(), weakly.address()];
    for (server, command) in servers
        .iter()
        .flat_map(|server| commands.map(|command| (server, command)))
    {
        let shell = shell.copy().set("AWS_ENDPOINT_URL", &format!("http://{server}"));
        let refused = shell.json(1, command);
        assert_eq!(refused["error_type"], "Store", "{command:?}: {refused}");
        let message = text(&refused["message"]);
        assert!(
            message.contains("no answer of S3: is AWS_ENDPOINT_URL the address of a store?"),
            "{command:?}: {message}"
        );
    }
}

/// The id was lost, and a reason in JSON was "without a reason".
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_body_of_a_refusal_alone_is_told() {
    let shell = Shell::new();
    for (status, kind, body, error_type, told) in [
        (
            403,
            "application/xml",
            "<Error><Code>AccessDenied</Code><Message>no</Message><RequestId>7F2</RequestId></Error>",
            "StoreDenied",
            "403 AccessDenied: no (request 7F2)",
        ),
        (
            403,
            "application/json",
            r#"{"Code": "AccountProblem", "Message": "pay first", "RequestId": "7F2"}"#,
            "StoreDenied",
            "403 AccountProblem: pay first (request 7F2)",
        ),
        (
            400,
            "application/json",
            r#"{"error": "invalid_token", "error_description": "it ran out"}"#,
            "Store",
            "status 400: invalid_token: it ran out",
        ),
        (
            404,
            "text/html",
            "<html><body>Nothing here</body></html>",
            "Store",
            "No S3 answers with a page: is AWS_ENDPOINT_URL the address of a store?",
        ),
    ] {
        let server = rig::HttpServer::start(move |_| async move {
            let status = hyper::StatusCode::from_u16(status).expect("a status");
            Ok(rig::answer(status, kind, body))
        });
        let shell = shell
            .copy()
            .set("AWS_ENDPOINT_URL", &format!("http://{}", server.address()));
        for command in [["list", "s3://bucket/nightly/"], ["show", "s3://bucket/nightly/a.tar"]] {
            let refused = shell.json(1, &command);
            assert_eq!(refused["error_type"], error_type, "{command:?}: {refused}");
            assert!(text(&refused["message"]).contains(told), "{command:?}: {refused}");
        }
    }
}

/// Everything that a command does, by a store without conditional writes and the newer checksums.
#[tokio::test]
async fn a_store_without_conditional_writes_and_checksums_holds_archives_and_runs() {
    let (shell, database) = Shell::with_orders(numbered(0..50)).await;
    let folder = bucket().await.to_string();
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    proxy.grow_old();
    let shell = shell.set("AWS_ENDPOINT_URL", &proxy.endpoint());
    let refused = shell.json(2, &["backup", "--to", &folder]);
    let message = text(&refused["message"]);
    assert!(message.contains("MONGOTAR_S3_CONDITIONAL_WRITES"), "{refused}");
    assert_eq!(refused["error_type"], "InvalidRequest");
    proxy.reset();

    let shell = shell
        .set("MONGOTAR_S3_CHECKSUMS", "none")
        .set("MONGOTAR_S3_CONDITIONAL_WRITES", "no");
    let said = shell
        .run(&["backup", "--to", &folder, "--run", "nightly", "--json"])
        .expect(0);
    let report = said.json();
    assert_eq!(report["status"], "complete", "{report}");
    let archive = text(&report["archive"]).to_owned();
    shell.json(0, &["verify", &archive]);
    let into = rig::fresh_database_name("vendor");
    let restored = shell.json(0, &["restore", &archive, "--mongo-db", &into, "--yes", "--run", "back"]);
    assert_eq!(restored["status"], "complete", "{restored}");
    assert_eq!(shell.json(0, &["list", &folder]).as_array().map(Vec::len), Some(1));
    assert!(proxy.exchanges().iter().all(|seen| seen.status != Some(501)));

    // Killed, as it were, when the archive is there and nobody has said so: it is found, and not "exists already".
    let folder = bucket().await.to_string();
    proxy.inject(Rule::on("POST", "uploadId").then(Fault::CutAfterForwarding));
    proxy.inject(Rule::on("POST", "uploadId").times(usize::MAX).then(Fault::Status(503)));
    let unsaid = Refused {
        status: 400,
        code: "BadRequest",
        message: "not now",
        region: None,
    };
    // The first look is before the commit.
    let looks = Rule::on("HEAD", ".tar").nth(2).times(usize::MAX);
    proxy.inject(looks.then(Fault::Refused(unsaid)));
    let backup = ["backup", "--to", &folder, "--run", "nightly", "--json"];
    let failed = shell.run(&backup).expect(1);
    assert_eq!(failed.json()["error_type"], "Store", "{failed:?}");
    proxy.reset();
    let found = shell.run(&backup).expect(0).json();
    assert_eq!(found["status"], "complete", "{found}");
    assert_eq!(shell.json(0, &["list", &folder]).as_array().map(Vec::len), Some(1));
    drop(database);
}

#[tokio::test]
async fn every_write_has_the_encryption_and_every_request_the_owner_that_were_asked_for() {
    let (shell, _) = Shell::with_orders(numbered(0..5)).await;
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let shell = shell
        .set("AWS_ENDPOINT_URL", &proxy.endpoint())
        .set("MONGOTAR_S3_STORAGE_CLASS", "STANDARD_IA")
        .set("MONGOTAR_S3_BUCKET_OWNER", "123456789012");
    let kms = [
        ("MONGOTAR_S3_ENCRYPTION", "aws:kms"),
        ("MONGOTAR_S3_KMS_KEY", "alias/backups"),
        ("MONGOTAR_S3_BUCKET_KEY", "true"),
    ];
    for set in [&[("MONGOTAR_S3_ENCRYPTION", "AES256")][..], &kms] {
        let folder = bucket().await.to_string();
        proxy.reset();
        let shell = set
            .iter()
            .fold(shell.copy(), |shell, (name, value)| shell.set(name, value));
        let said = shell.run(&["backup", "--to", &folder, "--run", "nightly", "--json"]);
        if set.len() == 1 {
            // The rig's store has no KMS.
            assert_eq!(said.expect(0).json()["status"], "complete");
        }
        let seen = proxy.exchanges();
        assert!(seen.iter().any(makes_an_object), "{seen:?}");
        for one in &seen {
            let of = |name: &str| header(one, name);
            assert_eq!(of("x-amz-expected-bucket-owner"), Some("123456789012"), "{one:?}");
            let headers = [
                "x-amz-server-side-encryption",
                "x-amz-server-side-encryption-aws-kms-key-id",
                "x-amz-server-side-encryption-bucket-key-enabled",
            ];
            for (index, name) in headers.into_iter().enumerate() {
                let asked = set.get(index).filter(|_| makes_an_object(one));
                assert_eq!(of(name), asked.map(|(_, value)| *value), "{name}: {one:?}");
            }
            let in_progress = of("x-amz-tagging").is_some_and(|tags| tags.contains("in-progress"));
            let of_an_archive = begins_an_upload(one) && !in_progress;
            assert_eq!(of("x-amz-storage-class").is_some(), of_an_archive, "{one:?}");
        }
    }
    let wrong = shell.set("MONGOTAR_S3_ENCRYPTION", "aes");
    let wrong = wrong.json(2, &["list", "s3://nowhere/"]);
    assert!(
        text(&wrong["message"]).contains("MONGOTAR_S3_ENCRYPTION may be AES256"),
        "{wrong}"
    );
    assert_eq!(wrong["error_type"], "InvalidRequest");
}

fn header<'a>(seen: &'a Exchange, name: &str) -> Option<&'a str> {
    let found = seen.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn begins_an_upload(seen: &Exchange) -> bool {
    seen.method == "POST" && seen.query.starts_with("uploads")
}

fn makes_an_object(seen: &Exchange) -> bool {
    begins_an_upload(seen) || seen.method == "PUT" && !seen.query.contains("partNumber")
}

#[tokio::test]
async fn an_endpoint_may_stand_in_a_profile() {
    let (shell, _) = Shell::with_orders(numbered(0..5)).await;
    let folder = bucket().await.to_string();
    let endpoint = rig::shared_s3().endpoint();
    let shell = shell.unset("AWS_ENDPOINT_URL");
    for config in [
        format!("[default]\nendpoint_url = {endpoint}\n"),
        format!("[default]\nservices = here\n[services here]\ns3 =\n  endpoint_url = {endpoint}\n"),
    ] {
        let path = shell.path("config");
        std::fs::write(&path, config).expect("written");
        let shell = shell.copy().set("AWS_CONFIG_FILE", path.to_str().expect("UTF-8"));
        shell.json(0, &["list", &folder]);
    }
}

/// TLS before a server without. It ends when its standard input does.
const TLS: &str = "
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = socket.create_server(('127.0.0.1', 0))
print(server.getsockname()[1], flush=True)
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    b.close()
def serve(raw):
    try:
        client = context.wrap_socket(raw, server_side=True)
    except OSError:
        return
    upstream = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
    pump(upstream, client)
def accept():
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
";

#[tokio::test]
async fn a_bundle_is_trusted_and_nothing_else() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tls");
    let (_, upstream) = rig::shared_s3().endpoint().rsplit_once(':').expect("a port");
    let mut relay = Command::new(rig::python().interpreter())
        .args(["-c", TLS, &format!("{fixtures}/server.pem"), upstream])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut port = String::new();
    let out = relay.stdout.as_mut().expect("a pipe");
    BufReader::new(out).read_line(&mut port).expect("a port");
    let (shell, _) = Shell::with_orders(numbered(0..5)).await;
    let folder = bucket().await.to_string();
    let shell = shell.set("AWS_ENDPOINT_URL", &format!("https://localhost:{}", port.trim()));
    let trusting = |bundle: &str| shell.copy().set("AWS_CA_BUNDLE", bundle);
    let backed_up = trusting(&format!("{fixtures}/ca.pem")).json(0, &["backup", "--to", &folder]);
    assert_eq!(backed_up["status"], "complete");
    let refused = shell.json(1, &["list", &folder]);
    assert!(text(&refused["message"]).contains("certificate"), "{refused}");
    for unusable in ["/nowhere.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let refused = trusting(unusable).json(2, &["list", &folder]);
        assert!(text(&refused["message"]).contains(unusable), "{refused}");
    }
    drop(relay.stdin.take());
    relay.wait().expect("it ends");
}

/// Copies are often in another region than the function that restores them.
#[tokio::test]
async fn a_bucket_in_another_region_is_asked_there_from_then_on() {
    let proxy = Proxy::start(rig::shared_s3().endpoint());
    let location = bucket().await.join("a");
    store_through(&proxy)
        .put(&location, "a".into(), "text/plain")
        .await
        .expect("put");
    let folder = location.parent();
    for first in ["find", "list", "folders", "load"] {
        let store = store_through(&proxy);
        let refused = Refused {
            status: 301,
            code: "PermanentRedirect",
            message: "the bucket is elsewhere",
            region: Some("eu-west-1"),
        };
        proxy.reset();
        // A HEAD tells no reason: a GET is asked for it.
        let times = if first == "find" { 2 } else { 1 };
        proxy.inject(Rule::on("*", "/").times(times).then(Fault::Refused(refused)));
        let asked = match first {
            "find" => store.find(&location).await.map(drop),
            "list" => store.list(&folder, "").await.map(drop),
            "folders" => store.folders(&folder, "").await.map(drop),
            _ => store.load(&location).await.map(drop),
        };
        asked.unwrap_or_else(|error| panic!("{first}: {error}"));
        store
            .put(&folder.join(first), "b".into(), "text/plain")
            .await
            .expect("put");
        let there = |seen: &&Exchange| {
            let signed = seen.headers.iter().find(|(name, _)| name == "authorization");
            signed.is_some_and(|(_, signed)| signed.contains("/eu-west-1/s3/"))
        };
        let seen = proxy.exchanges();
        assert!(!seen.iter().take(times).any(|seen| there(&seen)), "{first}: {seen:?}");
        assert!(seen.iter().skip(times).all(|seen| there(&seen)), "{first}: {seen:?}");
    }
}
