"""Deploys the templates of infra/ on a stand-in of AWS as far as it goes, and looks at what it made of them.

    stacks.py deploy moto|localstack|ministack   makes all stacks; prints their outputs as JSON
    stacks.py made                               prints, as JSON, what is there: yes, bare (without settings) or no, by type
    stacks.py put BUS SOURCE TYPE DETAIL         puts one event on a bus
    stacks.py rule BUS RULE                      prints a rule with its targets as JSON
    stacks.py copy BUS RULE JSON                 makes a bus, and a rule with targets as `rule` prints them
    stacks.py count URL                          prints how many messages a queue holds
    stacks.py queues                             makes the stack of the queues alone
    stacks.py send NAME                          sends a message to a queue
    stacks.py create NAME                        makes a queue; prints its URL

Stand-ins say that a stack is complete although they ignored resources of it, so `made` asks each service itself. What a
stand-in refuses or fails on is left out before, with what refers to it; LEFT_OUT has the reasons.
"""

import io
import json
import os
import sys
import time
import zipfile

import boto3
from botocore.config import Config
from cfnlint.decode import cfn_yaml

INFRA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../infra")
RESOURCE_NAMES = {"Ref", "Fn::GetAtt", "Fn::Sub"}

# Templates with their parameters, in the order of infra/README.md.
STACKS = [
    ("cloudformation/network.yaml", {}),
    ("cloudformation/events.yaml", {"EventBusName": "shop"}),
    ("cloudformation/queues.yaml", {"EventBusName": "shop"}),
    ("example/rule.json", {"EventBusName": "shop"}),
    ("example/roles.json", {}),
    ("cloudformation/configuration.yaml", {"ConfigurationText": "routes: []"}),
    (
        "cloudformation/service.yaml",
        {
            "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/eventcast:1",
            "TaskRoleArn": "arn:aws:iam::123456789012:role/eventcast-bridge",
            "VpcId": "vpc-1",
            "SubnetIds": "subnet-1,subnet-2",
        },
    ),
    ("cloudformation/scaling.yaml", {}),
    ("cloudformation/observability.yaml", {"EventBusName": "shop", "AlarmEmail": "operator@example.com"}),
    ("example/alarms.json", {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:eventcast-alarms"}),
    ("cloudformation/iot-logging.yaml", {}),
    ("cloudformation/authorizer.yaml", {"CodeBucket": "code", "CodeKey": "authorizer.zip", "RevokedTable": "eventcast-revoked"}),
    (
        "cloudformation/gateway.yaml",
        {
            "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/gateway:1",
            "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
            "VpcId": "vpc-1",
            "SubnetIds": "subnet-1,subnet-2",
            "PublicSubnetIds": "subnet-1,subnet-2",
        },
    ),
    ("cloudformation/events-v2.yaml", {"EventBusName": "shop2"}),
    (
        "example/subscriber.json",
        {
            "EventBusArn": "arn:aws:events:us-east-1:123456789012:event-busv2/shop2/abcdefghijklmnopqrstuvwxy",
            "SubscriberRoleArn": "arn:aws:iam::123456789012:role/subscriber",
        },
    ),
]

# Types, and resources by their names, that a stand-in refuses or fails on.
LEFT_OUT = {
    "moto": {
        "AWS::EventsV2::Subscriber",  # the same
        "AWS::EventsV2::EventBus",  # HTTP 500: an output names an attribute of a type that it does not know
        "AWS::IoT::Authorizer",  # the same
    },
    "localstack": {
        "observability.TopicKey",  # KMS CreateKey fails: "encoding without a string argument"
        "AWS::EC2::NatGateway",  # CreateNatGateway does not find the address that the stack has made
        "AWS::Lambda::Function",  # its S3 was not started
        "AWS::DynamoDB::Table",  # nor its DynamoDB
    },
    "ministack": {
        "AWS::Events::Archive",
        "AWS::EC2::EIP",
        "AWS::EC2::NatGateway",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::IoT::Logging",
        "AWS::IoT::Authorizer",
        "AWS::EventsV2::EventBus",
        "AWS::EventsV2::Subscriber",
        "AWS::ECS::Service",  # a number that is a parameter stays text: `str - int`
        "observability.PublishErrors",  # alarms of metric math
        "observability.Throttles",
        "observability.InboundQuotaUse",
        "observability.OutboundQuotaUse",
    },
}
OVERRIDES = {"localstack": {"cloudformation/queues.yaml": {"Encryption": "sqs"}}}


def client(service):
    return boto3.client(service, config=Config(retries={"max_attempts": 1}, read_timeout=60))


def names(value):
    """The resources that a part of a template refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref" and isinstance(inner, str):
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "DependsOn":
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


def reduced(path, left_out, tls):
    stack = os.path.basename(path).split(".")[0]
    """The template's text without what is left out, and without what refers to it."""
    text = open(path, encoding="utf-8").read()
    template = json.loads(json.dumps(cfn_yaml.loads(text)))
    resources = template["Resources"]
    gone = {name for name, one in resources.items() if left_out & {one["Type"], f"{stack}.{name}"}}
    if not gone and tls:
        return text
    while True:
        more = {name for name, one in resources.items() if name not in gone and gone & set(names(one))}
        if not more:
            break
        gone |= more
    template["Resources"] = {name: one for name, one in resources.items() if name not in gone}
    outputs = template.get("Outputs", {})
    template["Outputs"] = {name: one for name, one in outputs.items() if not gone & set(names(one))}
    if not tls:
        # The stand-in keeps this statement, and its port has no TLS.
        for one in template["Resources"].values():
            if one["Type"] == "AWS::SQS::QueuePolicy":
                policy = one["Properties"]["PolicyDocument"]
                kept = [statement for statement in policy["Statement"] if statement["Sid"] != "TlsOnly"]
                policy["Statement"] = kept or [{"Sid": "None", "Effect": "Deny", "Principal": "*", "Action": "sqs:AddPermission", "Resource": "*"}]
    return json.dumps(template) if template["Resources"] else None


def deploy(stand_in):
    cloudformation = client("cloudformation")
    found = {}
    if stand_in != "localstack":
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("bootstrap", "#!/bin/sh\n")
        client("s3").create_bucket(Bucket="code")
        client("s3").put_object(Bucket="code", Key="authorizer.zip", Body=code.getvalue())
        found["CertificateArn"] = client("acm").request_certificate(DomainName="live.example.com")["CertificateArn"]
    for path, parameters in STACKS:
        body = reduced(os.path.join(INFRA, path), LEFT_OUT[stand_in], stand_in != "ministack")
        if body is None:
            continue
        parameters = parameters | OVERRIDES.get(stand_in, {}).get(path, {})
        # As an operator does: what one stack puts out is a parameter of others.
        parameters |= {name: found[name] for name in ("VpcId", "SubnetIds", "PublicSubnetIds", "CertificateArn") if name in parameters and name in found}
        stack = os.path.basename(path).split(".")[0]
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=body,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        for _ in range(600):
            state = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            if not state["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.1)
        if state["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            why = [(one["LogicalResourceId"], one.get("ResourceStatusReason")) for one in events if "FAILED" in one["ResourceStatus"]]
            sys.exit(f"{stand_in}: {path} is {state['StackStatus']}: {why}")
        found |= {one["OutputKey"]: one["OutputValue"] for one in state.get("Outputs", [])}
    print(json.dumps(found))


def queues():
    """The queues alone, with their policies whole."""
    body = open(os.path.join(INFRA, "cloudformation/queues.yaml"), encoding="utf-8").read()
    client("cloudformation").create_stack(StackName="queues", TemplateBody=body)
    client("cloudformation").get_waiter("stack_create_complete").wait(StackName="queues", WaiterConfig={"Delay": 1})


def send(name):
    sqs = client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], MessageBody="{}")


def queue(name, *attributes):
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(attributes)).get("Attributes")


def only(list_):
    [one] = list_
    return one


def has(*parts):
    """A check that a description has all of some parts."""
    return lambda found: all(part in json.dumps(found, default=str).replace('\\"', '"') for part in parts)


# Each type: how its service shows what was made, and what has to be in it.
LOOKS = {
    "AWS::Events::EventBus": (lambda: client("events").describe_event_bus(Name="shop"), has("event-bus/shop")),
    "AWS::Events::Archive": (lambda: client("events").describe_archive(ArchiveName="shop-eventcast"), has('"RetentionDays": 14')),
    "AWS::Events::Rule": (
        lambda: [
            client("events").describe_rule(Name="eventcast", EventBusName="shop"),
            client("events").list_targets_by_rule(Rule="eventcast", EventBusName="shop")["Targets"],
        ],
        has("OrderUpdated", "ENABLED", "eventcast-undelivered", '"MaximumRetryAttempts": 185'),
    ),
    "AWS::KMS::Key": (
        lambda: client("kms").get_key_policy(
            KeyId=only(one["TargetKeyId"] for one in client("kms").list_aliases()["Aliases"] if one["AliasName"] == "alias/eventcast-events"),
            PolicyName="default",
        ),
        has("events.amazonaws.com", "kms:GenerateDataKey"),
    ),
    "AWS::SQS::Queue": (
        lambda: queue("eventcast-events", "All"),
        has('"VisibilityTimeout": "30"', '"MessageRetentionPeriod": "345600"', "eventcast-events-dlq", "maxReceiveCount"),
    ),
    "AWS::SQS::QueuePolicy": (lambda: queue("eventcast-undelivered", "Policy"), has("aws:SourceArn", "rule/shop/eventcast")),
    "AWS::SSM::Parameter": (lambda: client("ssm").get_parameter(Name="/eventcast/configuration"), has("routes: []")),
    "AWS::EC2::Subnet": (lambda: client("ec2").describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.16.0/20"]}]), has("10.0.16.0/20")),
    "AWS::EC2::NatGateway": (lambda: client("ec2").describe_nat_gateways()["NatGateways"], has("NatGatewayId")),
    "AWS::EC2::SecurityGroup": (
        lambda: [one for one in client("ec2").describe_security_groups()["SecurityGroups"] if one["Description"].startswith("Tasks of eventcast:")],
        has("8883"),
    ),
    "AWS::ECS::Cluster": (lambda: client("ecs").describe_clusters(clusters=["eventcast"], include=["SETTINGS"])["clusters"], has("containerInsights")),
    "AWS::ECS::TaskDefinition": (
        lambda: client("ecs").describe_task_definition(taskDefinition="eventcast"),
        has("readonlyRootFilesystem", "stopTimeout", "EVENTCAST_CONFIG_TEXT"),
    ),
    "AWS::ECS::Service": (
        lambda: client("ecs").describe_services(cluster="eventcast", services=["eventcast"])["services"],
        has('"desiredCount": 2', "deploymentCircuitBreaker"),
    ),
    "AWS::Logs::LogGroup": (lambda: client("logs").describe_log_groups(logGroupNamePrefix="/eventcast/")["logGroups"], has("/eventcast/eventcast", '"retentionInDays": 30')),
    "AWS::IAM::Role": (lambda: client("iam").list_roles()["Roles"], has("ExecutionRole", "ecs-tasks.amazonaws.com")),
    "AWS::IAM::ManagedPolicy": (
        lambda: [one for one in client("iam").list_policies(Scope="Local")["Policies"] if "BridgePolicy" in one["PolicyName"]],
        has('"AttachmentCount": 1'),
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        lambda: client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"],
        has("service/eventcast/eventcast"),
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (
        lambda: client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"],
        has("IF(FILL(running, 0) < 1"),
    ),
    "AWS::CloudWatch::Alarm": (lambda: client("cloudwatch").describe_alarms()["MetricAlarms"], has("eventcast-dead-letters", "eventcast-lost")),
    "AWS::CloudWatch::Dashboard": (lambda: client("cloudwatch").get_dashboard(DashboardName="eventcast"), has("Dead letters and undelivered events")),
    "AWS::SNS::Topic": (lambda: client("sns").list_topics()["Topics"], has("eventcast-alarms")),
    "AWS::IoT::Logging": (lambda: client("iot").get_v2_logging_options(), has("Subscribe")),
    "AWS::IoT::Authorizer": (lambda: client("iot").describe_authorizer(authorizerName="eventcast"), has("eventcast-authorizer")),
    "AWS::IoT::DomainConfiguration": (lambda: client("iot").describe_domain_configuration(domainConfigurationName="eventcast"), has("defaultAuthorizerName")),
    "AWS::DynamoDB::Table": (
        lambda: [
            client("dynamodb").describe_table(TableName="eventcast-revoked"),
            client("dynamodb").describe_time_to_live(TableName="eventcast-revoked"),
        ],
        has("PAY_PER_REQUEST", '"KeyType": "HASH"', '"AttributeName": "expires"'),
    ),
    "AWS::Lambda::Function": (lambda: client("lambda").get_function(FunctionName="eventcast-authorizer")["Configuration"], has("provided.al2023", "arm64")),
    "AWS::Lambda::Permission": (lambda: client("lambda").get_policy(FunctionName="eventcast-authorizer"), has("iot.amazonaws.com")),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        lambda: client("elbv2").describe_load_balancer_attributes(
            LoadBalancerArn=client("elbv2").describe_load_balancers(Names=["eventcast-gateway"])["LoadBalancers"][0]["LoadBalancerArn"]
        ),
        has("idle_timeout.timeout_seconds", '"75"'),
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (
        lambda: client("elbv2").describe_target_group_attributes(
            TargetGroupArn=client("elbv2").describe_target_groups(Names=["eventcast-gateway"])["TargetGroups"][0]["TargetGroupArn"]
        ),
        has("least_outstanding_requests"),
    ),
    "AWS::EventsV2::EventBus": (lambda: client("eventbridgev2").list_event_buses(), has("shop2")),
}


def made():
    answer = {}
    for kind, (look, right) in LOOKS.items():
        try:
            found = look()
            answer[kind] = "no" if not found else "yes" if right(found) else "bare"
        except Exception as error:  # a stand-in without the service fails in many ways, all of which mean absent
            answer[kind] = "no"
            print(f"{kind}: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)
    print(json.dumps(answer))


def put(bus, source, detail_type, detail):
    entry = {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": detail}
    assert client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def rule(bus, name):
    events = client("events")
    described = events.describe_rule(Name=name, EventBusName=bus)
    targets = events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
    print(json.dumps({"pattern": described["EventPattern"], "targets": targets}))


def copy(bus, name, text):
    events, made_of = client("events"), json.loads(text)
    events.create_event_bus(Name=bus)
    events.put_rule(Name=name, EventBusName=bus, EventPattern=made_of["pattern"])
    assert events.put_targets(Rule=name, EventBusName=bus, Targets=made_of["targets"])["FailedEntryCount"] == 0


def count(url):
    name = "ApproximateNumberOfMessages"
    print(client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def create(name):
    print(client("sqs").create_queue(QueueName=name)["QueueUrl"])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
