use super::*;

/// The half of a password before its `?` was shown, the half after its `/`, which the parser takes for something
/// else, and what follows an `@` where no host does.
#[test]
fn a_connection_string_that_is_mistyped_shows_no_piece_of_its_password() {
    for wrong in [
        "mongodb://root:half?other@db.example/shop?w=1",
        "mongodb://root:half/other@db.example/shop?w=1",
        "mongodb://root:half@other@db.example/shop?w=1",
        "mongodb://root:ha:f:other@db.example/shop?w=1",
        "mongodb://root:half#other@db.example/shop?w=1",
        "mongodb://root:half[other@db.example/shop?w=1",
    ] {
        let reason = MongoUri::new(wrong).check().expect_err(wrong);
        assert!(!reason.contains("half") && !reason.contains("other"), "{reason}");
        assert!(reason.contains("%40"), "it says what to do: {reason}");
    }
    for (wrong, words) in [
        ("localhost:27017", "mongodb://"),
        ("mysql://h/", "mongodb://"),
        ("root:half@other", "mongodb://"),
        ("mongodb://h:port/", "port"),
        ("mongodb://", "host"),
        ("mongodb://root:half@", "no host"),
        ("mongodb://root:half", "before an @"),
        ("mongodb://root:half/shop", "before an @"),
        ("mongodb://root:half/?replicaSet=rs", "before an @"),
        ("mongodb://root:half,second:27017", "before an @"),
        ("mongodb+srv://root:half", "without a port"),
        ("mongodb://h/?readPreference=half", "option readPreference"),
        ("mongodb://h/?half", "no value"),
        ("mongodb://root:12?half=other@db.example/?w=1", "%40"),
        ("mongodb://h/?half=other@db.example", "%40"),
        ("mongodb://root:half@other:x", "such as host:27017"),
        ("mongodb+srv://root:half@other.half.x:1", "without a port"),
        ("mongodb://root:half@h/?tls=half", "option tls"),
        (
            "mongodb://root:half@h/?readPreference=mongodb://other",
            "option readPreference",
        ),
        ("mongodb://ro%ot:half@h/", "percent-encoded"),
        ("mongodb://root:half%a€other@h/", "as %25"),
        ("mongodb://root:half%E9@h/", "percent-encoded"),
        ("mongodb://:half@h/", "no user name"),
        ("mongodb://root:half@h/sh$op", "name of its database"),
    ] {
        let uri = MongoUri::new(wrong);
        let Err(reason) = uri.check() else {
            panic!("{wrong} was taken")
        };
        assert!(reason.contains(words), "{wrong}: {reason}");
        assert!(
            !reason.contains("half") && !reason.contains("other"),
            "{wrong}: {reason}"
        );
        assert_eq!(format!("{uri} {uri:?}"), format!("{HIDDEN} {HIDDEN}"));
    }
    assert_eq!(MongoUri::new("mongodb://u:p%40@h:27017/shop?w=1").check(), Ok(()));
}

/// Where only the password was starred out of a text, the letters that were missing were the password.
#[test]
fn a_text_with_a_piece_of_the_credentials_is_not_shown_at_all() {
    let uri = MongoUri::new(
        "mongodb://root:p%40ss@db.example:27017/shop?authSource=admin&tlsCertificateKeyFilePassword=kkkk&authMechanismProperties=AWS_SESSION_TOKEN:tttt",
    );
    assert_eq!(uri.database().as_deref(), Some("shop"));
    for text in [
        "not p%40ss",
        "not p@ss!",
        "at root:p%40ss",
        "key kkkk",
        "xttttx",
        "mongodb://elsewhere/",
    ] {
        let shown = uri.redact(text);
        assert!(
            !shown.contains("ss!") && !shown.contains('*') && shown != text,
            "{shown}"
        );
    }
    for text in [
        "no such host: db.example:27017",
        "not authorized on shop to execute command",
    ] {
        assert_eq!(uri.redact(text), text);
    }
    let short = MongoUri::new("mongodb://root:a@h/");
    assert_eq!(short.redact("a part"), short.redact("(a)"), "as a word");
    assert_eq!(short.redact("Authentication failed."), "Authentication failed.");
    // Its host is the end of a password.
    let mistyped = MongoUri::new("mongodb://root:half@other");
    assert_eq!(mistyped.check(), Ok(()));
    let said = mistyped.redact("other:27017: failed to lookup address information: Name or service not known");
    assert!(!said.contains("other") && said.contains("%40"), "{said}");
    assert_eq!(MongoUri::new("mongodb://a,b/?replicaSet=rs").database(), None);
}

/// All of these were "an invalid value, or does not stand alone", or the driver's words when it connected.
#[test]
fn what_an_option_needs_is_said_with_what_to_do() {
    for (rest, said) in [
        (
            "h/?authMechanism=PLAIN",
            "authMechanism PLAIN needs a user and a password",
        ),
        ("root@h/?authMechanism=PLAIN", "write user:password@ before the hosts"),
        (
            "h/?authMechanism=scram-sha-256",
            "SCRAM-SHA-256 needs a user and a password",
        ),
        (
            "half:other@h/?authMechanism=MONGODB-X509",
            "MONGODB-X509 takes no password",
        ),
        ("h/?authMechanism=MONGODB-X509&authSource=half", "leave authSource out"),
        (
            "h/?authMechanism=MONGODB-OIDC",
            "authMechanismProperties=ENVIRONMENT:k8s",
        ),
        (
            "h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:half",
            "ENVIRONMENT:k8s, and no other",
        ),
        ("half@h/?authMechanism=MONGODB-AWS", "write both before the @"),
        (
            "h/?authMechanismProperties=half",
            "it must be a list such as NAME:value",
        ),
        ("h/?srvMaxHosts=2", "srvMaxHosts works only with mongodb+srv://"),
        (
            "h/?srvServiceName=half",
            "srvServiceName works only with mongodb+srv://",
        ),
        (
            "+h/?srvMaxHosts=2&replicaSet=half",
            "srvMaxHosts and replicaSet do not work together",
        ),
        (
            "+h/?srvMaxHosts=2&loadBalanced=true",
            "srvMaxHosts and loadBalanced=true do not",
        ),
        (
            "+h/?directConnection=true",
            "directConnection=true and mongodb+srv:// do not",
        ),
        ("h,i/?connect=direct", "directConnection=true and several hosts do not"),
        ("h,i/?loadBalanced=true", "loadBalanced=true and several hosts do not"),
        (
            "h/?loadBalanced=true&replicaSet=half",
            "loadBalanced=true and replicaSet do not",
        ),
        ("h/?loadBalanced=true&directConnection=true", "leave one of them out"),
        (
            "h/?maxStalenessSeconds=100",
            "maxStalenessSeconds needs a readPreference other than primary",
        ),
        (
            "h/?maxStalenessSeconds=100&readPreference=primary",
            "such as secondaryPreferred",
        ),
        (
            "h/?maxStalenessSeconds=89&readPreference=nearest",
            "here it must be at least 90",
        ),
        (
            "h/?maxStalenessSeconds=99&readPreference=nearest&heartbeatFrequencyMS=90000",
            "here it must be at least 100",
        ),
        ("h/?maxStalenessSeconds=-2&readPreference=nearest", "at least -1"),
        ("h/?readPreferenceTags=a:b", "readPreferenceTags needs a readPreference"),
        (
            "h/?readPreferenceTags=half&readPreference=nearest",
            "such as dc:ny,rack:1",
        ),
        ("h/?readPreference=half", "primaryPreferred, secondary,"),
        ("h/?serverMonitoringMode=half", "auto, stream or poll"),
        ("h/?zlibCompressionLevel=10", "at least -1 and at most 9"),
        ("h/?minPoolSize=-1", "a whole number, at least 0 and at most 4294967295"),
        ("h/?connectTimeoutMS=half", "a whole number, at least 0"),
        ("h/?w=-1", "a number of members, majority,"),
        ("h/?tls=half", "true or false"),
    ] {
        let uri = match rest.strip_prefix('+') {
            Some(rest) => format!("mongodb+srv://{rest}"),
            None => format!("mongodb://{rest}"),
        };
        let reason = MongoUri::new(&uri).check().expect_err(&uri);
        assert!(reason.contains(said), "{uri}: {reason}");
        assert!(
            !reason.contains("half") && !reason.contains("other@"),
            "{uri}: {reason}"
        );
        assert!(!reason.contains("stand alone"), "{reason}");
    }
    for taken in [
        "mongodb://h/?maxStalenessSeconds=-1",
        "mongodb://h/?maxStalenessSeconds=90&slaveOk=true",
        "mongodb+srv://h.example/?srvMaxHosts=0&replicaSet=rs",
        "mongodb://h,i/?directConnection=false",
        "mongodb://u:p@h/?authMechanism=PLAIN&authSource=%24external",
        "mongodb://h/?authMechanism=MONGODB-X509&authSource=%24external",
        "mongodb://h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT%3Ak8s",
        "mongodb://h/?authMechanism=MONGODB-AWS",
        "mongodb://h/?journal=true&w=0",
    ] {
        assert_eq!(MongoUri::new(taken).check(), Ok(()), "{taken}");
    }
}
