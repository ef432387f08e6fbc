//! The functions, within the limits of Lambda that linters do not know.

use super::permissions::{may, statements};
use super::template::{Template, WITHOUT_DATABASE, file, list, text_of, texts};

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let statements = statements(template);
    let mut binaries = Vec::new();
    for (name, function) in template.of_type("AWS::Serverless::Function") {
        let properties = &function["Properties"];
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                findings.push(format!("{name}: {what}"));
            }
        };
        let log = texts(&properties["Environment"]["Variables"]["MONGOTAR_LOG"]);
        expect(log == ["error,mongotar=${LogLevel}"], "the level is one of libraries");
        expect(
            properties["Runtime"] == "provided.al2023",
            "the runtime is not provided.al2023",
        );
        expect(properties["Handler"] == "bootstrap", "the handler is not bootstrap");
        let architecture = template.at("/Parameters/Architecture");
        expect(
            properties["Architectures"] == serde_json::json!([{"Ref": "Architecture"}])
                && architecture["Default"] == "arm64"
                && architecture["AllowedValues"] == serde_json::json!(["arm64", "x86_64"]),
            "not arm64, unless that was asked for",
        );
        let timeout = template.range(&properties["Timeout"]);
        expect(
            timeout.is_some_and(|(least, most)| least >= 60 && most <= 900),
            "the timeout is not within 900 seconds",
        );
        let memory = template.range(&properties["MemorySize"]);
        expect(
            memory.is_some_and(|(least, most)| least >= 512 && most <= 10_240),
            "the memory is not within 512 to 10240 MB",
        );

        expect(
            function["Metadata"]["BuildMethod"] == "rust-cargolambda",
            "not built by cargo-lambda",
        );
        let binary = function["Metadata"]["BuildProperties"]["Binary"]
            .as_str()
            .unwrap_or_default();
        expect(
            file(&format!("src/bin/{binary}.rs")).is_file(),
            "its binary is none of the project",
        );
        binaries.push(binary);

        let variables = &properties["Environment"]["Variables"];
        // That of those who are told knows no database, and must not lead its own failures back to itself.
        let only_tells = name == "NotifyFunction";
        expect(
            variables["MONGOTAR_STACK"]["Ref"] == "AWS::StackName",
            "its metrics are not told from those of other stacks",
        );
        expect(
            variables.get("MONGO_URI").is_none(),
            "a connection string is in the environment",
        );
        let secret = if only_tells {
            "MONGOTAR_NOTIFY_SECRET"
        } else {
            "MONGO_URI_SECRET"
        };
        let secrets = texts(&variables[secret]);
        let has_no_database = WITHOUT_DATABASE.contains(&name);
        expect(
            has_no_database == variables.get("MONGO_URI_SECRET").is_none(),
            "it knows a database that it does not need, or none",
        );
        expect(
            has_no_database && !only_tells
                || !secrets.is_empty() && secrets.iter().all(|secret| secret.ends_with("SecretArn}")),
            "no secret",
        );
        let role = properties["Role"]["Fn::GetAtt"][0].as_str().unwrap_or_default();
        for secret in secrets.iter().filter(|_| !has_no_database || only_tells) {
            expect(
                may(&statements, role, "secretsmanager:GetSecretValue", secret),
                "its role may not read its secret",
            );
        }

        let group = properties["LoggingConfig"]["LogGroup"]["Ref"]
            .as_str()
            .unwrap_or_default();
        let log = template.resource(group);
        expect(log["Type"] == "AWS::Logs::LogGroup", "no log group of this template");
        expect(
            !log["Properties"]["RetentionInDays"].is_null(),
            "its logs are kept for ever",
        );
        expect(
            may(&statements, role, "logs:PutLogEvents", &format!("${{{group}.Arn}}")),
            "its role may not write its logs",
        );
        expect(properties["Tracing"] == "Active", "no traces");

        let invoked = &properties["EventInvokeConfig"];
        expect(
            invoked["MaximumRetryAttempts"]
                .as_u64()
                .is_some_and(|retries| retries <= 2),
            "how often an asynchronous event is repeated is not said",
        );
        if only_tells {
            expect(
                invoked["DestinationConfig"].is_null() && !may(&statements, role, "sns:Publish", "${TheTopic.Value}"),
                "what it cannot tell would come back to it",
            );
            continue;
        }
        expect(
            texts(&invoked["DestinationConfig"]["OnFailure"]["Destination"]) == ["${TheTopic.Value}"],
            "its failures are not told",
        );
        expect(
            may(&statements, role, "sns:Publish", "${TheTopic.Value}"),
            "its role may not tell of failures",
        );

        if has_no_database {
            continue;
        }
        let vpc = &properties["VpcConfig"]["Fn::If"];
        expect(
            vpc[0] == "InVpc" && vpc[1]["SubnetIds"]["Ref"] == "SubnetIds",
            "cannot run in a VPC",
        );
        expect(
            list(&properties["Layers"])
                .into_iter()
                .flat_map(texts)
                .eq(["${CaBundleLayerArn}".to_owned()]),
            "cannot have a CA bundle",
        );
    }
    let manifest = text_of("Cargo.toml");
    let release = manifest.split("[profile.release]\n").nth(1).unwrap_or_default();
    let release = release.split("\n[").next().unwrap_or_default();
    if !release.lines().any(|line| line == "panic = \"unwind\"") {
        findings.push("cargo-lambda builds functions that abort when they panic, and say nothing".to_owned());
    }
    binaries.sort_unstable();
    // Drills have a restore function of their own, with a connection of their own; those without a
    // database are the backup function's program.
    if binaries != ["backup", "backup", "backup", "restore", "restore"] {
        findings.push(format!(
            "the functions are {binaries:?}, not backup three times, and restore twice"
        ));
    }
    for (name, log) in template.of_type("AWS::Logs::LogGroup") {
        if log["Properties"]["RetentionInDays"].is_null() || log["Properties"]["KmsKeyId"].is_null() {
            findings.push(format!("{name}: logs without end, or without the key"));
        }
    }
    findings
}
