"""The data plane as AWS's own Python SDK sees it. Clients that are connected: the arguments, first a live one, then one without a session."""

import base64
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

live, gone = sys.argv[1:]
iot = boto3.client("iot-data", config=Config(retries={"max_attempts": 1}))


def refused(status, code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        assert error.response["Error"]["Message"] or error.response["message"], error.response
        return
    raise AssertionError(f"{call} was not refused with {code}")


# What the live client hears, the test looks at.
iot.publish(
    topic="order/é 1",
    qos=1,
    payload="ü\n".encode(),
    contentType="application/cbor",
    responseTopic="answers/1",
    messageExpiry=90,
    userProperties=[{"a": "1"}, {"a": "2"}, {"é": "ü"}],
    payloadFormatIndicator="UNSPECIFIED_BYTES",
    correlationData=base64.b64encode(b"\x01\x02").decode(),
)
iot.publish(topic="order/2", payload="plain")

for topic in ("order/+", "order/#", "$SYS/x", "/".join("123456789"), "x" * 257):
    refused(400, "InvalidRequestException", iot.publish, topic=topic, payload=b"x")
refused(400, "InvalidRequestException", iot.publish, topic="a", responseTopic="a/+")
refused(400, "InvalidRequestException", iot.publish, topic="a", messageExpiry=-1)
refused(400, "InvalidRequestException", iot.publish, topic="a", correlationData="no base64!")
refused(400, "InvalidRequestException", iot.publish, topic="a", userProperties={"a": "1"})
refused(400, "InvalidRequestException", iot.publish, topic="a", userProperties=[{"a": "1", "b": "2"}])
refused(413, "RequestEntityTooLargeException", iot.publish, topic="a", payload=b"x" * (128 * 1024 + 1))
refused(413, "RequestEntityTooLargeException", iot.publish, topic="a", contentType="x" * 257)
iot.publish(topic="a", payload=b"x" * (128 * 1024))

for number in range(3):
    iot.publish(topic=f"kept/{number}", qos=1, retain=True, payload=f"{number}" * (number + 1), userProperties=[{"n": str(number)}])


def often():
    for _ in range(50):
        iot.publish(topic="kept/2", retain=True, payload="222")


# One a second on a topic: two of fifty in a row are within a second.
refused(429, "ThrottlingException", often)
one = iot.get_retained_message(topic="kept/1")
assert (one["topic"], one["payload"], one["qos"]) == ("kept/1", b"11", 1), one
assert json.loads(one["userProperties"]) == [{"n": "1"}], one
assert one["lastModifiedTime"] > 1_700_000_000_000, one
refused(404, "ResourceNotFoundException", iot.get_retained_message, topic="kept/none")
pages = list(iot.get_paginator("list_retained_messages").paginate(PaginationConfig={"PageSize": 2}))
assert [[kept["topic"] for kept in page["retainedTopics"]] for page in pages] == [["kept/0", "kept/1"], ["kept/2"]], pages
assert [kept["payloadSize"] for page in pages for kept in page["retainedTopics"]] == [1, 2, 3], pages
refused(400, "InvalidRequestException", iot.list_retained_messages, nextToken="?")

facts = iot.get_connection(clientId=live)
assert facts["connected"] and facts["clientId"] == live and facts["connectedSince"] > 1_700_000_000_000, facts
assert "sourceIp" not in facts and "disconnectedSince" not in facts, facts
assert iot.get_connection(clientId=live, includeSocketInformation=True)["sourceIp"] == "127.0.0.1"
facts = iot.get_connection(clientId=gone)
assert not facts["connected"] and facts["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT", facts
refused(404, "ResourceNotFoundException", iot.get_connection, clientId="never")
refused(400, "InvalidRequestException", iot.get_connection, clientId="$x")
first = iot.list_subscriptions(clientId=live, maxResults=1)
second = iot.list_subscriptions(clientId=live, maxResults=1, nextToken=first["nextToken"])
assert first["subscriptions"] == [{"topicFilter": "answers/#", "qos": 0}], first
assert second["subscriptions"] == [{"topicFilter": "order/+", "qos": 1}] and "nextToken" not in second, second
refused(404, "ResourceNotFoundException", iot.list_subscriptions, clientId="never")

iot.delete_connection(clientId=live, preventWillMessage=True)
refused(404, "ResourceNotFoundException", iot.delete_connection, clientId=gone)
print("well")
