"""Queues as AWS's own Python SDK sees them: what boto3 checks (digests, shapes, errors) is checked by boto3."""

import hashlib

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return
    raise AssertionError(f"{call} was not refused with {code}")


queue = sqs.create_queue(QueueName="plain", Attributes={"VisibilityTimeout": "5"}, tags={"team": "a"})["QueueUrl"]
assert sqs.create_queue(QueueName="plain", Attributes={"VisibilityTimeout": "5"})["QueueUrl"] == queue
refused("QueueAlreadyExists", sqs.create_queue, QueueName="plain", Attributes={"VisibilityTimeout": "6"})
refused("InvalidAttributeName", sqs.create_queue, QueueName="other", Attributes={"Visibility": "5"})
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="none")
assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"team": "a"}
assert sqs.list_queues(QueueNamePrefix="pl")["QueueUrls"] == [queue]

attributes = {
    "text": {"DataType": "String", "StringValue": "é"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "eventcast.number": {"DataType": "Number.int", "StringValue": "7"},
}
system = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
body = "{\"text\": \"é\\n\u2028\"}"
sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=system, MessageGroupId="fair")
got = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
assert len(got) == 1 and got[0]["Body"] == body, got
assert got[0]["MessageAttributes"] == attributes, got
assert got[0]["Attributes"]["MessageGroupId"] == "fair" and got[0]["Attributes"]["AWSTraceHeader"] == "Root=1-2-3", got
assert got[0]["Attributes"]["ApproximateReceiveCount"] == "1"
sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
some = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["eventcast.*"])["Messages"]
assert list(some[0]["MessageAttributes"]) == ["eventcast.number"], some
counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
assert counts["ApproximateNumberOfMessagesNotVisible"] == "1" and counts["QueueArn"].endswith(":plain"), counts
entries = [{"Id": "good", "ReceiptHandle": some[0]["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "nonsense"}]
outcome = sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
assert [one["Id"] for one in outcome["Successful"]] == ["good"], outcome
assert outcome["Failed"][0]["Code"] == "ReceiptHandleIsInvalid" and outcome["Failed"][0]["SenderFault"], outcome
eleven = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=queue, Entries=eleven)
refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=queue, Entries=[eleven[0]] * 2)
refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=queue, Entries=[])
refused("InvalidParameterValue", sqs.receive_message, QueueUrl=queue, MaxNumberOfMessages=11)
refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.list_message_move_tasks, SourceArn=counts["QueueArn"])

fifo = sqs.create_queue(QueueName="f.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})["QueueUrl"]
refused("InvalidParameterValue", sqs.create_queue, QueueName="f", Attributes={"FifoQueue": "true"})
refused("MissingParameter", sqs.send_message, QueueUrl=fifo, MessageBody="x")
first, second = (sqs.send_message(QueueUrl=fifo, MessageBody="x", MessageGroupId="g") for _ in range(2))
assert first["MessageId"] == second["MessageId"] and first["SequenceNumber"] == second["SequenceNumber"]
# By the SHA-256 of the body alone, as if it had been named.
digest = hashlib.sha256(b"x").hexdigest()
attributes = {"n": {"DataType": "Number", "StringValue": "1"}}
for more in {"MessageAttributes": attributes}, {"MessageDeduplicationId": digest}:
    again = sqs.send_message(QueueUrl=fifo, MessageBody="x", MessageGroupId="g", **more)
    assert again["MessageId"] == first["MessageId"], more
received = sqs.receive_message(QueueUrl=fifo, AttributeNames=["All"])["Messages"]
assert [one["Attributes"]["MessageDeduplicationId"] for one in received] == [digest], received

dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "1"}}'
sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
sent = sqs.send_message(QueueUrl=queue, MessageBody="once")["MessageId"]
assert "Messages" in sqs.receive_message(QueueUrl=queue)
assert "Messages" not in sqs.receive_message(QueueUrl=queue)
assert sqs.receive_message(QueueUrl=dead)["Messages"][0]["MessageId"] == sent
sqs.delete_queue(QueueUrl=dead)
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.receive_message, QueueUrl=dead)
print("well")
