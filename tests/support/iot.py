"""One thing with IoT Core's control plane, by boto3: an opinion on what eventcast did that is not eventcast's.

setup THIRD      makes a certificate, a thing group and a third target (`cognito`: an identity, `group`: another one), and prints them
groups N         makes N thing groups, and prints them as targets
state            prints the policies with their versions and targets as JSON
version NAME N   adds N versions that are not the default
default NAME ID  makes a version the default
"""

import json
import sys

import boto3

iot = boto3.client("iot")


def setup(third):
    certificate = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    group = iot.create_thing_group(thingGroupName="couriers")["thingGroupArn"]
    if third == "group":
        return print(certificate, group, iot.create_thing_group(thingGroupName="others")["thingGroupArn"])
    cognito = boto3.client("cognito-identity")
    pool = cognito.create_identity_pool(IdentityPoolName="shop", AllowUnauthenticatedIdentities=True)
    identity = cognito.get_id(AccountId="123456789012", IdentityPoolId=pool["IdentityPoolId"])["IdentityId"]
    print(certificate, group, identity)


def groups(count):
    print(*(iot.create_thing_group(thingGroupName=f"group-{n}")["thingGroupArn"] for n in range(int(count))))


def state():
    policies = {}
    for name in (policy["policyName"] for policy in iot.list_policies()["policies"]):
        policy = iot.get_policy(policyName=name)
        versions = iot.list_policy_versions(policyName=name)["policyVersions"]
        policies[name] = {
            "document": policy["policyDocument"],
            "default": policy["defaultVersionId"],
            "versions": [version["versionId"] for version in versions],
            "targets": sorted(iot.list_targets_for_policy(policyName=name)["targets"]),
        }
    print(json.dumps(policies))


def version(name, count):
    for number in range(int(count)):
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Sid": f"v{number}", "Effect": "Deny", "Action": "iot:*", "Resource": "*"}],
        }
        iot.create_policy_version(policyName=name, policyDocument=json.dumps(document), setAsDefault=False)


def default(name, version):
    iot.set_default_policy_version(policyName=name, policyVersionId=version)


globals()[sys.argv[1]](*sys.argv[2:])
