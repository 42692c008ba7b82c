"""Tasks on moto's ECS.

    ecs.py run CLUSTER FAMILY COUNT   runs so many tasks of a family; makes cluster and task definition
    ecs.py stop CLUSTER FAMILY COUNT  stops so many of them
"""

import sys

import boto3

ecs = boto3.client("ecs")
# One call runs ten tasks at the most (ECS API reference, RunTask).
AT_ONCE = 10


def run(cluster, family, count):
    ecs.create_cluster(clusterName=cluster)
    ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "bridge", "image": "eventcast", "memory": 512}],
    )
    ec2 = boto3.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    while count > 0:
        answer = ecs.run_task(
            cluster=cluster,
            taskDefinition=family,
            launchType="FARGATE",
            count=min(count, AT_ONCE),
            # moto needs what is optional at AWS: security groups here, memory in a container.
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}},
        )
        assert not answer["failures"], answer["failures"]
        count -= len(answer["tasks"])


def stop(cluster, family, count):
    tasks = ecs.list_tasks(cluster=cluster, family=family, desiredStatus="RUNNING")["taskArns"]
    for task in tasks[:count]:
        ecs.stop_task(cluster=cluster, task=task)


if __name__ == "__main__":
    name, cluster, family, count = sys.argv[1:]
    {"run": run, "stop": stop}[name](cluster, family, int(count))
