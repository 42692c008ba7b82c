#!/usr/bin/env bash
# MQTT.js 5.16.0 (npm), MQTT 5: `subscribe([a, b])` where the server grants `a` and refuses `b`.
# The call fails as a whole, yet `a` is subscribed and its messages arrive. After the next reconnect
# the client subscribes again to neither: `a` is silent from then on, without an error or event.
#
# A server of valid packets (mqtt-packet 9.0.2) grants `a`, refuses `b` with 0x87, publishes to `a`,
# closes the connection once, and counts what the client subscribes to on the next one.
#
# Seen: call failed: true; message before the cut: true; filters subscribed to again: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --no-audit --no-fund --silent mqtt@5.16.0 mqtt-packet@9.0.2 >>npm.log
cat >run.mjs <<'JS'
import net from 'node:net';
import mqtt from 'mqtt';
import packet from 'mqtt-packet';

const version = { protocolVersion: 5 };
let connections = 0;
let again = 0;
let delivered = false;
let failed = false;

const server = net.createServer((socket) => {
  const number = ++connections;
  const parser = packet.parser(version);
  const send = (what) => socket.write(packet.generate(what, version));
  socket.on('data', (bytes) => parser.parse(bytes));
  socket.on('error', () => {});
  parser.on('packet', (received) => {
    if (received.cmd === 'connect') {
      send({ cmd: 'connack', reasonCode: 0, sessionPresent: false });
      // Long enough for a client that subscribes again: it does so at once.
      if (number === 2) setTimeout(report, 1000);
    } else if (received.cmd === 'subscribe' && number === 1) {
      send({ cmd: 'suback', messageId: received.messageId, granted: [0, 0x87] });
      send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false });
      setTimeout(() => socket.end(), 300);
    } else if (received.cmd === 'subscribe') {
      again += received.subscriptions.length;
      send({ cmd: 'suback', messageId: received.messageId, granted: received.subscriptions.map(() => 0) });
    }
  });
});

server.listen(0, '127.0.0.1', () => {
  const client = mqtt.connect({ host: '127.0.0.1', port: server.address().port, protocolVersion: 5, reconnectPeriod: 100 });
  client.on('error', () => {});
  client.on('message', () => { delivered = true; });
  client.once('connect', () => client.subscribe(['a', 'b'], (error) => { failed = Boolean(error); }));
});

function report() {
  console.log(`call failed: ${failed}; message before the cut: ${delivered}; filters subscribed to again: ${again}`);
  process.exit(0);
}
JS
seen=$(timeout 30 node run.mjs)
echo "$seen"
[ "$seen" = 'call failed: true; message before the cut: true; filters subscribed to again: 0' ] ||
  { echo "changed" >&2; exit 1; }
