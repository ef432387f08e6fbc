// The stack of a release, by CDK: the very template that `aws cloudformation deploy` takes, as a nested stack.

import { Aws, CfnStack, Fn, Tags } from "aws-cdk-lib";
import { Construct } from "constructs";
import { CONSTRAINTS, MongotarParameters } from "./parameters";

/** A stack of mongotar. Its files lie where `CodeBucket` and `CodePrefix` say. */
export class Mongotar extends Construct {
  private readonly stack: CfnStack;

  constructor(scope: Construct, id: string, given: MongotarParameters) {
    super(scope, id);
    const parameters: Record<string, string> = {};
    for (const [name, value] of Object.entries(given)) {
      if (!(name in CONSTRAINTS)) {
        throw new Error(`mongotar has no parameter ${name}`);
      }
      if (value !== undefined) {
        parameters[name] = Array.isArray(value) ? value.join(",") : String(value);
      }
    }
    const host = `${given.CodeBucket}.s3.${Aws.REGION}.${Aws.URL_SUFFIX}`;
    this.stack = new CfnStack(this, "Stack", {
      templateUrl: `https://${host}/${given.CodePrefix}template.yaml`,
      parameters,
    });
  }

  /** What the stack says of itself: Destination, BackupMachineArn, RestoreMachineArn, … */
  public output(name: string): string {
    return Fn.getAtt(this.stack.logicalId, `Outputs.${name}`).toString();
  }

  /** A tag of all that the stack makes, beside Project. */
  public tag(key: string, value: string): void {
    Tags.of(this.stack).add(key, value);
  }
}
