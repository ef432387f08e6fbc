//! `infra/local/up`: all of it on one machine, as a developer has it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::rig::StepFunctions;
use crate::support;

/// What was started, stopped with the test however that ends.
struct Up(Child);

impl Up {
    /// What Ctrl-C at a terminal does.
    fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.0.id());
        let status = Command::new("/bin/sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell").success(), "has it ended?");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill(); // fails only when it has ended; the rig's servers end with it
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_brings_up_everything_and_ctrl_c_takes_it_down() {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join("infra/local/up");
    let mut up = Up(Command::new(script)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts"));
    let lines = BufReader::new(up.0.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let mut exported = HashMap::new();
    let mut ready = false;
    for line in lines {
        if let Some((name, value)) = line.strip_prefix("export ").and_then(|rest| rest.split_once('=')) {
            exported.insert(name.to_owned(), value.trim_matches('\'').to_owned());
        }
        if line.starts_with("# Ready") {
            ready = true;
            break;
        }
    }
    assert!(ready, "it ended before it was ready: {:?}", up.0.try_wait());
    let value = |name: &str| {
        exported
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not exported"))
            .as_str()
    };

    let engine = StepFunctions::at(value("AWS_ENDPOINT_URL"));
    let output = engine
        .execute(value("BACKUP"), json!({}))
        .await
        .ended()
        .await
        .succeeded();
    let database = &output["databases"][0];
    assert_eq!(
        (&database["status"], &database["documents"]),
        (&json!("complete"), &json!(1000))
    );
    let archive = crate::handlers::text(&database["archive"]);
    assert!(archive.starts_with(value("MONGOTAR_TO")), "{archive}");
    let drilled = engine
        .execute(value("DRILL"), json!({"archive": archive}))
        .await
        .ended()
        .await;
    assert_eq!(drilled.succeeded()["verdict"], "passed");

    up.interrupt();
    let status = up.0.wait().expect("a child of ours can be waited for");
    assert!(status.success(), "{status}");
    for endpoint in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let address = value(endpoint).trim_start_matches("http://");
        support::eventually(endpoint, || TcpStream::connect(address).is_err()).await;
    }
}
