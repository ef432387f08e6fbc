//! What people with Docker start: it stays on their machine, and is the version that is tested.

use serde_yaml_ng::Value;

const COMPOSE: &str = include_str!("../../../infra/localstack/compose.yaml");
const TESTS: &str = include_str!("../../../infra/localstack/tests");
const README: &str = include_str!("../../../infra/localstack/README.md");

#[test]
fn the_services_are_reached_from_this_machine_only() {
    let compose: Value = serde_yaml_ng::from_str(COMPOSE).expect("YAML");
    let services = compose["services"].as_mapping().expect("services");
    assert_eq!(services.len(), 2);
    for (name, service) in services {
        let ports = service["ports"].as_sequence().expect("ports");
        for port in ports {
            assert!(
                port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")),
                "{name:?}: {port:?}"
            );
        }
        assert!(service["healthcheck"]["test"].is_string(), "{name:?} is waited for");
        let image = service["image"].as_str().expect("an image");
        assert!(image.contains(':') && !image.ends_with(":latest"), "{image}");
    }
    let image = compose["services"]["localstack"]["image"].as_str().expect("an image");
    let version = image.rsplit(':').next().expect("a version");
    assert!(
        TESTS.contains(&format!("LOCALSTACK={version}.")),
        "{version} is what is tested"
    );
    for part in [
        "infra/localstack/compose.yaml up --wait",
        "compose.yaml down --volumes",
        "infra/localstack/tests",
    ] {
        assert!(README.contains(part), "{part}");
    }
}
