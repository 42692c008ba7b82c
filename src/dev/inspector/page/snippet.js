// Code for MQTT.js that connects as the form of this page does.

/** A JavaScript literal. */
const literal = (value) => JSON.stringify(value);

/**
 * The code, for a page (bundled) or an ES module of Node.js.
 *
 * What it sets is what IoT Core needs: one SUBSCRIBE has eight filters at most, and after a reconnect MQTT.js sends all of them at once
 * unless `subscribeBatchSize` bounds them; a refused filter makes MQTT.js forget the others of the same call, so each has its own.
 */
export function snippet({ address, principal, filters }) {
  const id = principal === null ? "'page-'" : literal(`${principal}-`);
  const rule = principal === null ? 'unique for each tab' : 'the principal of the token, `-`, and what is unique for each tab';
  return `// npm install mqtt
import mqtt from 'mqtt';

const client = mqtt.connect(${literal(address)}, {
  protocolVersion: 5, // tells the reason of a refusal, and has user properties
  clientId: ${id} + Math.random().toString(16).slice(2), // ${rule}
  keepalive: 120,
  subscribeBatchSize: 8, // IoT Core takes eight filters in one SUBSCRIBE
  reconnectPeriod: 2000, // IoT Core takes one CONNECT a second of a client id
});

// One call for each channel: when one is refused, the others go on.
for (const channel of ${literal(filters)}) {
  client.subscribe(channel, { qos: 1 }, (error) => {
    if (error) console.error('not subscribed to', channel, error.message);
  });
}

client.on('message', (channel, payload, packet) => {
  // At least once: drop what has an id that was seen before.
  const id = packet.properties?.userProperties?.['eb-id'];
  console.log(channel, id, payload.toString());
});
client.on('error', (error) => console.error('not let in:', error.message));
client.on('disconnect', (packet) => console.error('disconnected:', packet.properties?.reasonString ?? packet.reasonCode));
`;
}
