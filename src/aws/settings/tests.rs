use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::Surroundings;

const SECRET: &str = "hunter2";

/// What these variables and files come to: the region, or the fault.
fn region(variables: &[(&str, &str)], config: &str, credentials: &str) -> Result<Option<String>, String> {
    of(variables, config, credentials, |sources| sources.region())
}

type Found = Result<Option<String>, String>;

/// What is asked of these variables and files.
fn of(variables: &[(&str, &str)], config: &str, credentials: &str, ask: impl Fn(&Surroundings<'_>) -> Found) -> Found {
    let sources = Surroundings {
        variable: &|name| {
            let home = (name == "HOME").then(|| OsString::from("/home/me"));
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| OsString::from(value)).or(home)
        },
        file: &|path: &Path| match path.to_str() {
            Some("/home/me/.aws/config") => Ok(config.as_bytes().to_vec()),
            Some("/home/me/.aws/credentials") => Ok(credentials.as_bytes().to_vec()),
            Some("/binary") => Ok(vec![0xff, 0xfe]),
            Some("/folder") => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
    };
    ask(&sources)
}

#[test]
fn certificates_are_those_that_the_profile_names() {
    let config = "[default]\nca_bundle = /etc/one.pem\n[profile there]\nca_bundle = /etc/two.pem\n[profile none]\n";
    for (profile, expected) in [
        ("", Some("/etc/one.pem")),
        ("there", Some("/etc/two.pem")),
        ("none", None),
    ] {
        let variables = [("AWS_PROFILE", profile)];
        let found = of(&variables, config, "", |sources| sources.ca_bundle());
        assert_eq!(found.expect("read").as_deref(), expected, "{profile}");
    }
}

fn fault(variables: &[(&str, &str)], config: &str, credentials: &str) -> String {
    let error = region(variables, config, credentials).expect_err(&format!("{variables:?} {config} {credentials}"));
    assert!(!error.contains(SECRET), "{error}");
    error
}

#[test]
fn every_variable_that_cannot_be_used_is_named_and_its_value_is_not_shown() {
    for (name, values) in [
        ("AWS_RETRY_MODE", &["foo", " "][..]),
        ("AWS_MAX_ATTEMPTS", &["0", "many", "-1", " "]),
        ("AWS_USE_FIPS_ENDPOINT", &["maybe", "1", "true "]),
        ("AWS_USE_DUALSTACK_ENDPOINT", &["x"]),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", &["sometimes"]),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", &["xx"]),
        ("AWS_REGION", &[" ", "eu west", "-x", "eu_west"]),
        ("AWS_DEFAULT_REGION", &["a.b"]),
        (
            "AWS_ENDPOINT_URL",
            &[
                "127.0.0.1:9000",
                "http://",
                "ftp://h",
                "http://h:99999",
                "http://a b",
                "http://h/?x=hunter2",
                "http://u:hunter2@h",
                "",
            ],
        ),
        ("AWS_ENDPOINT_URL_S3", &["localhost", ""]),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &["foo"]),
        ("AWS_EXECUTION_ENV", &["a\nb"]),
        ("AWS_ACCESS_KEY_ID", &["a\nb", "ä"]),
        ("AWS_SECRET_ACCESS_KEY", &["hunter2\n"]),
        ("AWS_SESSION_TOKEN", &["a b"]),
        ("AWS_SDK_UA_APP_ID", &["ü"]),
        (
            "AWS_AUTH_SCHEME_PREFERENCE",
            &["sigv4a", "noAuth,httpBearerAuth", "sigv4,,sigv4a", " "],
        ),
        ("AWS_SIGV4A_SIGNING_REGION_SET", &["eu west", "eu-west-1,", "a.b"]),
    ] {
        for value in values {
            let fault = fault(&[(name, value), ("AWS_X", "")], "", "");
            assert!(
                fault.starts_with(name) && fault.len() > name.len() + 8,
                "{name}={value:?}: {fault}"
            );
        }
        if let [first, ..] = values {
            assert!(region(&[(name, first)], "", "").is_err());
        }
    }
    assert!(
        fault(&[("AWS_REQUEST_CHECKSUM_CALCULATION", "sometimes")], "", "")
            .contains("may be when_supported, when_required")
    );
    assert!(fault(&[("AWS_ENDPOINT_URL", "127.0.0.1:9000")], "", "").contains("begins with http://"));
}

#[test]
fn what_others_accept_is_accepted() {
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b/+=")];
    for more in [
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_RETRY_MODE", "Standard"),
        ("AWS_RETRY_MODE", ""),
        ("AWS_MAX_ATTEMPTS", "3"),
        ("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "0"),
        ("AWS_MAX_ATTEMPTS", ""),
        ("AWS_ENDPOINT_URL", "HTTPS://store.example:9000/x"),
        ("AWS_ENDPOINT_URL", "http://[::1]:9000"),
        ("AWS_ENDPOINT_URL", "http://[::1]"),
        ("AWS_SESSION_TOKEN", "abc\n"),
        ("AWS_PROFILE", "nowhere"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_AUTH_SCHEME_PREFERENCE", "sigv4a, aws.auth#sigv4"),
        ("AWS_SIGV4A_SIGNING_REGION_SET", "us-*, eu-west-1"),
        ("AWS_SIGV4A_SIGNING_REGION_SET", "*"),
    ] {
        assert_eq!(region(&[keys[0], keys[1], more], "", ""), Ok(None), "{more:?}");
    }
    let regions = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "auto"), keys[0], keys[1]];
    assert_eq!(
        region(&regions, "[default]\nregion = x\n", ""),
        Ok(Some("auto".to_owned()))
    );
    assert_eq!(region(&keys, "[default]\nregion = x\n", ""), Ok(Some("x".to_owned())));
    // What a variable says is not asked of the profile.
    let both = [("AWS_MAX_ATTEMPTS", "2"), keys[0], keys[1]];
    assert_eq!(region(&both, "[default]\nmax_attempts = 0\n", ""), Ok(None));
}

#[test]
fn a_fault_in_a_file_names_file_and_line() {
    let there = ("AWS_PROFILE", "there");
    for (variables, config, credentials, says) in [
        (
            &[][..],
            "[default]\nauth_scheme_preference = sigv4a\n",
            "",
            "line 2: auth_scheme_preference must be names",
        ),
        (
            &[],
            "[default]\nsigv4a_signing_region_set = hunter 2\n",
            "",
            "line 2: sigv4a_signing_region_set must be names of regions",
        ),
        (
            &[],
            "[default]\nretry_mode = hunter2\n",
            "",
            "config, line 2: retry_mode may be",
        ),
        (
            &[there],
            "[default]\n[profile there]\nmax_attempts = 0\n",
            "",
            "config, line 3: max_attempts must be",
        ),
        (
            &[],
            "[default]\nservices = s\n[services s]\ns3 =\n  endpoint_url = hunter2\n",
            "",
            "line 5: s3.endpoint_url begins",
        ),
        (
            &[],
            "[default]\nhunter2\n",
            "",
            "/home/me/.aws/config cannot be understood: line 2 is no setting",
        ),
        (
            &[],
            "",
            "hunter2",
            "/home/me/.aws/credentials cannot be understood: line 1 stands before",
        ),
        (&[("AWS_CONFIG_FILE", "/binary")], "", "", "/binary is no text (UTF-8)"),
        (&[("AWS_CONFIG_FILE", "/folder")], "", "", "/folder cannot be read"),
        (
            &[there],
            "[default]\n",
            "",
            "AWS_PROFILE names a profile that neither /home/me/.aws/config nor",
        ),
        (
            &[there],
            "[there]\n",
            "",
            "line 1 of the first begins without `profile`",
        ),
        (
            &[there],
            "[profile there]\nrole_arn = arn:r\nsource_profile = gone\n",
            "",
            "config, line 3: source_profile names a profile that neither",
        ),
        (
            &[],
            "",
            "[default]\naws_access_key_id = a\n",
            "credentials, line 2: aws_access_key_id has no aws_secret_access_key",
        ),
        (
            &[],
            "",
            "[default]\naws_secret_access_key = hunter2\n",
            "credentials, line 2: aws_secret_access_key has no",
        ),
        (
            &[],
            "",
            "[default]\naws_access_key_id = a\n b\naws_secret_access_key = hunter2\n",
            "line 2: aws_access_key_id has a character",
        ),
    ] {
        let fault = fault(variables, config, credentials);
        assert!(fault.contains(says), "{config}{credentials}: {fault}");
    }
    assert!(fault(&[("AWS_ACCESS_KEY_ID", "a")], "", "").contains("AWS_SECRET_ACCESS_KEY is not: set both"));
    assert!(fault(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")], "", "").contains("AWS_ROLE_ARN is not"));
    let role = "[default]\nrole_arn = r\n";
    assert!(fault(&[], role, "").contains("line 2: role_arn has neither source_profile nor"));
    assert!(fault(&[], "[default]\nlogin_session = hunter2\n", "").contains("line 2: login_session is not known"));
    let token = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"), ("AWS_ROLE_ARN", "r")];
    assert!(fault(&token, "", "").contains("names a file that cannot be read"));
    let process = region(&[], "[default]\ncredential_process = hunter2\n", "");
    assert_eq!(process.is_err(), !cfg!(feature = "sso"), "{process:?}");
    assert_eq!(
        region(&[there], "[profile there]\nregion = eu-west-1\n", ""),
        Ok(Some("eu-west-1".to_owned()))
    );
    assert_eq!(
        region(&[], "[default]\nrole_arn = arn:r\nsource_profile = default\n", ""),
        Ok(None)
    );
}

/// They went to AWS, asked the wrong service, or were told in the words of the AWS library.
#[test]
fn what_a_profile_cannot_mean_is_told_by_its_line() {
    for (config, says) in [
        (
            "[default]\nrole_arn = arn:a\ncredential_source = hunter2\n",
            "line 3: credential_source may be Environment",
        ),
        (
            "[default]\nrole_arn = hunter2\ncredential_source = Environment\n",
            "line 2: role_arn must be the ARN",
        ),
        (
            "[default]\nrole_arn = arn:a\nmfa_serial = hunter2\nsource_profile = default\n",
            "line 3: mfa_serial asks for a code",
        ),
        (
            "[default]\nrole_arn = arn:a\nsource_profile = b\n[profile b]\nrole_arn = arn:b\nsource_profile = default\n",
            "line 6: source_profile leads back",
        ),
        (
            "[default]\nrole_arn = arn:a\nweb_identity_token_file = /hunter2\n",
            "line 3: web_identity_token_file names a file",
        ),
        ("[default]\nservices = hunter2\n", "line 2: services names a section"),
        (
            "[default]\naws_access_key_id = a\naws_secret_access_key = \"hunter2\"\n",
            "line 3: aws_secret_access_key stands in quotes",
        ),
    ] {
        let said = fault(&[], config, "");
        assert!(said.contains(says), "{config}: {said}");
    }
    for config in [
        "[default]\nrole_arn = arn:a\nsource_profile = default\n",
        "[default]\nrole_arn = arn:a\ncredential_source = EcsContainer\n",
        "[default]\nservices = x\n[services x]\ns3 =\n  endpoint_url = http://h\n",
    ] {
        assert_eq!(region(&[], config, ""), Ok(None), "{config}");
    }
}

#[test]
fn a_container_that_cannot_give_credentials_is_told_by_its_variable() {
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    for (variables, says) in [
        (&[(RELATIVE, SECRET)][..], RELATIVE),
        (&[(FULL, "http://10.0.0.1/hunter2")], FULL),
        (&[(FULL, "http://[2001:db8::1]:80/hunter2")], FULL),
        (&[(FULL, "http://127.0.0.1/x"), (FILE, "/hunter2")], FILE),
        (
            &[("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2\n")],
            "AWS_CONTAINER_AUTHORIZATION_TOKEN ",
        ),
        (
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "both")],
            "may be IPv4 or IPv6",
        ),
    ] {
        let said = fault(variables, "", "");
        assert!(said.contains(says), "{variables:?}: {said}");
    }
    for variables in [
        &[(RELATIVE, "/v2/x")][..],
        &[(FULL, "http://localhost:80/x")],
        &[(FULL, "http://[::1]:80/x")],
        &[(FULL, "http://169.254.170.23/v1/credentials")],
        &[
            (FULL, "https://h/x"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc"),
        ],
        // Keys that are set win, and nobody is asked.
        &[
            (RELATIVE, "x"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ],
    ] {
        assert_eq!(region(variables, "", ""), Ok(None), "{variables:?}");
    }
}
