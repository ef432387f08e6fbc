//! AWS settings of the environment (region, profiles, roles, endpoints), read in one place for every client.

mod giver;
mod profile;
mod settings;
mod unreached;

use std::io;
use std::path::Path;
use std::pin::Pin;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_types::service_config::ServiceConfigKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use settings::Surroundings;
pub(crate) use unreached::{Service, chain, why_unreached};

/// Names a file of certificates that are trusted instead of the system's.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// Where nothing names a region: stores that are not AWS have none.
const REGION: &str = "us-east-1";

/// Reads it. What a client needs beside it is its own matter: how long it waits, how often it tries.
///
/// No `async fn`: such a one is compiled anew in each crate in which it is awaited, and this one has 25 KB.
///
/// # Errors
/// What of it cannot be used.
pub(crate) fn from_environment() -> Pin<Box<dyn Future<Output = Result<SdkConfig, String>> + Send>> {
    let sources = Surroundings {
        variable: &|name| std::env::var_os(name),
        file: &|path| std::fs::read(path),
    };
    let region = match sources.region() {
        Ok(region) => region,
        Err(fault) => return Box::pin(async { Err(fault) }),
    };
    // How often is our own matter, and the SDK panics where it does not know a mode.
    let mut environment = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::standard());
    // The SDK takes an empty name for one.
    if std::env::var_os("AWS_PROFILE").is_some_and(|name| name.is_empty()) {
        environment = environment.profile_name("default");
    }
    if let Some(region) = region {
        environment = environment.region(Region::new(region));
    }
    let of_profile = match sources.ca_bundle() {
        Ok(bundle) => bundle.map(|path| ("ca_bundle of the profile", path.into())),
        Err(fault) => return Box::pin(async { Err(fault) }),
    };
    let bundle = std::env::var_os(CA_BUNDLE).filter(|path| !path.is_empty());
    let bundle = bundle.map(|path| (CA_BUNDLE, path)).or(of_profile);
    if let Some((setting, bundle)) = bundle {
        match client_that_trusts(Path::new(&bundle)) {
            Ok(client) => environment = environment.http_client(client),
            // Without it others would be trusted than was asked for.
            Err(error) => {
                let fault = format!("{setting}, {}: {error}", Path::new(&bundle).display());
                return Box::pin(async { Err(fault) });
            }
        }
    }
    Box::pin(async { Ok(environment.load().await) })
}

/// Whether S3 is somewhere else than at AWS: by a variable, or by a profile.
pub(crate) fn has_own_s3(environment: &SdkConfig) -> bool {
    let of_s3 = ServiceConfigKey::builder()
        .service_id("s3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_s3 = of_s3.ok().zip(environment.service_config());
    environment.endpoint_url().is_some() || of_s3.is_some_and(|(key, of)| of.load_config(key).is_some())
}

/// A client that trusts the certificates of a file and no others, as the AWS command line does.
fn client_that_trusts(bundle: &Path) -> io::Result<SharedHttpClient> {
    let pem = std::fs::read(bundle)?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(io::Error::other)?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(io::Error::other("it has no certificate (PEM)"));
    }
    let trusted = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(io::Error::other)?;
    let rustls = Provider::Rustls(CryptoMode::AwsLc);
    Ok(Builder::new().tls_provider(rustls).tls_context(context).build_https())
}

/// The region that the environment names, or a usual one.
pub(crate) fn region_of(environment: &SdkConfig) -> Region {
    let named = environment.region().cloned();
    named.unwrap_or_else(|| Region::from_static(REGION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_must_hold_certificates() {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = folder.path().join("bundle.pem");
        for (content, says) in [
            ("no certificate", "has no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", ""),
        ] {
            std::fs::write(&bundle, content).expect("written");
            let error = client_that_trusts(&bundle).expect_err(content).to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(client_that_trusts(&folder.path().join("missing")).is_err());
    }
}
