#!/usr/bin/env bash
# mosquitto 2.0.11 (Debian 12, 2.0.11-1.2+deb12u2): when a second MQTT 5 client connects with a client
# id that is connected, the older connection is closed without a DISCONNECT. MQTT 5.0 demands one with
# the reason code 0x8E, "session taken over" (section 3.1.4, MQTT-3.1.4-3). So a client cannot tell a
# takeover, after which it should stay away, from a lost connection, after which it should come back:
# two that share an id by mistake connect in turn for ever. With and without a session that is kept.
#
# Seen:
# clean start 0, session expiry 300 s: closed after 0 bytes
# clean start 1, session expiry 0 s: closed after 0 bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${broker:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq mosquitto=2.0.11-1.2+deb12u2 libdlt2=2.18.8-6 libwrap0=7.6.q-32 \
  libnsl2=1.3.0-2 libtirpc3=1.3.3+ds-1
for package in *.deb; do dpkg -x "$package" root; done
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
printf 'listener %s 127.0.0.1\n' "$port" >mosquitto.conf
printf 'allow_anonymous true\n' >>mosquitto.conf
libraries=$PWD/$(dirname "$(find root -name 'libdlt.so.2')"):$PWD/root/lib/$(uname -m)-linux-gnu
LD_LIBRARY_PATH=$libraries root/usr/sbin/mosquitto -c mosquitto.conf 2>log &
broker=$!
seen=$(timeout 60 python3 - "$port" <<'PYTHON'
import socket
import struct
import sys
import time


def connect(clean, expiry):
    """Connects as client `twin` and returns the connection after its CONNACK."""
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
    properties = b"\x11" + struct.pack(">I", expiry)
    name = b"twin"
    body = b"\x00\x04MQTT\x05" + bytes([2 if clean else 0]) + b"\x00\x3c"
    body += bytes([len(properties)]) + properties + struct.pack(">H", len(name)) + name
    connection.sendall(b"\x10" + bytes([len(body)]) + body)
    head = connection.recv(2)
    answer = connection.recv(head[1])
    assert head[0] == 0x20 and answer[1] == 0, (head, answer)
    return connection


for _ in range(100):
    try:
        connect(True, 0).close()
        break
    except OSError:
        time.sleep(0.1)
for clean, expiry in ((False, 300), (True, 0)):
    older = connect(clean, expiry)
    newer = connect(clean, expiry)
    received = older.recv(100)
    print(f"clean start {int(clean)}, session expiry {expiry} s: closed after {len(received)} bytes")
    newer.close()
PYTHON
)
echo "$seen"
[ "$seen" = "clean start 0, session expiry 300 s: closed after 0 bytes
clean start 1, session expiry 0 s: closed after 0 bytes" ] || { echo "changed" >&2; exit 1; }
