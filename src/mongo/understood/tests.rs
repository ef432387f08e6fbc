use super::*;
use crate::mongo::MongoUri;
use crate::mongo::options::OPTIONS;

fn understood(options: &str) -> Understood {
    Understood::of(options).unwrap_or_else(|reason| panic!("{options}: {reason}"))
}

/// A value for each kind of option.
fn sample(name: &str, does: Does) -> &'static str {
    match (name, does) {
        (_, Does::Alias(target)) => sample(target, known(target).expect("a target").1),
        (_, Does::Opposite(_)) => "false",
        ("readConcernLevel", _) => "local",
        ("w", _) => "2",
        ("readPreference", _) => "secondary",
        ("readPreferenceTags", _) => "dc:ny&readPreference=secondary",
        ("maxStalenessSeconds", _) => "90&readPreference=secondary",
        ("serverMonitoringMode", _) => "poll",
        ("authMechanism", _) => "MONGODB-X509",
        ("authMechanismProperties", _) => "A:b",
        ("compressors", _) => "zlib",
        ("zlibCompressionLevel", _) => "6&compressors=zlib",
        ("ssl_cert_reqs", _) => "CERT_NONE",
        ("connect", _) => "direct",
        ("slaveOk" | "slave_okay", _) => "true",
        ("proxyPort", _) => "1080&proxyHost=h",
        ("proxyUsername", _) => "u&proxyPassword=p&proxyHost=h",
        ("proxyPassword", _) => "p&proxyUsername=u&proxyHost=h",
        (_, Does::Hand(ValueForm::Flag)) | (_, Does::Own(Own::InvalidHostnames)) => "true",
        (_, Does::Hand(ValueForm::Number)) | (_, Does::Own(_)) => "1000",
        _ => "x",
    }
}

/// The driver refused more than a hundred of them, and said so as "an option that is not understood".
#[test]
fn every_option_that_is_known_is_taken_in_any_case_and_reaches_what_it_is_for() {
    for &(name, does) in OPTIONS {
        let srv = if name.starts_with("srv") { "+srv" } else { "" };
        for name in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
            let option = format!("{name}={}", sample(known(&name).expect("known").0, does));
            let uri = MongoUri::new(format!("mongodb{srv}://h.example/shop?{option}"));
            if matches!(does, Does::Refuse(_)) {
                let reason = uri.check().expect_err(&option);
                assert!(reason.contains("is refused"), "{reason}");
                continue;
            }
            assert_eq!(uri.check(), Ok(()), "{option}");
            let understood = understood(&option);
            let handed = understood.options();
            let expected = match does {
                Does::Hand(_) => known(&name).expect("known").0,
                Does::Alias(target) | Does::Opposite(target) => target,
                Does::Own(Own::Connect) => "directConnection",
                Does::Own(Own::SlaveOk) => "readPreference",
                _ => continue,
            };
            let expected = if expected == "tlsAllowInvalidHostnames" {
                "tls"
            } else {
                expected
            };
            let at_all = handed.split('&').any(|pair| pair.starts_with(&format!("{expected}=")));
            let by_hand = matches!(known(expected), Some((_, Does::Warn(_))));
            assert!(at_all || by_hand, "{option} became {handed:?}");
        }
    }
}

#[test]
fn the_options_of_the_specification_and_of_others_become_what_they_mean() {
    for (given, handed, warned) in [
        ("", "", ""),
        ("&&w=1&", "w=1", ""),
        ("w=1;journal=true", "w=1&journal=true", ""),
        ("journal=true&w=0", "journal=true&w=majority", "w=majority is used"),
        ("appName=a;b&w=1", "appName=a;b&w=1", ""),
        ("compressors=snappy,ZLIB", "compressors=snappy,zlib", ""),
        ("compressors=lz4,zlib", "compressors=zlib", "snappy, zlib"),
        ("compressors=disabled", "", ""),
        ("uuidRepresentation=standard", "", ""),
        ("tz_aware=true&connect=false", "", ""),
        ("connect=direct", "directConnection=true", ""),
        ("retryWrites=No&journal=1", "retryWrites=false&journal=true", ""),
        ("maxPoolSize=0&maxConnecting=2", "maxConnecting=2", ""),
        ("wtimeout=5", "wTimeoutMS=5", ""),
        ("wtimeoutMS=10&wtimeout=5", "wTimeoutMS=10", "wtimeout is ignored"),
        ("replicaSet=a&replicaSet=b", "replicaSet=b", "more than once"),
        (
            "readPreference=nearest&readPreferenceTags=a:b&readPreferenceTags=",
            "readPreference=nearest&readPreferenceTags=a:b&readPreferenceTags=",
            "",
        ),
        ("readPreferenceTags=", "", ""),
        (
            "readPreference=nearest&readPreferenceTags=",
            "readPreference=nearest",
            "",
        ),
        ("w=50&readConcernLevel=majority", "w=50&readConcernLevel=majority", ""),
        ("w=far.2", "w=far.2", ""),
        ("maxIdleTimeMS=&journal=", "", "is empty"),
        ("ssl=true&tls=true", "tls=true", ""),
        ("ssl_match_hostname=true&ssl=1", "tls=true", ""),
        ("tls=false&tlsAllowInvalidHostnames=true&tlsCAFile=x", "tls=false", ""),
        (
            "tlsAllowInvalidHostnames=true",
            "tls=true",
            match ANY_HOST {
                true => "tlsAllowInvalidHostnames leaves host names unchecked",
                false => "tlsAllowInvalidHostnames is ignored",
            },
        ),
        ("tlsAllowInvalidHostnames=false", "", ""),
        (
            "tlsAllowInvalidCertificates=true",
            "tlsAllowInvalidCertificates=true",
            "host names unchecked",
        ),
        (
            "sslValidate=false",
            "tlsAllowInvalidCertificates=true",
            "host names unchecked",
        ),
        ("tlsInsecure=true", "tlsInsecure=true", ""),
        ("tlsCRLFile=x", "", "revoked certificate is accepted"),
        ("nonsense=1", "", "its 1st option is unknown"),
        ("w=1&retryWrite=true", "w=1", "did you mean retryWrites?"),
        ("3t.uriVersion=3&3t.databases=a,b", "", ""),
        ("authMechanism=DEFAULT&authSource=a", "authSource=a", ""),
    ] {
        let understood = understood(given);
        assert_eq!(understood.options(), handed, "{given}");
        match warned {
            "" => assert!(understood.warnings.is_empty(), "{given}: {:?}", understood.warnings),
            words => assert!(
                understood.warnings.concat().contains(words),
                "{given}: {:?}",
                understood.warnings
            ),
        }
    }
    assert_eq!(understood("nonsense=1&w=1&nonsense=2").warnings.len(), 2, "two of them");
    // A plain word is shown; what may be a piece of a secret is not.
    let warned = |options: &str| understood(options).warnings.concat();
    assert_eq!(warned("nonsense=1"), "its 1st option is unknown and ignored (nonsense)");
    assert_eq!(
        warned("w=1&maxPolSize=3"),
        "its 2nd option is unknown and ignored (maxPolSize): did you mean maxPoolSize?"
    );
    for secret in [
        "hunter2",
        "zq7XkW",
        "xkcdpwd",
        "SECRETKEY",
        "aBCDEf",
        "my-token",
        "Passwort",
        &"a".repeat(41),
    ] {
        assert_eq!(warned(&format!("{secret}=1")), "its 1st option is unknown and ignored");
    }
    let rest = Understood::of("word=1&half@host").expect_err("the rest of a password");
    assert!(!rest.contains("word"), "{rest}");
}

#[test]
fn a_limit_of_calls_is_that_of_timeoutms_or_of_the_socket() {
    let limit = |options: &str| {
        let understood = understood(options);
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        (seconds(understood.call_limit), seconds(understood.selection_limit))
    };
    assert_eq!(limit("timeoutMS=20000"), (Some(20), Some(20)));
    assert_eq!(limit("socketTimeoutMS=30000"), (Some(30), None));
    assert_eq!(limit("socketTimeoutMS=30000&timeoutMS=20000"), (Some(20), Some(20)));
    assert_eq!(limit("timeoutMS=0&socketTimeoutMS=0"), (None, None));
}

#[test]
fn host_names_alone_are_left_unchecked_only_where_nothing_more_is_asked() {
    assert_eq!(understood("tlsAllowInvalidHostnames=true").any_host, ANY_HOST);
    assert_eq!(understood("ssl_match_hostname=false").any_host, ANY_HOST);
    for without in [
        "tlsAllowInvalidHostnames=false",
        "tls=false&tlsAllowInvalidHostnames=true",
        "tlsAllowInvalidHostnames=true&tlsAllowInvalidCertificates=true",
    ] {
        assert!(!understood(without).any_host, "{without}");
    }
    let password = "tlsAllowInvalidHostnames=true&tlsCertificateKeyFilePassword=secret";
    let beside = Understood::of(password);
    assert_eq!(beside.is_err(), ANY_HOST && cfg!(feature = "tls-key-password"));
    assert!(!format!("{:?}", beside.err()).contains("=secret"));
}

#[test]
fn what_contradicts_or_cannot_be_followed_is_refused_without_a_value() {
    for (options, words) in [
        ("tls=true&ssl=false", "tls and ssl contradict"),
        (
            "tlsInsecure=false&tlsAllowInvalidHostnames=true",
            "contradict each other",
        ),
        (
            "tlsDisableOCSPEndpointCheck=true&tlsAllowInvalidCertificates=true",
            "contradict each other",
        ),
        ("tls=ture", "option tls has an invalid value"),
        ("timeoutMS=-2", "option timeoutMS has"),
        ("maxPoolSize=many", "option maxPoolSize has"),
        (
            "heartbeatFrequencyMS=10",
            "an invalid value: it must be a whole number, at least 500",
        ),
        ("w", "1st option has no value"),
        (
            &format!("appName={}", "a".repeat(129)),
            "option appName has an invalid value: it must be at most 128",
        ),
        (
            "authMechanism=GSSAPI",
            "authMechanism GSSAPI is not supported; these are: MONGODB-AWS",
        ),
        ("authMechanism=SECRET", "option authMechanism has an invalid value"),
        ("a=b@h", "an option that is not understood"),
        ("a/b=c", "an option that is not understood"),
    ] {
        let reason = Understood::of(options).expect_err(options);
        assert!(reason.contains(words), "{options}: {reason}");
        assert!(!reason.contains("ture") && !reason.contains("SECRET"), "{reason}");
    }
}

/// They were told when the server refused a write, in the middle of a restore, or never.
#[test]
fn values_that_no_server_takes_are_refused_before_connecting() {
    for (options, part) in [
        ("readConcernLevel=foo", "it must be local, majority"),
        ("readConcernLevel=Majority", "it must be local, majority"),
        ("w=1.5", "it must be a number of members"),
        ("w=true", "it must be a number of members"),
        ("w=False", "it must be a number of members"),
        ("w=51", "it must be a number of members"),
        ("w=1e3", "it must be a number of members"),
    ] {
        let reason = Understood::of(options).expect_err(options);
        assert!(reason.contains(part), "{options}: {reason}");
    }
    for (uri, is_right) in [
        ("mongodb://clerk@h/", false),
        ("mongodb://clerk@h/?w=1", false),
        ("mongodb://clerk@h/?authMechanism=MONGODB-X509", true),
        ("mongodb://clerk:p@h/", true),
        ("mongodb://h/", true),
    ] {
        let checked = MongoUri::new(uri).check();
        assert_eq!(checked.is_ok(), is_right, "{uri}: {checked:?}");
        assert!(
            checked.err().is_none_or(|reason| reason.contains("without a password")),
            "{uri}"
        );
    }
}
