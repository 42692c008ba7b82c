"""Users of moto's IAM, whose keys may do what a policy allows.

    iam.py user POLICY   makes a user with this policy; prints the access key's id and secret
    iam.py enforce on|off   lets moto check every call against the policies of its key, or none
    iam.py endpoint      asks for IoT Core's endpoint; prints it
"""
import os
import sys
import uuid
from urllib.request import Request, urlopen

import boto3


def user(policy):
    iam = boto3.client("iam")
    name = f"user-{uuid.uuid4()}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    print(key["AccessKeyId"], key["SecretAccessKey"])


def enforce(word):
    # The number of calls that are let through before the checks begin (moto documentation, "IAM-like Access Control").
    count = b"0" if word == "on" else b"inf"
    urlopen(Request(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth", data=count, headers={"Content-Type": "text/plain"}, method="POST")).read()


def endpoint():
    print(boto3.client("iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"])


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"user": user, "enforce": enforce, "endpoint": endpoint}[name](*arguments)
