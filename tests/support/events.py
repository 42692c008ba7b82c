"""Event buses as AWS's own Python SDK sees them.

    events.py agreed    does what every bus does alike; prints each answer, without what differs from run to run
    events.py own       what LocalStack lacks or has otherwise than AWS; prints "well"
    events.py place ORDER    puts an event of an order on the default bus; prints its id
"""

import datetime
import json
import re
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

events = boto3.client("events", config=Config(parameter_validation=False))
sqs = boto3.client("sqs")

PATTERN = {"source": ["shop.orders"], "detail-type": [{"prefix": "Order"}], "detail": {"items": {"sku": ["a1"], "count": [{"numeric": [">", 1]}]}}}
DETAIL = '{ "orderId": "o1", "total": 1.5, "items": [ {"sku": "b2", "count": 1}, {"sku": "a1", "count": 2} ], "note": "a <b>", "none": null, "paid": true }'


def answer(call, **arguments):
    try:
        got = call(**arguments)
    except ClientError as error:
        return error.response["Error"]
    got.pop("ResponseMetadata")
    return got


def steady(value):
    """Without ids, times and tokens."""
    if isinstance(value, dict):
        return {key: "…" if key in ("NextToken", "EventId") else steady(member) for key, member in value.items()}
    if isinstance(value, list):
        return [steady(member) for member in value]
    if isinstance(value, datetime.datetime):
        assert abs(time.time() - value.timestamp()) < 300, value
        return "now"
    return value


def say(call, **arguments):
    got = answer(call, **arguments)
    print(call.__name__, json.dumps(steady(got), sort_keys=True, ensure_ascii=False))
    return got


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def take(url, count):
    """Exactly so many messages, in the order of their bodies; nothing comes after them."""
    messages = []
    for _ in range(20):
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
        for message in got.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            messages.append(message)
        if len(messages) >= count and "Messages" not in got:
            break
    assert len(messages) == count, messages
    return messages


def body(message):
    text = message["Body"]
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)


def entry(bus="shop", detail=DETAIL, **others):
    return {"EventBusName": bus, "Source": "shop.orders", "DetailType": "OrderPlaced", "Detail": detail, **others}


def buses():
    say(events.create_event_bus, Name="shop", Description="orders")
    say(events.create_event_bus, Name="other")
    say(events.create_event_bus, Name="shop")
    say(events.describe_event_bus)
    say(events.describe_event_bus, Name="shop")
    say(events.describe_event_bus, Name="arn:aws:events:us-east-1:000000000000:event-bus/shop")
    say(events.describe_event_bus, Name="none")
    say(events.list_event_buses, NamePrefix="sh")
    # Their order is not promised.
    first = answer(events.list_event_buses, Limit=2)
    assert len(first["EventBuses"]) == 2 and "NextToken" in first, first
    rest = answer(events.list_event_buses, NextToken=first["NextToken"])
    assert len(rest["EventBuses"]) == 1 and "NextToken" not in rest, rest
    say(events.delete_event_bus, Name="default")
    say(events.delete_event_bus, Name="none")
    say(events.delete_event_bus, Name="other")


def rules():
    say(events.put_rule, Name="orders", EventBusName="shop", EventPattern=json.dumps(PATTERN), Description="what clients see")
    say(events.put_rule, Name="all", EventPattern='{"source":[{"prefix":""}]}', State="DISABLED")
    say(events.put_rule, Name="orders", EventBusName="none", EventPattern="{}")
    say(events.put_rule, Name="orders", EventBusName="shop")
    say(events.put_rule, Name="orders", EventBusName="shop", ScheduleExpression="rate(1 minute)")
    say(events.describe_rule, Name="orders", EventBusName="shop")
    say(events.describe_rule, Name="all")
    say(events.describe_rule, Name="none")
    say(events.list_rules, EventBusName="shop")
    say(events.list_rules, NamePrefix="al")
    say(events.list_rules, EventBusName="none")
    say(events.disable_rule, Name="orders", EventBusName="shop")
    print(answer(events.describe_rule, Name="orders", EventBusName="shop")["State"])
    say(events.enable_rule, Name="orders", EventBusName="shop")
    say(events.enable_rule, Name="none", EventBusName="shop")
    say(events.delete_rule, Name="all")
    say(events.delete_rule, Name="none")
    arn = "arn:aws:events:us-east-1:000000000000:rule/shop/orders"
    say(events.tag_resource, ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "dev"}])
    say(events.untag_resource, ResourceARN=arn, TagKeys=["stage"])
    say(events.list_tags_for_resource, ResourceARN=arn)


def targets(arn):
    on_shop = {"Rule": "orders", "EventBusName": "shop"}
    say(events.list_targets_by_rule, **on_shop)
    say(events.put_targets, **on_shop, Targets=[{"Id": str(n), "Arn": arn} for n in range(6)])
    # None was put: that is AWS's way; LocalStack put five.
    answer(events.remove_targets, **on_shop, Ids=[str(n) for n in range(5)])
    say(events.put_targets, Rule="none", EventBusName="shop", Targets=[{"Id": "1", "Arn": arn}])
    say(events.put_targets, **on_shop, Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail", "InputTransformer": {"InputTemplate": '"x"'}}])
    say(events.put_targets, **on_shop, Targets=[{"Id": "1", "Arn": arn, "InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": '"<b>"'}}])
    # Nor is one that was refused; LocalStack keeps it.
    answer(events.remove_targets, **on_shop, Ids=["1"])
    say(events.put_targets, **on_shop, Targets=[{"Id": "queue", "Arn": arn}])
    say(events.list_targets_by_rule, **on_shop)
    say(events.list_rule_names_by_target, TargetArn=arn, EventBusName="shop")
    say(events.list_rule_names_by_target, TargetArn=arn)
    say(events.remove_targets, **on_shop, Ids=["none"])
    say(events.delete_rule, Name="orders", EventBusName="shop")


def deliveries(url, arn):
    say(events.put_events, Entries=[entry(), entry(detail="[]"), entry(detail="{"), entry(detail='"text"'), entry(detail=""), entry(bus="none")])
    say(events.put_events, Entries=[entry(Source=""), entry(DetailType=""), {"Detail": "{}"}])
    say(events.put_events, Entries=[entry(Time=datetime.datetime(2026, 1, 2, 3, 4, 5, 999_000, datetime.timezone.utc), Resources=["arn:x"], TraceHeader="Root=1-5759e988-bd862e3fe1be46a994272793")])
    first, second = sorted(take(url, 2), key=lambda message: "arn:x" in message["Body"])
    print(body(first))
    assert '"time":"2026-01-02T03:04:05Z"' in second["Body"] and '"resources":["arn:x"]' in second["Body"], second
    # Nothing is told of an event that no rule takes.
    say(events.put_events, Entries=[entry(detail='{"items":[{"sku":"a1","count":1}]}')])
    take(url, 0)
    inputs = [
        {"Input": '{"constant": [1, "two"]}'},
        {"InputPath": "$.detail"},
        {"InputPath": "$.detail.items[1]"},
        {"InputPath": "$.detail.note"},
        {"InputTransformer": {"InputPathsMap": {"order": "$.detail.orderId", "none": "$.detail.nothing"}, "InputTemplate": '"order <order> of <aws.events.rule-name>, <none>"'}},
        {"InputTransformer": {"InputPathsMap": {"order": "$.detail.orderId", "items": "$.detail.items", "paid": "$.detail.paid", "none": "$.detail.nothing"}, "InputTemplate": '{"path": "orders/<order>", "order": <order>,\n "items": <items>, "paid": <paid>, "none": <none>}'}},
        {"InputTransformer": {"InputTemplate": '{"rule": <aws.events.rule-arn>, "at": <aws.events.event.ingestion-time>, "event": <aws.events.event.json>}'}},
    ]
    for target in inputs:
        assert answer(events.put_targets, Rule="orders", EventBusName="shop", Targets=[{"Id": "queue", "Arn": arn, **target}])["FailedEntryCount"] == 0
        events.put_events(Entries=[entry()])
        text = body(take(url, 1)[0])
        # White space, and the order of members, is looked at above.
        try:
            text = json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
        except ValueError:
            pass
        print(text)


def groups():
    url, arn = queue("groups.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    target = {"Id": "fifo", "Arn": arn, "SqsParameters": {"MessageGroupId": "g1"}}
    say(events.put_targets, Rule="orders", EventBusName="shop", Targets=[target])
    events.put_events(Entries=[entry()])
    message = take(url, 1)[0]
    print(message["Attributes"]["MessageGroupId"], "MessageDeduplicationId" in message["Attributes"])
    say(events.remove_targets, Rule="orders", EventBusName="shop", Ids=["fifo", "queue"])


def patterns():
    event = {"id": "1", "account": "2", "source": "s", "time": "2026-01-02T03:04:05Z", "region": "r", "detail-type": "t", "detail": {"a": [1, "x"]}}
    bad = ('{"source":[]}', '{"source":[{"EXISTS":true}]}', '{"detail":{"n":[{"numeric":[">",0,">",0]}]}}')
    for pattern in ('{"detail":{"a":["x"]}}', '{"detail":{"a":["y"]}}', *bad):
        got = answer(events.test_event_pattern, EventPattern=pattern, Event=json.dumps(event))
        print(got.get("Result", got.get("Message", "").split("\n")[0]))
    for bad in ("{}", "nonsense", json.dumps({**event, "detail-type": None}).replace('"account": "2", ', "")):
        say(events.test_event_pattern, EventPattern='{"source":["s"]}', Event=bad)


def agreed():
    buses()
    rules()
    url, arn = queue("events")
    targets(arn)
    deliveries(url, arn)
    groups()
    patterns()


def refused(code, part, call, **arguments):
    got = answer(call, **arguments)
    assert got.get("Code") == code and part in got["Message"], got


def own():
    invalid, put = "ValidationException", events.put_events
    # The protocol's edges.
    refused(invalid, "Value null at 'entries' failed to satisfy constraint: Member must not be null", put)
    refused(invalid, "Value '[]' at 'entries' failed to satisfy constraint: Member must have length greater than or equal to 1", put, Entries=[])
    refused(invalid, "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10", put, Entries=[entry()] * 11)
    big = json.dumps({"text": "x" * 1_048_000})
    refused(invalid, "Total size of the entries in the request is over the limit.", put, Entries=[entry(detail=big)] * 2)
    refused("UnknownOperationException", "does not offer ListArchives", events.list_archives)
    refused("SerializationException", "", events.describe_rule, Name=["orders"])
    failed = answer(put, Entries=[entry(Source="aws.s3"), entry(bus="default")])
    assert failed["FailedEntryCount"] == 1 and failed["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException", failed
    assert "EventId" in failed["Entries"][1], failed
    # Names and schedules.
    refused(invalid, "Event bus name must not contain '/'", events.create_event_bus, Name="a/b")
    refused("ResourceNotFoundException", "Event source aws.partner/x does not exist", events.create_event_bus, Name="a", EventSourceName="aws.partner/x")
    refused(invalid, "Value 'a b' at 'name'", events.put_rule, Name="a b", EventPattern="{}")
    refused(invalid, "no schedules", events.put_rule, Name="tick", ScheduleExpression="rate(1 minute)")
    refused(invalid, "Member must satisfy enum value set: [ENABLED, DISABLED", events.put_rule, Name="a", EventPattern="{}", State="ON")
    # Rules' patterns are looked at when they are put.
    bad = answer(events.put_rule, Name="a", EventPattern='{"source": "text"}')
    assert bad["Code"] == "InvalidEventPatternException" and bad["Message"].endswith("line: 1, column: 12]"), bad
    # Targets.
    url, arn = queue("own")
    answer(events.create_event_bus, Name="shop")
    answer(events.put_rule, Name="orders", EventBusName="shop", EventPattern='{"source":["shop.orders"]}')
    refused(invalid, "can't be deleted since it has rules", events.delete_event_bus, Name="shop")

    def target(**others):
        return {"Rule": "orders", "EventBusName": "shop", "Targets": [{"Id": "1", "Arn": arn, **others}]}

    refused(invalid, "Value '!@#$@!#$' at 'targets.1.member.id'", events.put_targets, **target(Id="!@#$@!#$"))
    refused(invalid, "Provided Arn is not in correct format", events.put_targets, **target(Arn="queue"))
    refused(invalid, "sends to its own queues only", events.put_targets, **target(Arn="arn:aws:lambda:us-east-1:000000000000:function:f"))
    refused(invalid, "Parameter(s) SqsParameters must be specified for target: 1.", events.put_targets, **target(Arn=arn + ".fifo"))
    refused(invalid, "Parameter(s) KinesisParameters must not be specified", events.put_targets, **target(KinesisParameters={"PartitionKeyPath": "$.id"}))
    refused(invalid, "JSON syntax error in input for target 1", events.put_targets, **target(Input="text"))
    refused(invalid, "Invalid InputTemplate for target 1", events.put_targets, **target(InputTransformer={"InputTemplate": "text"}))
    refused(invalid, "Invalid InputPath for target 1: detail.", events.put_targets, **target(InputPath="detail"))
    # What could not be sent comes to the dead-letter queue with the reason.
    letters, letters_arn = queue("own-letters")
    made = answer(events.put_targets, **target(Arn=arn + "-none", DeadLetterConfig={"Arn": letters_arn}))
    assert made["FailedEntryCount"] == 0, made
    put(Entries=[entry(TraceHeader="Root=1-5759e988-bd862e3fe1be46a994272793")])
    letter = take(letters, 1)[0]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "NO_RESOURCE" and attributes["RULE_ARN"].endswith(":rule/shop/orders"), attributes
    assert json.loads(letter["Body"])["detail"]["orderId"] == "o1", letter
    assert letter["Attributes"]["AWSTraceHeader"].startswith("Root=1-5759e988"), letter
    # A fair queue: message groups without a FIFO queue.
    answer(events.put_targets, **target(SqsParameters={"MessageGroupId": "tenant-1"}))
    put(Entries=[entry(TraceHeader="Root=1-5759e988-bd862e3fe1be46a994272793")])
    message = take(url, 1)[0]
    assert message["Attributes"]["MessageGroupId"] == "tenant-1", message
    assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-5759e988"), message
    # A pattern's fields must hold for one and the same element of an array.
    answer(events.put_rule, Name="orders", EventBusName="shop", EventPattern=json.dumps(PATTERN))
    put(Entries=[entry(detail='{"items":[{"sku":"a1","count":1},{"sku":"b2","count":2}]}')])
    take(url, 0)
    answer(events.put_rule, Name="orders", EventBusName="shop", EventPattern='{"source":["shop.orders"]}')
    # Numbers and escapes keep their spelling.
    put(Entries=[entry(detail='{"n": 1.50, "m": 1e2, "big": 12345678901234567890123, "s": "\\u00e9"}')])
    assert '"detail":{"n":1.50,"m":1e2,"big":12345678901234567890123,"s":"\\u00e9"}' in take(url, 1)[0]["Body"]
    print("well")


def place(order):
    detail = json.dumps({"orderId": order})
    put = events.put_events(Entries=[{"Source": "shop.orders", "DetailType": "OrderPlaced", "Detail": detail}])
    print(put["Entries"][0]["EventId"])


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"agreed": agreed, "own": own, "place": place}[name](*arguments)
