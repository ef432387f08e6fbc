//! What people with Docker start: it stays on their machine, and is the version that is tested.

use serde_yaml_ng::Value;

const COMPOSE: &str = include_str!("../../../infra/localstack/compose.yaml");
const INSTALL: &str = include_str!("../../../infra/localstack/install");
const DEPLOY: &str = include_str!("../../../infra/localstack/deploy");
const TEMPLATE: &str = include_str!("../../../template.yaml");
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
        INSTALL.contains(&format!("LOCALSTACK={version}.")),
        "{version} is what is tested"
    );
    for part in [
        "infra/localstack/compose.yaml up --wait",
        "compose.yaml down --volumes",
        "infra/localstack/tests",
        "infra/localstack/deploy",
        "infra/localstack/teardown",
        "infra/localstack/functions",
    ] {
        assert!(README.contains(part), "{part}");
    }
}

#[test]
fn functions_are_in_the_network_in_which_they_look_for_the_others() {
    let compose: Value = serde_yaml_ng::from_str(COMPOSE).expect("YAML");
    let network = compose["networks"]["default"]["name"].as_str();
    let of_functions = &compose["services"]["localstack"]["environment"]["LAMBDA_DOCKER_NETWORK"];
    assert_eq!((network, of_functions.as_str()), (Some("mongotar"), network));
    for host in ["mongodb://mongo:27017/", "http://localstack:4566"] {
        assert!(DEPLOY.contains(host), "{host}");
    }
}

/// What `deploy` puts in the place of sources, and the parameters that it gives.
#[test]
fn the_template_has_what_deploy_replaces_and_sets() {
    assert_eq!(TEMPLATE.lines().filter(|line| *line == "      CodeUri: .").count(), 5);
    let backup = TEMPLATE.find("  BackupFunction:").expect("the first function");
    assert!(backup < TEMPLATE.find("  RestoreFunction:").expect("the second"));
    let drill = TEMPLATE.find("  DrillFunction:").expect("the third");
    assert!(backup < drill);
    assert!(drill < TEMPLATE.find("  CompactFunction:").expect("the fourth"));
    assert!(drill < TEMPLATE.find("  NotifyFunction:").expect("the fifth"));
    for parameter in ["Database", "ConnectionSecretArn", "EndpointUrl"] {
        assert!(DEPLOY.contains(&format!("\"{parameter}=$")), "{parameter}");
        assert!(TEMPLATE.contains(&format!("\n  {parameter}:\n")), "{parameter}");
    }
}
