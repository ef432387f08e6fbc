//! Connection strings as other programs have them, against real servers: what is taken, what is warned about, and what
//! is said where no connection comes of one.

use std::time::Duration;

use bson::doc;
use mongotar::backup::RunStatus;
use mongotar::mongo::{Mongo, MongoUri};

use crate::rig;
use crate::support::{self, shared_authenticated};

async fn connected(uri: String) -> Mongo {
    let connected = Mongo::connect(&MongoUri::new(&uri)).await;
    connected.unwrap_or_else(|error| panic!("{uri}: {error}"))
}

/// What is said where it does not come to a connection; nothing of the driver's own structures is in it.
async fn refused(uri: &str) -> String {
    let uri = format!("{uri}&serverSelectionTimeoutMS=2000");
    let error = Mongo::connect(&MongoUri::new(&uri)).await.expect_err(&uri).to_string();
    for structure in ["Kind:", "labels", "Topology", "Some(", "Error(", "{ "] {
        assert!(!error.contains(structure), "{uri}: {error}");
    }
    error
}

/// Each was refused as "an option that is not understood", though other drivers take it.
#[tokio::test]
async fn a_connection_string_of_another_program_connects() {
    let plain = rig::shared_replica_set().uri();
    for (options, warned) in [
        ("compressors=zlib", 0),
        ("compressors=snappy,zstd", 0),
        ("compressors=zstd&zlibCompressionLevel=3", 0),
        ("timeoutMS=20000", 0),
        ("uuidRepresentation=standard", 0),
        ("tz_aware=true&connect=false", 0),
        ("tls=false&tlsAllowInvalidHostnames=true", 0),
        ("maxIdleTimeMS=1000&waitQueueTimeoutMS=100", 0),
        ("w=majority&journal=true&wtimeoutMS=5000", 0),
        ("journal=true&w=0", 1),
        ("READPREFERENCE=secondaryPreferred&appname=shop", 0),
        // It was "none has answered in time".
        ("serverSelectionTimeoutMS=0", 0),
        ("nonsense=1", 1),
        ("maxPolSize=3&nonsense=1", 2),
    ] {
        let mongo = connected(format!("{plain}&{options}")).await;
        assert_eq!(mongo.warnings().len(), warned, "{options}: {:?}", mongo.warnings());
        let catalog = mongo.survey("nothing_is_here").await.expect(options);
        assert_eq!(catalog.collections, []);
        mongo.shut_down().await;
    }
}

/// A compressor that is asked for is spoken: the server counts what came in compressed.
#[tokio::test]
async fn messages_are_compressed_as_the_connection_string_asks() {
    let database = rig::fresh_database_name("compressed");
    let client = rig::shared_replica_set().client().await;
    support::insert(
        &client,
        &database,
        "orders",
        (0..50).map(|n| doc! {"_id": n, "text": "x".repeat(500)}).collect(),
    )
    .await;
    let read = async |name: &str| {
        let status = client
            .database("admin")
            .run_command(doc! {"serverStatus": 1})
            .await
            .expect("a status");
        let network = status.get_document("network").expect("a network");
        let of_one = network
            .get_document("compression")
            .and_then(|all| all.get_document(name));
        let counted = of_one.and_then(|one| one.get_document("compressor")).expect("counted");
        counted.get_i64("bytesIn").expect("a number")
    };
    for name in ["snappy", "zlib", "zstd"] {
        let before = read(name).await;
        let uri = format!("{}&compressors={name}", rig::shared_replica_set().uri());
        let tools = support::tools_for(
            &uri,
            mongotar::store::Store::with_client(rig::shared_s3().client().await),
        )
        .await;
        let report = support::back_up(&tools, &database, &support::bucket().await).await;
        assert_eq!(report.totals.documents, 50);
        assert!(read(name).await > before, "{name}");
    }
}

/// An unknown option is said in the report, once, and nothing of it is shown.
#[tokio::test]
async fn what_is_left_out_of_a_connection_string_stands_in_the_reports() {
    let database = rig::fresh_database_name("warned");
    let client = rig::shared_replica_set().client().await;
    support::insert(&client, &database, "orders", vec![doc! {"_id": 1}]).await;
    let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
    let uri = format!("{}&zq7XkW=v9JmT4&tlsCRLFile=x", rig::shared_replica_set().uri());
    let tools = support::tools_for(&uri, store).await;
    let report = support::back_up(&tools, &database, &support::bucket().await).await;
    let expected = [
        "the connection string: its 2nd option is unknown and ignored",
        "the connection string: its option tlsCRLFile is ignored: revocation lists are not read: a revoked certificate is accepted",
    ];
    assert_eq!(report.warnings, expected);
    let event = serde_json::json!({"archive": report.archive.to_string(), "database": database, "dry_run": true});
    let plan = support::restore(&tools, event).await.expect("a plan").plan;
    for warning in expected {
        assert_eq!(
            plan.warnings.iter().filter(|said| *said == warning).count(),
            1,
            "{:?}",
            plan.warnings
        );
    }
}

#[tokio::test]
async fn where_no_server_fits_the_error_says_why() {
    let port = rig::shared_replica_set().port();
    let said = refused(&format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0")).await;
    assert!(said.contains("replicaSet=rig"), "{said}");
    let gone = refused("mongodb://127.0.0.1:1/?directConnection=true").await;
    assert!(gone.contains("127.0.0.1:1: nothing listens there"), "{gone}");
    // It said that no server can be reached, and that one answers.
    let options = "readPreference=secondary&serverSelectionTimeoutMS=2000";
    let mongo = connected(format!("{}&{options}", rig::shared_replica_set().uri())).await;
    let begun = std::time::Instant::now();
    let said = mongo.survey("shop").await.expect_err("no secondary").to_string();
    // All servers have answered: it was looked for eight times as long.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(
        said.contains("no server fits readPreference=secondary") && said.contains("secondaryPreferred"),
        "{said}"
    );
    assert!(!said.contains("reached"), "{said}");
    let alone = rig::Mongod::standalone();
    let said = refused(&format!("mongodb://127.0.0.1:{}/?replicaSet=rs0", alone.port())).await;
    assert!(said.contains("leave replicaSet out"), "{said}");
}

/// Each was waited for, for a whole server selection or for eight of them.
#[tokio::test]
async fn what_no_waiting_mends_is_told_at_once() {
    let begun = std::time::Instant::now();
    let port = rig::shared_replica_set().port();
    let uri = format!("mongodb://127.0.0.1:{port}/?replicaSet=wrong&serverSelectionTimeoutMS=60000");
    let said = Mongo::connect(&MongoUri::new(uri))
        .await
        .expect_err("another set")
        .to_string();
    assert!(said.contains("write replicaSet=rig"), "{said}");
    for options in [
        "secondary",
        "nearest&readPreferenceTags=dc:x",
        "nearest&readPreferenceTags=dc:x&maxStalenessSeconds=90",
    ] {
        let options = format!("readPreference={options}&serverSelectionTimeoutMS=60000");
        let mongo = connected(format!("{}&{options}", rig::shared_replica_set().uri())).await;
        let read = mongo.survey("shop").await.expect_err("no such member").to_string();
        let backed_up = mongo.moment("shop").await.expect_err("no such member").to_string();
        for said in [read, backed_up] {
            assert!(said.contains("no server fits readPreference="), "{said}");
        }
        mongo.shut_down().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// It was said that there are not enough members, and not what to do.
#[tokio::test]
async fn writes_that_ask_for_more_members_than_there_are_say_what_to_write() {
    let plain = rig::shared_replica_set().uri();
    let mongo = connected(format!("{plain}&w=2&wtimeoutMS=2000")).await;
    let database = rig::fresh_database_name("two");
    let said = mongo
        .command(&database, doc! {"create": "c"}, "creating")
        .await
        .expect_err("one member");
    assert!(
        said.to_string()
            .contains("write a lower one, or w=majority, or add members"),
        "{said}"
    );
}

#[tokio::test]
async fn refused_credentials_are_said_with_their_database_and_mechanism() {
    let mongod = shared_authenticated();
    let uri = mongod.create_user(
        &rig::fresh_database_name("u"),
        vec![doc! {"role": "read", "db": "shop"}],
    );
    let wrong_source = uri.replace("authSource=admin", "authSource=shop");
    let said = refused(&wrong_source).await;
    assert!(
        said.contains("authSource shop") && said.contains("user was created"),
        "{said}"
    );
    let no_source = uri.replace("/?", "/shop?").replace("&authSource=admin", "");
    let said = refused(&no_source).await;
    assert!(
        said.contains("authSource shop, since the connection string names that database"),
        "{said}"
    );
    let said = refused(&format!("{uri}&authMechanism=PLAIN")).await;
    assert!(said.contains("PLAIN"), "{said}");
    let said = refused(&format!("{uri}&authMechanism=GSSAPI")).await;
    assert!(
        said.contains("GSSAPI is not supported") && said.contains("SCRAM-SHA-256"),
        "{said}"
    );
    // Advice about user and password helps nobody whose mechanism is refused.
    for (options, words) in [
        ("authMechanism=PLAIN", "does not offer authMechanism=PLAIN"),
        ("authMechanism=MONGODB-AWS", "does not offer authMechanism=MONGODB-AWS"),
        (
            "authMechanism=SCRAM-SHA-256&authSource=$external",
            "Write authSource=admin",
        ),
    ] {
        let said = refused(&uri.replace("authSource=admin", options)).await;
        assert!(said.contains(words) && !said.contains("password, and that"), "{said}");
        assert!(!said.contains(&support::password_of(&uri)), "{said}");
    }
    for said in [&said, &refused(&wrong_source).await] {
        assert!(!said.contains(&support::password_of(&uri)), "{said}");
    }
}

/// Certificates whose server is `localhost`.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tls");

fn with_tls(mode: &str) -> rig::MongodBuilder {
    let builder = rig::Mongod::builder().standalone().argument("--tlsMode").argument(mode);
    let builder = builder
        .argument("--tlsCertificateKeyFile")
        .argument(&format!("{TLS}/server.pem"));
    builder.argument("--tlsCAFile").argument(&format!("{TLS}/ca.pem"))
}

#[tokio::test]
async fn what_tls_failed_at_is_said_and_a_name_is_checked_unless_that_is_off() {
    let folder = TLS;
    let mongod = with_tls("allowTLS")
        .argument("--tlsAllowConnectionsWithoutCertificates")
        .start();
    let port = mongod.port();
    let ca = format!("tlsCAFile={folder}/ca.pem");
    connected(format!("mongodb://localhost:{port}/?directConnection=true&{ca}")).await;
    let by_key = format!(
        "mongodb://localhost:{port}/?directConnection=true&ssl=true&sslCAFile={folder}/ca.pem&sslPEMKeyFile={folder}/server.pem"
    );
    connected(by_key).await;

    let said = refused(&format!("mongodb://localhost:{port}/?directConnection=true&tls=true")).await;
    assert!(said.contains("tlsCAFile"), "{said}");
    let by_number = format!("mongodb://127.0.0.1:{port}/?directConnection=true&{ca}");
    let said = refused(&by_number).await;
    assert!(said.contains("for another host"), "{said}");
    let unchecked = connected(format!("{by_number}&tlsAllowInvalidCertificates=true")).await;
    assert!(
        unchecked.warnings().concat().contains("can pose as the server"),
        "{:?}",
        unchecked.warnings()
    );

    let said = refused(&format!(
        "mongodb://127.0.0.1:{}/?tls=true",
        rig::shared_replica_set().port()
    ))
    .await;
    assert!(said.contains("TLS") || said.contains("closed the connection"), "{said}");
    let said = refused(&format!(
        "mongodb://localhost:{port}/?directConnection=true&tlsCAFile=/nowhere.pem"
    ))
    .await;
    assert!(said.contains("/nowhere.pem") && said.contains("PEM"), "{said}");
    let said = refused(&format!(
        "mongodb://localhost:{port}/?directConnection=true&{ca}&tlsCertificateKeyFile=/nowhere.pem"
    ))
    .await;
    assert!(said.contains("tlsCertificateKeyFile is /nowhere.pem"), "{said}");
    // Of an authority's file without a certificate, it was only said that no authority is trusted.
    let server = std::fs::read_to_string(format!("{TLS}/server.pem")).expect("a file");
    let own = rig::ScratchDir::new("key");
    let only_key = own.path().join("key.pem");
    let at = server.find("-----BEGIN PRIVATE KEY").expect("a key");
    let end = server[at..].find("-----END PRIVATE KEY-----").expect("its end") + at;
    std::fs::write(&only_key, format!("{}-----END PRIVATE KEY-----\n", &server[at..end])).expect("written");
    for (files, words) in [
        (
            format!("tlsCAFile={}", only_key.display()),
            "has a private key and no certificate",
        ),
        (format!("tlsCAFile={TLS}"), "a folder"),
        (format!("tlsCAFile={TLS}/README.md"), "no certificate in PEM"),
        (format!("{ca}&tlsCertificateKeyFile={TLS}/ca.pem"), "has no private key"),
        (
            format!("{ca}&tlsCertificateKeyFile={}", only_key.display()),
            "has no certificate",
        ),
    ] {
        let said = refused(&format!("mongodb://localhost:{port}/?directConnection=true&{files}")).await;
        assert!(said.contains(words) && said.contains("File is /"), "{said}");
    }
}

/// Of a certificate that names another host, everything else is checked; a client shows its own, and a whole backup
/// goes through.
#[tokio::test]
async fn a_host_s_name_alone_can_be_left_unchecked() {
    let mongod = with_tls("allowTLS").start();
    let by_number = format!("mongodb://127.0.0.1:{}/?directConnection=true&tls=true", mongod.port());
    let ca = format!("tlsCAFile={TLS}/ca.pem");
    let key = format!("tlsCertificateKeyFile={TLS}/server.pem");
    let any_host = "tlsAllowInvalidHostnames=true";

    let said = refused(&format!("{by_number}&{ca}&{key}")).await;
    assert!(said.contains("for another host"), "{said}");
    let said = refused(&format!("{by_number}&{key}&{any_host}")).await;
    assert!(
        said.contains("127.0.0.1:") && said.contains("no trusted authority"),
        "{said}"
    );
    let said = refused(&format!("{by_number}&{ca}&{any_host}")).await;
    assert!(
        said.contains("tlsCertificateKeyFile") || said.contains("closed the connection"),
        "{said}"
    );
    let said = refused(&format!("{by_number}&{any_host}&tlsCAFile={TLS}/README.md&{key}")).await;
    assert!(said.contains("no certificate in PEM"), "{said}");
    let said = refused(&format!(
        "{by_number}&{ca}&{any_host}&tlsCertificateKeyFile={TLS}/ca.pem"
    ))
    .await;
    assert!(said.contains("certificate and key in one PEM file"), "{said}");
    let nobody = format!("mongodb://127.0.0.1:1/?tls=true&{any_host}");
    assert!(refused(&nobody).await.contains("127.0.0.1:1: nothing listens there"));
    let nameless = refused(&format!("mongodb://nowhere.invalid/?tls=true&{any_host}")).await;
    assert!(
        !nameless.contains("nowhere") && nameless.contains("cannot be resolved"),
        "{nameless}"
    );

    let uri = format!("{by_number}&{ca}&{key}&{any_host}");
    let mongo = connected(uri.clone()).await;
    assert!(
        mongo.warnings().concat().contains("leaves host names unchecked"),
        "{:?}",
        mongo.warnings()
    );
    mongo.shut_down().await;
    support::insert(
        &mongod.client().await,
        "shop",
        "orders",
        (0..500).map(|n| doc! {"_id": n, "text": "x".repeat(5_000)}).collect(),
    )
    .await;
    let cut = rig::CutOnce::before(mongod.port(), 1 << 20).await;
    let by_relay = uri.replace(&format!(":{}/", mongod.port()), &format!(":{}/", cut.port()));
    for uri in [&uri, &by_relay] {
        let store = mongotar::store::Store::with_client(rig::shared_s3().client().await);
        let tools = support::tools_for(uri, store).await;
        let report = support::back_up(&tools, "shop", &support::bucket().await).await;
        assert_eq!((report.totals.documents, report.status), (500, RunStatus::Complete));
    }
    assert!(cut.is_done(), "no connection had so much to carry");
}

/// It was the library's "Error with reply".
#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_as_that() {
    let said = refused("mongodb://127.0.0.1:27017/?directConnection=true&proxyHost=127.0.0.1&proxyPort=1").await;
    assert!(
        said.contains("the proxy (proxyHost, proxyPort): nothing listens there"),
        "{said}"
    );
    assert!(!said.contains("reply"), "{said}");
}

/// `timeoutMS` bounds the search for a server.
#[tokio::test]
async fn a_time_limit_of_the_connection_string_bounds_the_search() {
    let started = std::time::Instant::now();
    let uri = MongoUri::new("mongodb://127.0.0.1:1/?timeoutMS=300");
    let error = Mongo::connect(&uri).await.expect_err("nobody is there");
    assert!(error.to_string().contains("nothing listens"), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "the usual limit was waited for"
    );
}
