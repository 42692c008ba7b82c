"""An event bus with a rule into a queue, driven with AWS's own Python SDK: an independent client for the tests.

    bus.py setup [SECONDS]   makes bus, rule, queue (its VisibilityTimeout: 6) and dead-letter queue; prints the two queues' URLs
    bus.py put FIRST COUNT   puts mixed events on the bus; prints "TOPIC N" for each message that a client must receive
    bus.py send FILE...      puts what is in the files into the queue as it is
    bus.py letters COUNT [REASON ROUTE]   puts messages into the dead-letter queue; prints their ids
    bus.py fifo COUNT        makes a FIFO dead-letter queue with messages of one group; prints its URL
    bus.py road WORD         makes the road before the queue right, or one thing of it wrong: disabled, input, other-rule, key,
                             letters-gone, gone
    bus.py full              prints, as JSON, how many messages of the dead-letter queue are visible and invisible
    bus.py drain             takes everything out of the queue; prints each body
    bus.py state             prints, as JSON, how full the queues are and what the dead-letter queue holds
"""
import json
import sys
import time
import uuid

import boto3

BUS = "shop"
events = boto3.client("events")
sqs = boto3.client("sqs")


def url(name):
    return sqs.get_queue_url(QueueName=name)["QueueUrl"]


def counts(queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return [int(found[name]) for name in names]


def setup(seconds="6"):
    queue = sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": seconds})["QueueUrl"]
    dead = sqs.create_queue(QueueName="events-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name=BUS)
    pattern = json.dumps({"source": [{"prefix": "shop."}]})
    events.put_rule(Name="to-clients", EventBusName=BUS, EventPattern=pattern)
    events.put_targets(Rule="to-clients", EventBusName=BUS, Targets=[{"Id": "1", "Arn": arn}])
    print(queue, dead)


def policy(arn, rule):
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
                }
            ],
        }
    )


def key_policy(*services):
    statements = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}]
    for service in services:
        grant = {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"}
        statements.append(grant)
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def road(word):
    kms, rule = boto3.client("kms"), "to-clients"
    arn = sqs.get_queue_attributes(QueueUrl=url("events"), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    letters = arn.replace(":events", ":events-undelivered")
    pattern = json.dumps({"source": [{"prefix": "shop."}]})
    _, _, _, region, account, _ = arn.split(":")
    source = f"arn:aws:events:{region}:{account}:rule/{BUS}/{rule}"
    target = {"Id": "1", "Arn": arn, "DeadLetterConfig": {"Arn": letters}}
    if word == "right":
        sqs.create_queue(QueueName="events-undelivered")
        events.put_rule(Name=rule, EventBusName=BUS, EventPattern=pattern, State="ENABLED")
        key = kms.create_key(Policy=key_policy("events.amazonaws.com"))["KeyMetadata"]["KeyId"]
        for name, its_arn in (("events", arn), ("events-undelivered", letters)):
            sqs.set_queue_attributes(QueueUrl=url(name), Attributes={"Policy": policy(its_arn, source), "KmsMasterKeyId": key})
    elif word == "disabled":
        events.put_rule(Name=rule, EventBusName=BUS, EventPattern=pattern, State="DISABLED")
    elif word == "input":
        target["InputPath"] = "$.detail"
    elif word == "other-rule":
        sqs.set_queue_attributes(QueueUrl=url("events"), Attributes={"Policy": policy(arn, source + "-2")})
    elif word == "key":
        key = kms.create_key(Policy=key_policy())["KeyMetadata"]["KeyId"]
        sqs.set_queue_attributes(QueueUrl=url("events"), Attributes={"KmsMasterKeyId": key})
    elif word == "letters-gone":
        sqs.delete_queue(QueueUrl=url("events-undelivered"))
    if word == "gone":
        events.remove_targets(Rule=rule, EventBusName=BUS, Ids=["1"])
    else:
        events.put_targets(Rule=rule, EventBusName=BUS, Targets=[target])


def event(n):
    """The n-th event, and the topics it must reach under tests/shop/eventcast.yaml."""
    order, tenant = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{n % size}")) for kind, size in (("order", 50), ("tenant", 3)))
    watchers = [f"user-{(n + k) % 20}" for k in range(1 + n % 3)]
    if n % 10 == 9:
        return "shop.stock", "Counted", {"n": n}, []
    if n % 10 == 8:
        return "shop.courier.north", "Moved", {"n": n, "orderId": order}, [f"order/{order}"]
    total = 1500 if n % 10 == 7 else 20
    detail = {"n": n, "orderId": order, "tenantId": tenant, "total": total, "watchers": [{"userId": u} for u in watchers]}
    topics = [f"order/{order}", f"tenant/{tenant}"] + [f"user/{u}" for u in watchers]
    if total >= 1000:
        topics.append("board/us-east-1/large")
    return "shop.orders", "OrderPlaced", detail, topics


def put(first, count):
    queue = url("events")
    for start in range(first, first + count, 10):
        # The stand-in's receive slows down with the queue's depth.
        while counts(queue)[0] > 30:
            time.sleep(0.05)
        entries = []
        for n in range(start, min(start + 10, first + count)):
            source, detail_type, detail, topics = event(n)
            entries.append({"EventBusName": BUS, "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)})
            for topic in topics:
                print(topic, n)
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0


def send(*files):
    for name in files:
        with open(name, encoding="utf-8") as file:
            sqs.send_message(QueueUrl=url("events"), MessageBody=file.read())


def letters(count, *why):
    known = zip(("reason", "route", "detail", "attempt"), (*why, "no such field", "2")) if why else ()
    attributes = {f"eventcast.{name}": {"DataType": "String", "StringValue": value} for name, value in known}
    attributes["tenant"] = {"DataType": "String", "StringValue": "t1"}
    for n in range(int(count)):
        body = json.dumps({"id": f"event-{'-'.join(why)}-{n}", "n": n})
        sent = sqs.send_message(QueueUrl=url("events-dlq"), MessageBody=body, MessageAttributes=attributes)
        print(sent["MessageId"])


def fifo(count):
    queue = sqs.create_queue(QueueName="events-dlq.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
    for n in range(int(count)):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"id": f"event-{n}"}), MessageGroupId="g")
    print(queue)


def full():
    visible, invisible = counts(url("events-dlq"))
    print(json.dumps({"dead_visible": visible, "dead_invisible": invisible}))


def drain():
    while got := sqs.receive_message(QueueUrl=url("events"), MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages"):
        for m in got:
            print(m["Body"], sorted(m.get("MessageAttributes", {})))
            sqs.delete_message(QueueUrl=url("events"), ReceiptHandle=m["ReceiptHandle"])


def state():
    visible, invisible = counts(url("events"))
    dead = []
    while True:
        got = sqs.receive_message(QueueUrl=url("events-dlq"), MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0)
        known = {letter["id"] for letter in dead}
        new = [m for m in got.get("Messages", []) if m["MessageId"] not in known]
        if not new:
            break
        for m in new:
            attributes = {name: value["StringValue"] for name, value in m.get("MessageAttributes", {}).items()}
            dead.append({"id": m["MessageId"], "body": m["Body"], "attributes": attributes})
    print(json.dumps({"visible": visible, "invisible": invisible, "dead": dead}))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "put":
        arguments = map(int, arguments)
    {"setup": setup, "put": put, "send": send, "letters": letters, "fifo": fifo, "full": full, "drain": drain, "state": state, "road": road}[name](*arguments)
