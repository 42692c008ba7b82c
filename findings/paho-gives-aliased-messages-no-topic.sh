#!/usr/bin/env bash
# paho-mqtt 2.2.0 (PyPI), MQTT 5: a client that offers Topic Alias Maximum gets messages with an empty
# topic. The server sends topic `orders/1` with alias 1, then alias 1 alone, as MQTT 5 section 3.3.2.3.4
# has it; the second message reaches `on_message` with the topic ''. The alias is only to be found in
# the message's properties, and the client keeps no table of them: each application has to.
#
# Seen: [('orders/1', b'first'), ('', b'second')]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check paho-mqtt==2.2.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import socket
import struct
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def publish(topic, payload):
    name = topic.encode()
    alias = bytes([0x23]) + struct.pack(">H", 1)
    body = struct.pack(">H", len(name)) + name + bytes([len(alias)]) + alias + payload
    return bytes([0x30, len(body)]) + body


def serve():
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(bytes([0x20, 3, 0, 0, 0]) + publish("orders/1", b"first") + publish("", b"second"))
    done.wait(10)


listener = socket.create_server(("127.0.0.1", 0))
done = threading.Event()
threading.Thread(target=serve, daemon=True).start()
received = []


def on_message(_client, _data, message):
    received.append((message.topic, message.payload))
    if len(received) == 2:
        done.set()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.on_message = on_message
properties = Properties(PacketTypes.CONNECT)
properties.TopicAliasMaximum = 10
client.connect("127.0.0.1", listener.getsockname()[1], properties=properties)
client.loop_start()
done.wait(10)
print(received)
PYTHON
)
echo "$seen"
[ "$seen" = "[('orders/1', b'first'), ('', b'second')]" ] || { echo "changed" >&2; exit 1; }
