//! TLS whose certificates may name another host (`tlsAllowInvalidHostnames`).
//!
//! The driver's TLS can only check everything or nothing. So the driver speaks no TLS here: it reaches each server
//! through a SOCKS5 proxy inside this process, which speaks TLS with the server. The proxy checks that an authority
//! that is trusted signed the certificate, and its dates; the only thing that it does not ask is whom the certificate
//! names. It listens on the loopback interface and takes only this process's driver, which knows a random password: it
//! would lend others the client's certificate.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use fast_socks5::server::{Config, SimpleUserPassword, Socks5Socket};
use fast_socks5::util::target_addr::TargetAddr;
use mongodb::options::{ClientOptions, ServerAddress, Socks5Proxy, Tls, TlsOptions};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::seen::SeenServers;

/// For how long a server is waited for, where the connection string has no `connectTimeoutMS`: the driver's own limit.
const CONNECTING: Duration = Duration::from_secs(10);
/// The answers of a proxy (RFC 1928, section 6): done, and not done; from no address in particular.
const DONE: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const NOT_DONE: [u8; 10] = [5, 1, 0, 1, 0, 0, 0, 0, 0, 0];
/// The user by which the driver goes.
const USER: &str = "mongotar";

/// Starts the proxy, which ends with what is returned, and makes it the driver's.
///
/// # Errors
/// In words, if a file of the TLS options cannot be used.
pub(super) async fn speak_tls_for(options: &mut ClientOptions, seen: &Arc<SeenServers>) -> Result<DropGuard, String> {
    let Some(Tls::Enabled(tls)) = options.tls.replace(Tls::Disabled) else {
        return Err("tlsAllowInvalidHostnames needs TLS".to_owned());
    };
    let to = Upstream {
        tls: TlsConnector::from(Arc::new(config(&tls)?)),
        limit: options.connect_timeout.unwrap_or(CONNECTING),
        seen: Arc::clone(seen),
    };
    let listens = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok::<_, io::Error>((listener, port))
    };
    let (listener, port) = listens
        .await
        .map_err(|error| format!("no port of the loopback interface could be opened for TLS: {error}"))?;
    // 122 random bits.
    let password = bson::Uuid::new().to_string();
    let proxy = Socks5Proxy::builder().host(Ipv4Addr::LOCALHOST.to_string()).port(port);
    options.socks5_proxy = Some(proxy.authentication((USER.to_owned(), password.clone())).build());
    let end = CancellationToken::new();
    tokio::spawn(end.clone().run_until_cancelled_owned(serve(listener, password, to)));
    Ok(end.drop_guard())
}

/// How servers are reached.
#[derive(Clone)]
struct Upstream {
    tls: TlsConnector,
    limit: Duration,
    seen: Arc<SeenServers>,
}

async fn serve(listener: TcpListener, password: String, to: Upstream) {
    let mut config = Config::<SimpleUserPassword>::default().with_authentication(SimpleUserPassword {
        username: USER.to_owned(),
        password,
    });
    config.set_execute_command(false).set_dns_resolve(false);
    let config = Arc::new(config);
    loop {
        // Out of descriptors, or a caller who left: later ones may do better.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (config, to) = (Arc::clone(&config), to.clone());
        tokio::spawn(async move {
            if let Ok(asked) = Socks5Socket::new(stream, config).upgrade_to_socks5().await
                && let Some(target) = asked.target_addr().cloned()
            {
                to.relay(asked.into_inner(), target).await;
            }
        });
    }
}

impl Upstream {
    /// Joins the driver with the server it asked for, until one of them leaves.
    async fn relay(&self, mut driver: TcpStream, target: TargetAddr) {
        let (host, port) = match target {
            TargetAddr::Domain(host, port) => (host, port),
            TargetAddr::Ip(address) => (address.ip().to_string(), address.port()),
        };
        let connected = async {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            // A name that no certificate could have: there is one for the address, and no name is asked for anyway.
            let name =
                ServerName::try_from(host.clone()).or_else(|_| Ok::<_, io::Error>(stream.peer_addr()?.ip().into()))?;
            self.tls.connect(name, stream).await
        };
        let connected = match tokio::time::timeout(self.limit, connected).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(mut server) => {
                let begun = async {
                    driver.set_nodelay(true)?;
                    driver.write_all(&DONE).await
                };
                if begun.await.is_ok() {
                    // How it ended, each side sees by itself.
                    let _ = tokio::io::copy_bidirectional(&mut driver, &mut server).await;
                }
            }
            Err(error) => {
                let address = ServerAddress::Tcp { host, port: Some(port) };
                self.seen.not_reached(&address, &error);
                let _ = driver.write_all(&NOT_DONE).await;
            }
        }
    }
}

/// TLS as the connection string has it, but for the names.
fn config(tls: &TlsOptions) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    match &tls.ca_file_path {
        Some(path) => {
            let read = CertificateDer::pem_file_iter(path)
                .map_err(|error| format!("tlsCAFile {} is no PEM file of certificates: {error}", path.display()))?;
            roots.add_parsable_certificates(read.flatten());
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let checks = Arc::new(Signed {
        roots,
        provider: Arc::clone(&provider),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(checks);
    let Some(path) = &tls.cert_key_file_path else {
        return Ok(config.with_no_client_auth());
    };
    let unusable = |error: &dyn std::fmt::Display| {
        format!(
            "tlsCertificateKeyFile {} needs certificate and key in one PEM file, and with tlsAllowInvalidHostnames the key must not be encrypted: {error}",
            path.display()
        )
    };
    let chain = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(&error))?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(&error))
}

/// Asks for everything but the name: a trusted authority, the dates, and that the server has the key.
#[derive(Debug)]
struct Signed {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Signed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
