//! The files that TLS needs, looked at before connecting: the driver does not say which one it did not find, and of an
//! authority's file without a certificate, only that it trusts no server.

use std::path::Path;

use mongodb::options::Tls;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsFile {
    Authority,
    Client,
}

/// Whether the files have what they are named for.
///
/// # Errors
/// In words: the option, the file, what it lacks, and what to name.
pub(super) fn check(tls: Option<&Tls>) -> Result<(), String> {
    let Some(Tls::Enabled(tls)) = tls else { return Ok(()) };
    for (option, which, path) in [
        ("tlsCAFile", TlsFile::Authority, &tls.ca_file_path),
        ("tlsCertificateKeyFile", TlsFile::Client, &tls.cert_key_file_path),
    ] {
        let Some(path) = path else { continue };
        if let Some(lacks) = lacks(which, path) {
            return Err(format!("{option} is {}, {lacks}", path.display()));
        }
    }
    Ok(())
}

fn lacks(which: TlsFile, path: &Path) -> Option<String> {
    let cannot = |error| Some(format!("a PEM file that cannot be opened: {error}"));
    match std::fs::metadata(path) {
        Err(error) => return cannot(error),
        Ok(found) if found.is_dir() => return Some("a folder: name a PEM file".to_owned()),
        // A pipe can be read only once, and the driver is to.
        Ok(found) if !found.is_file() => return None,
        Ok(_) => {}
    }
    match std::fs::read(path) {
        Err(error) => cannot(error),
        Ok(pem) => missing(which, &pem).map(str::to_owned),
    }
}

/// What is not in a file.
fn missing(which: TlsFile, pem: &[u8]) -> Option<&'static str> {
    let has_certificate = CertificateDer::pem_slice_iter(pem).flatten().next().is_some();
    // In any of its forms, encrypted or not.
    let has_key = pem.windows(KEY.len()).any(|words| words == KEY);
    match (which, has_certificate, has_key) {
        (TlsFile::Authority, true, _) | (TlsFile::Client, true, true) => None,
        (TlsFile::Authority, false, true) => {
            Some("which has a private key and no certificate: name the PEM file with the authority's certificate")
        }
        (TlsFile::Authority, false, false) => Some(
            "which has no certificate in PEM: name the PEM file with the authority's certificate (from DER: `openssl x509 -inform der -in FILE`)",
        ),
        (TlsFile::Client, true, false) => {
            Some("which has no private key: it needs certificate and key in one PEM file")
        }
        (TlsFile::Client, false, true) => {
            Some("which has no certificate: it needs certificate and key in one PEM file")
        }
        (TlsFile::Client, false, false) => {
            Some("which has neither certificate nor key: it needs certificate and key in one PEM file")
        }
    }
}

const KEY: &[u8] = b"PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_lacks_is_said() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n";
        let both = format!("{key}{certificate}");
        let broken = &certificate[..40];
        for (which, pem, expected) in [
            (TlsFile::Authority, certificate, None),
            (TlsFile::Authority, &both, None),
            (TlsFile::Authority, key, Some("a private key and no certificate")),
            (TlsFile::Authority, "", Some("no certificate in PEM")),
            (TlsFile::Authority, broken, Some("no certificate in PEM")),
            (TlsFile::Authority, "\u{30}\u{0}", Some("openssl x509 -inform der")),
            (TlsFile::Client, &both, None),
            (TlsFile::Client, certificate, Some("no private key")),
            (TlsFile::Client, key, Some("no certificate")),
            (TlsFile::Client, "text", Some("neither certificate nor key")),
        ] {
            let said = missing(which, pem.as_bytes());
            assert_eq!(said.is_some(), expected.is_some(), "{which:?} {pem:?}: {said:?}");
            assert!(
                said.unwrap_or_default().contains(expected.unwrap_or_default()),
                "{said:?}"
            );
        }
    }
}
