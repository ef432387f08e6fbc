//! What it means that a store, or another service, was not reached, in words for people. The SDK's own are a chain of its
//! layers, and some of them its structures.

/// What the SDK's words hold, and what that means.
const MEANINGS: [(&[&str], &str); 12] = [
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
    (
        &["loading credentials", "credentials provider"],
        "the credentials could not be loaded: check AWS_PROFILE and its profile, or what AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_WEB_IDENTITY_TOKEN_FILE names; MONGOTAR_LOG=warn shows what the AWS library says",
    ),
    (
        &["Connection refused"],
        "nothing listens there (connection refused): check AWS_ENDPOINT_URL",
    ),
    (
        &["dns error", "lookup address", "resolve"],
        "the name of its server cannot be resolved: check AWS_ENDPOINT_URL, AWS_REGION and the network",
    ),
    (
        &["UnknownIssuer", "invalid peer certificate", "CaUsedAsEndEntity"],
        "its certificate is not trusted: name the authority's file with AWS_CA_BUNDLE",
    ),
    (
        &["corrupt message", "InvalidContentType"],
        "it does not speak TLS on this port: AWS_ENDPOINT_URL begins with http:// then",
    ),
    (
        &["timed out", "timeout"],
        "the store does not answer: check AWS_ENDPOINT_URL and the network, or try again later",
    ),
    (
        &["No route to host", "etwork is unreachable"],
        "the network does not lead to its server: check AWS_ENDPOINT_URL and the network",
    ),
    (
        &["HTTP version", "parsed"],
        "what answers there does not speak HTTP: is AWS_ENDPOINT_URL the address of a store?",
    ),
    (
        &[
            "SendRequest",
            "connection closed",
            "onnection reset",
            "roken pipe",
            "end of file",
        ],
        "the connection was closed before a whole answer came: check AWS_ENDPOINT_URL (http or https, and the port) and proxies on the way, or try again later",
    ),
];
/// What an SDK's text begins with, that says nothing.
const LAYERS: [&str; 3] = ["dispatch failure: ", "io error: ", "other: "];

/// Why no answer came.
pub(crate) fn why_unreached(error: &(dyn std::error::Error + 'static)) -> String {
    meaning(&chain(error))
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
fn meaning(said: &str) -> String {
    let holds = |words: &&str| said.contains(*words);
    if let Some((_, meaning)) = MEANINGS.iter().find(|(words, _)| words.iter().any(holds)) {
        return (*meaning).to_owned();
    }
    let plain = LAYERS
        .iter()
        .fold(said, |said, layer| said.strip_prefix(layer).unwrap_or(said));
    let end = plain.find(['\n', '{']).unwrap_or(plain.len());
    plain[..end].trim_end_matches([' ', ':', '(']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::meaning;

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
                "the store does not answer",
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
            assert!(meaning(said).contains(part), "{said}");
            assert!(!meaning(said).contains("client error"), "{said}");
        }
        assert_eq!(
            meaning("dispatch failure: io error: out of luck: { source: Thing(1) }"),
            "out of luck"
        );
        assert_eq!(meaning("the body broke off"), "the body broke off");
    }
}
