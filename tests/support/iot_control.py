"""IoT Core's control plane as AWS's own Python SDK sees it: everything that moto does as well, then what only dev does.

    iot_control.py moto | dev
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

(where,) = sys.argv[1:]
on_moto = where == "moto"
iot = boto3.client("iot", config=Config(retries={"max_attempts": 1}))
account = "123456789012" if on_moto else "000000000000"
arn = f"arn:aws:iot:us-east-1:{account}"


def document(client, effect="Allow", **more):
    statement = {"Effect": effect, "Action": "iot:Connect", "Resource": f"{arn}:client/{client}", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def refused(status, code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        assert error.response["Error"]["Message"] or error.response["message"], error.response
        return error.response
    raise AssertionError(f"{call} was not refused with {code}")


# Policies and their versions.
made = iot.create_policy(policyName="p", policyDocument=document("a"))
assert (made["policyName"], made["policyArn"], made["policyVersionId"]) == ("p", f"{arn}:policy/p", "1"), made
assert made["policyDocument"] == document("a"), made
exists = refused(409, "ResourceAlreadyExistsException", iot.create_policy, policyName="p", policyDocument=document("b"))
assert (exists["resourceId"], exists["resourceArn"]) == ("p", f"{arn}:policy/p"), exists
got = iot.get_policy(policyName="p")
assert (got["policyDocument"], got["defaultVersionId"], got["policyArn"]) == (document("a"), "1", f"{arn}:policy/p"), got
assert on_moto or got["creationDate"].year >= 2024 and got["lastModifiedDate"], got
refused(404, "ResourceNotFoundException", iot.get_policy, policyName="none")
two = iot.create_policy_version(policyName="p", policyDocument=document("b"), setAsDefault=True)
assert (two["policyVersionId"], two["policyDocument"]) == ("2", document("b")) and two.get("isDefaultVersion", on_moto), two
for number in (3, 4, 5):
    more = iot.create_policy_version(policyName="p", policyDocument=document(f"v{number}"))
    assert more["policyVersionId"] == str(number) and not more.get("isDefaultVersion"), more
refused(409, "VersionsLimitExceededException", iot.create_policy_version, policyName="p", policyDocument=document("x"))
versions = {version["versionId"]: version.get("isDefaultVersion", False) for version in iot.list_policy_versions(policyName="p")["policyVersions"]}
assert versions == {"1": False, "2": True, "3": False, "4": False, "5": False}, versions
assert iot.get_policy(policyName="p")["policyDocument"] == document("b")
assert iot.get_policy_version(policyName="p", policyVersionId="3")["policyDocument"] == document("v3")
refused(404, "ResourceNotFoundException", iot.get_policy_version, policyName="p", policyVersionId="9")
refused(400, "InvalidRequestException", iot.delete_policy_version, policyName="p", policyVersionId="2")
refused(409, "DeleteConflictException", iot.delete_policy, policyName="p")
iot.set_default_policy_version(policyName="p", policyVersionId="5")
assert iot.get_policy(policyName="p")["defaultVersionId"] == "5"
for number in ("1", "2", "3", "4"):
    iot.delete_policy_version(policyName="p", policyVersionId=number)
six = iot.create_policy_version(policyName="p", policyDocument=document("six"))
assert six["policyVersionId"] == "6", six
iot.delete_policy_version(policyName="p", policyVersionId="6")

# Certificates, and what is attached to them.
keys = iot.create_keys_and_certificate(setAsActive=True)
certificate, cert_arn = keys["certificateId"], keys["certificateArn"]
assert cert_arn == f"{arn}:cert/{certificate}" and len(certificate) == 64, keys
assert keys["certificatePem"].startswith("-----BEGIN CERTIFICATE-----") and keys["keyPair"]["PrivateKey"], keys
described = iot.describe_certificate(certificateId=certificate)["certificateDescription"]
assert (described["certificateArn"], described["status"]) == (cert_arn, "ACTIVE"), described
assert described["certificatePem"].strip() == keys["certificatePem"].strip(), described
refused(404, "ResourceNotFoundException", iot.describe_certificate, certificateId="0" * 64)
iot.attach_policy(policyName="p", target=cert_arn)
iot.attach_policy(policyName="p", target=cert_arn)
refused(404, "ResourceNotFoundException", iot.attach_policy, policyName="p", target=f"{arn}:cert/{'0' * 64}")
refused(404, "ResourceNotFoundException", iot.attach_policy, policyName="none", target=cert_arn)
assert [policy["policyName"] for policy in iot.list_attached_policies(target=cert_arn)["policies"]] == ["p"]
assert iot.list_targets_for_policy(policyName="p")["targets"] == [cert_arn]
refused(409, "DeleteConflictException", iot.delete_policy, policyName="p")
iot.detach_policy(policyName="p", target=cert_arn)
assert iot.list_targets_for_policy(policyName="p")["targets"] == []
iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
listed = iot.list_certificates()["certificates"]
assert [(one["certificateId"], one["status"]) for one in listed] == [(certificate, "INACTIVE")], listed

# Things and groups.
thing = iot.create_thing(thingName="lamp", attributePayload={"attributes": {"room": "hall"}})
assert thing["thingArn"] == f"{arn}:thing/lamp" and thing["thingId"], thing
iot.attach_thing_principal(thingName="lamp", principal=cert_arn)
assert iot.list_thing_principals(thingName="lamp")["principals"] == [cert_arn]
assert iot.list_principal_things(principal=cert_arn)["things"] == ["lamp"]
refused(409, "DeleteConflictException", iot.delete_certificate, certificateId=certificate)
assert iot.describe_thing(thingName="lamp")["attributes"] == {"room": "hall"}
group = iot.create_thing_group(thingGroupName="lights")["thingGroupArn"]
assert group == f"{arn}:thinggroup/lights", group
iot.add_thing_to_thing_group(thingGroupName="lights", thingName="lamp")
assert iot.list_things_in_thing_group(thingGroupName="lights")["things"] == ["lamp"]
groups = iot.list_thing_groups_for_thing(thingName="lamp")["thingGroups"]
assert [(group["groupName"], group["groupArn"]) for group in groups] == [("lights", f"{arn}:thinggroup/lights")], groups
iot.attach_policy(policyName="p", target=group)
assert iot.list_targets_for_policy(policyName="p")["targets"] == [group]
iot.detach_policy(policyName="p", target=group)
iot.remove_thing_from_thing_group(thingGroupName="lights", thingName="lamp")
iot.delete_thing_group(thingGroupName="lights")
iot.detach_thing_principal(thingName="lamp", principal=cert_arn)
iot.delete_thing(thingName="lamp")
refused(404, "ResourceNotFoundException", iot.describe_thing, thingName="lamp")
iot.delete_certificate(certificateId=certificate)
assert iot.list_certificates()["certificates"] == []
again = iot.register_certificate_without_ca(certificatePem=keys["certificatePem"], status="ACTIVE")
assert again["certificateId"] == certificate or on_moto, again
refused(400, "InvalidRequestException", iot.describe_endpoint, endpointType="iot:Nonsense")
iot.delete_policy(policyName="p")
assert iot.list_policies()["policies"] == []
if on_moto:
    print("well")
    sys.exit()

# From here on moto does nothing, or takes what AWS refuses.
again = refused(409, "ResourceAlreadyExistsException", iot.register_certificate_without_ca, certificatePem=keys["certificatePem"])
assert (again["resourceId"], again["resourceArn"]) == (certificate, cert_arn), again
refused(400, "CertificateValidationException", iot.register_certificate_without_ca, certificatePem="x")
refused(406, "CertificateStateException", iot.delete_certificate, certificateId=certificate)
refused(400, "InvalidRequestException", iot.update_certificate, certificateId=certificate, newStatus="PENDING_TRANSFER")
assert described["validity"]["notAfter"] > described["validity"]["notBefore"], described
for bad in ("{not json", "{}", document("a", effect="allow"), document("a", Principal="*"), document("x" * 2_048)):
    refused(400, "MalformedPolicyException", iot.create_policy, policyName="bad", policyDocument=bad)
refused(400, "InvalidRequestException", iot.create_policy, policyName="b@d,but=fine/", policyDocument=document("a"))
# White space does not count.
iot.create_policy(policyName="long", policyDocument=document("a") + " " * 3_000)
refused(404, "ResourceNotFoundException", iot.set_default_policy_version, policyName="long", policyVersionId="9")
iot.delete_policy(policyName="long")

for number in range(11):
    iot.create_policy(policyName=f"n{number}", policyDocument=document(f"n{number}"))
for number in range(10):
    iot.attach_policy(policyName=f"n{number}", target=cert_arn)
refused(410, "LimitExceededException", iot.attach_policy, policyName="n10", target=cert_arn)
names = [f"n{number}" for number in range(11)]
pages = list(iot.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 4}))
assert [len(page["policies"]) for page in pages] == [4, 4, 3], pages
assert [policy["policyName"] for page in pages for policy in page["policies"]] == names[::-1]
first = iot.list_policies(pageSize=1, ascendingOrder=True)
second = iot.list_policies(pageSize=1, ascendingOrder=True, marker=first["nextMarker"])
assert [page["policies"][0]["policyName"] for page in (first, second)] == names[:2]
pages = list(iot.get_paginator("list_attached_policies").paginate(target=cert_arn, PaginationConfig={"PageSize": 7}))
assert [len(page["policies"]) for page in pages] == [7, 3], pages
refused(400, "InvalidRequestException", iot.list_policies, marker="?")
effective = iot.get_effective_policies(principal=cert_arn)["effectivePolicies"]
assert sorted(policy["policyName"] for policy in effective) == names[:10], effective
assert effective[0]["policyDocument"] == document(effective[0]["policyName"]), effective
# The older calls do the same.
iot.detach_principal_policy(policyName="n9", principal=cert_arn)
iot.attach_principal_policy(policyName="n10", principal=cert_arn)
assert len(iot.list_principal_policies(principal=cert_arn)["policies"]) == 10


def tested(action, *resources, **arguments):
    question = {"actionType": action, "resources": [f"{arn}:{resource}" for resource in resources]}
    (result,) = iot.test_authorization(authInfos=[question], **arguments)["authResults"]
    assert result["authInfo"] == question, result
    return result


def named(policies):
    return sorted(policy["policyName"] for policy in policies["policies"])


result = tested("CONNECT", "client/n1", principal=cert_arn, clientId="n1")
assert (result["authDecision"], named(result["allowed"])) == ("ALLOWED", ["n1"]), result
result = tested("CONNECT", "client/n1", principal=cert_arn, clientId="n1", policyNamesToSkip=["n1"])
assert result["authDecision"] == "IMPLICIT_DENY" and "n1" not in named(result["denied"]["implicitDeny"]), result
iot.create_policy(policyName="no", policyDocument=document("n1", effect="Deny"))
result = tested("CONNECT", "client/n1", principal=cert_arn, clientId="n1", policyNamesToAdd=["no"])
assert (result["authDecision"], named(result["denied"]["explicitDeny"])) == ("EXPLICIT_DENY", ["no"]), result
asks = {"StringEquals": {"aws:SourceIp": "10.0.0.1"}}
iot.create_policy(policyName="asks", policyDocument=document("${iot:Certificate.Subject.CommonName}", Condition=asks))
result = tested("CONNECT", "client/AWS IoT Certificate", principal=cert_arn, policyNamesToAdd=["asks"])
assert (result["authDecision"], result["missingContextValues"]) == ("IMPLICIT_DENY", ["aws:SourceIp"]), result
result = tested("CONNECT", "client/n1", "client/n99", policyNamesToAdd=["n1"])
assert result["authDecision"] == "IMPLICIT_DENY", result
refused(400, "InvalidRequestException", iot.test_authorization, authInfos=[{"actionType": "CONNECT", "resources": ["x"]}])
refused(404, "ResourceNotFoundException", iot.test_authorization, principal=f"{arn}:cert/{'0' * 64}", authInfos=[{"actionType": "CONNECT", "resources": [f"{arn}:client/a"]}])

# A thing's groups, and those above them.
iot.create_thing_group(thingGroupName="house")
iot.create_thing_group(thingGroupName="lights", parentGroupName="house")
iot.create_thing(thingName="lamp")
iot.add_thing_to_thing_group(thingGroupName="lights", thingName="lamp")
iot.attach_policy(policyName="no", target=f"{arn}:thinggroup/house")
assert iot.list_attached_policies(target=f"{arn}:thinggroup/lights")["policies"] == []
inherited = iot.list_attached_policies(target=f"{arn}:thinggroup/lights", recursive=True)["policies"]
assert [policy["policyName"] for policy in inherited] == ["no"], inherited
effective = iot.get_effective_policies(thingName="lamp")["effectivePolicies"]
assert [policy["policyName"] for policy in effective] == ["no"], effective
iot.attach_thing_principal(thingName="lamp", principal=cert_arn, thingPrincipalType="EXCLUSIVE_THING")
iot.create_thing(thingName="other")
refused(400, "InvalidRequestException", iot.attach_thing_principal, thingName="other", principal=cert_arn)

endpoint = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
assert endpoint.startswith("127.0.0.1:"), endpoint
refused(404, "UnknownOperationException", iot.list_jobs)
refused(405, "MethodNotAllowedException", iot.create_thing_group, thingGroupName="addThingToThingGroup")

# By the query protocol: who calls, and nothing else.
once = Config(retries={"max_attempts": 1})
assert boto3.client("sts", config=once).get_caller_identity()["Account"] == account
refused(400, "InvalidAction", boto3.client("iam", config=once).list_users)
print("well")
