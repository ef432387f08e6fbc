//! What a failed driver call means, in words for people. The driver's errors print their own structure.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// What the driver's words begin, where it prints its structures.
const STRUCTURES: [&str; 4] = ["Kind: ", " with: Kind", "Topology: ", ", labels: "];

/// Why a call failed.
pub(super) fn of(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Io(error) => network(error),
        ErrorKind::InvalidTlsConfig { message, .. } => tls_files(message),
        ErrorKind::DnsResolve { message, .. } if message.contains("query_type: SRV") => {
            "the name service has no servers for the host of mongodb+srv:// (SRV records of _mongodb._tcp): check the host, or write mongodb:// with hosts and ports".to_owned()
        }
        ErrorKind::DnsResolve { message, .. } => format!("the name of a host cannot be resolved ({})", plain(message)),
        ErrorKind::ConnectionPoolCleared { .. } => {
            "another call lost its connection, and this call's was dropped with it".to_owned()
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => format!("{} ({})", error.message, error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => format!("{} ({})", error.message, error.code),
        ErrorKind::InvalidArgument { message, .. } => {
            format!("invalid argument: {}", plain(message))
        }
        ErrorKind::IncompatibleServer { message, .. } if message.contains("load balanc") => {
            "no load balancer for MongoDB is in front of this server: leave loadBalanced out".to_owned()
        }
        ErrorKind::IncompatibleServer { message, .. } => {
            format!("this server is too old or too new: {}", plain(message))
        }
        #[cfg(feature = "socks5")]
        ErrorKind::ProxyConnect { message, .. } => by_proxy(message),
        ErrorKind::InsertMany(_) | ErrorKind::BulkWrite(_) | ErrorKind::GridFs(_) => "the write failed".to_owned(),
        kind => plain(&kind.to_string()).to_owned(),
    }
}

/// Why a SOCKS5 proxy led nowhere. The library has one text for a proxy that is not there, and one that does not reach
/// the server.
#[cfg(any(feature = "socks5", test))]
fn by_proxy(said: &str) -> String {
    let holds = |words: &str| said.contains(words);
    let why = match () {
        () if holds("efused") => "nothing listens there, or at the server behind it (connection refused)",
        () if holds("uthenticat") || holds("Auth method") => {
            "it refuses the user: check proxyUsername and proxyPassword"
        }
        () if holds("SOCKS version") || holds("invalid header") => "what answers there does not speak SOCKS5",
        () if holds("not allowed") => "it may not lead to this server, by its own rules",
        () if holds("nreachable") => "it does not reach the server",
        () => "it did not lead to the server",
    };
    format!("the proxy (proxyHost, proxyPort): {why}")
}

/// A server's words, without the whole command that it quotes: "not authorized on shop to execute command { … }".
pub(super) fn without_command(said: &str) -> String {
    const COMMAND: &str = " command { ";
    let cut = said.split_once(COMMAND).and_then(|(before, quoted)| {
        let (name, _) = quoted
            .split_once(':')
            .filter(|_| quoted.contains("lsid") || quoted.contains("$db"))?;
        let (_, after) = quoted.rsplit_once('}')?;
        Some(format!("{before} command {name}{after}"))
    });
    cut.unwrap_or_else(|| said.to_owned())
}

/// Why the driver does not talk to a server at all, where its age is the reason. (The driver says so where it says that
/// it has found none.)
pub(super) fn age(message: &str) -> Option<String> {
    let (address, rest) = message.strip_prefix("Server at ")?.split_once(' ')?;
    let (what, numbers) = rest.split_once(" wire version ")?;
    let version = numbers.split(|c: char| !c.is_ascii_digit()).next()?;
    match what {
        "reports" => Some(format!(
            "the server at {address} is too old: mongotar needs MongoDB 4.4 or newer, or an engine compatible with it (wire version 9; this one speaks {version})"
        )),
        "requires" => Some(format!(
            "the server at {address} is too new for this mongotar: use a newer one (it asks for wire version {version})"
        )),
        _ => None,
    }
}

/// What the mechanism was refused with: the server's own words stand in the error's source.
pub(super) fn refusal(error: &Error, message: &str) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source.and_then(|inner| inner.downcast_ref::<Error>()) {
        if let ErrorKind::Command(command) = inner.kind.as_ref() {
            return format!("{}: {}", plain(message), command.message);
        }
        source = std::error::Error::source(inner);
    }
    plain(message).to_owned()
}

/// Why a server cannot be talked to.
pub(super) fn network(error: &std::io::Error) -> String {
    let said = error.to_string();
    let tls = |why: &str| format!("TLS failed: {why}");
    let holds = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match error.kind() {
        _ if holds(&["InvalidContentType", "corrupt message"]) => {
            tls("the server does not speak TLS on this port; leave out tls=true, or name the port that does")
        }
        _ if holds(&["UnknownIssuer"]) => {
            tls("no trusted authority signed the server's certificate; name the authority's file with tlsCAFile")
        }
        _ if holds(&["CaUsedAsEndEntity"]) => {
            tls("the server's certificate is an authority's; it needs one of its own")
        }
        _ if holds(&["NotValidForName", "not valid for name"]) => {
            tls("the server's certificate is for another host; write the host as the certificate has it")
        }
        _ if holds(&["Expired", "expired"]) => tls("the server's certificate has expired, or the clock here is wrong"),
        _ if holds(&["NotValidYet", "not valid yet"]) => {
            tls("the server's certificate is not valid yet, or the clock here is wrong")
        }
        _ if holds(&["invalid peer certificate"]) => tls("the server's certificate is not accepted"),
        _ if holds(&[
            "CertificateRequired",
            "HandshakeFailure",
            "BadCertificate",
            "UnknownCA",
            "CertificateUnknown",
        ]) =>
        {
            tls("the server refuses this client; it may need a certificate (tlsCertificateKeyFile)")
        }
        std::io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        std::io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => {
            "the server closed the connection (one side may expect TLS and the other not: tls=true or tls=false)"
                .to_owned()
        }
        _ => plain(&said).to_owned(),
    }
}

/// What is wrong with a file that TLS needs. The driver names the file.
fn tls_files(message: &str) -> String {
    let hint = match message {
        message if message.contains("client certificate") || message.contains("PEM-encoded item") => {
            "; tlsCertificateKeyFile needs certificate and key in one PEM file, and the key must not be encrypted unless tlsCertificateKeyFilePassword is given"
        }
        message if message.contains("root certificate") => "; tlsCAFile must be a PEM file of certificates",
        _ => "",
    };
    format!("TLS cannot be set up: {}{hint}", plain(message))
}

/// Words of the driver's without its structures.
fn plain(text: &str) -> &str {
    let end = STRUCTURES.iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end_matches([' ', '.', ':', ','])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error as IoError, ErrorKind as IoKind};

    #[test]
    fn of_a_command_only_its_name_is_quoted() {
        let said = "not authorized on shop to execute command { listIndexes: \"a}b\", lsid: { id: UUID(\"1\") }, $clusterTime: { x: 1 }, $db: \"shop\" }";
        assert_eq!(
            without_command(said),
            "not authorized on shop to execute command listIndexes"
        );
        for other in [
            "not authorized on shop",
            "the index command { is odd",
            "a command { a: 1 } of mine",
        ] {
            assert_eq!(without_command(other), other);
        }
    }

    /// It was the library's word for it, and some of its structures.
    #[test]
    fn a_proxy_that_leads_nowhere_is_told_as_that() {
        for (said, part) in [
            (
                "Error with reply: Connection refused.",
                "nothing listens there, or at the server",
            ),
            ("Authentication rejected `Some(Err(..))`", "proxyUsername"),
            ("Unsupported SOCKS version `72`.", "does not speak SOCKS5"),
            ("Error with reply: Host unreachable.", "does not reach the server"),
            ("Error with reply: Connection not allowed by ruleset.", "its own rules"),
            ("Other: `Thing { a: 1 }`.", "did not lead to the server"),
        ] {
            let told = by_proxy(said);
            assert!(
                told.starts_with("the proxy (proxyHost, proxyPort): ") && told.contains(part),
                "{told}"
            );
            assert!(!told.contains(['`', '{']), "{told}");
        }
    }

    #[test]
    fn a_network_failure_says_what_to_do() {
        for (error, expected) in [
            (IoError::from(IoKind::ConnectionRefused), "nothing listens there"),
            (IoError::from(IoKind::ConnectionReset), "tls=true"),
            (
                IoError::new(IoKind::InvalidData, "invalid peer certificate: UnknownIssuer"),
                "tlsCAFile",
            ),
            (
                IoError::new(
                    IoKind::InvalidData,
                    "invalid peer certificate: certificate not valid for name \"h\"; certificate is only valid for DnsName(\"i\")",
                ),
                "for another host",
            ),
            (
                IoError::new(
                    IoKind::InvalidData,
                    "received corrupt message of type InvalidContentType",
                ),
                "does not speak TLS",
            ),
            (
                IoError::new(
                    IoKind::InvalidData,
                    "invalid peer certificate: Other(OtherError(Strange))",
                ),
                "not accepted",
            ),
        ] {
            let said = network(&error);
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("Error(") && !said.contains("DnsName("), "{said}");
        }
    }

    #[test]
    fn a_server_s_age_is_said_as_such() {
        let old = "Server at h:1 reports wire version 8, but this version of the MongoDB Rust driver requires at least 9 (MongoDB 4.4).";
        let said = age(old).expect("that is its age");
        assert!(said.starts_with("the server at h:1 is too old: mongotar needs MongoDB 4.4 or newer"));
        assert!(said.contains("this one speaks 8"), "{said}");
        let new = "Server at h:1 requires wire version 40, but this version of the MongoDB Rust driver only supports up to 29";
        let said = age(new).expect("that is its age");
        assert!(said.contains("too new") && said.contains("version 40"), "{said}");
        assert_eq!(age("Server selection timeout: No available servers."), None);
    }

    #[test]
    fn the_driver_s_structures_are_cut_off() {
        assert_eq!(
            plain(
                "Connection pool for h:1 cleared because another operation failed with: Kind: I/O error: x, labels: {}"
            ),
            "Connection pool for h:1 cleared because another operation failed"
        );
        assert_eq!(
            plain("Server selection timeout: No available servers. Topology: { Type: Unknown }"),
            "Server selection timeout: No available servers"
        );
        assert_eq!(plain("as it is"), "as it is");
    }
}
