#!/usr/bin/env bash
# adafruit-circuitpython-minimqtt 8.1.0 (PyPI): `reconnect(resub_topics=True)` subscribes again with
# QoS 0, whatever QoS the application had asked for. A device that subscribed with QoS 1 loses, from
# its first reconnect on, what QoS 1 was for; nothing says so.
#
# Seen: [('orders/1', 1), ('orders/1', 0)]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check adafruit-circuitpython-minimqtt==8.1.0
seen=$(timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import socket
import threading

import adafruit_minimqtt.adafruit_minimqtt as minimqtt

CONNECT, SUBSCRIBE, DISCONNECT = 1, 8, 14
subscribed = []


def serve(connection):
    """Answers each packet; all are shorter than 128 bytes, so that one byte is the length."""
    stream = connection.makefile("rb")
    while header := stream.read(2):
        body = stream.read(header[1])
        kind = header[0] >> 4
        if kind == CONNECT:
            connection.sendall(bytes([0x20, 2, 0, 0]))
        elif kind == SUBSCRIBE:
            end = 4 + int.from_bytes(body[2:4])
            subscribed.append((body[4:end].decode(), body[end]))
            connection.sendall(bytes([0x90, 3]) + body[:2] + bytes([body[end]]))
        elif kind == DISCONNECT:
            connection.close()
            return


def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
client = minimqtt.MQTT(
    broker="127.0.0.1", port=listener.getsockname()[1], socket_pool=socket, is_ssl=False, socket_timeout=1, recv_timeout=5
)
client.connect()
client.subscribe("orders/1", qos=1)
client.reconnect(resub_topics=True)
print(subscribed)
PYTHON
)
echo "$seen"
[ "$seen" = "[('orders/1', 1), ('orders/1', 0)]" ] || { echo "changed" >&2; exit 1; }
