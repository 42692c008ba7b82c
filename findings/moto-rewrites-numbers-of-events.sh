#!/usr/bin/env bash
# moto 5.2.5 (PyPI), EventBridge to SQS: numbers of an event's detail go through binary floating point.
# A 20-digit number with a fraction loses its digits, and 1e400, which is JSON, reaches the queue as
# `Infinity`, which is none: a consumer's parser refuses the whole event.
#
# Seen: {"id": 1.2345678901234567e+19, "big": Infinity}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server]==5.2.5' boto3==1.44.5
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON'
import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
account = dict(
    endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
)
events, sqs = boto3.client("events", **account), boto3.client("sqs", **account)
queue = sqs.create_queue(QueueName="events")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": arn}])
events.put_events(
    Entries=[{"Source": "shop", "DetailType": "t", "Detail": '{"id": 12345678901234567890.5, "big": 1e400}'}]
)
body = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]["Body"]
print(body[body.index('"detail": ') + len('"detail": '):-1])
server.stop()
PYTHON
)
echo "$seen"
[ "$seen" = '{"id": 1.2345678901234567e+19, "big": Infinity}' ] || { echo "changed" >&2; exit 1; }
