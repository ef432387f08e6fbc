//! What it means that a store, or another service, was not reached, in words for people. The SDK's own are a chain of its
//! layers, and some of them its structures.

use super::giver::Giver;
use super::settings::Surroundings;

/// What the SDK's words hold that was never sent, and what that means.
const UNSENT: [(&[&str], &str); 3] = [
    (
        &["combined with FIPS", "dual-stack"],
        "AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT do not go with another endpoint than AWS's (AWS_ENDPOINT_URL): leave one of them out",
    ),
    (
        &["external process"],
        "the program that credential_process names gave no credentials: run it by hand and see what it says",
    ),
    (
        &[
            "no credentials found",
            "provider was not enabled",
            "did not contain credentials",
            "ProviderError",
            "IMDS",
        ],
        "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile that is there and has them",
    ),
];
/// What they hold where it is credentials that could not be had.
const OF_CREDENTIALS: [&str; 4] = [
    "loading credentials",
    "credentials provider",
    "credentials error",
    "HTTP credential provider",
];
const NO_CREDENTIALS: &str = "the credentials could not be loaded: check AWS_PROFILE and its profile, or what AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_WEB_IDENTITY_TOKEN_FILE names; MONGOTAR_LOG=warn shows what the AWS library says";
/// What they hold of the way to a server, what that means, and what to check if the server is the one that was meant.
const ON_THE_WAY: [(&[&str], &str, &str); 8] = [
    (
        &["Connection refused"],
        "nothing listens there (connection refused)",
        "check AWS_ENDPOINT_URL",
    ),
    (
        &["dns error", "lookup address", "resolve", "DNS lookup"],
        "the name of its server cannot be resolved",
        "check AWS_ENDPOINT_URL, AWS_REGION and the network",
    ),
    (
        &["UnknownIssuer", "invalid peer certificate", "CaUsedAsEndEntity"],
        "its certificate is not trusted",
        "name the authority's file with AWS_CA_BUNDLE",
    ),
    (
        &["corrupt message", "InvalidContentType"],
        "it does not speak TLS on this port",
        "AWS_ENDPOINT_URL begins with http:// then",
    ),
    (
        &["timed out", "timeout"],
        "it does not answer",
        "check AWS_ENDPOINT_URL and the network, or try again later",
    ),
    (
        &["No route to host", "etwork is unreachable"],
        "the network does not lead to its server",
        "check AWS_ENDPOINT_URL and the network",
    ),
    (
        &["HTTP version", "parsed"],
        "what answers there does not speak HTTP",
        "is AWS_ENDPOINT_URL the right address?",
    ),
    (
        &[
            "SendRequest",
            "connection closed",
            "onnection reset",
            "roken pipe",
            "end of file",
        ],
        "the connection was closed before a whole answer came",
        "check AWS_ENDPOINT_URL (http or https, and the port) and proxies on the way, or try again later",
    ),
];
/// Variables of proxies, which the SDK asks for nothing.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];
/// What an SDK's text begins with, that says nothing.
const LAYERS: [&str; 3] = ["dispatch failure: ", "io error: ", "other: "];

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    SecretsManager,
}

impl Service {
    /// The variable that names its address, if any does.
    fn endpoint(self, is_set: &dyn Fn(&str) -> bool) -> &'static str {
        let own = match self {
            Self::S3 => "AWS_ENDPOINT_URL_S3",
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        };
        match is_set(own) {
            true => own,
            false => "AWS_ENDPOINT_URL",
        }
    }
}

/// Why no answer of a service came.
pub(crate) fn why_unreached(error: &(dyn std::error::Error + 'static), service: Service) -> String {
    let sources = Surroundings {
        variable: &|name| std::env::var_os(name),
        file: &|path| std::fs::read(path),
    };
    meaning(&chain(error), service, &sources)
}

/// An error with its causes, each once, and without the request that it belongs to.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Why no answer came, from the SDK's words. What is not known is left as it is, but for structures.
fn meaning(said: &str, service: Service, sources: &Surroundings<'_>) -> String {
    let holds = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let is_set = |name: &str| (sources.variable)(name).is_some_and(|value| !value.is_empty());
    if let Some((_, meaning)) = UNSENT.iter().find(|(words, _)| holds(words)) {
        return (*meaning).to_owned();
    }
    let on_the_way = ON_THE_WAY.iter().find(|(words, ..)| holds(words));
    if holds(&OF_CREDENTIALS) {
        let why = match (answered(said), on_the_way) {
            (Some(answer), _) => answer,
            (None, Some((_, what, _))) => (*what).to_owned(),
            (None, None) => "its answer cannot be understood".to_owned(),
        };
        let says = Giver::of(sources).says(&why);
        return says.unwrap_or_else(|| NO_CREDENTIALS.to_owned());
    }
    if let Some((_, what, check)) = on_the_way {
        let check = check.replace("AWS_ENDPOINT_URL", service.endpoint(&is_set));
        let unused = PROXIES.iter().find(|name| is_set(name)).map(|name| {
            format!(". {name} is set, but mongotar uses no proxy for AWS: this machine must reach the server by itself")
        });
        return format!("{what}: {check}{}", unused.unwrap_or_default());
    }
    let plain = LAYERS
        .iter()
        .fold(said, |said, layer| said.strip_prefix(layer).unwrap_or(said));
    without_structures(plain)
}

fn without_structures(said: &str) -> String {
    let end = said.find(['\n', '{']).unwrap_or(said.len());
    said[..end].trim_end_matches([' ', ':', '(']).to_owned()
}

/// What whoever gives credentials answered instead.
fn answered(said: &str) -> Option<String> {
    if let Some((_, rest)) = said.split_once("StatusCode(") {
        let status: String = rest.chars().take_while(char::is_ascii_digit).collect();
        return Some(format!("it answered with status {status}"));
    }
    let (_, rest) = said.split_once("service error: ")?;
    if rest.contains("error parsing") {
        return None;
    }
    let quoted = |name: &str| {
        let (_, value) = rest.split_once(name)?;
        Some(value.split_once('"')?.0)
    };
    Some(match (quoted("code: \""), quoted("message: \"")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => without_structures(rest).trim_end_matches('.').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;

    use super::*;

    fn told(said: &str, variables: &[(&str, &str)]) -> String {
        let sources = Surroundings {
            variable: &|name| {
                let set = variables.iter().find(|(known, _)| *known == name);
                set.map(|(_, value)| OsString::from(value))
            },
            file: &|_| Err(io::ErrorKind::NotFound.into()),
        };
        meaning(said, Service::S3, &sources)
    }

    fn meaning_of(said: &str) -> String {
        told(said, &[])
    }

    #[test]
    fn what_keeps_a_store_away_is_said_with_what_to_do() {
        for (said, part) in [
            (
                "other: the credentials provider was not properly configured: invalid full URI for ECS provider (failed to perform DNS lookup while validating URI): http://h/x",
                "MONGOTAR_LOG=warn",
            ),
            (
                "dispatch failure: other: A custom endpoint cannot be combined with FIPS",
                "AWS_USE_FIPS_ENDPOINT",
            ),
            (
                "other: an error occurred while loading credentials: Error retrieving credentials: external process exited with code exit status: 1. Stderr: hunter2",
                "credential_process",
            ),
            (
                "dispatch failure: other: the credential provider was not enabled: no credentials found in chain. Attempted:\n  Environment: …",
                "AWS_PROFILE",
            ),
            (
                "other: an error occurred while loading credentials: failed to load IMDS session token: service error",
                "AWS_PROFILE",
            ),
            (
                "dispatch failure: io error: client error (Connect): tcp connect error: Connection refused (os error 111)",
                "AWS_ENDPOINT_URL",
            ),
            (
                "dispatch failure: other: an error occurred while loading credentials: dispatch failure: io error: client error (Connect): Connection refused",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
            (
                "dispatch failure: io error: client error (Connect): dns error",
                "AWS_REGION",
            ),
            (
                "dispatch failure: io error: client error (Connect): invalid peer certificate: UnknownIssuer",
                "AWS_CA_BUNDLE",
            ),
            (
                "request has timed out: operation attempt timeout (single attempt) occurred after 30s",
                "it does not answer",
            ),
            (
                "dispatch failure: io error: client error (SendRequest): connection closed before message completed",
                "the connection was closed",
            ),
            (
                "dispatch failure: io error: client error (SendRequest): connection error: Connection reset by peer",
                "the connection was closed",
            ),
            (
                "dispatch failure: io error: client error (SendRequest): invalid HTTP version parsed",
                "does not speak HTTP",
            ),
            (
                "dispatch failure: io error: client error (Connect): tcp connect error: No route to host (os error 113)",
                "check AWS_ENDPOINT_URL and the network",
            ),
        ] {
            assert!(meaning_of(said).contains(part), "{said}");
            assert!(!meaning_of(said).contains("client error"), "{said}");
        }
        assert_eq!(
            meaning_of("dispatch failure: io error: out of luck: { source: Thing(1) }"),
            "out of luck"
        );
        assert_eq!(meaning_of("the body broke off"), "the body broke off");
    }

    /// All of it was told as a store at which nothing listens, or as credentials of whatever kind.
    #[test]
    fn who_refused_is_named_with_what_to_check() {
        let token = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];
        let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/")];
        let refused = "dispatch failure: io error: client error (Connect): tcp connect error: Connection refused";
        let loading = "dispatch failure: other: an error occurred while loading credentials: ";
        for (said, variables, parts) in [
            (
                format!("other: unexpected credentials error: {refused}"),
                &container[..],
                &["FULL_URI names gave no credentials: nothing listens there", "has a role"][..],
            ),
            (
                format!("{loading}Non-success status from HTTP credential provider: StatusCode(403)"),
                &container,
                &["FULL_URI names", "it answered with status 403"],
            ),
            (
                "unexpected credentials error: invalid JSON in response: Error at offset 0: unexpected token 'h'. Expected one of '{'"
                    .to_owned(),
                &container,
                &["its answer cannot be understood"],
            ),
            (
                format!("{loading}{refused}"),
                &token,
                &["STS gave no credentials for the token", "nothing listens", "AWS_ENDPOINT_URL_STS"],
            ),
            (
                format!("{loading}service error: InvalidIdentityTokenException: No provider found in your account."),
                &token,
                &["STS gave", ": InvalidIdentityTokenException: No provider found in your account. Check"],
            ),
            (
                format!("{loading}service error: unhandled error (AccessDenied): Error {{ code: \"AccessDenied\", message: \"not you\" }}"),
                &token,
                &["STS gave", ": AccessDenied: not you. Check AWS_ROLE_ARN"],
            ),
            (
                format!("{loading}service error: unhandled error: error parsing XML: invalid root"),
                &token,
                &["its answer cannot be understood"],
            ),
            (
                refused.to_owned(),
                &[("https_proxy", "http://p"), ("AWS_ENDPOINT_URL_S3", "http://h")],
                &["check AWS_ENDPOINT_URL_S3.", "https_proxy is set, but mongotar uses no proxy"],
            ),
        ] {
            let told = told(&said, variables);
            assert!(parts.iter().all(|part| told.contains(part)), "{said}: {told}");
            let is_blamed = told.contains("AWS_ENDPOINT_URL") && !told.contains("_STS") && !told.contains("_S3");
            assert!(!is_blamed && !told.contains('{'), "{said}: {told}");
        }
    }
}
