import boto3

SERVICE = "iot-data"
iot = boto3.client(SERVICE)


def push(topic, payload):
    iot.publish(topic=topic, payload=payload)
