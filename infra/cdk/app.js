// eventcast by the AWS CDK: the templates of this repository, included as they are, with the platform's own
// bus, VPC and image as their parameters.
//
// Why included and not written anew: the service scales on metric math, and the CDK's own scaling takes no
// MathExpression (aws-cdk issues 20659 and 34072); its SQS target grants the key of a dead-letter queue nothing
// (aws-cdk issue 33169). The templates have both, and `eventcast infra check` has looked at them.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const cdk = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");

const INFRA = path.join(__dirname, "..");
const rendered = process.env.EVENTCAST_RENDERED ?? path.join(INFRA, "example");

const app = new cdk.App();

/** A stack with one template; resolves the parameters that `eventcast infra render` has values for. */
function stack(id, file, parameters = {}) {
  const made = new cdk.Stack(app, `eventcast-${id}`, { description: `eventcast: ${id}` });
  const values = path.join(rendered, `parameters-${id}.txt`);
  if (fs.existsSync(values)) {
    for (const line of fs.readFileSync(values, "utf8").trim().split("\n")) {
      const [name, value] = line.split("=");
      parameters[name] ??= value;
    }
  }
  new CfnInclude(made, "Template", { templateFile: file, parameters });
  return made;
}

const byHand = (name) => path.join(INFRA, "cloudformation", `${name}.yaml`);
const made = (name) => path.join(rendered, `${name}.json`);
const context = (name, otherwise) => app.node.tryGetContext(name) ?? otherwise;

const bus = context("bus", "default");
const queues = stack("queues", byHand("queues"), { EventBusName: bus });
const rule = stack("rule", made("rule"), { EventBusName: bus });
// An event that comes before the policies of the queues is refused.
rule.addDependency(queues);
const roles = stack("roles", made("roles"));
const configuration = stack("configuration", byHand("configuration"), {
  ConfigurationText: fs.readFileSync(context("configuration", path.join(rendered, "eventcast.yaml")), "utf8"),
});
const service = stack("service", byHand("service"), {
  ImageUri: context("image", "public.ecr.aws/eventcast/eventcast:latest"),
  TaskRoleArn: context("role", "arn:aws:iam::123456789012:role/eventcast-bridge"),
  VpcId: context("vpc", "vpc-00000000"),
  SubnetIds: context("subnets", "subnet-00000000,subnet-11111111").split(","),
});
service.addDependency(roles);
service.addDependency(configuration);
const scaling = stack("scaling", byHand("scaling"));
scaling.addDependency(service);
stack("observability", byHand("observability"), { EventBusName: bus });

app.synth();
