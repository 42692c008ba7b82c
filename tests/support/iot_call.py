"""One call of IoT Core's control plane by boto3: its name, and its arguments as JSON; prints the answer as JSON."""

import json
import sys

import boto3

name, arguments = sys.argv[1:]
answer = getattr(boto3.client("iot"), name)(**json.loads(arguments))
answer.pop("ResponseMetadata")
print(json.dumps(answer, default=str))
