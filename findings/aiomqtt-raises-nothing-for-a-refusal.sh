#!/usr/bin/env bash
# aiomqtt 2.5.1 (PyPI), MQTT 5: refusals raise nothing. `await client.publish(…, qos=1)` returns None
# although the PUBACK has reason 0x87 (not authorized), so that a refused message cannot be told from
# an accepted one; `await client.subscribe(…)` returns a list in which the refusal is one more code.
#
# Seen: publish: None
#       subscribe: [ReasonCode(Suback, 'Not authorized')]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiomqtt==2.5.1 paho-mqtt==2.2.0
seen=$(timeout 30 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import aiomqtt

CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8


async def serve(reader, writer):
    """Answers each packet; all are shorter than 128 bytes, so that one byte is the length."""
    while header := await reader.read(2):
        body = await reader.readexactly(header[1])
        kind = header[0] >> 4
        if kind == CONNECT:
            writer.write(bytes([0x20, 3, 0, 0, 0]))
        elif kind == PUBLISH:
            topic = int.from_bytes(body[:2])
            writer.write(bytes([0x40, 4]) + body[2 + topic:4 + topic] + bytes([0x87, 0]))
        elif kind == SUBSCRIBE:
            writer.write(bytes([0x90, 4]) + body[:2] + bytes([0, 0x87]))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        print("publish:", await client.publish("orders/1", b"x", qos=1))
        print("subscribe:", await client.subscribe("orders/1"))


asyncio.run(main())
PYTHON
)
echo "$seen"
[ "$seen" = "publish: None
subscribe: [ReasonCode(Suback, 'Not authorized')]" ] || { echo "changed" >&2; exit 1; }
