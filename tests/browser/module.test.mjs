// The browser module's parts, before a scripted broker: `node --test module.test.mjs`.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { URL, USER, broker, client, connect, gateway, packet, pause, publication, reasonOf, show, token, until } from './scripted.mjs';
import * as module from '../../browser/eventcast.js';

const { filterOf, matches } = module;

test('channels are filters', () => {
  for (const [channel, filter] of [['order:17', 'order/17'], ['user:eu-west-1:5b0c', 'user/eu-west-1:5b0c'],
    ['announcements', 'announcements'], ['tenant/+/alerts', 'tenant/+/alerts'], ['a/b:c', 'a/b:c'], ['order-line_2:x', 'order-line_2/x']]) {
    assert.equal(filterOf(channel), filter);
  }
});

test('filters match topics', () => {
  for (const [filter, topic, does] of [['a/b', 'a/b', true], ['a/b', 'a/c', false], ['a/+', 'a/b', true], ['a/+', 'a/b/c', false], ['a/#', 'a/b/c', true],
    ['#', 'a', true], ['+/b', 'a/b', true], ['a/+/c', 'a//c', true], ['a', 'a/b', false], ['a/b', 'a', false], ['a/+', 'a', false]]) {
    assert.equal(matches(filter, topic), does, `${filter} ${topic}`);
  }
});

test('the types name what there is', () => {
  const types = fs.readFileSync(new globalThis.URL('../../browser/eventcast.d.ts', import.meta.url), 'utf8');
  const exported = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.sort(), Object.keys(module).sort());
  const declared = /interface Client extends EventTarget \{(.*?)^\}/ms.exec(types)[1];
  const members = new Set([...declared.matchAll(/^ {2}(?:readonly )?(\w+)/gm)].map(([, name]) => name));
  members.delete('addEventListener');
  const self = client({ url: URL });
  for (const name of members) assert.ok(name in self, name);
  const options = [.../interface Options \{(.*?)^\}/ms.exec(types)[1].matchAll(/^ {2}(\w+)\?/gm)].map(([, name]) => name);
  const source = fs.readFileSync(new globalThis.URL('../../browser/eventcast.js', import.meta.url), 'utf8');
  for (const name of options) assert.match(source, new RegExp(`\\b${name}\\b`), name);
});

test('options without an address are refused', () => {
  assert.throws(() => connect({}), /needs `url`/);
});

// The broker ------------------------------------------------------------------------------------------------------------------------

test('CONNECT carries the token as the password, and the authorizer in the user name', async () => {
  const self = client({ url: URL, authorizer: 'shop', clientId: ({ sub }) => `${sub}-web` });
  await until('it is live', () => self.state === 'live');
  const [socket] = broker.sockets;
  const said = Buffer.from(socket.packets[0]).toString();
  assert.equal(socket.packets[0][9 + (socket.packets[0][1] < 128 ? 0 : 1)] & 0xc2, 0xc0, 'user name, password, no clean start');
  for (const part of ['MQTT', 'u1-web', '?x-amz-customauthorizer-name=shop', USER]) assert.ok(said.includes(part), part);
  assert.deepEqual([socket.url, socket.protocols], [URL, ['mqtt']]);
});

test('the token may be in the address', async () => {
  const self = client({ url: `${URL}?a=b`, tokenIn: 'query', tokenKey: 'jwt' });
  await until('it is live', () => self.state === 'live');
  assert.equal(broker.sockets[0].url, `${URL}?a=b&jwt=${USER}`);
  assert.ok(!Buffer.from(broker.sockets[0].packets[0]).toString().includes(USER));
});

test('SUBSCRIBE has eight filters at most, at a reconnect too', async () => {
  const self = client({ url: URL, environment: 'prod' });
  const all = Array.from({ length: 19 }, (_, n) => self.subscribe(`order:${n}`));
  await Promise.all(all.map((one) => one.established));
  broker.script = { present: true };
  broker.sockets[0].cut();
  await until('it is live again', () => self.state === 'live' && broker.sockets[1]?.subscribes?.length >= 3);
  for (const { subscribes } of broker.sockets) {
    assert.ok(subscribes.every((filters) => filters.length <= 8), String(subscribes.map((filters) => filters.length)));
    assert.equal(new Set(subscribes.flat()).size, 19);
    assert.ok(subscribes.flat().includes('prod/order/18'));
  }
  assert.deepEqual(self.resyncs, []);
});

test('a lost session says resync for each channel that was live, once it is again', async () => {
  const self = client({ url: URL });
  const [one, two] = [self.subscribe('order:1'), self.subscribe('order:2')];
  await Promise.all([one.established, two.established]);
  broker.sockets[0].cut();
  await until('resync', () => self.resyncs.length === 2);
  assert.deepEqual(self.resyncs, [{ channel: 'order:1', reason: 'session' }, { channel: 'order:2', reason: 'session' }]);
});

test('a refused filter rejects with its class, and the others live', async () => {
  const codes = { 'order/1': 1, 'order/2': 0x87, 'order/3': 0x97, 'order/4': 0x8f, 'order/5': 0x80, 'order/6': 0x91, 'order/7': 0xa2, 'order/8': 0 };
  broker.script = { codes: (filter) => codes[filter] };
  const self = client({ url: URL });
  const all = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => self.subscribe(`order:${n}`));
  assert.deepEqual(await Promise.all(all.map(reasonOf)), ['granted', 'authorization', 'quota', 'limit', 'network', 'network', 'limit', 'granted']);
  assert.deepEqual(self.subscriptions.map(({ state }) => state).filter((state) => state === 'live').length, 2);
  assert.equal(all[1].error.channel, 'order:2');
});

test('refused CONNECTs have a class', async () => {
  for (const [connack, reason, refused] of [[0x86, 'authorization', true], [0x87, 'authorization', true], [0x8c, 'authorization', true], [0x97, 'quota', false],
    [0x9f, 'quota', false], [0x88, 'network', false], [0x89, 'network', false], [0x85, 'limit', true], [0x84, 'limit', true], [1, 'limit', true]]) {
    Object.assign(broker, { sockets: [], script: { connack, reason: connack > 0x80 ? 'why it is' : undefined } });
    const self = client({ url: URL });
    const order = self.subscribe('order:1');
    assert.equal(await reasonOf(order), reason, connack.toString(16));
    assert.equal(self.state === 'refused', refused, connack.toString(16));
    if (connack > 0x80) assert.equal(order.error.message, 'why it is');
    const tries = broker.sockets.length;
    if (refused) {
      await pause(100);
      assert.deepEqual([broker.sockets.length, tries], [1, 1], 'the same token is not tried again');
    } else assert.ok(tries >= 3);
    self.close();
  }
});

test('messages come in parts and several at once', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', (one) => got.push(one)).established;
  const [socket] = broker.sockets;
  const properties = [['eb-id', 'e1'], ['eb-source', 'shop'], ['eb-detail-type', 'Placed'], ['eb-time', 'noon'], ['eb-route', 'r']];
  const bytes = [...publication('order/1', '{"n":1}', { properties }), ...publication('order/1', 'no json', { id: 'e2', packetId: 300 }), ...packet(0xd0, []), ...publication('order/1', '3', { id: 'e3' })];
  for (const byte of bytes) socket.give([byte]);
  socket.give(bytes);
  await until('all are there', () => got.length >= 3);
  await pause(20);
  assert.equal(got.length, 3, 'repeats are dropped');
  const { payload, ...rest } = got[0];
  assert.deepEqual([payload, rest], [{ n: 1 }, { id: 'e1', topic: 'order/1', channel: 'order:1', source: 'shop', type: 'Placed', time: 'noon', route: 'r', retained: false }]);
  assert.equal(Buffer.from(got[1].bytes).toString(), 'no json');
  assert.equal(got[2].payload, 3);
  const acknowledged = socket.packets.filter(([head]) => head === 0x40).map((one) => (one[2] << 8) | one[3]);
  assert.deepEqual(acknowledged, [7, 300, 7, 7, 300, 7], 'each copy is acknowledged');
});

test('each property that a broker may send is read past (MQTT 5, 2.2.2.2)', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', (one) => got.push(one)).established;
  const [socket] = broker.sockets;
  const values = { 1: [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a], 2: [0x13, 0x21, 0x22, 0x23], 4: [0x02, 0x11, 0x18, 0x27] };
  const texts = [0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f];
  const all = [...Object.entries(values).flatMap(([width, ids]) => ids.map((id) => [id, ...Array(Number(width)).fill(0x26)])), ...texts.map((id) => [id, 0, 2, 0x26, 0x26]), [0x0b, 0x80, 0x01]];
  for (const [n, one] of all.entries()) {
    const properties = [...one, 0x26, 0, 5, ...Buffer.from('eb-id'), 0, 2, ...Buffer.from(String(n).padStart(2, '0'))];
    socket.give(packet(0x30, [0, 7, ...Buffer.from('order/1'), properties.length, ...properties, ...Buffer.from(String(n))]));
  }
  await until('all came', () => got.length === all.length);
  assert.deepEqual(got.map(({ id, payload }) => [Number(id), payload]), all.map((_, n) => [n, n]));
  assert.equal(broker.sockets.length, 1);
});

test('an event of two routes comes twice, messages without an id always', async () => {
  const self = client({ url: URL });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload)).established;
  const [socket] = broker.sockets;
  for (const route of ['a', 'b', 'a']) socket.give(publication('order/1', `"${route}"`, { properties: [['eb-id', 'e1'], ['eb-route', route]] }));
  for (let n = 0; n < 2; n += 1) socket.give(publication('order/1', '"none"', { properties: [] }));
  await until('they are there', () => got.length >= 4);
  assert.deepEqual(got, ['a', 'b', 'none', 'none']);
});

test('bytes that are no MQTT end the connection, not the page', async () => {
  for (const bytes of [[0x30, 0xff, 0xff, 0xff, 0xff], [0x30, 0xff, 0xff, 0xff, 0x7f], [0x32, 3, 0, 9, 1], [0x32, 6, 0, 1, 97, 0, 1, 9], [0x32, 8, 0, 1, 97, 0, 1, 2, 0x7e, 0], [0x90, 1, 0]]) {
    Object.assign(broker, { sockets: [], script: {} });
    const self = client({ url: URL });
    await until('it is live', () => self.state === 'live');
    broker.sockets[0].give(bytes);
    await until(`another connection after ${bytes}`, () => broker.sockets.length === 2);
    assert.equal(self.failures[0].reason, 'network');
    self.close();
  }
});

test('a quiet connection is pinged; without an answer it is given up', async () => {
  const self = client({ url: URL, heartbeatMs: 10000 });
  await until('it is live', () => self.state === 'live');
  const pings = () => broker.sockets[0].packets.filter(([head]) => head === 0xc0).length;
  await until('two pings', () => pings() === 2);
  assert.equal(self.state, 'live');
  broker.sockets[0].script.ping = false;
  await until('it is given up', () => broker.sockets.length === 2);
  assert.equal(self.failures[0].message, 'the connection is mute');
  assert.ok(broker.sockets[0].closed);
});

test('where the timer was held back, it asks once more', async () => {
  broker.script = { ping: false };
  const self = client({ url: URL, heartbeatMs: 5000 });
  await until('it is live', () => self.state === 'live');
  const [socket] = broker.sockets;
  const pings = () => socket.packets.filter(([head]) => head === 0xc0).length;
  await until('a ping', () => pings() === 1);
  // Nothing runs until the time for the answer, 0.6 s here, is over by more than two of the module's seconds.
  const end = Date.now() + 900;
  while (Date.now() < end);
  await until('another ping', () => pings() === 2);
  socket.script.ping = true;
  socket.give(packet(0xd0, []));
  await pause(700);
  assert.deepEqual([self.state, self.failures], ['live', []]);
});

test('a tab that is shown tries at once, but not before a Retry-After', async () => {
  broker.script = { down: true };
  const self = client({ url: URL, backoffMs: [3600000, 3600000] });
  await until('it fails', () => self.failures.length === 1);
  show(true);
  await pause(50);
  assert.equal(broker.sockets.length, 1, 'a tab that is hidden waits');
  broker.script = {};
  show(false);
  await until('it is live', () => self.state === 'live');
  self.close();

  const host = await gateway(() => [429, { error: 'quota', message: 'too many' }, { 'retry-after': '20' }]);
  const other = client({ gateway: host.url });
  await until('it is refused', () => other.failures.length === 1);
  const began = performance.now();
  show(false);
  await until('it tries again', () => host.calls.length === 2);
  assert.ok(performance.now() - began > 19000);
});

test('the connection is renewed before the token ends, and the old one lives until then', async () => {
  let made = 0;
  const self = client({ url: URL, token: () => token({ sub: 'u1', exp: Date.now() / 1000 + 10, made: (made += 1) }) });
  const got = [];
  await self.subscribe('order:1', ({ payload }) => got.push(payload)).established;
  broker.script = { present: true };
  await until('a second connection', () => broker.sockets.length === 2 && broker.sockets[1].subscribes);
  await until('the first is closed', () => broker.sockets[0].closed);
  assert.deepEqual([self.state, self.states, self.resyncs, self.failures], ['live', ['live'], [], []]);
  broker.sockets[1].give(publication('order/1', '1'));
  await until('it hears', () => got.length === 1);
  const id = (socket) => /u1-[0-9a-z]{16,}/.exec(Buffer.from(socket.packets[0]).toString())[0];
  assert.equal(id(broker.sockets[0]), id(broker.sockets[1]), 'with the same client id');
});

test('a session taken over by another client is not fought for', async () => {
  const self = client({ url: URL });
  await until('it is live', () => self.state === 'live');
  broker.sockets[0].give(packet(0xe0, [0x8e]));
  await until('it is stale or connecting', () => self.state !== 'live');
  await pause(300);
  assert.equal(broker.sockets.length, 1, 'not within 10 s');
  await until('later it connects', () => broker.sockets.length === 2);
});

test('a closed client stays closed', async () => {
  const self = client({ url: URL });
  const order = self.subscribe('order:1');
  await order.established;
  self.close();
  assert.deepEqual([...broker.sockets[0].packets.at(-1)], [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0], 'the session ends');
  const late = self.subscribe('order:2');
  assert.equal(await reasonOf(late), 'closed');
  self.reconnect();
  // Longer than any delay at this pace.
  await pause(2000);
  assert.deepEqual([self.state, broker.sockets.length, order.state], ['closed', 1, 'closed']);
});

test('a token function that fails is asked again, and its failure said', async () => {
  let asked = 0;
  const self = client({ url: URL, token: async () => {
    asked += 1;
    if (asked < 3) throw new Error('the site is down');
    return USER;
  } });
  await until('it is live', () => self.state === 'live');
  assert.deepEqual(self.failures.map(({ reason, message: said }) => [reason, said.includes('the site is down')]), [['network', true], ['network', true]]);
});
