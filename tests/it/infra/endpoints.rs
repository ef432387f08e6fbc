//! Endpoints of the VPC, where the stack makes them: what the functions reach by them, and that nobody else is led there.

use serde_json::json;

use super::template::{Template, list, texts};

pub fn findings(template: &Template) -> Vec<String> {
    let mut findings = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    for name in ["EndpointGroup", "SecretsEndpoint", "ArchivesEndpoint"] {
        let endpoint = template.resource(name);
        expect(
            endpoint["Condition"] == "MakesEndpoints",
            "an endpoint is made that nobody asked for",
        );
        expect(
            endpoint["Properties"]["VpcId"]["Ref"] == "EndpointVpcId",
            "an endpoint is in no VPC",
        );
    }
    let secrets = &template.resource("SecretsEndpoint")["Properties"];
    expect(
        secrets["PrivateDnsEnabled"] == false,
        "SecretsEndpoint: all of the VPC is led to it",
    );
    expect(
        secrets["SubnetIds"]["Ref"] == "SubnetIds",
        "SecretsEndpoint: is not where the functions are",
    );
    expect(
        secrets["SecurityGroupIds"] == json!([{"Ref": "EndpointGroup"}]),
        "SecretsEndpoint: everybody is admitted",
    );
    let statement = &secrets["PolicyDocument"]["Statement"][0];
    let resources: Vec<String> = list(&statement["Resource"]).into_iter().flat_map(texts).collect();
    let secrets_of_the_stack = [
        "${ConnectionSecretArn}",
        "${RestoreConnectionSecretArn}",
        "${DrillConnectionSecretArn}",
    ];
    expect(
        statement["Action"] == "secretsmanager:GetSecretValue" && resources == secrets_of_the_stack,
        "SecretsEndpoint: more passes than the secrets",
    );
    let admitted = list(&template.resource("EndpointGroup")["Properties"]["SecurityGroupIngress"]);
    let of_the_functions = json!({"Fn::Select": [0, {"Ref": "SecurityGroupIds"}]});
    expect(
        admitted.len() == 1
            && admitted[0]["FromPort"] == 443
            && admitted[0]["SourceSecurityGroupId"] == of_the_functions,
        "EndpointGroup: admits others than the functions",
    );
    let archives = &template.resource("ArchivesEndpoint")["Properties"];
    expect(
        archives["VpcEndpointType"] == "Gateway" && archives["RouteTableIds"]["Ref"] == "EndpointRouteTableIds",
        "ArchivesEndpoint: is no route of the subnets",
    );
    for (name, function) in template.workers() {
        let address = &function["Properties"]["Environment"]["Variables"]["AWS_ENDPOINT_URL_SECRETS_MANAGER"];
        let led = address["Fn::If"][0] == "MakesEndpoints"
            && address.to_string().contains("[\"SecretsEndpoint\",\"DnsEntries\"]");
        expect(led, &format!("{name}: does not find its secret in the VPC"));
    }
    findings
}
