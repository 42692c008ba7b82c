"""What the custom authorizer reads of AWS besides keys, at moto.

    authorizer.py parameter NAME FILE         makes a parameter of Systems Manager of a file's text
    authorizer.py table NAME                  makes a table of DynamoDB for revoked subjects and tokens
    authorizer.py put NAME ID [JSON]          puts an entry there, with attributes
    authorizer.py delete NAME ID              takes it out
"""

import json
import pathlib
import sys

import boto3


def parameter(name, file):
    boto3.client("ssm").put_parameter(Name=name, Value=pathlib.Path(file).read_text(), Type="SecureString")


def table(name):
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def put(name, entry, attributes="{}"):
    boto3.resource("dynamodb").Table(name).put_item(Item={"id": entry, **json.loads(attributes)})


def delete(name, entry):
    boto3.resource("dynamodb").Table(name).delete_item(Key={"id": entry})


if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    {"parameter": parameter, "table": table, "put": put, "delete": delete}[action](*arguments)
