"""A client by AWS's own device SDK, told what to do line by line; it prints what came of it.

    aws_clients.py VERSION BUILDER < commands

VERSION is mqtt5 or mqtt3 (that is MQTT 3.1.1), BUILDER the SDK's function that puts the client together. The environment says where
to (PORT, CA) and who it is (CLIENT; TOKEN, or CERTIFICATE and KEY, or AWS's variables for a signature). Commands, each on a line:

    subscribe FILTER         prints "subscribed CODE"
    publish TOPIC TEXT       prints "published CODE"
    end                      disconnects, prints "ended"

Besides, "connected", "message TOPIC TEXT", "refused WHY" for a connection that did not come about and "closed WHY" for one that the
broker ended. An end of the input ends the client too.
"""
import os
import sys
import threading
from concurrent.futures import Future

from awscrt import auth, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

BOUND = 20


def tell(*words):
    print(*words, flush=True)


def direct_at(port):
    """The builder for MQTT 3.1.1 always takes IoT Core's own port, 443: only that is changed here."""
    build = mqtt_connection_builder._builder

    def at(tls_ctx_options, **arguments):
        return build(tls_ctx_options, **{**arguments, "port": port})

    mqtt_connection_builder._builder = at


def who(builder):
    """What a builder wants to know of the client."""
    if builder.endswith("custom_authorizer"):
        return {"auth_username": "anybody", "auth_token_key_name": "token", "auth_token_value": os.environ["TOKEN"]}
    if builder.startswith("mtls"):
        # IoT Core lets a certificate and a token stand together.
        token = {"username": "anybody", "password": os.environ["TOKEN"]} if "TOKEN" in os.environ else {}
        return {"cert_filepath": os.environ["CERTIFICATE"], "pri_key_filepath": os.environ["KEY"], **token}
    credentials = auth.AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
    )
    return {"region": os.environ["AWS_REGION"], "credentials_provider": credentials}


def common():
    return {
        "endpoint": "localhost",
        "port": int(os.environ["PORT"]),
        "ca_filepath": os.environ["CA"],
        "client_id": os.environ["CLIENT"],
    }


class Mqtt5:
    def __init__(self, builder):
        self.stopped = threading.Event()
        build = getattr(mqtt5_client_builder, builder)
        self.client = build(
            **common(),
            **who(builder),
            on_publish_received=lambda data: tell("message", data.publish_packet.topic, data.publish_packet.payload.decode()),
            on_lifecycle_connection_success=lambda _: tell("connected"),
            on_lifecycle_connection_failure=self.failed,
            on_lifecycle_disconnection=self.disconnected,
            on_lifecycle_stopped=lambda _: self.stopped.set(),
        )
        self.client.start()

    def failed(self, data):
        answer = data.connack_packet
        tell("refused", f"{answer.reason_code:#04x}" if answer else data.exception.name)

    def disconnected(self, data):
        # Its own disconnecting is told by "ended".
        if data.exception.name != "AWS_ERROR_MQTT5_USER_REQUESTED_STOP":
            packet = data.disconnect_packet
            tell("closed", f"{packet.reason_code:#04x}" if packet else data.exception.name)

    def subscribe(self, topic):
        packet = mqtt5.SubscribePacket([mqtt5.Subscription(topic, mqtt5.QoS.AT_LEAST_ONCE)])
        answer = self.client.subscribe(packet).result(BOUND)
        tell("subscribed", *(f"{code:#04x}" for code in answer.reason_codes))

    def publish(self, topic, text):
        packet = mqtt5.PublishPacket(topic=topic, payload=text, qos=mqtt5.QoS.AT_LEAST_ONCE)
        answer = self.client.publish(packet).result(BOUND).puback
        tell("published", f"{answer.reason_code:#04x}")

    def end(self):
        self.client.stop()
        assert self.stopped.wait(BOUND)


class Mqtt3:
    def __init__(self, builder):
        if builder == "direct_with_custom_authorizer":
            direct_at(int(os.environ["PORT"]))
        build = getattr(mqtt_connection_builder, builder)
        self.client = build(
            **common(),
            **who(builder),
            clean_session=True,
            on_connection_interrupted=lambda error, **_: tell("closed", error.name),
        )
        self.client.on_message(lambda topic, payload, **_: tell("message", topic, payload.decode()))
        connecting = self.client.connect()
        try:
            connecting.result(BOUND)
            tell("connected")
        except Exception as error:
            tell("refused", error.name)
            sys.exit(0)

    def subscribe(self, topic):
        future, _ = self.client.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE)
        future.add_done_callback(lambda done: self.answered("subscribed", done, lambda answer: f"{answer['qos']:#04x}"))

    def publish(self, topic, text):
        future, _ = self.client.publish(topic, text, mqtt.QoS.AT_LEAST_ONCE)
        future.add_done_callback(lambda done: self.answered("published", done, lambda _: "0x00"))

    @staticmethod
    def answered(what, done: Future, code):
        # Where the connection closes there is no answer, and "closed" tells it.
        if not done.exception():
            tell(what, code(done.result()))

    def end(self):
        self.client.disconnect().result(BOUND)


def main(version, builder):
    client = {"mqtt5": Mqtt5, "mqtt3": Mqtt3}[version](builder)
    for line in sys.stdin:
        command, *arguments = line.split(maxsplit=2)
        if command == "end":
            break
        getattr(client, command)(*(argument.rstrip("\n") for argument in arguments))
    client.end()
    tell("ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
