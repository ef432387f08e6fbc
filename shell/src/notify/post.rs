//! The request to an address: a few tries within a time, and a word on what came of it.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use tokio::time::{Instant, sleep, timeout_at};

use super::address::{Address, NotifyFault};
use super::body::body;
use super::notice::Notice;

/// How long one try may take.
const ONE_TRY: Duration = Duration::from_secs(8);
/// How long to wait before the second try and the third.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// A client of its own: the SDK's knows services, not addresses.
#[derive(Debug)]
pub(super) struct Poster(Connector);

impl Poster {
    pub(super) fn new() -> Self {
        let rustls = Provider::Rustls(CryptoMode::AwsLc);
        let connector = Connector::builder().tls_provider(rustls);
        Self(connector.proxy_config(ProxyConfig::from_env()).build())
    }

    /// Tells one.
    pub(super) async fn tell(&self, address: &Address, notice: &Notice, within: Duration) -> Result<(), NotifyFault> {
        let end = Instant::now() + within;
        let mut pauses = PAUSES.iter();
        loop {
            let one_end = end.min(Instant::now() + ONE_TRY);
            let answered = timeout_at(one_end, self.once(address, notice)).await;
            let (why, may_pass) = match answered.unwrap_or_else(|_| Err(("it did not answer in time".to_owned(), true)))
            {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            match pauses.next().filter(|pause| may_pass && Instant::now() + **pause < end) {
                Some(pause) => sleep(*pause).await,
                None => return Err(address.fault(why)),
            }
        }
    }

    async fn once(&self, address: &Address, notice: &Notice) -> Result<(), (String, bool)> {
        let unsent = |_| ("its address cannot be written to".to_owned(), false);
        let body = body(address.kind, notice);
        let mut request = HttpRequest::new(
            body.as_ref()
                .map_or_else(SdkBody::empty, |body| SdkBody::from(body.to_string())),
        );
        request
            .set_uri(address.url(notice.database.as_deref()))
            .map_err(unsent)?;
        request
            .headers_mut()
            .insert("user-agent", concat!("mongotar/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request.set_method("POST").map_err(unsent)?;
            request.headers_mut().insert("content-type", "application/json");
        }
        match self.0.call(request).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status().as_u16();
                Err((answered(status), status == 429 || status >= 500))
            }
            // What the error quotes may be the address.
            Err(error) if error.is_timeout() => Err(("it did not answer in time".to_owned(), true)),
            Err(error) if error.is_io() => Err(("it cannot be reached".to_owned(), true)),
            Err(_) => Err(("the request to it failed".to_owned(), true)),
        }
    }
}

fn answered(status: u16) -> String {
    let meaning = match status {
        301..=399 => ": it names another address, and is not followed there",
        401 | 403 => ": it does not accept this address (any more)",
        404 | 410 => ": nobody listens at this address (any more)",
        _ => "",
    };
    format!("it answered with status {status}{meaning}")
}
