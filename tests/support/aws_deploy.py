"""The AWS command line for tests that follow a manual on moto: `aws cloudformation deploy` is done by CreateStack.

moto 5.2.5 shows no outputs of stacks that are made by change sets, which `deploy` uses. Everything else goes to the real
command line.
"""

import os
import sys

import boto3

if sys.argv[1:3] != ["cloudformation", "deploy"]:
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    os.execv(aws, [aws, "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], *sys.argv[1:]])

arguments = sys.argv[3:]


def option(name):
    return arguments[arguments.index(name) + 1]


overrides = []
if "--parameter-overrides" in arguments:
    overrides = [one.split("=", 1) for one in arguments[arguments.index("--parameter-overrides") + 1 :]]
with open(option("--template-file"), encoding="utf-8") as template:
    body = template.read()
boto3.client("cloudformation").create_stack(
    StackName=option("--stack-name"),
    TemplateBody=body,
    Capabilities=[option("--capabilities")],
    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in overrides],
)
