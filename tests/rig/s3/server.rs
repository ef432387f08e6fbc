//! Starting SeaweedFS, and knowing when it serves.

use super::super::background::{block_on, waiting};
use super::super::binaries;
use super::super::names::random_hex;
use super::super::ports::free_port;
use super::super::process::{Launch, Process};
use super::super::scratch::ScratchDir;
use super::S3;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

impl S3 {
    pub(super) fn launch() -> S3 {
        let mut scratch = ScratchDir::new("weed");
        let (access_key, secret_key) = (
            format!("RIG{}", random_hex().to_uppercase()),
            random_hex() + &random_hex(),
        );
        let folder = scratch.path().to_owned();
        let credentials = serde_json::json!({"identities": [{
            "name": "rig",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(folder.join("s3.json"), credentials.to_string()).expect("a fresh scratch directory is writable");

        let mut arguments: Vec<String> = [
            "-logtostderr=true",
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
        ]
        .map(str::to_owned)
        .into();
        // On by default: a report home, and two catalogs on fixed ports that only one instance could have.
        arguments.extend(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"].map(str::to_owned));
        // Explicit, since "auto" is free disk space / volume size: a dozen buckets would use that up.
        arguments.extend(["-master.volumeSizeLimitMB=1024", "-volume.max=10000"].map(str::to_owned));
        // By default a hundredth of the disk, whatever its size; with less than that free nothing is taken any more.
        arguments.push("-volume.minFreeSpace=64MiB".to_owned());
        let own = |name: &str| folder.join(name).display().to_string();
        arguments.push(format!("-dir={}", own("")));
        arguments.push(format!("-s3.config={}", own("s3.json")));
        for service in ["filer", "s3"] {
            arguments.push(format!("-{service}.localSocket={}", own(&format!("{service}.sock"))));
        }
        let mut endpoint = String::new();
        for service in ["master", "volume", "filer", "s3"] {
            let port = free_port();
            arguments.push(format!("-{service}.port={port}"));
            endpoint = format!("http://127.0.0.1:{port}");
            // SeaweedFS puts these sockets there whatever TMPDIR says.
            scratch.also_remove(Path::new(&format!(
                "/tmp/seaweedfs-{service}-grpc-{}.sock",
                port + 10_000
            )));
        }
        let env = [
            ("HOME", own("")),
            ("TMPDIR", own("")),
            // A key for SSE-S3, else it would be kept on the filer; and one volume a bucket instead of seven.
            ("WEED_S3_SSE_KEK", (0..4).map(|_| random_hex()).collect()),
            ("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1".to_owned()),
        ];
        let process = Launch::new(binaries::weed())
            .args(arguments)
            .only_env(env)
            .directory(&folder)
            .log_to(&folder.join("log"))
            .spawn();
        S3 {
            process: Some(process),
            scratch,
            endpoint,
            access_key,
            secret_key,
        }
    }

    /// False when the server ended because a port was taken. Panics when it ended for another reason.
    pub(super) fn wait_until_it_answers(&self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(Duration::from_secs(5))
            .build();
        let config = self
            .config_at(&self.endpoint)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        let client = Client::from_conf(config.build());
        loop {
            let client = client.clone();
            let listening = TcpStream::connect(self.endpoint.trim_start_matches("http://")).is_ok();
            let answer = if listening {
                block_on(takes_an_object(client))
            } else {
                Err("it does not listen".to_owned())
            };
            if let Some(status) = self.process.as_ref().and_then(Process::exit_status) {
                let log = self.log_tail();
                assert!(
                    log.contains("address already in use"),
                    "SeaweedFS ended at its start ({status}); {log}"
                );
                return false;
            }
            match answer {
                Ok(()) => return true,
                Err(e) if Instant::now() > deadline => {
                    panic!(
                        "SeaweedFS does not answer within {START_LIMIT:?}: {e}; {}",
                        self.log_tail()
                    )
                }
                Err(_) => waiting(|| thread::sleep(POLL)),
            }
        }
    }
}

/// The S3 gateway answers before the volume server can store: only a whole round proves that all of it is up.
async fn takes_an_object(client: Client) -> Result<(), String> {
    let bucket = "rig-start";
    client
        .create_bucket()
        .bucket(bucket)
        .send()
        .await
        .map(|_| ())
        .or_else(|e| {
            let said = format!("{e:?}");
            // The answer to an earlier attempt came too late.
            if said.contains("BucketAlreadyOwnedByYou") {
                Ok(())
            } else {
                Err(said)
            }
        })?;
    let body = ByteStream::from_static(b"ready");
    client
        .put_object()
        .bucket(bucket)
        .key("probe")
        .body(body)
        .send()
        .await
        .map_err(|e| format!("{e:?}"))?;
    client
        .delete_object()
        .bucket(bucket)
        .key("probe")
        .send()
        .await
        .map_err(|e| format!("{e:?}"))?;
    client
        .delete_bucket()
        .bucket(bucket)
        .send()
        .await
        .map_err(|e| format!("{e:?}"))?;
    Ok(())
}
