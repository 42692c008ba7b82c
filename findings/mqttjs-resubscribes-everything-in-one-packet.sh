#!/usr/bin/env bash
# MQTT.js 5.16.0 (npm): ten topics, subscribed to by ten calls (ten SUBSCRIBE packets). After a
# reconnect by MQTT 3.1.1 the client sends ONE SUBSCRIBE with all ten filters, by MQTT 5 ten of one.
# AWS IoT Core takes 8 filters in a SUBSCRIBE and closes the connection over more, so that a 3.1.1
# client that has worked for hours loops for ever after its first reconnect.
#
# Seen: protocol 4: before 1,1,1,1,1,1,1,1,1,1 after 10
#       protocol 5: before 1,1,1,1,1,1,1,1,1,1 after 1,1,1,1,1,1,1,1,1,1
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

const TOPICS = 10;

function run(protocolVersion) {
  return new Promise((resolve) => {
    const filters = [[], []];
    const total = (sizes) => sizes.reduce((sum, size) => sum + size, 0);
    let connections = 0;
    const server = net.createServer((socket) => {
      const sizes = filters[connections++] ?? [];
      const parser = packet.parser({ protocolVersion });
      const send = (what) => socket.write(packet.generate(what, { protocolVersion }));
      socket.on('data', (bytes) => parser.parse(bytes));
      socket.on('error', () => {});
      parser.on('packet', (received) => {
        if (received.cmd === 'connect') send({ cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false });
        if (received.cmd !== 'subscribe') return;
        sizes.push(received.subscriptions.length);
        send({ cmd: 'suback', messageId: received.messageId, granted: received.subscriptions.map(() => 0) });
        if (total(sizes) < TOPICS) return;
        if (sizes === filters[0]) socket.end();
        else resolve(filters);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const client = mqtt.connect({ host: '127.0.0.1', port: server.address().port, protocolVersion, reconnectPeriod: 100 });
      client.on('error', () => {});
      client.once('connect', () => { for (let n = 0; n < TOPICS; n++) client.subscribe(`topic/${n}`); });
    });
  });
}

for (const version of [4, 5]) {
  const [before, after] = await run(version);
  console.log(`protocol ${version}: before ${before.join()} after ${after.join()}`);
}
process.exit(0);
JS
seen=$(timeout 30 node run.mjs)
echo "$seen"
[ "$seen" = "protocol 4: before 1,1,1,1,1,1,1,1,1,1 after 10
protocol 5: before 1,1,1,1,1,1,1,1,1,1 after 1,1,1,1,1,1,1,1,1,1" ] || { echo "changed" >&2; exit 1; }
