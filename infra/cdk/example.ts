// An app with the construct, which infra/lint compiles and synthesizes.

import { App, CfnOutput, Stack } from "aws-cdk-lib";
import { Mongotar } from "./mongotar";

const app = new App();
const stack = new Stack(app, "App");
const mongotar = new Mongotar(stack, "Mongotar", {
  CodeBucket: "my-artifacts",
  CodePrefix: "mongotar/0.1.0/",
  Database: "shop",
  ConnectionSecretArn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mongotar",
  Lanes: 8,
  SubnetIds: ["subnet-1", "subnet-2"],
  SecurityGroupIds: ["sg-1"],
});
mongotar.tag("team", "data");
new CfnOutput(stack, "Backups", { value: mongotar.output("BackupMachineArn") });
console.log(JSON.stringify(app.synth().getStackByName("App").template));
