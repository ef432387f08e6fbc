//! How long an answer is waited for. A store that takes a connection and says nothing is an error, and not a backup
//! that hangs for ever; a slow line is none.
//!
//! Each attempt has a limit that fits its request: some time for the answer, more for the bytes that it sends, and much
//! more for what the store itself has to work on. An answer whose body is read as a stream need only begin within it;
//! a body that stalls is found out by the client's own stalled stream protection.
//!
//! Silence is retried as any passing fault is. After a request was given up without an answer, no other one is repeated
//! until the store answers again: the cleanup may take many. Nor is one after a cancellation: then short waits end, and
//! what writes is waited for, so that it does not arrive after it was undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{AsyncSleep, Builder, ConfigBag, Intercept, RuntimeComponents, Sleep};
use aws_sdk_s3::error::BoxError;
use tokio_util::sync::CancellationToken;

const CONNECTING: Duration = Duration::from_secs(5);
/// For whatever a store answers at once.
const SILENCE: Duration = Duration::from_secs(30);
/// For completing an upload, and for copying gigabytes within the store.
const WORK: Duration = Duration::from_secs(300);
/// No line is slower than that for each of the parts that share it.
const BYTES_PER_SECOND: u64 = 16 << 10;
/// What is left of a wait when the run is cancelled.
const LAST: Duration = Duration::from_secs(2);

/// The limits of a client, and what ends all of its waits.
#[derive(Clone, Debug)]
pub(super) struct AnswerLimits {
    silence: Duration,
    cancel: CancellationToken,
    gave_up: Arc<AtomicBool>,
}

impl AnswerLimits {
    pub(super) fn until(cancel: &CancellationToken) -> Self {
        Self {
            silence: SILENCE,
            cancel: cancel.clone(),
            gave_up: Arc::default(),
        }
    }

    /// A client's configuration with these limits.
    pub(super) fn of(self, config: Builder) -> Builder {
        let connecting = TimeoutConfig::builder().connect_timeout(CONNECTING).build();
        config
            .timeout_config(connecting)
            .sleep_impl(self.clone())
            .interceptor(self)
    }

    /// That of one attempt.
    fn attempt(&self, method: &str, uri: &str, copies: bool, bytes: u64) -> Duration {
        let completes = method == "POST" && uri.contains("uploadId=");
        match completes || copies {
            true => WORK,
            false => self.silence + Duration::from_secs(bytes.div_ceil(BYTES_PER_SECOND)),
        }
    }
}

impl Intercept for AnswerLimits {
    fn name(&self) -> &'static str {
        "AnswerLimits"
    }

    fn read_after_serialization(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let copies = request.headers().get("x-amz-copy-source").is_some();
        let bytes = request.body().content_length().unwrap_or(0);
        let attempt = self.attempt(request.method(), request.uri(), copies, bytes);
        if let Some(limits) = config.load::<TimeoutConfig>() {
            let limits = limits.to_builder().operation_attempt_timeout(attempt).build();
            config.interceptor_state().store_put(limits);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some() {
            self.gave_up.store(false, Ordering::Relaxed);
        } else if self.cancel.is_cancelled() || self.gave_up.load(Ordering::Relaxed) {
            config.interceptor_state().store_put(RetryConfig::disabled());
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_none() {
            self.gave_up.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// All waits of the client: its limits, and those between attempts.
impl AsyncSleep for AnswerLimits {
    fn sleep(&self, duration: Duration) -> Sleep {
        let sleep = tokio::time::sleep(duration);
        // Only requests that send something, or have the store work, take longer.
        if duration > self.silence {
            return Sleep::new(sleep);
        }
        let cancelled = self.cancel.clone().cancelled_owned();
        Sleep::new(async move {
            tokio::select! {
                () = sleep => {}
                () = async { cancelled.await; tokio::time::sleep(LAST.min(duration)).await } => {}
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::{Location, Store};

    /// A store that takes connections and says nothing, and how often it was asked.
    async fn silent(cancel: &CancellationToken, silence: Duration) -> (Store, Arc<std::sync::atomic::AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<std::sync::atomic::AtomicU32>::default();
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move { while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} });
            }
        });
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "a test"))
            .endpoint_url(format!("http://{address}"))
            .force_path_style(true)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(3)
                    .with_initial_backoff(Duration::from_millis(10)),
            );
        let limits = AnswerLimits {
            silence,
            ..AnswerLimits::until(cancel)
        };
        let client = aws_sdk_s3::Client::from_conf(limits.of(config).build());
        (Store::with_client(client), asked)
    }

    fn folder() -> Location {
        "s3://bucket/nightly/".parse().expect("a location")
    }

    /// The first request of a backup waited for more than eleven minutes, without a word.
    #[tokio::test]
    async fn a_store_that_says_nothing_is_given_up_and_named_and_asked_once_from_then_on() {
        let (store, asked) = silent(&CancellationToken::new(), Duration::from_millis(200)).await;
        let error = store.list(&folder(), "").await.expect_err("silence").to_string();
        assert!(
            error.contains("ListObjectsV2") && error.contains("does not answer"),
            "{error}"
        );
        assert_eq!(asked.load(Ordering::Relaxed), 3, "{error}");
        store.find(&folder().join("a.tar")).await.expect_err("silence");
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }

    /// A signal ended a wait for a silent store after all retries.
    #[tokio::test]
    async fn a_cancelled_run_stops_waiting_for_a_store_that_says_nothing() {
        let cancel = CancellationToken::new();
        let (store, asked) = silent(&cancel, SILENCE).await;
        let (began, folder) = (Instant::now(), folder());
        let (listed, ()) = tokio::join!(store.list(&folder, ""), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        });
        listed.expect_err("cancelled");
        assert!(began.elapsed() < SILENCE / 2, "{:?}", began.elapsed());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn each_request_has_the_time_that_it_may_need() {
        let limits = AnswerLimits::until(&CancellationToken::new());
        assert_eq!(limits.attempt("GET", "/b?list-type=2", false, 0), SILENCE);
        assert_eq!(limits.attempt("POST", "/b/k?uploads", false, 0), SILENCE);
        let slow = limits.attempt("PUT", "/b/k?partNumber=1&uploadId=x", false, 8 << 20);
        assert_eq!(slow, SILENCE + Duration::from_secs(512));
        assert_eq!(limits.attempt("PUT", "/b/k?partNumber=1&uploadId=x", true, 0), WORK);
        assert_eq!(limits.attempt("POST", "/b/k?uploadId=x", false, 9_000), WORK);
    }
}
